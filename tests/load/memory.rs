//! The memory limit of the exporter: with a mirror, under a flood of packets that have little in
//! common, and a flood of requests. Requires root.

use std::time::{Duration, Instant};

use crate::{
    exclusive,
    flood::{Client, Flood, memory, paced},
    support::{
        Wire, frame,
        program::{Exporter, open_to_all, samples, sum, wait_for},
    },
};

const RULES: &str = "table inet t {
    chain c { type filter hook input priority 0; policy accept;
        iifname != \"lo\" log prefix \"in\" group 1 queue-threshold 64
    }
}";

/// The documented limit in bytes: docs/many-hosts.md.
const BOUND: u64 = 160 << 20;

/// The counts of the last ten minutes grow by up to this much after a test of seconds: ARCHITECTURE.md, "Memory".
const WINDOW: u64 = 14 << 20;

/// Memory that is mapped from files in a program with optimized dependencies. That of a release is 11 MiB; the test runs a
/// program without optimization, whose code is larger and does not count.
const FILES: u64 = 25 << 20;

/// Packets per second.
const RATE: u32 = 20_000;

/// Duration of both floods.
const TIME: Duration = Duration::from_secs(40);

/// Clients that request a long response and read it slowly, for each path.
const SLOW_CLIENTS: usize = 60;
/// Connections with an incomplete request.
const IDLE_CONNECTIONS: usize = 600;
/// Clients that read their whole response.
const FAST_CLIENTS: usize = 12;

/// The paths with the longest responses.
const LONG: [&str; 4] =
    ["/markers.geojson?last=70000", "/markers.xml?last=70000", "/overview.json", "/metrics"];

/// Packets from new networks to new ports, at a constant rate.
fn churn(time: Duration) -> impl Iterator<Item = Vec<u8>> + Send {
    let start = Instant::now();
    let packet = |count: u32| {
        // Each value occurs once, far from its neighbours.
        let [first, second, third, fourth] = count.wrapping_mul(2_654_435_761).to_be_bytes();
        let source = [1 + first % 126, second, third, fourth];
        frame::syn(source, 40_000, u16::from_be_bytes([third, second]))
    };
    paced(RATE, packet).take_while(move |_| start.elapsed() < time)
}

#[test]
fn memory_stays_below_the_documented_limit() {
    let _exclusive = exclusive();
    let wire = &Wire::new();
    wire.host.nft(RULES);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}'\n[mirror.spool]\ndirectory = '{}'\n",
        path("rows.db"),
        path("spool")
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let pid = exporter.program.pid();
    let (start, files) = (memory(pid, "VmRSS"), memory(pid, "RssFile"));
    let flood = &Flood::default();

    let start_of_head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(16_000));
    let mut clients: Vec<Client<'_>> =
        vec![Box::new(|| flood.hold(IDLE_CONNECTIONS, start_of_head.as_bytes(), b""))];
    for path in LONG {
        for _ in 0..SLOW_CLIENTS {
            clients.push(Box::new(|| flood.read_slowly(path)));
        }
    }
    for client in 0..FAST_CLIENTS {
        clients.push(Box::new(move || flood.request(LONG[client % LONG.len()], Duration::ZERO)));
    }
    let sent = flood.during(&wire.host, clients, || wire.send(churn(TIME)));
    let peak = memory(pid, "VmHWM") - files + FILES;
    let (connections, answers) = (flood.connections(), flood.responses());
    let received = || sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
    wait_for("most packets", || (received() >= sent / 2).then_some(()));
    let metrics = exporter.scrape();
    println!(
        "MiB: {} at the start, {} at most; {sent} packets, {connections} connections, {answers} \
         answers, rows: {:?} {:?}",
        start >> 20,
        peak >> 20,
        samples(&metrics, "nflog_exporter_mirror_written_rows_total"),
        samples(&metrics, "nflog_exporter_mirror_spooled_rows"),
    );
    assert!(sent > u64::from(RATE) * TIME.as_secs() / 4, "{sent}");
    assert!(connections > 800 && answers > 20, "{connections} {answers}");
    assert!(sum(&metrics, "nflog_exporter_mirror_written_rows_total") > 50_000, "{metrics}");
    assert!(peak + WINDOW < BOUND, "{peak}");
}
