//! What a client cannot do, and how the server ends.

use super::*;

fn limits(change: impl FnOnce(&mut Limits)) -> Options {
    let mut options = Options::default();
    change(&mut options.limits);
    options
}

/// Waits until the server has closed a connection.
fn closed(stream: &mut TcpStream) {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_client_that_is_slow_with_its_request_is_cut() {
    let served = Served::new(limits(|limits| limits.header_time = Duration::from_millis(100)));
    for start in ["", "G", "GET / HTTP/1.1\r\nHost: te"] {
        let mut stream = served.connect();
        stream.write_all(start.as_bytes()).unwrap();
        closed(&mut stream);
    }
    // One that sends a byte now and then, too.
    let mut stream = served.connect();
    until("it was cut", || stream.write_all(b"G").is_err());
    served.counts(Refusal::TooSlow, 4);
    // And one that stays after its request.
    let mut stream = served.connect();
    assert_eq!(exchange(&mut stream, "GET", "/", "").status, 200);
    closed(&mut stream);
    // That is what a client does that asks now and then: the next one that is counted is another.
    let mut stream = served.connect();
    closed(&mut stream);
    served.counts(Refusal::TooSlow, 5);
}

#[test]
fn a_request_is_bounded() {
    let served = Served::new(Options::default());
    let check = |headers: &str, status: u16| {
        let mut stream = served.connect();
        // The server may have answered and closed before it has read all of it.
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        let _ = stream.write_all(request.as_bytes());
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(String::from_utf8_lossy(&start), format!("HTTP/1.1 {status}"));
    };
    check(&format!("X: {}\r\n", "x".repeat(8_000)), 200);
    check(&"X: x\r\n".repeat(200), 431);
    check(&format!("X: {}\r\n", "x".repeat(17_000)), 431);
    served.counts(Refusal::BadRequest, 2);
    // A body that never comes is not waited for.
    check("Content-Length: 1000000000000\r\n", 200);
    check("Transfer-Encoding: chunked\r\n", 200);
}

#[test]
fn nonsense_breaks_only_its_own_connection() {
    let served = Served::new(Options::default());
    for nonsense in [&b"\0\0\0\0\r\n\r\n"[..], b"\x16\x03\x01\x02\0\r\n\r\n", b"GET\r\n\r\n"] {
        let mut stream = served.connect();
        stream.write_all(nonsense).unwrap();
        closed(&mut stream);
    }
    assert_eq!(served.get("/-/healthy").status, 200);
}

#[test]
fn for_a_connection_beyond_the_limit_the_most_idle_one_goes() {
    let served = Served::new(limits(|limits| limits.connections = 2));
    let mut first = served.connect();
    let mut second = served.connect();
    assert_eq!(exchange(&mut first, "GET", "/", "").status, 200);
    assert_eq!(exchange(&mut second, "GET", "/", "").status, 200);
    assert_eq!(exchange(&mut first, "GET", "/", "").status, 200);
    assert_eq!(served.get("/-/healthy").status, 200);
    closed(&mut second);
    served.counts(Refusal::Crowded, 1);
    assert_eq!(exchange(&mut first, "GET", "/", "").status, 200);
    // However many come that never ask, the next one that does is answered.
    let idle: Vec<_> = (0..100).map(|_| served.connect()).collect();
    assert_eq!(served.get("/-/healthy").status, 200);
    drop(idle);
}

#[test]
fn who_waits_for_the_server_keeps_its_place() {
    let served = Served::new(limits(|limits| {
        limits.connections = 2;
        limits.renders = 2;
    }));
    let gate = served.page.gate.lock().unwrap();
    let mut first = served.connect();
    send(&mut first, "GET", "/metrics", "");
    until("it renders", || served.page.started.load(Ordering::SeqCst) == 1);
    let mut second = served.connect();
    assert_eq!(exchange(&mut second, "GET", "/", "").status, 200);
    let mut third = served.connect();
    closed(&mut second);
    served.counts(Refusal::Crowded, 1);
    send(&mut third, "GET", "/metrics", "");
    until("it renders", || served.page.started.load(Ordering::SeqCst) == 2);
    // Now nobody lets a connection lie, and there is no place for another.
    closed(&mut served.connect());
    served.counts(Refusal::Crowded, 2);
    drop(gate);
    for stream in [&mut first, &mut third] {
        assert_eq!(receive(stream, true).status, 200);
    }
}

#[test]
fn who_is_not_let_in_is_no_younger_for_it() {
    let hash = bcrypt::hash("right", 4).unwrap();
    let mut options = limits(|limits| limits.connections = 2);
    options.guard = guard(&format!("basic_auth_users: {{alice: {hash}}}"), "", "");
    let served = Served::new(options);
    let mut stranger = served.connect();
    assert_eq!(exchange(&mut stranger, "GET", "/", "").status, 401);
    let mut second = served.connect();
    // `alice:right`.
    let alice = "Authorization: Basic YWxpY2U6cmlnaHQ=\r\n";
    assert_eq!(exchange(&mut second, "GET", "/", alice).status, 200);
    assert_eq!(exchange(&mut stranger, "GET", "/", "").status, 401);
    let mut third = served.connect();
    assert_eq!(exchange(&mut third, "GET", "/", alice).status, 200);
    closed(&mut stranger);
    assert_eq!(exchange(&mut second, "GET", "/", alice).status, 200);
}

#[test]
fn a_client_that_takes_an_answer_in_crumbs_is_cut() {
    let mut options = limits(|limits| {
        limits.stall_time = Duration::from_millis(500);
        limits.least_rate = u64::MAX;
    });
    options.text = "x".repeat(64 << 20);
    let served = Served::new(options);
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    // It never stalls.
    until("it was cut", || {
        std::thread::sleep(Duration::from_millis(10));
        !matches!(stream.read(&mut [0; 8192]), Ok(1..))
    });
    served.counts(Refusal::TooSlow, 1);
    served.settle();
    assert!(served.page.delivered().is_empty());
}

#[test]
fn for_an_answer_beyond_the_limit_the_oldest_one_goes() {
    let mut options = limits(|limits| limits.answers = 25_000_000);
    options.text = "x".repeat(10_000_000);
    options.send_buffer = Some(4096);
    let served = Served::new(options);
    let mut slow = served.connect();
    send(&mut slow, "GET", "/metrics", "");
    slow.read_exact(&mut [0; 100]).unwrap();
    for _ in 0..2 {
        assert_eq!(served.get("/metrics").status, 200);
    }
    assert_eq!(served.refused(Refusal::Crowded), 0, "a place was not given back");
    let slower: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = served.connect();
            send(&mut stream, "GET", "/metrics", "");
            stream.read_exact(&mut [0; 100]).unwrap();
            stream
        })
        .collect();
    served.counts(Refusal::Crowded, 1);
    assert!(slow.read_to_end(&mut Vec::new()).map_or(0, |length| length) < 10_000_000);
    drop(slower);
}

#[test]
fn renders_that_would_wait_too_long_are_refused() {
    let served = Served::new(limits(|limits| {
        limits.renders = 1;
        limits.waiting_renders = 1;
    }));
    let gate = served.page.overview_gate.lock().unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| served.connect()).collect();
    for client in &mut clients {
        send(client, "GET", "/overview.json", "");
    }
    served.counts(Refusal::Busy, 1);
    // A scrape stands in no line with them.
    assert_eq!(served.get("/metrics").status, 200);
    drop(gate);
    let mut answers: Vec<u16> =
        clients.iter_mut().map(|client| receive(client, true).status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [200, 200, 503]);
    assert_eq!(served.get("/overview.json").status, 200);
}

#[test]
fn all_who_wait_for_the_metrics_share_a_page() {
    let served = Served::new(limits(|limits| limits.renders = 1));
    let gate = served.page.gate.lock().unwrap();
    let mut first = served.connect();
    send(&mut first, "GET", "/metrics", "");
    until("it renders", || served.page.started.load(Ordering::SeqCst) == 1);
    // They ask after that page was begun, so it is not theirs.
    let mut clients: Vec<_> = (0..200).map(|_| served.connect()).collect();
    for client in &mut clients {
        send(client, "GET", "/metrics", "");
    }
    // One of them leaves, which takes the page from nobody.
    drop(clients.remove(0));
    until("the server has read all of it", || !served.has_unread());
    drop(gate);
    assert_eq!(receive(&mut first, true).status, 200);
    for client in &mut clients {
        assert_eq!(receive(client, true).text(), "Plain nflog_packets_total 1");
    }
    served.settle();
    // One may have been read and not yet have asked.
    let started = served.page.started.load(Ordering::SeqCst);
    assert!(started <= 3, "{started}");
    // Each connection reports its own delivery, in no order.
    let mut delivered = served.page.delivered();
    delivered.sort_unstable();
    assert_eq!((delivered[0], delivered.len()), (1, 200));
    assert!(delivered[1..].iter().all(|generation| (2..=started).contains(generation)));
}

#[test]
fn a_request_names_its_host_once() {
    let served = Served::new(Options::default());
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ] {
        let mut stream = served.connect();
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(receive(&mut stream, true).status, status, "{request:?}");
    }
    served.counts(Refusal::BadRequest, 2);
}

#[test]
fn renders_beyond_the_limit_wait_and_block_nothing_else() {
    let served = Served::new(limits(|limits| limits.renders = 2));
    let gate = served.page.overview_gate.lock().unwrap();
    let mut clients: Vec<_> = (0..5).map(|_| served.connect()).collect();
    for client in &mut clients {
        send(client, "GET", "/overview.json", "");
    }
    until("two render", || served.page.overviews.load(Ordering::SeqCst) == 2);
    for _ in 0..20 {
        assert_eq!(served.get("/-/healthy").status, 200);
    }
    assert_eq!(served.page.overviews.load(Ordering::SeqCst), 2);
    drop(gate);
    for client in &mut clients {
        assert_eq!(receive(client, true).status, 200);
    }
}

#[test]
fn a_shutdown_does_not_wait_for_idle_connections() {
    let served = Served::new(Options::default());
    let mut used = served.connect();
    assert_eq!(exchange(&mut used, "GET", "/", "").status, 200);
    let mut unused = served.connect();
    served.shutdown.send(true).unwrap();
    served.join();
    closed(&mut used);
    closed(&mut unused);
}

#[test]
fn a_shutdown_finishes_the_request_under_way() {
    let served = Served::new(Options::default());
    let mut stream = served.connect();
    let page = served.page.clone();
    let gate = page.gate.lock().unwrap();
    send(&mut stream, "GET", "/metrics", "");
    until("it renders", || page.started.load(Ordering::SeqCst) == 1);
    served.shutdown.send(true).unwrap();
    let address = served.address;
    until("nobody listens", || TcpStream::connect(address).is_err());
    drop(gate);
    assert_eq!(receive(&mut stream, true).text(), "Plain nflog_packets_total 1");
    served.join();
    assert_eq!(page.delivered(), [1]);
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let served = Served::new(limits(|limits| limits.drain_time = Duration::from_millis(100)));
    let page = served.page.clone();
    let gate = page.gate.lock().unwrap();
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("it renders", || page.started.load(Ordering::SeqCst) == 1);
    served.shutdown.send(true).unwrap();
    until("the server has ended", || served.server.is_finished());
    closed(&mut stream);
    drop(gate);
    served.join();
    assert!(page.delivered().is_empty());
}

#[test]
fn a_sender_that_is_gone_is_a_shutdown() {
    let mut served = Served::new(Options::default());
    served.shutdown = watch::channel(false).0;
    served.join();
}
