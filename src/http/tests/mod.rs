//! The server over loopback sockets, with clients that use plain sockets.

mod delivery;
mod limits;
mod live;
mod routes;
mod shutdown;

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
use crate::web::PageSources;

/// Maximum time for events that must happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// A timeout that must not expire during a test.
const NEVER: Duration = Duration::from_secs(3600);

/// Waits for a condition.
fn until(what: &str, mut state: impl FnMut() -> bool) {
    let start = Instant::now();
    while !state() {
        assert!(start.elapsed() < DEADLINE, "timeout while waiting: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Content that records its requests.
#[derive(Default)]
struct TestContent {
    text: String,
    /// Blocks the rendering of metrics while a test holds it.
    gate: Mutex<()>,
    started: AtomicU64,
    /// Blocks the rendering of live resources while a test holds it.
    live_gate: Mutex<()>,
    live_started: AtomicU64,
    delivered: Mutex<Vec<u64>>,
    clients: Mutex<Vec<Client>>,
}

impl MetricsPage for TestContent {
    fn render(&self, format: Format) -> Rendered {
        let generation = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        drop(self.gate.lock().unwrap());
        assert!(self.text != "panic", "requested by the test");
        Rendered { body: format!("{format:?} {}", self.text), generation }
    }

    fn delivered(&self, generation: u64, client: Client) {
        self.delivered.lock().unwrap().push(generation);
        self.clients.lock().unwrap().push(client);
    }
}

impl TestContent {
    /// The resource and its query, after the text; the query `invalid` is invalid.
    fn live(&self, resource: LiveResource, query: &str) -> Result<String, BadQuery> {
        self.live_started.fetch_add(1, Ordering::SeqCst);
        drop(self.live_gate.lock().unwrap());
        match query {
            "invalid" => Err(BadQuery::Duplicate("<b>".into())),
            _ => Ok(format!("{resource:?} {query:?} {}", self.text)),
        }
    }

    fn delivered(&self) -> Vec<u64> {
        self.delivered.lock().unwrap().clone()
    }
}

struct Options {
    text: String,
    telemetry_path: &'static str,
    enable_reload: bool,
    limits: Limits,
    web_config: WebConfigWatcher,
    /// Size of the kernel's send buffer, bytes; `None` is the kernel's default.
    send_buffer: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        let limits = Limits {
            header_timeout: NEVER,
            stall_timeout: NEVER,
            drain_timeout: NEVER,
            ..Limits::default()
        };
        let text = "nflog_packets_total 1".into();
        Self {
            text,
            telemetry_path: "/metrics",
            enable_reload: false,
            limits,
            web_config: WebConfigWatcher::default(),
            send_buffer: None,
        }
    }
}

/// Loads a web configuration; certificate and key are in the files `cert` and `key`.
fn web_config(content: &str, certificate: &str, key: &str) -> WebConfigWatcher {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [("cert", certificate), ("key", key), ("web.yml", content)] {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    WebConfigWatcher::open(&directory.path().join("web.yml")).unwrap()
}

/// A running server.
struct Served {
    address: SocketAddr,
    content: Arc<TestContent>,
    rejections: Arc<Rejections>,
    health: Health,
    reloads: mpsc::Receiver<ReloadRequest>,
    shutdown: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
    runtime: Runtime,
}

impl Served {
    fn new(options: Options) -> Self {
        let content = Arc::new(TestContent { text: options.text, ..TestContent::default() });
        let health = Health::new();
        let (reload, reloads) = mpsc::channel(1);
        let rejections = Arc::<Rejections>::default();
        let live = content.clone();
        let (shutdown, stop) = watch::channel(false);
        let site = Arc::new(Site {
            page: PageInfo {
                telemetry_path: options.telemetry_path.into(),
                version: "1.2.3",
                sources: PageSources { groups: true, lines: false },
            },
            enable_reload: options.enable_reload,
            metrics: content.clone(),
            live: Arc::new(move |resource, query, _| live.live(resource, query)),
            drilldown: DrilldownPages::off("there is no database"),
            health: health.clone(),
            reload,
            web_config: Arc::new(options.web_config),
            rejections: rejections.clone(),
            limits: options.limits,
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Some(bytes) = options.send_buffer {
            // Connections inherit it from their listener.
            rustix::net::sockopt::set_socket_send_buffer_size(&listener, bytes).unwrap();
        }
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.spawn(serve(vec![listener], site, stop));
        Self { address, content, rejections, health, reloads, shutdown, server, runtime }
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

    /// Waits for a number of rejections, and checks that there are no more. Another thread counts them,
    /// possibly after the client sees its connection closed.
    #[track_caller]
    fn counts(&self, reason: Rejection, expect: u64) {
        until("the rejection is counted", || self.rejected(reason) >= expect);
        assert_eq!(self.rejected(reason), expect, "{reason:?}");
    }

    fn rejected(&self, reason: Rejection) -> u64 {
        self.rejections.counts().iter().find(|(name, _)| *name == reason.name()).unwrap().1
    }

    /// Waits until all responses have ended, delivered or not. Then four references to the content are left: of
    /// this test, of the site for metrics and for live resources, and of the metrics renderer.
    fn settle(&self) {
        until("all responses ended", || Arc::strong_count(&self.content) == 4);
    }

    /// Whether the server still has a connection: `TCP_ESTABLISHED` or `TCP_CLOSE_WAIT` in the
    /// kernel's table (`include/net/tcp_states.h`).
    fn has_connections(&self) -> bool {
        self.connections(|_| true)
    }

    /// Whether the server has unread bytes.
    fn has_unread(&self) -> bool {
        self.connections(|queues| !queues.ends_with(":00000000"))
    }

    /// Whether the server has a connection whose queues match.
    fn connections(&self, queues: impl Fn(&str) -> bool) -> bool {
        let own = format!("0100007F:{:04X}", self.address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[1] == own && matches!(fields[3], "01" | "08") && queues(fields[4])
        })
    }

    /// Waits until the server has ended.
    fn join(self) {
        let server = self.server;
        let outcome = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, server).await });
        outcome.expect("the server still runs").unwrap().unwrap();
    }
}

struct Reply {
    status: u16,
    /// Header lines with names in lower case.
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
        stream.read_exact(&mut byte).expect("the head of a response");
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
