//! One NFLOG group: its socket, its configuration, and the meter of what it lost.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use neli::consts::{netfilter::LogCmd, nl::NlmF, socket::NlFamily};

use super::{
    NflogConfig, NflogError, Packet, Walk, WalkSummary, error::bind_error, limits::KERNEL_BUFFER,
};
use crate::netlink::{Attribute, Request, Socket};

/// Loss counters and buffer size of one group. Written by the reader, read at every scrape.
#[derive(Debug, Default)]
pub struct GroupMeter {
    /// Number of the group.
    pub group: u16,
    /// Packets that the kernel logged and could not deliver: gaps in the group's sequence numbers. Exact;
    /// updated by the first packet after the gap.
    pub lost_packets: AtomicU64,
    /// Datagrams, of many packets each, that the kernel dropped because the receive buffer was full.
    pub socket_drops: AtomicU64,
    /// Receive buffer that the kernel granted, bytes, in the unit of the request.
    pub receive_buffer_bytes: AtomicU64,
    /// Messages that could not be read.
    pub malformed_messages: AtomicU64,
    /// Datagrams longer than the read buffer; their end is lost.
    pub truncated_datagrams: AtomicU64,
}

/// The receive buffer, bytes, that the kernel grants a group's socket for a request of `bytes`.
///
/// # Errors
/// A netfilter socket cannot be opened.
pub fn receive_buffer_for(bytes: usize) -> io::Result<usize> {
    Socket::open(NlFamily::Netfilter, 0)?.set_receive_buffer(bytes)
}

/// A group that this process has bound.
pub(super) struct Group {
    socket: Socket,
    meter: Arc<GroupMeter>,
    /// Expected sequence number of the next packet.
    expected: u32,
    /// The kernel's count of dropped datagrams at the last read; wraps.
    drops: u32,
    /// Datagrams that arrived before the acknowledgement of the bind.
    early: VecDeque<Vec<u8>>,
    walk: Walk,
}

impl Group {
    /// Binds `group` to a socket of its own.
    pub(super) fn open(group: u16, config: &NflogConfig) -> Result<Self, NflogError> {
        if config.kernel_buffer > *KERNEL_BUFFER.end() {
            // The kernel would silently use its maximum.
            return Err(NflogError::KernelBuffer { requested: config.kernel_buffer });
        }
        let socket =
            Socket::open(NlFamily::Netfilter, 0).map_err(|cause| bind_error(group, cause))?;
        let failed = |doing| move |cause| NflogError::Io { group, doing, cause };
        socket.disable_overrun_errors().map_err(failed("set NETLINK_NO_ENOBUFS"))?;
        let requested = config.receive_buffer as usize;
        let granted =
            socket.set_receive_buffer(requested).map_err(failed("set the receive buffer"))?;
        if granted < requested {
            tracing::warn!(
                group,
                requested,
                granted,
                "the kernel granted a smaller receive buffer: raise the sysctl net.core.rmem_max"
            );
        }
        let meter = GroupMeter {
            group,
            receive_buffer_bytes: AtomicU64::new(granted as u64),
            ..GroupMeter::default()
        };
        let mut early = VecDeque::new();
        let bind = bind(group, config).bytes(BIND).map_err(failed("encode the bind request"))?;
        socket
            .request(&bind, BIND, |datagram| {
                // A datagram dropped here is counted by the gap in the sequence numbers.
                if early.len() < MAX_EARLY {
                    early.push_back(datagram.to_vec());
                }
            })
            .map_err(|error| bind_error(group, error.cause))?;
        Ok(Self {
            socket,
            meter: Arc::new(meter),
            expected: 0,
            drops: 0,
            early,
            walk: Walk::default(),
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn meter(&self) -> &Arc<GroupMeter> {
        &self.meter
    }

    /// Whether a datagram was received before the bind was acknowledged and is still unread.
    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Requests the kernel to flush the packets it holds back for this group, and to log no more of them.
    /// The acknowledgement, with the sequence number `request`, arrives after the last packet.
    pub(super) fn unbind(&self, request: u32) -> io::Result<()> {
        self.socket.send(&unbind(self.meter.group).bytes(request)?)
    }

    /// Reads one datagram into `buffer` and passes its packets to `take`. `None`: no datagram is queued.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&Packet<'_>),
    ) -> io::Result<Option<WalkSummary>> {
        use rustix::io::Errno;
        let length = if let Some(datagram) = self.early.pop_front() {
            buffer[..datagram.len()].copy_from_slice(&datagram);
            datagram.len()
        } else {
            match self.socket.receive(buffer) {
                Ok(length) => length,
                Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {
                    self.read_drops();
                    return Ok(None);
                }
                Err(cause) => return Err(cause.into()),
            }
        };
        if length > buffer.len() {
            self.meter.truncated_datagrams.fetch_add(1, Relaxed);
        }
        let mut lost = 0_u64;
        let summary = self.walk.datagram(&buffer[..length.min(buffer.len())], |packet| {
            if let Some(sequence) = packet.sequence {
                lost += gap(self.expected, sequence);
                self.expected = sequence.wrapping_add(1);
            }
            take(packet);
        });
        if lost > 0 {
            self.meter.lost_packets.fetch_add(lost, Relaxed);
            self.read_drops();
        }
        if summary.malformed > 0 {
            self.meter.malformed_messages.fetch_add(summary.malformed.into(), Relaxed);
        }
        Ok(Some(summary))
    }

    /// Updates the meter with the socket's drop counter.
    pub(super) fn read_drops(&mut self) {
        if let Ok(drops) = self.socket.drops() {
            // The kernel's counter has 32 bits and wraps; the meter has 64.
            let more = drops.wrapping_sub(self.drops);
            self.drops = drops;
            if more > 0 {
                self.meter.socket_drops.fetch_add(more.into(), Relaxed);
            }
        }
    }
}

/// Packets missing between the expected and the received sequence number. The numbers wrap; a number that
/// went backwards is a restart.
fn gap(expected: u32, received: u32) -> u64 {
    let gap = received.wrapping_sub(expected);
    if gap < 1 << 31 { gap.into() } else { 0 }
}

/// The request that binds and configures a group: one message, so that the first packet already has a
/// sequence number.
fn bind(group: u16, config: &NflogConfig) -> Request {
    let mut mode = config.copy_range.to_be_bytes().to_vec();
    mode.extend([COPY_PACKET, 0]);
    let flags = if config.conntrack { CFG_F_SEQ | CFG_F_CONNTRACK } else { CFG_F_SEQ };
    configuration(
        group,
        vec![
            Attribute::Value(CFG_CMD, vec![LogCmd::Bind.into()]),
            Attribute::Value(CFG_MODE, mode),
            Attribute::u32(CFG_NLBUFSIZ, config.kernel_buffer),
            Attribute::u32(CFG_TIMEOUT, ticks(config.queue_timeout)),
            Attribute::u32(CFG_QTHRESH, config.queue_threshold),
            Attribute::u16(CFG_FLAGS, flags),
        ],
    )
}

fn unbind(group: u16) -> Request {
    configuration(group, vec![Attribute::Value(CFG_CMD, vec![LogCmd::Unbind.into()])])
}

fn configuration(group: u16, attributes: Vec<Attribute>) -> Request {
    Request { kind: CONFIG, flags: NlmF::ACK, family: NFPROTO_UNSPEC, resource: group, attributes }
}

/// The timeout in the kernel's unit of 10 ms, rounded up: 0 would disable batching.
fn ticks(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis().div_ceil(10)).unwrap_or(u32::MAX)
}

/// Sequence number of the bind request.
const BIND: u32 = 1;
/// Maximum number of datagrams kept until the bind is acknowledged, which takes microseconds.
const MAX_EARLY: usize = 64;
/// `NFPROTO_UNSPEC`, `linux/netfilter.h`: a group receives packets of every family.
const NFPROTO_UNSPEC: u8 = 0;
/// `NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG`.
const CONFIG: u16 = 4 << 8 | 1;

// `enum nfulnl_attr_config`, `linux/netfilter/nfnetlink_log.h`.
const CFG_CMD: u16 = 1;
const CFG_MODE: u16 = 2;
const CFG_NLBUFSIZ: u16 = 3;
const CFG_TIMEOUT: u16 = 4;
const CFG_QTHRESH: u16 = 5;
const CFG_FLAGS: u16 = 6;
/// `NFULNL_COPY_PACKET`
const COPY_PACKET: u8 = 2;
/// `NFULNL_CFG_F_SEQ`: number the packets of the group.
const CFG_F_SEQ: u16 = 1;
/// `NFULNL_CFG_F_CONNTRACK`: add the connection of each packet.
const CFG_F_CONNTRACK: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_wrap_and_ignore_restarts() {
        let check = |expected, received, lost| assert_eq!(gap(expected, received), lost);
        check(0, 0, 0);
        check(0, 3, 3);
        check(u32::MAX, u32::MAX, 0);
        check(u32::MAX, 1, 2);
        check(5, 4, 0);
        check(5, 0, 0);
    }

    #[test]
    fn timeouts_round_up() {
        let check = |millis, expect| assert_eq!(ticks(Duration::from_millis(millis)), expect);
        check(0, 0);
        check(1, 1);
        check(100, 10);
        check(101, 11);
        check(u64::MAX, u32::MAX);
    }
}
