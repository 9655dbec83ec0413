//! Limits for clients.

use super::*;

pub(super) fn limits(change: impl FnOnce(&mut Limits)) -> Options {
    let mut options = Options::default();
    change(&mut options.limits);
    options
}

/// Waits until the server has closed a connection.
pub(super) fn closed(stream: &mut TcpStream) {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_client_that_sends_its_request_slowly_is_disconnected() {
    let served = Served::new(limits(|limits| limits.header_timeout = Duration::from_millis(100)));
    for start in ["", "G", "GET / HTTP/1.1\r\nHost: te"] {
        let mut stream = served.connect();
        stream.write_all(start.as_bytes()).unwrap();
        closed(&mut stream);
    }
    // A client that sends single bytes is disconnected, too.
    let mut stream = served.connect();
    until("it is disconnected", || stream.write_all(b"G").is_err());
    served.counts(Rejection::TooSlow, 4);
    // An idle connection after a request is closed as well. It is not counted as rejected, because clients send
    // further requests at intervals.
    let mut stream = served.connect();
    assert_eq!(exchange(&mut stream, "GET", "/", "").status, 200);
    closed(&mut stream);
    let mut stream = served.connect();
    closed(&mut stream);
    served.counts(Rejection::TooSlow, 5);
}

#[test]
fn the_size_of_a_request_is_bounded() {
    let served = Served::new(Options::default());
    let check = |headers: &str, status: u16| {
        let mut stream = served.connect();
        // The server may have responded and closed the connection before it has read the whole request.
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        let _ = stream.write_all(request.as_bytes());
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(String::from_utf8_lossy(&start), format!("HTTP/1.1 {status}"));
    };
    check(&format!("X: {}\r\n", "x".repeat(8_000)), 200);
    check(&"X: x\r\n".repeat(200), 431);
    check(&format!("X: {}\r\n", "x".repeat(17_000)), 431);
    served.counts(Rejection::BadRequest, 2);
    // The server does not wait for a body.
    check("Content-Length: 1000000000000\r\n", 200);
    check("Transfer-Encoding: chunked\r\n", 200);
}

#[test]
fn invalid_bytes_end_only_their_own_connection() {
    let served = Served::new(Options::default());
    for nonsense in [&b"\0\0\0\0\r\n\r\n"[..], b"\x16\x03\x01\x02\0\r\n\r\n", b"GET\r\n\r\n"] {
        let mut stream = served.connect();
        stream.write_all(nonsense).unwrap();
        closed(&mut stream);
    }
    assert_eq!(served.get("/-/healthy").status, 200);
}

#[test]
fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let served = Served::new(limits(|limits| limits.connections = 2));
    let mut first = served.connect();
    let mut second = served.connect();
    assert_eq!(exchange(&mut first, "GET", "/", "").status, 200);
    assert_eq!(exchange(&mut second, "GET", "/", "").status, 200);
    assert_eq!(exchange(&mut first, "GET", "/", "").status, 200);
    assert_eq!(served.get("/-/healthy").status, 200);
    closed(&mut second);
    served.counts(Rejection::Crowded, 1);
    assert_eq!(exchange(&mut first, "GET", "/", "").status, 200);
    // Any number of idle connections leaves room for the next request. Each is accepted before the next one connects:
    // the order of connections that wait to be accepted is not defined.
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = served.connect();
        assert_eq!(exchange(&mut stream, "GET", "/", "").status, 200);
        idle.push(stream);
    }
    assert_eq!(served.get("/-/healthy").status, 200);
}

#[test]
fn a_connection_that_waits_for_the_server_is_kept() {
    let served = Served::new(limits(|limits| {
        limits.connections = 2;
        limits.renders = 2;
    }));
    let gate = served.content.gate.lock().unwrap();
    let mut first = served.connect();
    send(&mut first, "GET", "/metrics", "");
    until("rendering has begun", || served.content.started.load(Ordering::SeqCst) == 1);
    let mut second = served.connect();
    assert_eq!(exchange(&mut second, "GET", "/", "").status, 200);
    let mut third = served.connect();
    closed(&mut second);
    served.counts(Rejection::Crowded, 1);
    send(&mut third, "GET", "/metrics", "");
    until("rendering has begun", || served.content.started.load(Ordering::SeqCst) == 2);
    // All connections are busy, so there is no room for another.
    closed(&mut served.connect());
    served.counts(Rejection::Crowded, 2);
    drop(gate);
    for stream in [&mut first, &mut third] {
        assert_eq!(receive(stream, true).status, 200);
    }
}

#[test]
fn rejected_requests_do_not_keep_a_connection_open() {
    let hash = bcrypt::hash("right", 4).unwrap();
    let mut options = limits(|limits| limits.connections = 2);
    options.web_config = web_config(&format!("basic_auth_users: {{alice: {hash}}}"), "", "");
    let served = Served::new(options);
    let mut rejected = served.connect();
    assert_eq!(exchange(&mut rejected, "GET", "/", "").status, 401);
    let mut second = served.connect();
    // `alice:right`.
    let alice = "Authorization: Basic YWxpY2U6cmlnaHQ=\r\n";
    assert_eq!(exchange(&mut second, "GET", "/", alice).status, 200);
    assert_eq!(exchange(&mut rejected, "GET", "/", "").status, 401);
    let mut third = served.connect();
    assert_eq!(exchange(&mut third, "GET", "/", alice).status, 200);
    closed(&mut rejected);
    assert_eq!(exchange(&mut second, "GET", "/", alice).status, 200);
}

#[test]
fn a_client_that_reads_too_slowly_is_disconnected() {
    let mut options = limits(|limits| {
        limits.stall_timeout = Duration::from_millis(500);
        limits.min_rate = u64::MAX;
    });
    options.text = "x".repeat(64 << 20);
    let served = Served::new(options);
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    // It never stalls.
    until("it is disconnected", || {
        std::thread::sleep(Duration::from_millis(10));
        !matches!(stream.read(&mut [0; 8192]), Ok(1..))
    });
    served.counts(Rejection::TooSlow, 1);
    served.settle();
    assert!(served.content.delivered().is_empty());
}

/// A HEAD has no body, so that the response ends with its head.
#[test]
fn a_response_without_a_body_has_no_timeout_after_its_end() {
    let hash = bcrypt::hash("right", 4).unwrap();
    let mut options = limits(|limits| {
        limits.stall_timeout = Duration::from_millis(100);
        limits.header_timeout = Duration::from_millis(500);
    });
    options.web_config = web_config(&format!("basic_auth_users: {{alice: {hash}}}"), "", "");
    let served = Served::new(options);
    let mut stream = served.connect();
    assert_eq!(exchange(&mut stream, "HEAD", "/metrics", "").status, 401);
    assert_eq!(exchange(&mut stream, "HEAD", "/metrics", "").status, 401);
    closed(&mut stream);
    until("the connection is closed", || !served.has_connections());
    assert_eq!(served.rejected(Rejection::TooSlow), 0);
}

#[test]
fn the_oldest_response_is_dropped_for_a_new_one() {
    let mut options = limits(|limits| limits.response_bytes = 25_000_000);
    options.text = "x".repeat(10_000_000);
    options.send_buffer = Some(4096);
    let served = Served::new(options);
    let mut slow = served.connect();
    send(&mut slow, "GET", "/metrics", "");
    slow.read_exact(&mut [0; 100]).unwrap();
    for _ in 0..2 {
        assert_eq!(served.get("/metrics").status, 200);
    }
    assert_eq!(served.rejected(Rejection::Crowded), 0, "a slot was not freed");
    let slower: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = served.connect();
            send(&mut stream, "GET", "/metrics", "");
            stream.read_exact(&mut [0; 100]).unwrap();
            stream
        })
        .collect();
    served.counts(Rejection::Crowded, 1);
    assert!(slow.read_to_end(&mut Vec::new()).map_or(0, |length| length) < 10_000_000);
    drop(slower);
}

#[test]
fn requests_beyond_the_render_queue_are_rejected() {
    let served = Served::new(limits(|limits| {
        limits.renders = 1;
        limits.waiting_renders = 1;
    }));
    let gate = served.content.live_gate.lock().unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| served.connect()).collect();
    for client in &mut clients {
        send(client, "GET", "/overview.json", "");
    }
    served.counts(Rejection::Busy, 1);
    // A scrape does not wait in this queue.
    assert_eq!(served.get("/metrics").status, 200);
    drop(gate);
    let mut statuses: Vec<u16> =
        clients.iter_mut().map(|client| receive(client, true).status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503]);
    assert_eq!(served.get("/overview.json").status, 200);
}

#[test]
fn waiting_scrapes_share_a_page() {
    let served = Served::new(limits(|limits| limits.renders = 1));
    let gate = served.content.gate.lock().unwrap();
    let mut first = served.connect();
    send(&mut first, "GET", "/metrics", "");
    until("rendering has begun", || served.content.started.load(Ordering::SeqCst) == 1);
    // Their requests are newer than that page, so they get another.
    let mut clients: Vec<_> = (0..200).map(|_| served.connect()).collect();
    for client in &mut clients {
        send(client, "GET", "/metrics", "");
    }
    // One of them disconnects; the others still get the page.
    drop(clients.remove(0));
    until("the server has read all of it", || !served.has_unread());
    drop(gate);
    assert_eq!(receive(&mut first, true).status, 200);
    for client in &mut clients {
        assert_eq!(receive(client, true).text(), "Plain nflog_packets_total 1");
    }
    served.settle();
    // A request may have been read and not have joined the others.
    let started = served.content.started.load(Ordering::SeqCst);
    assert!(started <= 3, "{started}");
    // Each connection reports its delivery, in any order.
    let mut delivered = served.content.delivered();
    delivered.sort_unstable();
    assert_eq!((delivered[0], delivered.len()), (1, 200));
    assert!(delivered[1..].iter().all(|generation| (2..=started).contains(generation)));
}

#[test]
fn a_request_has_one_host_header() {
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
    served.counts(Rejection::BadRequest, 2);
}

#[test]
fn queued_renders_block_no_other_request() {
    let served = Served::new(limits(|limits| limits.renders = 2));
    let gate = served.content.live_gate.lock().unwrap();
    let mut clients: Vec<_> = (0..5).map(|_| served.connect()).collect();
    for client in &mut clients {
        send(client, "GET", "/overview.json", "");
    }
    until("two are being rendered", || served.content.live_started.load(Ordering::SeqCst) == 2);
    for _ in 0..20 {
        assert_eq!(served.get("/-/healthy").status, 200);
    }
    assert_eq!(served.content.live_started.load(Ordering::SeqCst), 2);
    drop(gate);
    for client in &mut clients {
        assert_eq!(receive(client, true).status, 200);
    }
}
