//! The server over real loopback sockets, with clients that only know sockets.

mod delivery;
mod limits;
mod markers;
mod routes;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::*;
use crate::{
    recent::{MarkerQuery, Markers},
    web::BadFilter,
};

/// For what must happen soon.
const DEADLINE: Duration = Duration::from_secs(20);

/// For what must not happen while a test runs.
const NEVER: Duration = Duration::from_secs(3600);

/// Waits for a state.
fn until(what: &str, mut state: impl FnMut() -> bool) {
    let start = Instant::now();
    while !state() {
        assert!(start.elapsed() < DEADLINE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A page of metrics that says how it is used.
#[derive(Default)]
struct Page {
    text: String,
    /// Renders wait while a test holds it.
    gate: Mutex<()>,
    started: AtomicU64,
    /// The same of the figures.
    overview_gate: Mutex<()>,
    overviews: AtomicU64,
    delivered: Mutex<Vec<u64>>,
    clients: Mutex<Vec<Client>>,
    markers: Markers,
    /// The latest query for markers.
    asked: Mutex<Option<MarkerQuery>>,
}

impl MetricsPage for Page {
    fn render(&self, format: Format) -> Rendered {
        let generation = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        drop(self.gate.lock().unwrap());
        assert!(self.text != "panic", "asked to");
        Rendered { body: format!("{format:?} {}", self.text), generation }
    }

    fn delivered(&self, generation: u64, client: Client) {
        self.delivered.lock().unwrap().push(generation);
        self.clients.lock().unwrap().push(client);
    }
}

impl LatestPage for Page {
    fn overview(&self, filter: &[(String, String)]) -> Result<String, BadFilter> {
        self.overviews.fetch_add(1, Ordering::SeqCst);
        drop(self.overview_gate.lock().unwrap());
        match filter.iter().find(|(name, _)| name != "country") {
            Some((name, _)) => Err(BadFilter::Unknown(name.clone())),
            None => Ok(format!("{filter:?} {}", self.text)),
        }
    }

    fn markers(&self, query: &MarkerQuery) -> Markers {
        *self.asked.lock().unwrap() = Some(query.clone());
        self.markers.clone()
    }
}

impl Page {
    fn delivered(&self) -> Vec<u64> {
        self.delivered.lock().unwrap().clone()
    }
}

struct Options {
    text: String,
    markers: Markers,
    telemetry_path: &'static str,
    enable_reload: bool,
    limits: Limits,
    guard: WebConfigWatcher,
    /// What the kernel keeps of an answer for a client that does not read, bytes; its own choice
    /// when there is none.
    send_buffer: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        let limits = Limits {
            header_time: NEVER,
            stall_time: NEVER,
            drain_time: NEVER,
            ..Limits::default()
        };
        let text = "nflog_packets_total 1".into();
        Self {
            text,
            markers: Markers::default(),
            telemetry_path: "/metrics",
            enable_reload: false,
            limits,
            guard: WebConfigWatcher::default(),
            send_buffer: None,
        }
    }
}

/// A guard of what a web configuration says; certificate and key are in the files `cert` and `key`.
fn guard(content: &str, certificate: &str, key: &str) -> WebConfigWatcher {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("cert", certificate), ("key", key), ("web.yml", content)] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    WebConfigWatcher::open(&folder.path().join("web.yml")).unwrap()
}

/// A server that runs.
struct Served {
    address: SocketAddr,
    page: Arc<Page>,
    refusals: Arc<Refusals>,
    health: Health,
    reloads: mpsc::Receiver<ReloadRequest>,
    shutdown: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
    runtime: Runtime,
}

impl Served {
    fn new(options: Options) -> Self {
        let page =
            Arc::new(Page { text: options.text, markers: options.markers, ..Page::default() });
        let health = Health::new();
        let (reload, reloads) = mpsc::channel(1);
        let refusals = Arc::<Refusals>::default();
        let (shutdown, stop) = watch::channel(false);
        let site = Arc::new(Site {
            telemetry_path: options.telemetry_path.into(),
            version: "1.2.3",
            enable_reload: options.enable_reload,
            metrics: page.clone(),
            latest: page.clone(),
            health: health.clone(),
            reload,
            guard: Arc::new(options.guard),
            refusals: refusals.clone(),
            limits: options.limits,
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Some(bytes) = options.send_buffer {
            // Connections have it from their listener.
            rustix::net::sockopt::set_socket_send_buffer_size(&listener, bytes).unwrap();
        }
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.spawn(serve(vec![listener], site, stop));
        Self { address, page, refusals, health, reloads, shutdown, server, runtime }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    fn ask(&self, method: &str, path: &str, headers: &str) -> Reply {
        exchange(&mut self.connect(), method, path, headers)
    }

    fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "")
    }

    /// Waits until so many refusals are counted, and no more: another thread counts them, which may
    /// come after the client sees its connection closed.
    #[track_caller]
    fn counts(&self, reason: Refusal, expect: u64) {
        until("the refusal is counted", || self.refused(reason) >= expect);
        assert_eq!(self.refused(reason), expect, "{reason:?}");
    }

    fn refused(&self, reason: Refusal) -> u64 {
        self.refusals.counts().iter().find(|(name, _)| *name == reason.name()).unwrap().1
    }

    /// Waits until no answer is under way any more, delivered or not: nobody but this test holds
    /// the page, and the site, for the metrics and for the latest, and who renders it.
    fn settle(&self) {
        until("all answers settled", || Arc::strong_count(&self.page) == 4);
    }

    /// Whether the server still has a connection: `TCP_ESTABLISHED` or `TCP_CLOSE_WAIT` in the
    /// kernel's table (`include/net/tcp_states.h`).
    fn has_connections(&self) -> bool {
        self.connections(|_| true)
    }

    /// Whether something has come that the server has not read yet.
    fn has_unread(&self) -> bool {
        self.connections(|queues| !queues.ends_with(":00000000"))
    }

    /// Whether the server has a connection with such queues.
    fn connections(&self, queues: impl Fn(&str) -> bool) -> bool {
        let own = format!("0100007F:{:04X}", self.address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[1] == own && matches!(fields[3], "01" | "08") && queues(fields[4])
        })
    }

    /// Waits for the server to end, which somebody has told it to.
    fn join(self) {
        let server = self.server;
        let outcome = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, server).await });
        outcome.expect("the server goes on").unwrap().unwrap();
    }
}

struct Reply {
    status: u16,
    /// Header lines, names in lower case.
    head: Vec<String>,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn send(stream: &mut impl Write, method: &str, path: &str, headers: &str) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

fn receive(stream: &mut impl Read, has_body: bool) -> Reply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the head of an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let head = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            format!("{}:{value}", name.to_ascii_lowercase())
        })
        .collect();
    let mut reply = Reply { status, head, body: Vec::new() };
    if has_body {
        let length: usize = reply.header("content-length").expect("a length").parse().unwrap();
        reply.body.resize(length, 0);
        stream.read_exact(&mut reply.body).unwrap();
    }
    reply
}

fn exchange(stream: &mut TcpStream, method: &str, path: &str, headers: &str) -> Reply {
    send(stream, method, path, headers);
    receive(stream, method != "HEAD")
}
