//! Sends frames on the wire: `AF_PACKET` and `sendmmsg`, at a rate or as fast as possible.

use std::{
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use crate::{
    cores,
    interrupt::check,
    messages::Messages,
    support::{Wire, netns::packet_socket},
    traffic::Frames,
};

/// Maximum number of frames sent with one system call.
const BATCH: usize = 32;

/// Sends for some time: at a rate, as many packets as belong to that time, even if it takes longer. Returns the time that it
/// took. The rule's counter has the number of packets: at saturation, the kernel drops some frames before the rule.
pub fn send(wire: &Wire, frames: &Frames, rate: Option<u64>, time: Duration) -> Duration {
    wire.peer.run(|| {
        cores::use_sender_core();
        let socket = packet_socket("wire0");
        let mut messages = Messages::new(frames.slices());
        let start = Instant::now();
        let mut sent = 0;
        loop {
            check();
            let reached = match rate {
                Some(rate) => {
                    let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                    thread::sleep(due.saturating_sub(start.elapsed()));
                    due
                }
                None => start.elapsed(),
            };
            if reached >= time {
                return start.elapsed();
            }
            sent += messages.send(socket.as_fd(), BATCH);
        }
    })
}
