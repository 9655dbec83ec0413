//! The kernel's packet log: NFLOG groups over netlink.

mod devices;
mod message;
mod metrics;
mod refusal;
mod socket;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

pub(in crate::source) use message::PAYLOAD;
pub use message::{Malformed, Packet, Walked, walk};
pub use metrics::GroupMetrics;
pub use refusal::{Holder, NflogError, has_net_admin, holder};
pub use socket::{GroupMeter, receive_buffer_for};

use super::{ReadOutcome, Record, Source};
use crate::netlink::MAX_DATAGRAM;
use devices::Devices;
use socket::Group;

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct NflogPlan {
    /// Groups to read; each has one reader on a host.
    pub groups: Vec<u16>,
    /// Bytes of each packet the kernel copies, from the IP header on; a rule's `snaplen` can only
    /// lower it. The kernel takes 0 for all there is.
    pub copy_range: u32,
    /// Packets the kernel gathers into one datagram; a rule's `queue-threshold` can only lower it.
    pub queue_threshold: u32,
    /// Longest time the kernel holds a packet back to gather more; told to it in steps of 10 ms.
    pub queue_timeout: Duration,
    /// Bytes of a datagram (`nlbufsiz`), at most 131072.
    pub kernel_buffer: u32,
    /// Bytes of datagrams that may wait to be read, for each group.
    pub receive_buffer: usize,
}

/// The packets of some NFLOG groups, as a [`Source`].
///
/// Belongs to the network namespace of the thread that opened it. Receiving needs no privilege.
pub struct Nflog {
    groups: Vec<Reader>,
    devices: Devices,
    buffer: Box<[u8]>,
    queue_timeout: Duration,
    /// The group whose turn it is.
    turn: usize,
}

struct Reader {
    group: Group,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Packets come.
    Open,
    /// No more should be logged; at this time the kernel holds nothing of it back any more.
    Closing(Instant),
    /// Everything was read.
    Closed,
}

impl Nflog {
    /// Binds every group of the plan. Packets wait in the kernel from here on.
    ///
    /// # Errors
    /// The first group that cannot be had, and why; none is held then.
    pub fn open(plan: &NflogPlan) -> Result<Self, NflogError> {
        let &first = plan.groups.first().ok_or(NflogError::NoGroup)?;
        let devices = Devices::open().map_err(|cause| NflogError::Io {
            group: first,
            doing: "open a socket for news of devices",
            cause,
        })?;
        let reader = |group: &u16| {
            Group::open(*group, plan).map(|group| Reader { group, state: State::Open })
        };
        Ok(Self {
            groups: plan.groups.iter().map(reader).collect::<Result<_, _>>()?,
            devices,
            buffer: vec![0; MAX_DATAGRAM].into(),
            queue_timeout: plan.queue_timeout,
            turn: 0,
        })
    }

    /// The meters of the groups, in the plan's order.
    #[must_use]
    pub fn meters(&self) -> Vec<Arc<GroupMeter>> {
        self.groups.iter().map(|reader| Arc::clone(reader.group.meter())).collect()
    }

    /// Waits until a datagram or news of devices is there. Returns the group to read, in turns.
    fn wait(&mut self, patience: Duration) -> rustix::io::Result<Option<usize>> {
        let count = self.groups.len();
        let turns = (0..count).map(|step| (self.turn + step) % count);
        let open = |index: &usize| !matches!(self.groups[*index].state, State::Closed);
        let turns: Vec<usize> = turns.filter(open).collect();
        if let Some(&index) = turns.iter().find(|index| self.groups[**index].group.has_early()) {
            return Ok(Some(index));
        }
        let patience =
            turns.iter().fold(patience, |patience, index| match self.groups[*index].state {
                State::Closing(until) => {
                    patience.min(until.saturating_duration_since(Instant::now()))
                }
                State::Open | State::Closed => patience,
            });
        let sockets = turns.iter().map(|index| self.groups[*index].group.socket());
        let mut polled: Vec<_> = std::iter::once(self.devices.socket())
            .chain(sockets)
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        // Longer than the kernel can count is for ever.
        poll(&mut polled, Timespec::try_from(patience).ok().as_ref())?;
        let ready: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        if ready[0] {
            self.devices.refresh(&mut self.buffer);
        }
        Ok(turns.into_iter().zip(&ready[1..]).find_map(|(index, ready)| ready.then_some(index)))
    }

    /// Reads one datagram of a group.
    fn read(
        &mut self,
        index: usize,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        self.turn = (index + 1) % self.groups.len();
        let devices = &mut self.devices;
        let reader = &mut self.groups[index];
        let walked = reader.group.read(&mut self.buffer, |packet| {
            let (in_device, out_device) = packet.device_indexes();
            let (in_device, out_device) = devices.names(in_device, out_device);
            take(&packet.record(in_device, out_device));
        })?;
        let Some(walked) = walked else { return Ok(ReadOutcome::Idle) };
        // Unbound, or refused late enough: answers queue up behind the packets, so that was all.
        if let Some((request, error)) = walked.answer
            && (error == 0 || request == MARKER)
        {
            reader.state = State::Closed;
            reader.group.read_drops();
        }
        Ok(if walked.packets > 0 { ReadOutcome::Batch } else { ReadOutcome::Idle })
    }

    /// Sends the groups whose time is over a request that marks the end of what is to be read.
    fn mark_ends(&mut self) {
        let now = Instant::now();
        for reader in &mut self.groups {
            if matches!(reader.state, State::Closing(until) if until <= now) {
                // Once more if the answer finds no room.
                reader.state = State::Closing(now + GRACE);
                if reader.group.unbind(MARKER).is_err() {
                    reader.state = State::Closed;
                }
            }
        }
    }
}

impl Source for Nflog {
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        if self.groups.iter().all(|reader| matches!(reader.state, State::Closed)) {
            return Ok(ReadOutcome::End);
        }
        self.mark_ends();
        match self.wait(patience) {
            Ok(Some(index)) => self.read(index, take),
            Ok(None) => {
                self.groups.iter_mut().for_each(|reader| reader.group.read_drops());
                Ok(ReadOutcome::Idle)
            }
            Err(Errno::INTR) => Ok(ReadOutcome::Idle),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Asks the kernel to log no more; what it logged so far can still be read, then comes the end.
    ///
    /// That takes `CAP_NET_ADMIN`. Without it packets keep coming, and the end comes when those
    /// that the kernel held back at this moment must have come, by the plan's `queue_timeout`.
    fn close(&mut self) {
        for reader in &mut self.groups {
            if matches!(reader.state, State::Open) {
                let until = Instant::now() + self.queue_timeout + GRACE;
                reader.state = State::Closing(until);
                // A refusal comes through the socket and is stepped over like any other message.
                if let Err(cause) = reader.group.unbind(UNBIND) {
                    tracing::warn!(group = reader.group.meter().group, %cause, "unbind failed");
                }
            }
        }
    }
}

/// Number of the request to log no more.
const UNBIND: u32 = 2;
/// Number of the request that marks the end where the first one was refused.
const MARKER: u32 = 3;
/// Added to the time the kernel may hold a packet back: a step of its clock, and a busy machine.
const GRACE: Duration = Duration::from_millis(100);
