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

/// Receives until the queue is stopped, and then what is in the receive buffer.
pub(super) fn receive(socket: &UdpSocket, receiver: &Receiver) -> io::Result<()> {
    let mut buffer = vec![0; DATAGRAM];
    let mut drops = 0;
    loop {
        let is_last = !receiver.queue.wait(Some(socket.as_fd()), None)?;
        let mut is_empty = false;
        for _ in 0..BATCH {
            match socket.recv_from(&mut buffer) {
                Ok((length, sender)) => take(&buffer[..length], sender.ip(), receiver, is_last),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_empty = true;
                    break;
                }
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
        if is_last && (is_empty || receiver.queue.is_over()) {
            return Ok(());
        }
    }
}

/// Puts a datagram into the queue; waits for room only if `can_wait`.
fn take(datagram: &[u8], sender: IpAddr, receiver: &Receiver, can_wait: bool) {
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
    if can_wait {
        receiver.queue.push(chunk);
    } else if receiver.queue.try_push(chunk).is_err() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kernel_log::queue::ChunkQueue;

    #[test]
    fn what_was_received_before_the_stop_is_in_the_queue() {
        let queue = ChunkQueue::new().unwrap();
        let receiver = Receiver {
            queue: queue.clone(),
            meter: std::sync::Arc::default(),
            allow: std::sync::Arc::new([]),
            rejections: std::sync::Arc::default(),
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..100 {
            let text = format!("<4>{number}");
            sender.send_to(text.as_bytes(), socket.local_addr().unwrap()).unwrap();
        }
        queue.stop();
        receive(&socket, &receiver).unwrap();
        assert_eq!(queue.clear()[Input::Syslog as usize], 100);
    }
}
