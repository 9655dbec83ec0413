//! A page counts as delivered when all of it went out, once, and never else.

use super::*;

/// More than the socket buffers of both ends hold, whatever the kernel lets them grow to.
const BIG: usize = 64 << 20;

#[test]
fn every_full_get_is_delivered_once() {
    // Around the size of a piece, and of several.
    for length in [1, 65_535, 65_536, 65_537, 1_000_000] {
        let served = Served::new(Options { text: "x".repeat(length), ..Options::default() });
        let mut stream = served.connect();
        for generation in 1..=3 {
            let reply = exchange(&mut stream, "GET", "/metrics", "");
            assert_eq!(reply.body.len(), length + "Plain ".len());
            served.settle();
            assert_eq!(served.page.delivered(), (1..=generation).collect::<Vec<_>>());
        }
        let reply = served.ask("GET", "/metrics", "Accept-Encoding: gzip\r\n");
        assert_eq!(reply.status, 200);
        served.settle();
        assert_eq!(served.page.delivered(), [1, 2, 3, 4]);
    }
}

#[test]
fn a_slow_client_that_takes_it_all_counts() {
    let served = Served::new(Options { text: "x".repeat(BIG), ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert!(served.page.delivered().is_empty(), "nobody has read it");
    let mut taken = 1;
    let mut buffer = vec![0; 1 << 20];
    while taken < BIG {
        taken += stream.read(&mut buffer).unwrap();
    }
    served.settle();
    assert_eq!(served.page.delivered(), [1]);
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
    assert_eq!(served.page.delivered(), [3]);
}

#[test]
fn other_pages_deliver_nothing() {
    let served = Served::new(Options::default());
    for path in ["/", "/-/healthy", "/nothing"] {
        served.get(path);
    }
    served.ask("POST", "/metrics", "");
    served.settle();
    assert!(served.page.delivered().is_empty());
}

#[test]
fn a_client_that_leaves_in_the_middle_does_not_count() {
    let served = Served::new(Options { text: "x".repeat(BIG), ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    let mut some = vec![0; 100_000];
    stream.read_exact(&mut some).unwrap();
    drop(stream);
    served.settle();
    assert!(served.page.delivered().is_empty());
}

#[test]
fn a_client_that_never_reads_is_cut_and_does_not_count() {
    let limits = Limits { stall_time: Duration::from_millis(100), ..Options::default().limits };
    let served = Served::new(Options { text: "x".repeat(BIG), limits, ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("it was rendered", || served.page.started.load(Ordering::SeqCst) == 1);
    served.settle();
    assert!(served.page.delivered().is_empty());
    let mut rest = Vec::new();
    // Cut: a reset is as good as an end.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < BIG);
}

/// TLS has a buffer of its own between the server and the socket.
#[test]
fn a_client_that_never_reads_is_cut_over_tls_too() {
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
        let limits = Limits { stall_time: Duration::from_millis(200), ..Options::default().limits };
        let guard = guard(content, &certificate.pem(), &key.serialize_pem());
        let text = "x".repeat(length);
        let served = Served::new(Options { text, limits, guard, ..Options::default() });
        let line =
            rustls::ClientConnection::new(client.clone(), "localhost".try_into().unwrap()).unwrap();
        let mut stream = rustls::StreamOwned::new(line, served.connect());
        send(&mut stream, "GET", "/metrics", headers);
        until("it was rendered", || served.page.started.load(Ordering::SeqCst) == 1);
        if length == BIG {
            until("it was cut", || served.refused(Refusal::TooSlow) == 1);
            served.settle();
            assert!(served.page.delivered().is_empty());
            until("its connection is gone", || !served.has_connections());
        } else {
            served.settle();
            assert_eq!(served.page.delivered(), [1]);
            assert_eq!(receive(&mut stream, true).status, 200);
        }
    }
}

#[test]
fn a_client_that_leaves_before_the_page_is_ready_does_not_count() {
    let served = Served::new(Options::default());
    let gate = served.page.gate.lock().unwrap();
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("it renders", || served.page.started.load(Ordering::SeqCst) == 1);
    drop(stream);
    until("its connection is gone", || !served.has_connections());
    drop(gate);
    served.settle();
    assert!(served.page.delivered().is_empty());
}

#[test]
fn what_still_waits_in_the_server_is_not_delivered() {
    // Somewhere among these lengths, the last piece is taken from the body and cannot be written.
    const LENGTHS: usize = 24;
    let delivered = std::thread::scope(|scope| {
        let check = |steps| scope.spawn(move || full_exactly_when_delivered(steps * 32 * 1024));
        let checks: Vec<_> = (1..=LENGTHS).map(check).collect();
        let outcomes = checks.into_iter().map(|check| check.join().unwrap());
        outcomes.filter(|&delivered| delivered).count()
    });
    assert!((1..LENGTHS).contains(&delivered), "{delivered} went out: the lengths prove nothing");
}

/// Asks for so many bytes and reads none before the server has closed: with what the kernel held,
/// the page is whole exactly when it counts.
fn full_exactly_when_delivered(length: usize) -> bool {
    let limits = Limits {
        stall_time: Duration::from_millis(500),
        header_time: Duration::from_secs(1),
        ..Options::default().limits
    };
    let text = "x".repeat(length);
    let send_buffer = Some(16 * 1024);
    let served = Served::new(Options { text, limits, send_buffer, ..Options::default() });
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("it was rendered", || served.page.started.load(Ordering::SeqCst) == 1);
    served.settle();
    let mut taken = Vec::new();
    // A connection that was cut may end in a reset.
    let _ = stream.read_to_end(&mut taken);
    let head = taken.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let full = taken.len() - head == length + "Plain ".len();
    assert_eq!(!served.page.delivered().is_empty(), full, "{} of {length} bytes", taken.len());
    full
}

#[test]
fn a_scrape_of_prometheus_is_told_from_a_look() {
    let served = Served::new(Options::default());
    served.get("/metrics");
    served.settle();
    served.ask("GET", "/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n");
    served.settle();
    assert_eq!(*served.page.clients.lock().unwrap(), [Client::Other, Client::Prometheus]);
}
