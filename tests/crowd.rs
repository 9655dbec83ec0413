//! Attacks on the server while packets arrive: scrapes are in time, no packet is lost, and memory stays
//! bounded.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::{
    Wire, frame,
    program::{EXPORTER, Exporter, Program, get_from, samples, sum, wait_for},
};

const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 10239);

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

/// Maximum duration of a scrape.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(1);

/// The attack during the scrapes.
#[derive(Default)]
struct Attack {
    over: AtomicBool,
    /// Opened connections, and complete scrapes.
    connections: AtomicU64,
    scrapes: AtomicU64,
}

impl Attack {
    /// Repeats an action until the attack is over.
    fn repeat(&self, mut action: impl FnMut()) {
        while !self.over.load(SeqCst) {
            action();
        }
    }

    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect_timeout(&SERVER, Duration::from_secs(10)).ok()?;
        stream.set_write_timeout(Some(Duration::from_millis(200))).ok()?;
        self.connections.fetch_add(1, SeqCst);
        Some(stream)
    }

    /// Keeps connections open that send nothing or a few bytes from time to time, and reopens closed ones.
    fn hold(&self, count: usize, bytes: &[u8]) {
        let mut streams: Vec<Option<TcpStream>> = (0..count).map(|_| self.connect()).collect();
        self.repeat(|| {
            for stream in &mut streams {
                if !stream.as_mut().is_some_and(|stream| is_open(stream, bytes)) {
                    *stream = self.connect();
                }
            }
            thread::sleep(Duration::from_millis(200));
        });
    }

    /// Sends many bytes, repeatedly.
    fn send(&self, bytes: &[u8]) {
        self.repeat(|| {
            if let Some(mut stream) = self.connect() {
                // The server usually closes the connection before the end.
                let _ = stream.write_all(bytes);
            }
            thread::sleep(Duration::from_millis(10));
        });
    }

    /// Requests a long response, and reads it very slowly.
    fn read_slowly(&self, path: &str) {
        self.repeat(|| {
            let Some(mut stream) = self.connect() else { return };
            // With a small receive buffer, most of the response stays in the server.
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
            if stream.write_all(request.as_bytes()).is_err() {
                return;
            }
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            while !self.over.load(SeqCst) {
                match stream.read(&mut [0; 64]) {
                    Ok(1..) => thread::sleep(Duration::from_millis(100)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    _ => return,
                }
            }
        });
    }

    fn scrape(&self) {
        self.repeat(|| {
            if get_from(SERVER, "/metrics").is_some_and(|(status, _)| status == 200) {
                self.scrapes.fetch_add(1, SeqCst);
            }
            thread::sleep(Duration::from_secs(1));
        });
    }
}

/// Ends the attack, also if an assertion fails.
struct End<'a>(&'a Attack);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, SeqCst);
    }
}

/// Whether a connection is still open; sends some bytes on it.
fn is_open(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.set_nonblocking(true).unwrap();
    let unread = stream.read(&mut [0; 64]);
    let quiet = matches!(unread, Err(error) if error.kind() == ErrorKind::WouldBlock);
    quiet && (bytes.is_empty() || stream.write(bytes).is_ok())
}

/// Packets to thousands of ports at a constant rate, so that the page of metrics is long.
fn paced() -> impl Iterator<Item = Vec<u8>> + Send {
    let start = Instant::now();
    (0..RATE * SECONDS).map(move |count| {
        let [.., high, low] = (count % 5000).to_be_bytes();
        // The source has a country, so that each packet is a marker.
        let packet = frame::udp([193, 0, 6, low], 40_000, u16::from_be_bytes([high, low]), b"x");
        let due = start + Duration::from_secs(1) * count / RATE;
        // A sleep is longer than the interval between packets, so they are sent in small groups.
        if count.is_multiple_of(50) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        packet
    })
}

/// Peak memory of a process, bytes: `VmHWM` in proc(5).
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn scrapes_are_in_time_and_no_packet_is_lost() {
    let (_, maximum) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, maximum.min(8192), maximum).unwrap();
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, "", &[]);
    let attack = Attack::default();
    let noise: Vec<u8> =
        (0..65_536_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let line = format!("GET /{} HTTP/1.1\r\n", "x".repeat(10_000_000));
    let (attack, noise, line, wire) = (&attack, &noise, &line, &wire);

    let mut works: Vec<Box<dyn FnOnce() + Send + '_>> =
        vec![Box::new(|| attack.hold(1000, b"")), Box::new(|| attack.hold(200, b"G"))];
    for _ in 0..2 {
        works.push(Box::new(|| attack.send(line.as_bytes())));
        works.push(Box::new(|| attack.send(noise)));
    }
    for _ in 0..100 {
        works.push(Box::new(|| attack.scrape()));
    }
    let times: Vec<Duration> = thread::scope(|scope| {
        let _end = End(attack);
        for work in works {
            scope.spawn(move || wire.host.run(work));
        }
        wait_for("the attack", || (attack.connections.load(SeqCst) > 1500).then_some(()));
        let sender = scope.spawn(|| wire.send(paced()));
        let mut times = Vec::new();
        while !sender.is_finished() {
            let start = Instant::now();
            let (status, _) = exporter.get("/metrics").expect("a response");
            assert_eq!(status, 200);
            times.push(start.elapsed());
            thread::sleep(Duration::from_millis(100));
        }
        times
    });

    let slowest = times.iter().max().unwrap();
    let memory = peak_memory(exporter.program.pid());
    let scrapes = attack.scrapes.load(SeqCst);
    let connections = attack.connections.load(SeqCst);
    let logged = wire.host.counter("logged");
    let received = || sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
    wait_for("all packets", || (received() == logged).then_some(()));
    let metrics = exporter.scrape();
    let refused = samples(&metrics, "nflog_exporter_http_refused_total");
    println!(
        "{} scrapes, the slowest in {slowest:?}, among {connections} connections and {scrapes} other \
         scrapes; {} MiB peak; {logged} packets; {refused:?}",
        times.len(),
        memory >> 20,
    );
    assert_eq!(sum(&metrics, "nflog_exporter_lost_packets_total"), 0);
    assert!(logged >= u64::from(RATE * SECONDS), "{logged}");
    assert!(times.len() > 10 && *slowest < SCRAPE_TIMEOUT, "{times:?}");
    assert!(scrapes > 100, "{scrapes}");
    assert!(memory < MEMORY, "{memory}");
}

/// Many clients request the longest responses and read them very slowly.
#[test]
fn slow_clients_of_long_responses_use_little_memory() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, "", &[]);
    let count = wire.send(paced().take(80_000));
    let received = || sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
    wait_for("all packets", || (received() == count).then_some(()));
    let attack = &Attack::default();
    let times: Vec<Duration> = thread::scope(|scope| {
        let _end = End(attack);
        let wire = &wire;
        for path in ["/markers.geojson?last=70000", "/markers.xml?last=70000", "/overview.json"] {
            for _ in 0..70 {
                scope.spawn(move || wire.host.run(|| attack.read_slowly(path)));
            }
        }
        let start = Instant::now();
        let scrape = || {
            let asked = Instant::now();
            exporter.scrape();
            thread::sleep(Duration::from_millis(100));
            asked.elapsed()
        };
        std::iter::from_fn(|| (start.elapsed() < Duration::from_secs(8)).then(scrape)).collect()
    });
    let memory = peak_memory(exporter.program.pid());
    let refused = samples(&exporter.scrape(), "nflog_exporter_http_refused_total");
    let crowded = refused.iter().find(|(labels, _)| labels["reason"] == "crowded").unwrap().1;
    let slowest = times.iter().max().unwrap();
    println!("{} MiB peak, {crowded} evicted; slowest scrape {slowest:?}", memory >> 20);
    assert!(crowded > 5.0, "{crowded}");
    assert!(times.len() > 10 && *slowest < SCRAPE_TIMEOUT, "{times:?}");
    assert!(memory < MEMORY, "{memory}");
}

/// With a low limit on open files, idle connections do not use up all descriptors.
#[test]
fn scrapes_work_with_few_descriptors() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let start = |limit: &str, name: &str| {
        let mut command = wire.host.command("prlimit");
        command.arg(format!("--nofile={limit}")).arg(EXPORTER);
        Program::start(&mut command, directory.path().join(name))
    };
    let scrape = || wire.host.run(|| get_from(SERVER, "/metrics").map(|(status, _)| status));
    for limit in ["100:100", "72:72"] {
        let _exporter = start(limit, limit);
        wait_for("the server", || scrape().filter(|status| *status == 200));
        let mut idle = Vec::new();
        for _ in 0..20 {
            idle.extend((0..20).map(|_| wire.host.run(|| TcpStream::connect(SERVER).unwrap())));
            let asked = Instant::now();
            assert_eq!(scrape(), Some(200), "{limit}");
            assert!(asked.elapsed() < SCRAPE_TIMEOUT, "{limit}: {:?}", asked.elapsed());
        }
    }
    let exporter = start("64:4096", "raised");
    wait_for("the server", || scrape().filter(|status| *status == 200));
    let limits = fs::read_to_string(format!("/proc/{}/limits", exporter.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("1024"), "{line}");
}
