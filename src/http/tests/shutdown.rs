//! The shutdown: current requests are finished, within a limit.

use super::{
    limits::{closed, limits},
    *,
};

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
fn a_shutdown_finishes_the_current_request() {
    let served = Served::new(Options::default());
    let mut stream = served.connect();
    let content = served.content.clone();
    let gate = content.gate.lock().unwrap();
    send(&mut stream, "GET", "/metrics", "");
    until("rendering has begun", || content.started.load(Ordering::SeqCst) == 1);
    served.shutdown.send(true).unwrap();
    let address = served.address;
    until("the listener is closed", || TcpStream::connect(address).is_err());
    drop(gate);
    assert_eq!(receive(&mut stream, true).text(), "Plain nflog_packets_total 1");
    served.join();
    assert_eq!(content.delivered(), [1]);
}

#[test]
fn the_drain_timeout_limits_a_shutdown() {
    let served = Served::new(limits(|limits| limits.drain_timeout = Duration::from_millis(100)));
    let content = served.content.clone();
    let gate = content.gate.lock().unwrap();
    let mut stream = served.connect();
    send(&mut stream, "GET", "/metrics", "");
    until("rendering has begun", || content.started.load(Ordering::SeqCst) == 1);
    served.shutdown.send(true).unwrap();
    until("the server has ended", || served.server.is_finished());
    closed(&mut stream);
    drop(gate);
    served.join();
    assert!(content.delivered().is_empty());
}

#[test]
fn a_dropped_sender_is_a_shutdown() {
    let mut served = Served::new(Options::default());
    served.shutdown = watch::channel(false).0;
    served.join();
}
