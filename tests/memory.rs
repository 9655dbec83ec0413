//! The memory limit of the exporter: with a mirror, under a flood of packets that have little in
//! common, and a flood of requests. Requires root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use support::{
    Wire, frame,
    program::{Exporter, get_from, open_to_all, samples, sum, wait_for},
};

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10239);

const RULES: &str = "table inet t {
    chain c { type filter hook input priority 0; policy accept;
        iifname != \"lo\" log prefix \"in\" group 1 queue-threshold 64
    }
}";

/// The documented limit in bytes: docs/many-hosts.md.
const BOUND: u64 = 160 << 20;

/// The counts of the last ten minutes grow by up to this much after a test of seconds: ARCHITECTURE.md, "Memory".
const WINDOW: u64 = 14 << 20;

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

/// A figure of `/proc/PID/status` in kB, in bytes: `proc_pid_status(5)`.
fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Packets from new networks to new ports, at a constant rate until the end.
fn churn(time: Duration) -> impl Iterator<Item = Vec<u8>> + Send {
    let start = Instant::now();
    (0..).map_while(move |count: u32| {
        // Each value once, far from the previous one.
        let [first, second, third, fourth] = count.wrapping_mul(2_654_435_761).to_be_bytes();
        let source = [1 + first % 126, second, third, fourth];
        let due = start + Duration::from_secs(1) * count / RATE;
        if count.is_multiple_of(50) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let port = u16::from_be_bytes([third, second]);
        (start.elapsed() < time).then(|| frame::syn(source, 40_000, port))
    })
}

/// A flood of requests.
#[derive(Default)]
struct Flood {
    over: AtomicBool,
    connections: AtomicU64,
    answers: AtomicU64,
}

impl Flood {
    fn repeat(&self, mut action: impl FnMut()) {
        while !self.over.load(SeqCst) {
            action();
        }
    }

    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect_timeout(&SERVER, Duration::from_secs(10)).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
        self.connections.fetch_add(1, SeqCst);
        Some(stream)
    }

    /// Keeps connections open with the longest possible request head, which never ends.
    fn hold(&self, count: usize) {
        let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(16_000));
        let begin =
            || self.connect().filter(|mut stream| stream.write_all(head.as_bytes()).is_ok());
        let mut streams: Vec<Option<TcpStream>> = (0..count).map(|_| begin()).collect();
        self.repeat(|| {
            for stream in &mut streams {
                let is_open = stream.as_mut().is_some_and(|stream| {
                    stream.set_nonblocking(true).unwrap();
                    let read = stream.read(&mut [0]);
                    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
                });
                if !is_open {
                    *stream = begin();
                }
            }
            thread::sleep(Duration::from_millis(200));
        });
    }

    /// Requests a response and reads a little of it from time to time.
    fn sip(&self, path: &str) {
        self.repeat(|| {
            let Some(mut stream) = self.connect() else { return };
            // With a small receive window, the rest stays in the server.
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
            if write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").is_err() {
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

    /// Requests responses and reads them.
    fn gulp(&self, path: &str) {
        self.repeat(|| {
            if get_from(SERVER, path).is_some_and(|(status, _)| status == 200) {
                self.answers.fetch_add(1, SeqCst);
            }
        });
    }
}

/// Ends the flood, also if an assertion fails.
struct End<'a>(&'a Flood);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, SeqCst);
    }
}

#[test]
fn memory_stays_below_the_documented_limit() {
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
    let start = memory(pid, "VmRSS");
    let flood = &Flood::default();

    let mut works: Vec<Box<dyn FnOnce() + Send + '_>> =
        vec![Box::new(|| flood.hold(IDLE_CONNECTIONS))];
    for path in LONG {
        for _ in 0..SLOW_CLIENTS {
            works.push(Box::new(|| flood.sip(path)));
        }
    }
    for client in 0..FAST_CLIENTS {
        works.push(Box::new(move || flood.gulp(LONG[client % LONG.len()])));
    }
    let sent = thread::scope(|scope| {
        let _end = End(flood);
        for work in works {
            scope.spawn(move || wire.host.run(work));
        }
        wire.send(churn(TIME))
    });
    let peak = memory(pid, "VmHWM");
    let (connections, answers) = (flood.connections.load(SeqCst), flood.answers.load(SeqCst));
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
