//! More packets than the exporter can write as rows, and more than it can count: what it loses first, in exact numbers.
//!
//! The exporter has a share of one core, so that one sender can send many times what it can process. It writes rows to
//! SQLite, with a small spool that is full after seconds.

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use crate::{
    cpu_quota::CpuQuota,
    interrupt::check,
    options::Options,
    peer::exporter,
    process_group::ProcessGroup,
    sender,
    support::{
        Wire,
        program::{Exporter, open_to_all, samples, sum},
    },
    table::machine,
    traffic::{Frames, SHORT_PACKETS, grouped, rules},
};

/// Size of the spool, MiB.
const SPOOL: u32 = 4;

/// Packets per second while the cost of a packet is measured.
const RATE: u64 = 20_000;

/// Multiples of the rate that the exporter can process.
const LOADS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// Maximum time until all packets are counted and all rows are written.
const MAX_DRAIN: Duration = Duration::from_secs(300);

/// What became of the packets of one load. All counters are the exporter's own.
struct Outcome {
    /// Packets that the rule logged.
    sent: u64,
    received: u64,
    lost: u64,
    socket_drops: u64,
    /// Rows in the queue and the spool when the last packet was sent.
    waiting: u64,
    written: u64,
    dropped: Vec<(String, u64)>,
    filtered: u64,
    /// Seconds after the first packet at which a scrape showed the first one.
    first_dropped: Option<f64>,
    first_lost: Option<f64>,
    /// CPU time, µs per packet received.
    cost: f64,
}

/// Measures all loads. Returns the table.
pub fn run(options: &Options) -> String {
    let time = Duration::from_secs(options.seconds);
    let free = measure(Some(RATE), time, None);
    let capacity = f64::from(options.quota) * 1e4 / free.cost;
    println!("{:.2} µs per packet and row: {capacity:.0} packets/s", free.cost);
    let mut outcomes = Vec::new();
    for load in LOADS {
        let rate = (capacity * load) as u64;
        let name = format!("{load} times: {} packets/s", grouped(rate));
        outcomes.push((name, measure(Some(rate), time, Some(options.quota))));
    }
    outcomes.push(("saturation".to_owned(), measure(None, time, Some(options.quota))));
    table(&outcomes, &free, capacity, options)
}

/// Sends packets for some time, and waits until each is counted and each row written.
fn measure(rate: Option<u64>, time: Duration, quota: Option<u32>) -> Outcome {
    check();
    let wire = Wire::new();
    wire.host.nft(&rules());
    let frames = Frames::new(SHORT_PACKETS.sources, SHORT_PACKETS.length);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let (rows, spool) = (directory.path().join("rows.db"), directory.path().join("spool"));
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}'\n[mirror.spool]\ndirectory = '{}'\nmax_size = '{SPOOL}MiB'\n",
        rows.display(),
        spool.display()
    );
    let quota = quota.map(CpuQuota::new);
    let (group, exporter) = exporter::start(&wire.host, &config);
    if let Some(quota) = &quota {
        quota.limit(exporter.program.pid());
    }
    let outcome = observe(&wire, &frames, rate, time, &group, &exporter);
    let count = rusqlite::Connection::open(&rows)
        .unwrap()
        .query_row("SELECT COUNT(*) FROM packets", [], |row| row.get::<_, i64>(0))
        .unwrap();
    assert_eq!(count.cast_unsigned(), outcome.written, "rows in the table");
    // Before the quota, which cannot be removed while it has a process.
    drop((group, exporter));
    outcome
}

/// A counter of the exporter.
fn of(text: &str, name: &str) -> u64 {
    sum(text, &format!("nflog_exporter_{name}"))
}

/// Rows that are not in the database yet.
fn waiting(text: &str) -> u64 {
    of(text, "mirror_queued_rows") + of(text, "mirror_spooled_rows")
}

fn observe(
    wire: &Wire,
    frames: &Frames,
    rate: Option<u64>,
    time: Duration,
    group: &ProcessGroup,
    exporter: &Exporter<'_>,
) -> Outcome {
    let (mut first_dropped, mut first_lost) = (None, None);
    let (used, start) = (group.cpu().total, Instant::now());
    let mut look = || {
        check();
        let text = exporter.scrape();
        let now = start.elapsed().as_secs_f64();
        if of(&text, "mirror_dropped_rows_total") > 0 {
            first_dropped.get_or_insert(now);
        }
        if of(&text, "lost_packets_total") > 0 {
            first_lost.get_or_insert(now);
        }
        text
    };
    thread::scope(|scope| {
        let sender = scope.spawn(|| sender::send(wire, frames, rate, time));
        while !sender.is_finished() {
            look();
            thread::sleep(Duration::from_millis(250));
        }
        sender.join().unwrap();
    });
    let waiting_rows = waiting(&look());
    let text = loop {
        let text = look();
        let sent = wire.host.counter("logged");
        let counted = of(&text, "received_packets_total") + of(&text, "lost_packets_total");
        assert!(counted <= sent, "{counted} of {sent} packets are counted");
        if counted == sent && waiting(&text) == 0 {
            break text;
        }
        assert!(start.elapsed() < time + MAX_DRAIN, "{counted} of {sent} packets are counted");
        if counted < sent {
            // A packet after a gap shows how many were lost.
            wire.send([crate::support::frame::syn([192, 0, 2, 1], 40_000, 22)]);
        }
        thread::sleep(Duration::from_millis(250));
    };
    let dropped = samples(&text, "nflog_exporter_mirror_dropped_rows_total");
    let dropped = dropped.into_iter().filter(|(_, count)| *count > 0.0);
    let received = of(&text, "received_packets_total");
    let outcome = Outcome {
        sent: wire.host.counter("logged"),
        received,
        lost: of(&text, "lost_packets_total"),
        socket_drops: of(&text, "socket_drops_total"),
        waiting: waiting_rows,
        written: of(&text, "mirror_written_rows_total"),
        dropped: dropped.map(|(labels, count)| (labels["reason"].clone(), count as u64)).collect(),
        filtered: of(&text, "mirror_filtered_rows_total"),
        first_dropped,
        first_lost,
        cost: 1e6 * group.cpu().total.saturating_sub(used).as_secs_f64() / received as f64,
    };
    outcome.verify();
    outcome
}

impl Outcome {
    fn rows_dropped(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Each packet is counted or lost, and each counted packet is a row or is not, for a reason.
    fn verify(&self) {
        assert_eq!(self.sent, self.received + self.lost);
        assert_eq!(self.received, self.written + self.rows_dropped() + self.filtered);
        assert_eq!(
            self.lost > 0,
            self.socket_drops > 0,
            "only a full receive buffer loses packets"
        );
    }
}

fn table(
    outcomes: &[(String, Outcome)],
    free: &Outcome,
    capacity: f64,
    options: &Options,
) -> String {
    let mut text = format!("{}\n", machine(&[]));
    let Options { quota, seconds, .. } = options;
    writeln!(
        text,
        "The exporter has {quota} % of a core, a receive buffer of 16 MiB and a spool of {SPOOL} MiB, and writes to SQLite. \
         A packet and its row need {:.2} µs of CPU time at {} packets/s, so it can process {} packets/s. Each load lasts \
         {seconds} s.\n",
        free.cost,
        grouped(RATE),
        grouped(capacity as u64),
    )
    .unwrap();
    text += "| load | sent | received | lost | socket drops | rows written | rows dropped | rows waiting after the last packet | first row dropped | first packet lost |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for (name, outcome) in outcomes {
        let after =
            |time: Option<f64>| time.map_or("–".to_owned(), |time| format!("{time:.1} s"));
        let reasons: Vec<_> =
            outcome.dropped.iter().map(|(reason, _)| format!("`{reason}`")).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {}{reasons} | {} | {} | {} |",
            grouped(outcome.sent),
            grouped(outcome.received),
            grouped(outcome.lost),
            grouped(outcome.socket_drops),
            grouped(outcome.written),
            grouped(outcome.rows_dropped()),
            grouped(outcome.waiting),
            after(outcome.first_dropped),
            after(outcome.first_lost),
        )
        .unwrap();
    }
    text
}
