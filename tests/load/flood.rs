//! Floods of requests on the exporter's server and of packets, which the tests of this binary share.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Namespace, program::get_from};

/// The exporter's server, from inside its namespace.
pub const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10239);

/// A flood of requests, and its counts so far.
#[derive(Default)]
pub struct Flood {
    over: AtomicBool,
    connections: AtomicU64,
    responses: AtomicU64,
}

/// One client of a flood; it runs on a thread of its own until the flood is over.
pub type Client<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Ends a flood, also if an assertion fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

impl Flood {
    /// Runs the clients in a namespace while `work` runs; returns the result of `work`.
    pub fn during<T>(
        &self,
        namespace: &Namespace,
        clients: Vec<Client<'_>>,
        work: impl FnOnce() -> T,
    ) -> T {
        thread::scope(|scope| {
            let _end = End(&self.over);
            for client in clients {
                scope.spawn(move || namespace.run(client));
            }
            work()
        })
    }

    /// Connections opened so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(SeqCst)
    }

    /// Complete responses with status 200 so far.
    pub fn responses(&self) -> u64 {
        self.responses.load(SeqCst)
    }

    /// Repeats an action until the flood is over.
    pub fn repeat(&self, mut action: impl FnMut()) {
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

    /// Keeps connections open that begin with `start` and send `more` now and then; reopens closed ones.
    pub fn hold(&self, count: usize, start: &[u8], more: &[u8]) {
        let open = || self.connect().filter(|mut stream| stream.write_all(start).is_ok());
        let mut streams: Vec<Option<TcpStream>> = (0..count).map(|_| open()).collect();
        self.repeat(|| {
            for stream in &mut streams {
                if !stream.as_mut().is_some_and(|stream| is_open(stream, more)) {
                    *stream = open();
                }
            }
            thread::sleep(Duration::from_millis(200));
        });
    }

    /// Sends many bytes, repeatedly.
    pub fn send(&self, bytes: &[u8]) {
        self.repeat(|| {
            if let Some(mut stream) = self.connect() {
                // The server usually closes the connection before the end.
                let _ = stream.write_all(bytes);
            }
            thread::sleep(Duration::from_millis(10));
        });
    }

    /// Requests a long response, and reads it very slowly.
    pub fn read_slowly(&self, path: &str) {
        self.repeat(|| {
            let Some(mut stream) = self.connect() else { return };
            // With a small receive buffer, most of the response stays in the server.
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

    /// Requests a response and reads it, with a pause after each.
    pub fn request(&self, path: &str, pause: Duration) {
        self.repeat(|| {
            if get_from(SERVER, path).is_some_and(|(status, _)| status == 200) {
                self.responses.fetch_add(1, SeqCst);
            }
            thread::sleep(pause);
        });
    }
}

/// Whether a connection is still open; sends some bytes on it.
fn is_open(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.set_nonblocking(true).unwrap();
    let unread = stream.read(&mut [0; 64]);
    let quiet = matches!(unread, Err(error) if error.kind() == ErrorKind::WouldBlock);
    quiet && (bytes.is_empty() || stream.write(bytes).is_ok())
}

/// Packets 0, 1, 2, … at a constant rate per second.
pub fn paced<T>(rate: u32, packet: impl Fn(u32) -> T + Send) -> impl Iterator<Item = T> + Send {
    let start = Instant::now();
    (0..).map(move |count: u32| {
        let due = start + Duration::from_secs(1) * count / rate;
        // A sleep is longer than the interval between packets, so they are sent in small groups.
        if count.is_multiple_of(50) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        packet(count)
    })
}

/// A size of `/proc/PID/status`, such as `VmHWM`, in bytes: `proc_pid_status(5)`.
pub fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
