//! Attacks on the server while packets arrive: scrapes are in time, no packet is lost, and memory stays
//! bounded.

use std::{
    fs,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    exclusive,
    flood::{Client, Flood, SERVER, memory, paced},
    response_times::{MAX_RATIO, MinimalServer, ResponseTimes},
    support::{
        Wire, frame,
        program::{EXPORTER, Exporter, PATIENCE, Program, get_from, samples, sum, wait_for},
    },
};

const RULES: &str = "table inet t {
    counter logged {}
    chain c { type filter hook input priority 0; policy accept;
        iifname != \"lo\" counter name logged log prefix \"in\" group 1
    }
}";

/// Packets per second, and seconds.
const RATE: u32 = 50_000;
const SECONDS: u32 = 6;

/// Maximum peak memory of the exporter, bytes: its normal use, and the responses and connections that the
/// server allows.
const MEMORY: u64 = 128 * 1024 * 1024;

/// Maximum of [`ResponseTimes::ratio`] while 50,000 packets per second arrive, too: the exporter then needs a core for
/// itself, so its responses are delayed more than those of the minimal server. Measured: 6 to 13.
const MAX_RATIO_WITH_PACKETS: f64 = 60.0;

/// Packets to thousands of ports, so that the page of metrics is long.
fn packets(count: u32) -> impl Iterator<Item = Vec<u8>> + Send {
    let packet = |number: u32| {
        let [.., high, low] = (number % 5000).to_be_bytes();
        // The source has a country, so that each packet is a marker.
        frame::udp([193, 0, 6, low], 40_000, u16::from_be_bytes([high, low]), b"x")
    };
    paced(RATE, packet).take(count as usize)
}

/// The status of a scrape; `None` without a response.
fn scrape_status(wire: &Wire) -> Option<u16> {
    wire.host.run(|| get_from(SERVER, "/metrics").map(|(status, _)| status))
}

/// A scrape, which has to succeed.
fn scrape(wire: &Wire) {
    assert_eq!(scrape_status(wire), Some(200));
}

#[test]
fn scrapes_are_in_time_and_no_packet_is_lost() {
    let _exclusive = exclusive();
    let (_, maximum) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, maximum.min(8192), maximum).unwrap();
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, "", &[]);
    let minimal = MinimalServer::start(&wire.host);
    let flood = &Flood::default();
    let noise: Vec<u8> =
        (0..65_536_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let line = format!("GET /{} HTTP/1.1\r\n", "x".repeat(10_000_000));
    let (noise, line) = (&noise, &line);

    let mut clients: Vec<Client<'_>> =
        vec![Box::new(|| flood.hold(1000, b"", b"")), Box::new(|| flood.hold(200, b"", b"G"))];
    for _ in 0..2 {
        clients.push(Box::new(|| flood.send(line.as_bytes())));
        clients.push(Box::new(|| flood.send(noise)));
    }
    for _ in 0..100 {
        clients.push(Box::new(|| flood.request("/metrics", Duration::from_secs(1))));
    }
    let times = flood.during(&wire.host, clients, || {
        wait_for("the flood", || (flood.connections() > 1500).then_some(()));
        thread::scope(|scope| {
            let sender = scope.spawn(|| wire.send(packets(RATE * SECONDS)));
            ResponseTimes::measure(&minimal, || !sender.is_finished(), || scrape(&wire))
        })
    });

    let memory = memory(exporter.program.pid(), "VmHWM");
    let logged = wire.host.counter("logged");
    let received = || sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
    wait_for("all packets", || (received() == logged).then_some(()));
    let without_load = ResponseTimes::of(20, &minimal, || scrape(&wire));
    let metrics = exporter.scrape();
    let rejected = samples(&metrics, "nflog_exporter_http_rejected_total");
    let ratio = times.ratio(&without_load);
    println!(
        "{times}; without load {without_load}; ratio {ratio:.1}, among {} connections and {} other scrapes; \
         {} MiB peak; {logged} packets; {rejected:?}",
        flood.connections(),
        flood.responses(),
        memory >> 20,
    );
    assert_eq!(sum(&metrics, "nflog_exporter_lost_packets_total"), 0);
    assert!(logged >= u64::from(RATE * SECONDS), "{logged}");
    assert!(ratio < MAX_RATIO_WITH_PACKETS, "{ratio}: {times}; without load {without_load}");
    assert!(flood.responses() > 100, "{}", flood.responses());
    assert!(memory < MEMORY, "{memory}");
}

/// Many clients request the longest responses and read them very slowly.
#[test]
fn slow_clients_of_long_responses_use_little_memory() {
    let _exclusive = exclusive();
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, "", &[]);
    let minimal = MinimalServer::start(&wire.host);
    let count = wire.send(packets(80_000));
    let received = || sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
    wait_for("all packets", || (received() == count).then_some(()));
    let without_load = ResponseTimes::of(20, &minimal, || scrape(&wire));
    let flood = &Flood::default();
    let mut clients: Vec<Client<'_>> = Vec::new();
    for path in ["/markers.geojson?last=70000", "/markers.xml?last=70000", "/overview.json"] {
        for _ in 0..70 {
            clients.push(Box::new(|| flood.read_slowly(path)));
        }
    }
    let evicted = || {
        let rejected = samples(&exporter.scrape(), "nflog_exporter_http_rejected_total");
        rejected.iter().find(|(labels, _)| labels["reason"] == "crowded").unwrap().1
    };
    let start = Instant::now();
    let times = flood.during(&wire.host, clients, || {
        // A busy machine needs longer until clients are evicted.
        let more = || {
            let elapsed = start.elapsed();
            elapsed < Duration::from_secs(8) || (elapsed < PATIENCE && evicted() <= 5.0)
        };
        ResponseTimes::measure(&minimal, more, || scrape(&wire))
    });
    let memory = memory(exporter.program.pid(), "VmHWM");
    let crowded = evicted();
    let ratio = times.ratio(&without_load);
    println!(
        "{times}; without load {without_load}; ratio {ratio:.1}; {} MiB peak, {crowded} evicted",
        memory >> 20
    );
    assert!(crowded > 5.0, "{crowded}");
    assert!(ratio < MAX_RATIO, "{ratio}: {times}; without load {without_load}");
    assert!(memory < MEMORY, "{memory}");
}

/// With a low limit on open files, idle connections do not use up all descriptors.
#[test]
fn scrapes_work_with_few_descriptors() {
    let _exclusive = exclusive();
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let start = |limit: &str, name: &str| {
        let mut command = wire.host.command("prlimit");
        command.arg(format!("--nofile={limit}")).arg(EXPORTER);
        Program::start(&mut command, directory.path().join(name))
    };
    let minimal = MinimalServer::start(&wire.host);
    for limit in ["100:100", "72:72"] {
        let _exporter = start(limit, limit);
        wait_for("the server", || (scrape_status(&wire) == Some(200)).then_some(()));
        let without_load = ResponseTimes::of(20, &minimal, || scrape(&wire));
        let mut idle = Vec::new();
        let more = || {
            idle.extend((0..20).map(|_| wire.host.run(|| TcpStream::connect(SERVER).unwrap())));
            idle.len() <= 400
        };
        let times = ResponseTimes::measure(&minimal, more, || scrape(&wire));
        let ratio = times.ratio(&without_load);
        println!("{limit}: {times}; without load {without_load}; ratio {ratio:.1}");
        assert!(ratio < MAX_RATIO, "{limit}: {ratio}: {times}; without load {without_load}");
    }
    let exporter = start("64:4096", "raised");
    wait_for("the server", || (scrape_status(&wire) == Some(200)).then_some(()));
    let limits = fs::read_to_string(format!("/proc/{}/limits", exporter.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("1024"), "{line}");
}
