//! How fast one and several reading threads empty filled receive buffers. A sender on the same machine is too slow to keep
//! them busy, so the exporter is stopped while the buffers fill.

use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    interrupt::check,
    options::Options,
    peer::exporter,
    process_group::{are_empty, reader_sockets, reader_sockets_here},
    sender,
    support::{
        Wire,
        program::{EXPORTER, PATIENCE, sum, wait_for},
        server::run as succeed,
    },
    table::{machine, median, medians},
    traffic::{Frames, SHORT_PACKETS, grouped},
};

/// Packets per second.
const RATE: u64 = 200_000;

/// How long packets are sent while the exporter is stopped.
const TIME: Duration = Duration::from_millis(2500);

/// How long the exporter counts the same packets before it is stopped, so that their series exist.
const WARM_UP: Duration = Duration::from_secs(1);

/// Receive buffer of each group: large enough for all packets of a run.
const RECEIVE_BUFFER: &str = "512MiB";

/// Interval between two looks at the receive buffers, which take CPU time too.
const INTERVAL: Duration = Duration::from_millis(2);

/// More threads do not make the exporter faster.
const MAX_GROUPS: usize = 4;

/// Drops the packets after the exporter's rules (priority -310) have logged them, so that the host sends no replies.
const DROP: &str = "table inet unanswered {
    chain in {
        type filter hook prerouting priority -300
        iifname wan0 drop
    }
}";

/// The result of one run.
struct Run {
    packets: u64,
    seconds: f64,
    /// CPU time, µs per packet.
    cost: f64,
}

/// Measures one group, two, and so on, up to the number of cores but at most [`MAX_GROUPS`], in turn. Returns the table.
pub fn run(options: &Options) -> String {
    assert!(!options.pin, "--pin leaves the exporter one core");
    let cores = thread::available_parallelism().unwrap().get();
    let mut measured: Vec<(usize, Vec<Run>)> =
        (1..=cores.min(MAX_GROUPS)).map(|groups| (groups, Vec::new())).collect();
    for _ in 0..options.runs {
        for (groups, runs) in &mut measured {
            let run = drain(*groups);
            let Run { packets, seconds, cost } = run;
            println!("groups: {groups}; {packets} packets in {seconds:.3} s, {cost:.2} µs/packet");
            runs.push(run);
        }
    }
    table(&measured, options)
}

/// Stops an exporter, fills its receive buffers, and measures how long it takes to empty them.
fn drain(groups: usize) -> Run {
    check();
    let wire = Wire::new();
    wire.host.nft(DROP);
    let mut rules = wire.host.command(EXPORTER);
    rules.args(["rules", "--for", "nft", "--log", "all", "--limit", "0", "--apply", "--spread"]);
    succeed(rules.arg(groups.to_string()));
    let frames = Frames::new(SHORT_PACKETS.sources, SHORT_PACKETS.length);
    let numbers: Vec<_> = (1..=groups).collect();
    let config = format!("[nflog]\ngroups = {numbers:?}\nreceive_buffer = '{RECEIVE_BUFFER}'\n");
    let (group, exporter) = exporter::start(&wire.host, &config);
    assert_eq!(reader_sockets(&wire.host).len(), groups, "sockets of groups");
    assert_eq!(reading_threads(exporter.program.pid()), groups, "reading threads");
    let received = || {
        let text = exporter.scrape();
        for lost in ["lost_packets_total", "socket_drops_total"] {
            assert_eq!(sum(&text, &format!("nflog_exporter_{lost}")), 0, "{lost}");
        }
        sum(&text, "nflog_exporter_received_packets_total")
    };
    sender::send(&wire, &frames, Some(RATE), WARM_UP);
    wait_for("empty receive buffers", || are_empty(&reader_sockets(&wire.host)).then_some(()));
    let before = received();

    exporter.program.signal(Signal::SIGSTOP);
    // Up to 99 packets of each group stay in an incomplete datagram, before as after this. That is less than 1 in 1,000.
    sender::send(&wire, &frames, Some(RATE), TIME);
    let used = group.cpu().total;
    let seconds = wire.host.run(|| {
        assert!(!are_empty(&reader_sockets_here()), "no packet waits");
        exporter.program.signal(Signal::SIGCONT);
        let start = Instant::now();
        while !are_empty(&reader_sockets_here()) {
            check();
            assert!(start.elapsed() < PATIENCE, "packets still wait");
            thread::sleep(INTERVAL);
        }
        start.elapsed().as_secs_f64()
    });
    let used = group.cpu().total.saturating_sub(used);
    let packets = received() - before;
    Run { packets, seconds, cost: 1e6 * used.as_secs_f64() / packets as f64 }
}

/// Number of threads of a process that read groups, by their names.
fn reading_threads(process: u32) -> usize {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
    names.filter(|name| name.as_ref().unwrap().starts_with("reader")).count()
}

fn table(measured: &[(usize, Vec<Run>)], options: &Options) -> String {
    let mut text = format!("{}\n", machine(&[]));
    writeln!(text, "{}.\n", medians(options)).unwrap();
    text += "| groups | packets | emptied in | million packets/s | speed-up | µs of CPU time per packet |\n";
    text += "|---|---|---|---|---|---|\n";
    let rate = |runs: &[Run]| median(runs.iter().map(|run| run.packets as f64 / run.seconds));
    let one = rate(&measured[0].1);
    for (groups, runs) in measured {
        writeln!(
            text,
            "| {groups} | {} | {:.0} ms | {:.2} | {:.2} | {:.2} |",
            grouped(median(runs.iter().map(|run| run.packets as f64)) as u64),
            1e3 * median(runs.iter().map(|run| run.seconds)),
            rate(runs) / 1e6,
            rate(runs) / one,
            median(runs.iter().map(|run| run.cost)),
        )
        .unwrap();
    }
    text
}
