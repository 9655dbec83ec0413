//! Detection of port scans: a table of sources and the number of ports that each source reached recently.
//!
//! A source's seeded hash selects a bucket of eight entries. An entry stores its first port, because most sources
//! reach only one. From the second port on, it uses its 1,024 slots, one of which is selected by each port's hash
//! (linear counting: Whang, Vander-Zanden, Taylor 1990). Entries and slots store the number of minutes until they
//! expire, so the window slides: a port counts for ten full minutes and the current one. A slow scanner is counted
//! with the ports of that window.
//!
//! The error of the number of ports is at most two up to 50 ports. The standard error is 3 % up to 1,000 ports and 8 %
//! up to 5,000. The maximum is 7,098, which is shown for all higher numbers.
//!
//! A new source replaces an expired entry, otherwise the entry with the fewest ports and, among those, the one that was
//! seen least recently, but never one that is scanning. So a flood of spoofed sources with one packet each replaces
//! only its own entries. An entry seen in the current minute is replaced only one time in eight. Otherwise a scanner's
//! entry would be replaced in such a flood before it reaches a second port. A scanner that sends less than about one in
//! 100,000 of the packets can still be missed.

use std::{hash::BuildHasher, hint::black_box, net::IpAddr, time::Duration};

use foldhash::quality::FixedState;

use super::tags;
use crate::{
    event::{Event, NameId, UsedNames},
    packet::{Direction, Transport, protocol},
};

/// A source with at least this many ports counts as scanning.
pub const SCANNING_PORTS: u16 = 16;

const MINUTE: Duration = Duration::from_secs(60);

/// The window: ten full minutes and the current one.
const MINUTES: u8 = 11;

const BUCKET_BITS: u32 = 9;
const BUCKETS: usize = 1 << BUCKET_BITS;
const WAYS: usize = 8;

const SLOT_BITS: u32 = 10;
const SLOTS: usize = 1 << SLOT_BITS;

/// A new source replaces an entry seen in the current minute one time in this many.
const REPLACE_ONE_IN: u64 = 8;

/// TCP flags that no first packet of a connection carries.
const TCP_ACK: u8 = 0x10;
const TCP_RST: u8 = 0x04;

/// Ports below this one are the ports of services.
const FIRST_EPHEMERAL_PORT: u16 = 1024;

/// Port scans of one prefix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanFigures {
    /// The log prefix.
    pub prefix: NameId,
    /// Sources that reached at least 16 ports in the last 10 minutes.
    pub sources: u32,
    /// Maximum number of ports that one source reached in the last 10 minutes.
    pub most_ports: f64,
}

/// The destination port of a packet that can be part of a scan.
///
/// `None` for packets that this host sent and for replies: replies are sent to ephemeral ports, so a busy resolver or
/// web site would look like a scanner. A TCP packet is a reply if it has ACK or RST or if its flags are unknown. Any
/// other packet is a reply if it is sent from a port below 1024 to a port from 1024 on.
#[must_use]
pub fn port_reached(event: &Event) -> Option<u16> {
    if event.direction == Some(Direction::Out) {
        return None;
    }
    match event.headers.transport {
        Transport::Tcp { flags, destination, .. } => {
            (flags & (TCP_ACK | TCP_RST) == 0).then_some(destination)
        }
        Transport::Ports { source, destination } => {
            let is_reply = source < FIRST_EPHEMERAL_PORT && destination >= FIRST_EPHEMERAL_PORT;
            let is_truncated = event.headers.protocol == Some(protocol::TCP);
            (!is_reply && !is_truncated).then_some(destination)
        }
        Transport::None | Transport::Icmp { .. } => None,
    }
}

/// The recent sources and the number of ports of each. Fixed size: 4,096 sources, 4 MiB, of which only the used part
/// is resident.
#[derive(Debug)]
pub struct PortScans {
    buckets: Box<[Bucket]>,
    /// The slots of each entry: minutes until the slot expires, 0 if unused.
    slots: Box<[[u8; SLOTS]]>,
    displaced: u64,
    hasher: FixedState,
    /// State of a xorshift random number generator.
    random: u64,
    minute: u64,
    /// Empty memory for a batch.
    batch: Vec<Reached>,
}

/// A port that a source reached, on its way to an entry.
#[derive(Debug)]
struct Reached {
    prefix: NameId,
    port: u16,
    /// The index of the source's bucket.
    bucket: usize,
    tag: u32,
    /// The slot of the port in an entry.
    slot: usize,
}

/// Eight entries in parallel arrays. A packet of a known source needs the first of two cache lines.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    /// Part of the hash of prefix and source; 0 for an empty entry. Two sources of a bucket with the same tag count as
    /// one, with a probability below one in a hundred million.
    tags: [u32; WAYS],
    /// The number of slots in use; the port of an entry that does not use its slots.
    values: [u16; WAYS],
    /// Minutes until the entry expires; 0 for an empty entry.
    minutes: [u8; WAYS],
    /// Whether the entry uses its slots.
    uses_slots: [bool; WAYS],
    prefixes: [u16; WAYS],
}

impl Bucket {
    /// The number of ports of an entry, as a number of slots.
    #[inline]
    fn ports(&self, way: usize) -> u16 {
        if self.uses_slots[way] { self.values[way] } else { 1 }
    }
}

impl PortScans {
    /// Creates an empty table. `seed` must be unpredictable, so that an attacker cannot choose a bucket or a slot.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            buckets: vec![Bucket::default(); BUCKETS].into(),
            slots: vec![[0; SLOTS]; BUCKETS * WAYS].into(),
            displaced: 0,
            hasher: FixedState::with_seed(seed),
            random: seed | 1,
            minute: 0,
            batch: Vec::new(),
        }
    }

    /// Advances the time. Called before a batch is recorded and before figures are read.
    pub fn advance(&mut self, now: Duration) {
        let minute = now.as_secs() / MINUTE.as_secs();
        if minute <= self.minute {
            return;
        }
        let passed = u8::try_from(minute - self.minute).unwrap_or(u8::MAX);
        self.minute = minute;
        let entries = self.slots.chunks_exact_mut(WAYS);
        for (bucket, slots) in self.buckets.iter_mut().zip(entries) {
            for (way, slots) in slots.iter_mut().enumerate() {
                bucket.minutes[way] = bucket.minutes[way].saturating_sub(passed);
                if bucket.minutes[way] == 0 {
                    bucket.tags[way] = 0;
                } else if bucket.uses_slots[way] {
                    bucket.values[way] = age(slots, passed);
                }
            }
        }
    }

    /// Counts destination ports of sources, each with its prefix.
    ///
    /// What the table has for all of them is read first: the processor waits for the memory of many sources at a time.
    pub fn record(&mut self, reached: impl IntoIterator<Item = (NameId, IpAddr, u16)>) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        batch.extend(reached.into_iter().map(|(prefix, source, port)| {
            let (bucket, tag) = self.place(prefix, source);
            Reached { prefix, port, bucket, tag, slot: slot(&self.hasher, port) }
        }));
        // The results are used, so that the compiler does not leave out the reads. In two loops: a search would delay the
        // reads of the next buckets.
        black_box(batch.iter().fold(0, |touched, it| touched ^ self.buckets[it.bucket].tags[0]));
        black_box(batch.iter().fold(0, |touched, reached| touched ^ self.touch(reached)));
        for reached in &batch {
            self.count(reached);
        }
        self.batch = batch;
    }

    /// Reads what [`Self::count`] reads, and returns a part of it.
    #[inline]
    fn touch(&self, reached: &Reached) -> u8 {
        let bucket = &self.buckets[reached.bucket];
        let way = tags::find(&bucket.tags, reached.tag).unwrap_or(0);
        // The slots of most sources are not used: of these, the same slot is read, which is in a cache.
        let used = usize::from(bucket.uses_slots[way]);
        self.slots[(reached.bucket * WAYS + way) * used][reached.slot * used]
    }

    #[inline]
    fn count(&mut self, reached: &Reached) {
        let &Reached { prefix, port, bucket: bucket_index, tag, slot: slot_index } = reached;
        let bucket = &mut self.buckets[bucket_index];
        let Some(way) = tags::find(&bucket.tags, tag) else {
            return self.admit(bucket_index, tag, prefix, port);
        };
        let last = std::mem::replace(&mut bucket.minutes[way], MINUTES);
        if !bucket.uses_slots[way] && bucket.values[way] == port {
            return;
        }
        let slots = &mut self.slots[bucket_index * WAYS + way];
        if !bucket.uses_slots[way] {
            *slots = [0; SLOTS];
            slots[slot(&self.hasher, bucket.values[way])] = last;
            bucket.values[way] = 1;
            bucket.uses_slots[way] = true;
        }
        bucket.values[way] += u16::from(slots[slot_index] == 0);
        slots[slot_index] = MINUTES;
    }

    /// The bucket of a source, and its tag there.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the tag is part of the hash")]
    fn place(&self, prefix: NameId, source: IpAddr) -> (usize, u32) {
        let hash = match source {
            IpAddr::V4(source) => self.hasher.hash_one((prefix.index(), source.to_bits())),
            IpAddr::V6(source) => self.hasher.hash_one((prefix.index(), source.to_bits())),
        };
        ((hash >> (u64::BITS - BUCKET_BITS)) as usize, hash as u32 | 1)
    }

    /// Marks the prefixes of all entries that have not expired.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for bucket in &self.buckets {
            for way in (0..WAYS).filter(|&way| bucket.minutes[way] > 0) {
                used.mark(NameId::from_index(bucket.prefixes[way]));
            }
        }
    }

    /// The port scans of each of these prefixes.
    #[must_use]
    pub fn figures(&self, prefixes: impl Iterator<Item = NameId>) -> Vec<ScanFigures> {
        let mut figures: Vec<_> =
            prefixes.map(|prefix| ScanFigures { prefix, sources: 0, most_ports: 0.0 }).collect();
        let longest = figures.iter().map(|of| usize::from(of.prefix.index()) + 1).max();
        let mut totals = vec![(0, 0); longest.unwrap_or(0)];
        for bucket in &self.buckets {
            for way in (0..WAYS).filter(|&way| bucket.minutes[way] > 0) {
                let ports = bucket.ports(way);
                if let Some((sources, most)) = totals.get_mut(usize::from(bucket.prefixes[way])) {
                    *sources += u32::from(ports >= SCANNING_PORTS);
                    *most = ports.max(*most);
                }
            }
        }
        for of in &mut figures {
            let (sources, most) = totals[usize::from(of.prefix.index())];
            of.sources = sources;
            of.most_ports = ports(most).round();
        }
        figures
    }

    /// Number of sources that were evicted, or not added because the table was full.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Adds a source that has no entry yet, if one can be replaced.
    #[expect(clippy::cast_possible_truncation, reason = "each part has its bits")]
    fn admit(&mut self, bucket_index: usize, tag: u32, prefix: NameId, port: u16) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let bucket = &mut self.buckets[bucket_index];
        let keeps = !(self.random >> 32).is_multiple_of(REPLACE_ONE_IN);
        if keeps && bucket.minutes == [MINUTES; WAYS] {
            // Most packets of a flood, without a search for the lightest.
            self.displaced += 1;
            return;
        }
        let first = (self.random % WAYS as u64) as usize;
        // The one with the fewest ports; of these, the one that was seen least recently; of these, the next one after a
        // random one: otherwise the same entry would be replaced every time. A minimum of numbers needs no branches.
        let mut lightest = u32::MAX;
        for way in 0..WAYS {
            let minutes = bucket.minutes[way];
            let ports = if minutes == 0 { 0 } else { bucket.ports(way) };
            let distance = way.wrapping_sub(first) % WAYS;
            lightest =
                lightest.min(u32::from(ports) << 16 | u32::from(minutes) << 8 | distance as u32);
        }
        let way = (first + lightest as usize) % WAYS;
        let (ports, minutes) = ((lightest >> 16) as u16, (lightest >> 8) as u8);
        if minutes > 0 {
            self.displaced += 1;
            if ports >= SCANNING_PORTS || (keeps && minutes == MINUTES) {
                return;
            }
        }
        bucket.tags[way] = tag;
        bucket.values[way] = port;
        bucket.prefixes[way] = prefix.index();
        bucket.minutes[way] = MINUTES;
        bucket.uses_slots[way] = false;
    }
}

/// The slot of a port.
fn slot(hasher: &FixedState, port: u16) -> usize {
    // Ten bits, so the cast is lossless.
    (hasher.hash_one(port) >> (u64::BITS - SLOT_BITS)) as usize
}

/// Expires the slots of an entry; returns the number of slots left.
fn age(slots: &mut [u8; SLOTS], passed: u8) -> u16 {
    // So few slots that their number has 8 bits like them: the compiler then handles a whole vector at a time.
    let parts = slots.chunks_exact_mut(SLOTS / 8).map(|part| {
        let mut left = 0;
        for slot in part {
            *slot = slot.saturating_sub(passed);
            left += u8::from(*slot > 0);
        }
        u16::from(left)
    });
    parts.sum()
}

/// Estimates the number of ports from the number of slots in use.
fn ports(slots: u16) -> f64 {
    let all = f64::from(1_u32 << SLOT_BITS);
    // Without a free slot the estimate would be infinite.
    let free = (all - f64::from(slots)).max(1.0);
    all * (all / free).ln()
}

#[cfg(test)]
mod tests;
