//! Reads NFLOG groups, the kernel's packet log, over netlink.

mod config;
mod devices;
mod error;
mod holder;
pub mod limits;
mod message;
mod metrics;
mod socket;

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::BorrowedFd,
    io::Errno,
};
use smallvec::SmallVec;

pub use config::NflogConfig;
pub use error::NflogError;
pub use holder::{GroupHolder, holder};
pub(in crate::source) use message::{CONNECTION, PAYLOAD, zone};
pub use message::{Malformed, Packet, Walk, WalkSummary, hardware_header, walk};
pub use metrics::GroupMetrics;
pub use socket::{GroupMeter, receive_buffer_for};

use super::{ReadOutcome, Record, Source};
use crate::netlink::MAX_DATAGRAM;
use devices::Devices;
use socket::Group;

/// A [`Source`] that reads the packets of NFLOG groups.
///
/// Belongs to the network namespace of the thread that opened it. Receiving needs no privilege.
pub struct Nflog {
    groups: Vec<GroupReader>,
    devices: Devices,
    buffer: Box<[u8]>,
    queue_timeout: Duration,
    /// Index of the group to read next: round robin.
    turn: usize,
}

struct GroupReader {
    group: Group,
    state: BindState,
}

#[derive(Clone, Copy)]
enum BindState {
    /// Bound, and read.
    Open,
    /// Unbinding; from this time on the kernel holds back no packet of the group.
    Closing(Instant),
    /// Every packet was read.
    Closed,
}

impl GroupReader {
    fn open(group: u16, config: &NflogConfig) -> Result<Self, NflogError> {
        Ok(Self { group: Group::open(group, config)?, state: BindState::Open })
    }
}

impl Nflog {
    /// Binds every group; from then on the kernel queues their packets.
    ///
    /// # Errors
    /// The first group that cannot be bound. No group stays bound then.
    pub fn open(config: &NflogConfig) -> Result<Self, NflogError> {
        let groups = config.groups.iter().map(|group| GroupReader::open(*group, config));
        Self::of(groups.collect::<Result<_, _>>()?, config)
    }

    /// Binds every group, and deals them onto at most this many sources, for as many threads.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_for_threads(config: &NflogConfig, threads: usize) -> Result<Vec<Self>, NflogError> {
        let mut parts: Vec<Vec<GroupReader>> = Vec::new();
        parts.resize_with(threads.clamp(1, config.groups.len().max(1)), Vec::new);
        let count = parts.len();
        for (index, group) in config.groups.iter().enumerate() {
            parts[index % count].push(GroupReader::open(*group, config)?);
        }
        parts.into_iter().map(|groups| Self::of(groups, config)).collect()
    }

    fn of(groups: Vec<GroupReader>, config: &NflogConfig) -> Result<Self, NflogError> {
        let first = groups.first().ok_or(NflogError::NoGroup)?.group.meter().group;
        let devices = Devices::open().map_err(|cause| NflogError::Io {
            group: first,
            doing: "open a socket for device events",
            cause,
        })?;
        Ok(Self {
            groups,
            devices,
            buffer: vec![0; MAX_DATAGRAM].into(),
            queue_timeout: config.queue_timeout,
            turn: 0,
        })
    }

    /// The meters of the groups, in the order of the configuration.
    #[must_use]
    pub fn meters(&self) -> Vec<Arc<GroupMeter>> {
        self.groups.iter().map(|reader| Arc::clone(reader.group.meter())).collect()
    }

    /// Waits for a datagram, a device event, or another readable descriptor. Returns the index of the group to read,
    /// round robin.
    fn wait(
        &mut self,
        timeout: Duration,
        wake: Option<BorrowedFd<'_>>,
    ) -> rustix::io::Result<Option<usize>> {
        let groups = &self.groups;
        let count = groups.len();
        let turns = (self.turn..self.turn + count)
            .map(|turn| turn % count)
            .filter(|index| !matches!(groups[*index].state, BindState::Closed));
        if let Some(index) = turns.clone().find(|index| groups[*index].group.has_early()) {
            return Ok(Some(index));
        }
        let timeout = turns.clone().fold(timeout, |timeout, index| match groups[index].state {
            BindState::Closing(until) => {
                timeout.min(until.saturating_duration_since(Instant::now()))
            }
            BindState::Open | BindState::Closed => timeout,
        });
        let sockets = turns.clone().map(|index| groups[index].group.socket());
        // Without the allocator, whose code is in no cache after a pause.
        let mut polled: SmallVec<[_; POLLED]> = iter::once(self.devices.socket())
            .chain(sockets)
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .chain(wake.map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN)))
            .collect();
        // A timeout that does not fit means none.
        poll(&mut polled, Timespec::try_from(timeout).ok().as_ref())?;
        let is_ready = |polled: &PollFd<'_>| !polled.revents().is_empty();
        let has_device_event = is_ready(&polled[0]);
        let ready = turns.zip(&polled[1..]).find_map(|(index, it)| is_ready(it).then_some(index));
        drop(polled);
        if has_device_event {
            self.devices.refresh(&mut self.buffer);
        }
        Ok(ready)
    }

    /// Reads one datagram of the group at `index`.
    fn read(
        &mut self,
        index: usize,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        self.turn = (index + 1) % self.groups.len();
        let devices = &mut self.devices;
        let reader = &mut self.groups[index];
        let summary = reader.group.read(&mut self.buffer, |packet| {
            let (in_device, out_device) = packet.device_indexes();
            let (in_device, out_device) = devices.names(in_device, out_device);
            take(&packet.record(in_device, out_device));
        })?;
        let Some(summary) = summary else { return Ok(ReadOutcome::Idle) };
        // Acknowledgements are queued after the packets, so no packet follows this one.
        if let Some((request, error)) = summary.acknowledgement
            && (error == 0 || request == MARKER)
        {
            reader.state = BindState::Closed;
            reader.group.read_drops();
        }
        Ok(if summary.packets > 0 { ReadOutcome::Batch } else { ReadOutcome::Idle })
    }

    /// Sends a second unbind request for each group past its deadline; its acknowledgement marks the end of
    /// the group's packets.
    fn mark_ends(&mut self) {
        let now = Instant::now();
        for reader in &mut self.groups {
            if matches!(reader.state, BindState::Closing(until) if until <= now) {
                // Repeated later if the acknowledgement is dropped because the receive buffer is full.
                reader.state = BindState::Closing(now + GRACE);
                if reader.group.unbind(MARKER).is_err() {
                    reader.state = BindState::Closed;
                }
            }
        }
    }
}

impl Nflog {
    /// As [`Source::fill`], but does not wait longer once `wake` is readable.
    pub(super) fn fill_or_wake(
        &mut self,
        timeout: Duration,
        wake: Option<BorrowedFd<'_>>,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        if self.groups.iter().all(|reader| matches!(reader.state, BindState::Closed)) {
            return Ok(ReadOutcome::End);
        }
        self.mark_ends();
        match self.wait(timeout, wake) {
            Ok(Some(index)) => self.read(index, take),
            Ok(None) => {
                self.groups.iter_mut().for_each(|reader| reader.group.read_drops());
                Ok(ReadOutcome::Idle)
            }
            Err(Errno::INTR) => Ok(ReadOutcome::Idle),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl Source for Nflog {
    fn fill(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        self.fill_or_wake(timeout, None, take)
    }

    /// Unbinds the groups. Packets logged before can still be read; then [`Source::fill`] returns the end.
    ///
    /// Unbinding needs `CAP_NET_ADMIN`. Without it, packets keep arriving, and the end is reached once the
    /// kernel must have delivered the packets it holds back now: after `queue_timeout`.
    fn close(&mut self) {
        for reader in &mut self.groups {
            if matches!(reader.state, BindState::Open) {
                let until = Instant::now() + self.queue_timeout + GRACE;
                reader.state = BindState::Closing(until);
                // A rejected request is reported through the socket, where `read` skips it.
                if let Err(cause) = reader.group.unbind(UNBIND) {
                    tracing::warn!(group = reader.group.meter().group, %cause, "unbind failed");
                }
            }
        }
    }
}

/// Descriptors that are polled without memory of the allocator: those of a few groups.
const POLLED: usize = 8;
/// Sequence number of the unbind request.
const UNBIND: u32 = 2;
/// Sequence number of the request that marks the end of a group's packets if the first one was rejected.
const MARKER: u32 = 3;
/// Added to the time for which the kernel may hold a packet back: one tick of its clock, and scheduling delay.
const GRACE: Duration = Duration::from_millis(100);
