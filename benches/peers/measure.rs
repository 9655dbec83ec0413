//! One run: a peer, a scenario, and what the peer used until it had processed the last packet.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    interrupt::check,
    peer::{Kind, Servers},
    process_group::{ProcessGroup, are_empty, reader_sockets},
    sender,
    support::{Namespace, Wire},
    traffic::{Frames, Scenario, rules},
};

/// What a run used and counted.
#[derive(Clone, Copy)]
pub struct Figures {
    /// Packets that the rule logged.
    pub sent: u64,
    /// Packets that the peer counted or wrote.
    pub received: u64,
    /// Seconds for which packets were sent.
    pub seconds: f64,
    /// CPU time of the peer, µs per packet received.
    pub user: f64,
    pub system: f64,
    /// Peak memory of the peer, KiB.
    pub peak: u64,
    /// CPU time of the database server, µs per packet received.
    pub server: Option<f64>,
}

impl Figures {
    /// Packets logged that the peer did not count or write.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// Maximum time that a peer has to process the packets in its receive buffer. The rest does not count as received.
const MAX_DRAIN: Duration = Duration::from_secs(30);

/// A peer has processed all packets if it does nothing for this time: longer than the kernel holds a datagram back.
const QUIET: Duration = Duration::from_millis(1200);

/// Starts the peer in new namespaces, sends packets, and measures it.
pub fn run(kind: Kind, scenario: Scenario, time: Duration, servers: &Servers) -> Figures {
    check();
    let wire = Wire::new();
    wire.host.nft(&rules());
    let frames = Frames::new(scenario.sources, scenario.length);
    let mut peer = kind.start(&wire.host, servers);
    peer.group().set_receive_buffer(&wire.host);
    let (before, server) = (peer.group().cpu(), peer.server());
    let sending = thread::scope(|scope| {
        let sender = scope.spawn(|| sender::send(&wire, &frames, scenario.rate, time));
        while !sender.is_finished() {
            peer.ask();
            thread::sleep(Duration::from_millis(50));
        }
        sender.join().unwrap()
    });
    wait_until_idle(&wire.host, peer.group());
    let (after, peak) = (peer.group().cpu(), peer.group().peak());
    let server = peer.server().zip(server).map(|(after, before)| after.saturating_sub(before));
    let (sent, received) = (wire.host.counter("logged"), peer.finish());
    let per_packet = |time: Duration| 1e6 * time.as_secs_f64() / received as f64;
    let total = per_packet(after.total.saturating_sub(before.total));
    // The parts are in hundredths of a second, so they only say how to split the total.
    let user = after.user.saturating_sub(before.user).as_secs_f64();
    let system = after.system.saturating_sub(before.system).as_secs_f64();
    let share = user / (user + system).max(0.01);
    Figures {
        sent,
        received,
        seconds: sending.as_secs_f64(),
        user: total * share,
        system: total * (1.0 - share),
        peak,
        server: server.map(per_packet),
    }
}

/// Waits until the receive buffer is empty and the peer idle, or the time is over.
fn wait_until_idle(host: &Namespace, group: &ProcessGroup) {
    let deadline = Instant::now() + MAX_DRAIN;
    let (mut since, mut used) = (Instant::now(), group.cpu().total);
    while since.elapsed() < QUIET && Instant::now() < deadline {
        check();
        thread::sleep(Duration::from_millis(100));
        let now = group.cpu().total;
        // An idle peer uses a millisecond at times.
        let is_idle = now.saturating_sub(used) < Duration::from_millis(2);
        used = now;
        if !is_idle || !are_empty(&reader_sockets(host)) {
            since = Instant::now();
        }
    }
}
