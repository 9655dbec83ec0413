//! How fast one reading thread and several empty full receive buffers: their speed-up on the packets of a real kernel, which a
//! sender on the same machine cannot show, because it is slower than they are.

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    interrupt::check,
    options::Options,
    peer::exporter,
    process_group::readers,
    sender,
    support::{
        Namespace, Wire,
        program::{EXPORTER, sum, wait_for},
        server::run as succeed,
    },
    table::{machine, median},
    traffic::{Frames, PACKETS_OF_OVERLOAD, grouped},
};

/// Packets per second while the exporter is stopped, and for how long they are sent.
const RATE: u64 = 200_000;
const TIME: Duration = Duration::from_millis(2500);

/// Before that, the exporter counts the same packets for some time: a daemon that runs has its series.
const WARM_UP: Duration = Duration::from_secs(1);

/// Holds all packets of a run in one group.
const RECEIVE_BUFFER: &str = "512MiB";

/// How often the receive buffers are looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Drops the packets after the rules of the exporter, so that the host does not answer.
const DROP: &str = "table inet unanswered {
    chain in { type filter hook prerouting priority -300; iifname wan0 drop }
}";

/// One run.
struct Drained {
    packets: u64,
    seconds: f64,
    /// CPU time, µs per packet.
    cost: f64,
}

/// Measures one group and two to as many as there are cores, which alternate. Returns the table.
pub fn run(options: &Options) -> String {
    let cores = thread::available_parallelism().unwrap().get();
    let mut measured: Vec<(usize, Vec<Drained>)> =
        (1..=cores.min(4)).map(|groups| (groups, Vec::new())).collect();
    for _ in 0..options.runs {
        for (groups, runs) in &mut measured {
            let drained = drain(*groups);
            println!(
                "{groups} groups: {} packets in {:.3} s, {:.2} µs/packet",
                drained.packets, drained.seconds, drained.cost
            );
            runs.push(drained);
        }
    }
    table(&measured, options)
}

/// Stops an exporter, fills its receive buffers, and measures how long it takes to empty them.
fn drain(groups: usize) -> Drained {
    check();
    let wire = Wire::new();
    wire.host.nft(DROP);
    let mut rules = wire.host.command(EXPORTER);
    let spread = groups.to_string();
    rules.args(["rules", "--for", "nft", "--log", "all", "--limit", "0", "--apply"]);
    succeed(rules.args(["--spread", &spread]));
    let frames = Frames::new(PACKETS_OF_OVERLOAD.sources, PACKETS_OF_OVERLOAD.length);
    let numbers: Vec<_> = (1..=groups).collect();
    let config = format!("[nflog]\ngroups = {numbers:?}\nreceive_buffer = '{RECEIVE_BUFFER}'\n");
    let (group, exporter) = exporter::start(&wire.host, &config);
    assert_eq!(readers(&wire.host).len(), groups, "sockets of groups");
    let received = || {
        let text = exporter.scrape();
        assert_eq!(sum(&text, "nflog_exporter_lost_packets_total"), 0, "lost packets");
        sum(&text, "nflog_exporter_received_packets_total")
    };
    sender::send(&wire, &frames, Some(RATE), WARM_UP);
    wait_for("empty receive buffers", || (waiting(&wire.host) == 0).then_some(()));
    let before = received();

    exporter.program.signal(Signal::SIGSTOP);
    sender::send(&wire, &frames, Some(RATE), TIME);
    // The kernel sends incomplete datagrams after the queue timeout, so the last packets may come later than this.
    assert!(waiting(&wire.host) > 0, "nothing waits in the receive buffers");
    let used = group.cpu().total;
    exporter.program.signal(Signal::SIGCONT);
    let start = Instant::now();
    while waiting(&wire.host) > 0 {
        check();
        thread::sleep(LOOK);
    }
    let seconds = start.elapsed().as_secs_f64();
    let used = group.cpu().total.saturating_sub(used);
    let packets = received() - before;
    Drained { packets, seconds, cost: 1e6 * used.as_secs_f64() / packets as f64 }
}

/// Bytes that wait in the receive buffers of all groups.
fn waiting(host: &Namespace) -> u64 {
    readers(host).iter().map(|socket| socket.waiting).sum()
}

fn table(measured: &[(usize, Vec<Drained>)], options: &Options) -> String {
    let mut text = format!("{}\n", machine());
    writeln!(text, "Medians of {} runs.\n", options.runs).unwrap();
    text += "| groups | packets | emptied in | million packets/s | speed-up | µs of CPU time per packet |\n";
    text += "|---|---|---|---|---|---|\n";
    let rate = |runs: &[Drained]| median(runs.iter().map(|run| run.packets as f64 / run.seconds));
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
