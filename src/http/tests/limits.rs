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
    // And one that stays after its request.
    let mut stream = served.connect();
    assert_eq!(exchange(&mut stream, "GET", "/", "").status, 200);
    closed(&mut stream);
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
fn connections_beyond_the_limit_wait() {
    let served = Served::new(limits(|limits| limits.connections = 2));
    let mut first = served.connect();
    let mut second = served.connect();
    for stream in [&mut first, &mut second] {
        assert_eq!(exchange(stream, "GET", "/", "").status, 200);
    }
    let mut third = served.connect();
    send(&mut third, "GET", "/-/healthy", "");
    third.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let early = third.peek(&mut [0]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    third.set_read_timeout(Some(DEADLINE)).unwrap();
    drop(second);
    assert_eq!(receive(&mut third, true).status, 200);
}

#[test]
fn renders_beyond_the_limit_wait_and_block_nothing_else() {
    let served = Served::new(limits(|limits| limits.renders = 2));
    let gate = served.page.gate.lock().unwrap();
    let mut clients: Vec<_> = (0..5).map(|_| served.connect()).collect();
    for client in &mut clients {
        send(client, "GET", "/metrics", "");
    }
    until("two render", || served.page.started.load(Ordering::SeqCst) == 2);
    for _ in 0..20 {
        assert_eq!(served.get("/-/healthy").status, 200);
    }
    assert_eq!(served.page.started.load(Ordering::SeqCst), 2);
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
