//! A page counts as delivered once, when all of it is in the socket.

use super::*;

/// More than the socket buffers of both ends can hold.
const BIG: usize = 64 << 20;

#[test]
fn every_full_get_is_delivered_once() {
    // Lengths of one and several writes.
    for length in [1, 65_535, 65_536, 65_537, 1_000_000] {
        let served = Served::new(Options { text: "x".repeat(length), ..Options::default() });
        let mut stream = served.connect();
        for generation in 1..=3 {
            let reply = exchange(&mut stream, "GET", "/metrics", "");
            assert_eq!(reply.body.len(), length + "Plain ".len());
            served.settle();
            assert_eq!(served.content.delivered(), (1..=generation).collect::<Vec<_>>());
        }
        let reply = served.ask("GET", "/metrics", "Accept-Encoding: gzip\r\n");
        assert_eq!(reply.status, 200);
        served.settle();
        assert_eq!(served.content.delivered(), [1, 2, 3, 4]);
    }
}

/// A client may send its next request before it reads a response.
#[test]
fn every_pipelined_scrape_is_delivered() {
    let served = Served::new(Options { text: "x".repeat(BIG), ..Options::default() });
    let mut stream = served.connect();
    for path in ["/metrics", "/-/healthy", "/metrics", "/metrics"] {
        send(&mut stream, "GET", path, "");
    }
    until("the page is rendered", || served.content.started.load(Ordering::SeqCst) == 1);
    for length in [BIG + "Plain ".len(), "healthy\n".len(), BIG + 6, BIG + 6] {
        // Nothing is rendered before the previous response is in the socket.
        let started = served.content.started.load(Ordering::SeqCst);
        let delivered = served.content.delivered().len() as u64;
        assert!(started <= delivered + 1, "{started} rendered, {delivered} delivered");
        assert_eq!(receive(&mut stream, true).body.len(), length);
    }
    served.settle();
    assert_eq!(served.content.delivered(), [1, 2, 3]);
}

#[test]
fn a_slow_client_that_reads_everything_counts() {
    let served = Served::new(Options { text: "x".repeat(BIG), ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert!(served.content.delivered().is_empty(), "the client has not read it");
    let mut received = 1;
    let mut buffer = vec![0; 1 << 20];
    while received < BIG {
        received += stream.read(&mut buffer).unwrap();
    }
    served.settle();
    assert_eq!(served.content.delivered(), [1]);
}

#[test]
fn a_head_is_never_delivered() {
    let served = Served::new(Options::default());
    let mut stream = served.connect();
    exchange(&mut stream, "HEAD", "/metrics", "");
    exchange(&mut stream, "HEAD", "/metrics", "Accept-Encoding: gzip\r\n");
    exchange(&mut stream, "GET", "/metrics", "");
    exchange(&mut stream, "HEAD", "/metrics", "");
    served.settle();
    assert_eq!(served.content.delivered(), [3]);
}

#[test]
fn other_resources_report_no_delivery() {
    let served = Served::new(Options::default());
    for path in ["/", "/-/healthy", "/nothing"] {
        served.get(path);
    }
    served.ask("POST", "/metrics", "");
    served.settle();
    assert!(served.content.delivered().is_empty());
}

#[test]
fn a_client_that_disconnects_in_the_middle_does_not_count() {
    let served = Served::new(Options { text: "x".repeat(BIG), ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    let mut some = vec![0; 100_000];
    stream.read_exact(&mut some).unwrap();
    drop(stream);
    served.settle();
    assert!(served.content.delivered().is_empty());
}

#[test]
fn a_client_that_never_reads_is_disconnected_and_does_not_count() {
    let limits = Limits { stall_timeout: Duration::from_millis(100), ..Options::default().limits };
    let served = Served::new(Options { text: "x".repeat(BIG), limits, ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("the page is rendered", || served.content.started.load(Ordering::SeqCst) == 1);
    served.settle();
    assert!(served.content.delivered().is_empty());
    let mut rest = Vec::new();
    // The connection ends with or without a reset.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < BIG);
}

/// TLS has its own buffer between the server and the socket.
#[test]
fn a_client_that_never_reads_is_disconnected_over_tls() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let content = "tls_server_config: {cert_file: cert, key_file: key}";
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    );
    let client = client.with_safe_default_protocol_versions().unwrap();
    let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
    for (length, headers) in [(BIG, ""), (BIG, "Connection: close\r\n"), (1000, "")] {
        let limits =
            Limits { stall_timeout: Duration::from_millis(200), ..Options::default().limits };
        let web_config = web_config(content, &certificate.pem(), &key.serialize_pem());
        let text = "x".repeat(length);
        let served = Served::new(Options { text, limits, web_config, ..Options::default() });
        let session =
            rustls::ClientConnection::new(client.clone(), "localhost".try_into().unwrap()).unwrap();
        let mut stream = rustls::StreamOwned::new(session, served.connect());
        send(&mut stream, "GET", "/metrics", headers);
        until("the page is rendered", || served.content.started.load(Ordering::SeqCst) == 1);
        if length == BIG {
            until("it is disconnected", || served.rejected(Rejection::TooSlow) == 1);
            served.settle();
            assert!(served.content.delivered().is_empty());
            until("the connection is closed", || !served.has_connections());
        } else {
            served.settle();
            assert_eq!(served.content.delivered(), [1]);
            assert_eq!(receive(&mut stream, true).status, 200);
        }
    }
}

#[test]
fn a_client_that_disconnects_before_the_page_is_ready_does_not_count() {
    let served = Served::new(Options::default());
    let gate = served.content.gate.lock().unwrap();
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("rendering has begun", || served.content.started.load(Ordering::SeqCst) == 1);
    drop(stream);
    until("the connection is closed", || !served.has_connections());
    drop(gate);
    served.settle();
    assert!(served.content.delivered().is_empty());
}

#[test]
fn bytes_in_the_servers_buffer_are_not_delivered() {
    // For some of these lengths, hyper has a part of the body that it cannot write.
    const LENGTHS: usize = 24;
    let delivered = std::thread::scope(|scope| {
        let check = |steps| scope.spawn(move || full_exactly_when_delivered(steps * 32 * 1024));
        let checks: Vec<_> = (1..=LENGTHS).map(check).collect();
        let outcomes = checks.into_iter().map(|check| check.join().unwrap());
        outcomes.filter(|&delivered| delivered).count()
    });
    assert!(
        (1..LENGTHS).contains(&delivered),
        "{delivered} delivered: the lengths do not cover both cases"
    );
}

/// Requests so many bytes and reads none until the server has closed the connection. The bytes in the kernel
/// are the whole page exactly if it counts as delivered.
fn full_exactly_when_delivered(length: usize) -> bool {
    let limits = Limits {
        stall_timeout: Duration::from_millis(500),
        header_timeout: Duration::from_secs(1),
        ..Options::default().limits
    };
    let text = "x".repeat(length);
    let send_buffer = Some(16 * 1024);
    let served = Served::new(Options { text, limits, send_buffer, ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("the page is rendered", || served.content.started.load(Ordering::SeqCst) == 1);
    served.settle();
    let mut received = Vec::new();
    // The connection may end with a reset.
    let _ = stream.read_to_end(&mut received);
    let head = received.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let full = received.len() - head == length + "Plain ".len();
    assert_eq!(
        !served.content.delivered().is_empty(),
        full,
        "{} of {length} bytes",
        received.len()
    );
    full
}

/// A client requests two pages and reads none. For some lengths, the last bytes of the first page do not fit into the
/// kernel's buffers, and a second response would fit into hyper's buffer with them.
#[test]
fn a_response_starts_when_the_previous_one_is_in_the_socket() {
    let run = |length| {
        let limits =
            Limits { stall_timeout: Duration::from_millis(500), ..Options::default().limits };
        let (text, send_buffer) = ("x".repeat(length), Some(16 * 1024));
        let served = Served::new(Options { text, limits, send_buffer, ..Options::default() });
        let mut stream = served.connect();
        stream.write_all(&b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2)).unwrap();
        served.counts(Rejection::TooSlow, 1);
        let mut received = Vec::new();
        // The connection may end with a reset.
        let _ = stream.read_to_end(&mut received);
        served.settle();
        let started = served.content.started.load(Ordering::SeqCst);
        (received.len(), started, served.content.delivered().len())
    };
    let (buffers, ..) = run(BIG);
    let outcomes = std::thread::scope(|scope| {
        let runs = [1, 2, 4, 6, 8, 10].map(|over| scope.spawn(move || run(buffers + over * 1024)));
        runs.map(|run| run.join().unwrap())
    });
    for (_, started, delivered) in outcomes {
        assert!(started <= delivered as u64 + 1, "{outcomes:?}");
    }
    assert!(outcomes.iter().any(|(_, _, delivered)| *delivered == 0), "{outcomes:?}");
}

#[test]
fn scrapes_of_prometheus_are_distinguished_from_other_clients() {
    let served = Served::new(Options::default());
    served.get("/metrics");
    served.settle();
    served.ask("GET", "/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n");
    served.settle();
    let other = "X-Prometheus-Scrape-Timeout-Seconds: 10\r\nUser-Agent: Prometheus/3\r\n";
    for _ in 0..2 {
        served.ask("GET", "/metrics", other);
        served.settle();
    }
    let clients = served.content.clients.lock().unwrap();
    let [Client::Other, Client::Prometheus(first), second, third] = clients[..] else {
        panic!("{clients:?}");
    };
    assert_ne!(Client::Prometheus(first), second);
    assert_eq!(second, third);
}
