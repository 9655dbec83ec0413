//! The exporter itself, mirroring each packet of a load.

use std::{
    fmt, fs, thread,
    time::{Duration, Instant},
};

use crate::{
    figures::cpu,
    support::{
        Wire, frame,
        mariadb::MariaDb,
        netns::log_and_drop,
        program::{Exporter, samples, sum, wait_for},
    },
};

/// Packets per second.
const RATE: u64 = 50_000;

/// Number of packets: 20 s of load.
const PACKETS: u64 = 1_000_000;

/// Number of source addresses.
const SOURCES: u64 = 20_000;

/// Number of packets sent at a time.
const BURST: u64 = 50;

/// Measurements of the exporter.
pub struct Live {
    rate: f64,
    received: u64,
    lost: u64,
    written: u64,
    dropped: u64,
    rows: u64,
    lag: f64,
    behind: Duration,
    exporter: Duration,
    peak: String,
    server: Duration,
}

/// The frame with this number: four of five are SYNs, one of five is IPv6.
pub fn packet(number: u64) -> Vec<u8> {
    const PORTS: [u16; 19] = [
        80, 22, 23, 443, 445, 3389, 5060, 8080, 8443, 1433, 3306, 6379, 5432, 25, 21, 53, 123, 161,
        4444,
    ];
    let port = PORTS[usize::try_from(number % 19).unwrap()];
    let source = u32::try_from(number % SOURCES).unwrap().wrapping_mul(0x9e37_79b9);
    // From 1.0.0.0 to 100.255.255.255: no loopback or multicast.
    let v4 = (source % (100 << 24) + (1 << 24)).to_be_bytes();
    let mut v6 = [0x2a, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    v6[2..6].copy_from_slice(&v4);
    match number % 10 {
        0 => frame::syn_v6(v6, 40_000, port),
        1 => frame::udp_v6(v6, 40_000, port, b"payload"),
        2 => frame::udp(v4, 40_000, port, b"payload"),
        _ => frame::syn(v4, 40_000, port),
    }
}

/// Sends the load, and waits until the database has all rows.
pub fn run(server: &MariaDb) -> Live {
    let database = server.database();
    let wire = Wire::new();
    wire.host.nft(&log_and_drop(1, ""));
    let spool = tempfile::tempdir().unwrap();
    let config = format!(
        "[mirror]\nurl = 'mysql://root@localhost/{database}?socket={}'\n\
         [mirror.spool]\ndirectory = '{}'\n",
        server.socket().display(),
        spool.path().display()
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let of = |text: &str, what: &str| sum(text, &format!("nflog_exporter_{what}"));
    wait_for("the mirror", || (of(&exporter.scrape(), "mirror_up") == 1).then_some(()));
    let frames: Vec<_> = (0..SOURCES * 19).map(packet).collect();

    let (id, server_id) = (exporter.program.pid(), server.pid());
    let (spent, answered, began) = (cpu(id), cpu(server_id), Instant::now());
    let (text, lag, sending) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let began = Instant::now();
            wire.send((0..PACKETS).map(|number| {
                if number % BURST == 0 {
                    let due = began + Duration::from_micros(number * 1_000_000 / RATE);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                frames[usize::try_from(number).unwrap() % frames.len()].clone()
            }));
            began.elapsed()
        });
        let mut lag = 0.0_f64;
        let mut look = || {
            let text = exporter.scrape();
            lag = lag.max(samples(&text, "nflog_exporter_mirror_lag_seconds")[0].1);
            text
        };
        while !sender.is_finished() {
            look();
            thread::sleep(Duration::from_millis(200));
        }
        let text = wait_for("all rows in the database", || {
            let text = look();
            let through = of(&text, "received_packets_total") + of(&text, "lost_packets_total");
            let left = of(&text, "mirror_queued_rows") + of(&text, "mirror_spooled_rows");
            (through >= wire.host.counter("logged") && left == 0).then_some(text)
        });
        (text, lag, sender.join().unwrap())
    });
    let live = Live {
        rate: PACKETS as f64 / sending.as_secs_f64(),
        received: of(&text, "received_packets_total"),
        lost: of(&text, "lost_packets_total"),
        written: of(&text, "mirror_written_rows_total"),
        dropped: of(&text, "mirror_dropped_rows_total"),
        rows: server.query(&database, "SELECT COUNT(*) FROM packets").parse().unwrap(),
        lag,
        behind: began.elapsed().saturating_sub(sending),
        exporter: cpu(id).saturating_sub(spent),
        peak: peak(id),
        server: cpu(server_id).saturating_sub(answered),
    };
    drop(exporter);
    server.query(&database, &format!("DROP DATABASE {database}"));
    live
}

/// The peak memory of a process.
fn peak(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().to_owned()
}

impl fmt::Display for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, received, lost, written, dropped, rows, lag, behind, peak, .. } = self;
        let per_row = |time: Duration| 1e6 * time.as_secs_f64() / self.written as f64;
        writeln!(
            formatter,
            "the exporter at {rate:.0} packets/s: {received} received, {lost} lost, {written} rows \
             written, {dropped} dropped, {rows} in the table"
        )?;
        write!(
            formatter,
            "  highest lag {lag:.1} s, last row {:.1} s after the last packet; exporter {:.2} \
             µs/row, at most {peak}; server {:.2} µs/row",
            behind.as_secs_f64(),
            per_row(self.exporter),
            per_row(self.server)
        )
    }
}
