//! Receives syslog datagrams. Those that do not fit into the queue are dropped and counted.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    os::fd::AsFd as _,
};

use super::Receiver;
use crate::{
    source::kernel_log::{meter::Input, queue::Chunk},
    system::descriptors::socket_drops,
};

/// Longer than every datagram.
const DATAGRAM: usize = 65_536;

/// Maximum number of datagrams between two looks at the drops of the kernel.
const BATCH: u32 = 4096;

/// Receives until the queue is stopped.
pub(super) fn receive(socket: &UdpSocket, receiver: &Receiver) -> io::Result<()> {
    let mut buffer = vec![0; DATAGRAM];
    let mut drops = 0;
    loop {
        if !receiver.queue.wait(Some(socket.as_fd()), None)? {
            return Ok(());
        }
        for _ in 0..BATCH {
            match socket.recv_from(&mut buffer) {
                Ok((length, sender)) => take(&buffer[..length], sender.ip(), receiver),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Interrupted, or an ICMP error of an earlier message.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // The kernel's counter has 32 bits and wraps.
        let now = socket_drops(socket.as_fd()).unwrap_or(drops);
        let lost = now.wrapping_sub(drops);
        drops = now;
        if lost > 0 {
            receiver.meter.lose(Input::Syslog, lost.into());
        }
    }
}

fn take(datagram: &[u8], sender: IpAddr, receiver: &Receiver) {
    if datagram.is_empty() || !receiver.allows(sender) {
        return;
    }
    // A line break in a message must not split it.
    let text = datagram.trim_ascii_end();
    let lines = text.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    let chunk = Chunk {
        lines,
        input: Input::Syslog,
        stream: stream_of(sender),
        sender: Some(sender),
        checkpoint: None,
    };
    if receiver.queue.try_push(chunk).is_err() {
        receiver.meter.lose(Input::Syslog, 1);
    }
}

/// The stream of a sender: the messages of one address follow each other.
pub(super) fn stream_of(sender: IpAddr) -> u64 {
    let bits = match sender {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    // Both halves; a collision only repeats the line of another sender.
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    half(bits) ^ half(bits >> 64).rotate_left(17) | 1 << 63
}
