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
    NflogError, NflogPlan, Packet, Walked, message,
    refusal::{self, MAX_KERNEL_BUFFER},
};
use crate::netlink::{Attribute, Request, Socket};

/// What one group lost, and how much room it has. Written by the reader, read at every scrape.
#[derive(Debug, Default)]
pub struct GroupMeter {
    /// The group's number.
    pub group: u16,
    /// Packets the kernel logged and could not deliver: gaps in the group's running number. Exact,
    /// and told with the first packet behind the gap.
    pub lost_packets: AtomicU64,
    /// Datagrams, of many packets each, that found the receive buffer full.
    pub socket_drops: AtomicU64,
    /// Receive buffer the kernel gave, bytes; compares with what was asked for.
    pub receive_buffer_bytes: AtomicU64,
    /// Messages that could not be read.
    pub malformed_messages: AtomicU64,
    /// Datagrams longer than the read buffer, whose end is lost.
    pub truncated_datagrams: AtomicU64,
}

/// The receive buffer that the kernel would give a group's socket, bytes, when asked for so many.
///
/// # Errors
/// There is no such socket to be had.
pub fn receive_buffer_for(asked: usize) -> io::Result<usize> {
    Socket::open(NlFamily::Netfilter, 0)?.set_receive_buffer(asked)
}

/// A group this process reads.
pub(super) struct Group {
    socket: Socket,
    meter: Arc<GroupMeter>,
    /// Running number the next packet should have.
    expected: u32,
    /// The kernel's count of thrown away datagrams when last read.
    drops: u32,
    /// Datagrams that came before the kernel's answer to the bind.
    early: VecDeque<Vec<u8>>,
}

impl Group {
    /// Binds `group` to a socket of its own.
    pub(super) fn open(group: u16, plan: &NflogPlan) -> Result<Self, NflogError> {
        if plan.kernel_buffer > MAX_KERNEL_BUFFER {
            // The kernel would ignore it without a word.
            return Err(NflogError::KernelBuffer { asked: plan.kernel_buffer });
        }
        let socket =
            Socket::open(NlFamily::Netfilter, 0).map_err(|cause| refusal::of_bind(group, cause))?;
        let failed = |doing| move |cause| NflogError::Io { group, doing, cause };
        socket.go_on_after_overruns().map_err(failed("set NETLINK_NO_ENOBUFS"))?;
        let given = socket
            .set_receive_buffer(plan.receive_buffer)
            .map_err(failed("set the receive buffer"))?;
        if given < plan.receive_buffer {
            tracing::warn!(
                group,
                asked = plan.receive_buffer,
                given,
                "the kernel gave a smaller receive buffer: raise the sysctl net.core.rmem_max"
            );
        }
        let meter = GroupMeter {
            group,
            receive_buffer_bytes: AtomicU64::new(given as u64),
            ..GroupMeter::default()
        };
        let mut early = VecDeque::new();
        let bind = bind(group, plan).bytes(BIND).map_err(failed("write the bind request"))?;
        socket
            .ask(&bind, BIND, |datagram| {
                // What finds no room here shows as a gap.
                if early.len() < MAX_EARLY {
                    early.push_back(datagram.to_vec());
                }
            })
            .map_err(|refusal| refusal::of_bind(group, refusal.cause))?;
        Ok(Self { socket, meter: Arc::new(meter), expected: 0, drops: 0, early })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn meter(&self) -> &Arc<GroupMeter> {
        &self.meter
    }

    /// Whether a datagram waits outside of the socket's queue.
    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Asks the kernel to flush what it holds back for this group and to log no more of it. Its
    /// answer, to the request number `request`, comes behind the last packet.
    pub(super) fn unbind(&self, request: u32) -> io::Result<()> {
        self.socket.send(&unbind(self.meter.group).bytes(request)?)
    }

    /// Reads one datagram into `buffer` and hands its packets to `take`. `None`: nothing was there.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&Packet<'_>),
    ) -> io::Result<Option<Walked>> {
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
        let walked = message::walk(&buffer[..length.min(buffer.len())], |packet| {
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
        if walked.malformed > 0 {
            self.meter.malformed_messages.fetch_add(walked.malformed.into(), Relaxed);
        }
        Ok(Some(walked))
    }

    /// Brings the meter of the socket's own drops up to date.
    pub(super) fn read_drops(&mut self) {
        if let Ok(drops) = self.socket.drops() {
            // The kernel's count has 32 bits and wraps; ours goes on.
            let more = drops.wrapping_sub(self.drops);
            self.drops = drops;
            if more > 0 {
                self.meter.socket_drops.fetch_add(more.into(), Relaxed);
            }
        }
    }
}

/// Packets missing between the number that should come and the one that came. The numbers wrap; one
/// that went backwards is a new beginning.
fn gap(expected: u32, came: u32) -> u64 {
    let gap = came.wrapping_sub(expected);
    if gap < 1 << 31 { gap.into() } else { 0 }
}

/// Everything in one message, so that the first packet already has its number.
fn bind(group: u16, plan: &NflogPlan) -> Request {
    let mut mode = plan.copy_range.to_be_bytes().to_vec();
    mode.extend([COPY_PACKET, 0]);
    configuration(
        group,
        vec![
            Attribute::Value(CFG_CMD, vec![LogCmd::Bind.into()]),
            Attribute::Value(CFG_MODE, mode),
            Attribute::u32(CFG_NLBUFSIZ, plan.kernel_buffer),
            Attribute::u32(CFG_TIMEOUT, ticks(plan.queue_timeout)),
            Attribute::u32(CFG_QTHRESH, plan.queue_threshold),
            Attribute::u16(CFG_FLAGS, CFG_F_SEQ),
        ],
    )
}

fn unbind(group: u16) -> Request {
    configuration(group, vec![Attribute::Value(CFG_CMD, vec![LogCmd::Unbind.into()])])
}

fn configuration(group: u16, attributes: Vec<Attribute>) -> Request {
    Request { kind: CONFIG, flags: NlmF::ACK, family: NFPROTO_UNSPEC, resource: group, attributes }
}

/// The kernel's unit of the time-out, 10 ms, rounded up: a batch must not be sent at once because
/// the time was short.
fn ticks(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis().div_ceil(10)).unwrap_or(u32::MAX)
}

/// Number of the first request.
const BIND: u32 = 1;
/// Datagrams kept while the bind is answered, which takes microseconds.
const MAX_EARLY: usize = 64;
/// `NFPROTO_UNSPEC`, `linux/netfilter.h`: a group takes packets of every family.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_wrap_and_never_explode() {
        let check = |expected, came, lost| assert_eq!(gap(expected, came), lost);
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
