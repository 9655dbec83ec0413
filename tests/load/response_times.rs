//! Response times of the exporter as ratios, so that a slow or busy machine does not fail a test.
//!
//! A response of the exporter and a response of a minimal server are measured in turn, in the same seconds and in
//! the same namespace: load on the machine delays both, a queue in the exporter only one.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::support::Namespace;

/// Maximum of [`ResponseTimes::ratio`]. Floods of requests reach 3 on two cores; a scrape that waits for the
/// hash of another password or the timeout of another client gives more than 50.
pub const MAX_RATIO: f64 = 20.0;

/// Measured times; each list is sorted.
pub struct ResponseTimes {
    exporter: Vec<Duration>,
    minimal: Vec<Duration>,
}

impl ResponseTimes {
    /// Measures this many responses.
    pub fn of(count: u32, minimal: &MinimalServer<'_>, request: impl FnMut()) -> Self {
        let mut numbers = 0..count;
        Self::measure(minimal, || numbers.next().is_some(), request)
    }

    /// Repeats a request to the exporter while `more` is true, and before each one a request to the minimal server.
    pub fn measure(
        minimal: &MinimalServer<'_>,
        mut more: impl FnMut() -> bool,
        mut request: impl FnMut(),
    ) -> Self {
        let (mut exporter, mut others) = (Vec::new(), Vec::new());
        while more() {
            others.push(time(|| minimal.request()));
            exporter.push(time(&mut request));
            thread::sleep(Duration::from_millis(50));
        }
        assert!(exporter.len() >= 20, "{} requests", exporter.len());
        exporter.sort();
        others.sort();
        Self { exporter, minimal: others }
    }

    /// How many times longer a response of the exporter takes than one without load and one of the minimal server
    /// under this load together. Only two responses are slower: two pauses of the machine do not matter.
    pub fn ratio(&self, without_load: &Self) -> f64 {
        let expected = third_slowest(&without_load.exporter) + third_slowest(&self.minimal);
        third_slowest(&self.exporter).as_secs_f64() / expected.as_secs_f64()
    }
}

impl fmt::Display for ResponseTimes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |times: &[Duration]| {
            (times[times.len() / 2], third_slowest(times), times[times.len() - 1])
        };
        write!(
            formatter,
            "{} responses: median, third slowest, maximum {:?}, of the minimal server {:?}",
            self.exporter.len(),
            show(&self.exporter),
            show(&self.minimal)
        )
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn third_slowest(times: &[Duration]) -> Duration {
    times[times.len() - 3]
}

/// A server that answers each connection with one byte, on a thread; stops with the value.
pub struct MinimalServer<'n> {
    namespace: &'n Namespace,
    address: SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

impl<'n> MinimalServer<'n> {
    /// Starts it on loopback in a namespace.
    pub fn start(namespace: &'n Namespace) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = namespace.run(|| TcpListener::bind(any)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // No byte: the value is dropped.
                if stream.read(&mut [0]).unwrap() == 0 {
                    return;
                }
                stream.write_all(b"x").unwrap();
            }
        });
        Self { namespace, address, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        self.namespace.run(|| TcpStream::connect(self.address)).unwrap()
    }

    fn request(&self) {
        let mut stream = self.connect();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
}

impl Drop for MinimalServer<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // The thread ends with the process.
            return;
        }
        drop(self.connect());
        self.thread.take().unwrap().join().unwrap();
    }
}
