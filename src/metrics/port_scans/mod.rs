//! Which sources reach for many ports: a table of sources and the ports that each reached of late.
//!
//! A source's seeded hash picks a bucket of eight entries. An entry keeps the one port most sources
//! ever reach; only a second one makes it use its 1,024 slots, of which each port's hash picks one
//! (linear counting: Whang, Vander-Zanden, Taylor 1990). A slot, like an entry, says for how many
//! minutes it still counts, so the window slides: a port counts for ten whole minutes and the
//! running one, and a slow scanner that goes on stays in view with the ports of the last ten.
//!
//! The number of ports is within a port or two up to 50, has a standard error of 3 % up to 1,000 and
//! 8 % up to 5,000, and never exceeds 7,098, which stands for any number above.
//!
//! A newcomer takes the place of an entry that ran out, else of the one with the fewest ports, of
//! these of the one not seen for longest, but never of one that is scanning. So what a flood of
//! made-up sources with a packet each displaces is itself. An entry that was seen in the running
//! minute makes way one time in eight only: otherwise no scanner would stay long enough in such a
//! flood to reach a second port. One that sends less than about one in 100,000 of the packets may
//! still be missed.

use std::{array, hash::BuildHasher, net::IpAddr, time::Duration};

use foldhash::quality::FixedState;

use crate::{
    event::{Event, NameId, UsedNames},
    packet::{Direction, Transport, protocol},
};

/// From this many ports on, a source counts as scanning.
const SCANNING_PORTS: u16 = 16;

const MINUTE: Duration = Duration::from_secs(60);

/// The window: ten whole minutes and the running one.
const MINUTES: u8 = 11;

const BUCKET_BITS: u32 = 9;
const BUCKETS: usize = 1 << BUCKET_BITS;
const WAYS: usize = 8;

const SLOT_BITS: u32 = 10;
const SLOTS: usize = 1 << SLOT_BITS;

/// A newcomer takes the place of one that was seen in the running minute one time in this many.
const RELUCTANCE: u64 = 8;

/// TCP flags that no first packet of a connection carries.
const TCP_ACK: u8 = 0x10;
const TCP_RST: u8 = 0x04;

/// Ports below are those of services.
const FIRST_PASSING_PORT: u16 = 1024;

/// What is known of the scans under one prefix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanFigures {
    /// The log prefix.
    pub prefix: NameId,
    /// Sources that reached at least 16 ports in the last 10 minutes.
    pub sources: u32,
    /// Most ports that one source reached in the last 10 minutes.
    pub most_ports: f64,
}

/// The port that a packet reaches for, if it can be part of a scan.
///
/// It can not if this host sent it, or if it answers a packet of this side: answers come to passing
/// ports, and a busy resolver or web site would look like a scanner. A TCP packet answers when it
/// carries ACK or RST (or when its flags are unknown), any other when it comes from a port below 1024
/// to one that is not.
pub fn port_reached(event: &Event) -> Option<u16> {
    if event.direction == Some(Direction::Out) {
        return None;
    }
    match event.headers.transport {
        Transport::Tcp { flags, destination, .. } => {
            (flags & (TCP_ACK | TCP_RST) == 0).then_some(destination)
        }
        Transport::Ports { source, destination } => {
            let answers = source < FIRST_PASSING_PORT && destination >= FIRST_PASSING_PORT;
            let cut = event.headers.protocol == Some(protocol::TCP);
            (!answers && !cut).then_some(destination)
        }
        Transport::None | Transport::Icmp { .. } => None,
    }
}

/// The sources of late, and how many ports each reached. Of fixed size: 4,096 sources, 4 MiB, of
/// which only what was used is resident.
#[derive(Debug)]
pub struct Scans {
    buckets: Box<[Bucket]>,
    /// The slots of each entry: for how many minutes each still counts.
    slots: Box<[[u8; SLOTS]]>,
    displaced: u64,
    hasher: FixedState,
    /// State of a small random number generator.
    dice: u64,
    minute: u64,
}

/// Entries side by side, so that a look-up touches two lines of the cache.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// Part of the hash of prefix and source. Two sources of a bucket with the same one count as
    /// one, once in some hundred million.
    tags: [u32; WAYS],
    /// Slots in use; 1 when only the first port is.
    ports: [u16; WAYS],
    first_ports: [u16; WAYS],
    prefixes: [u16; WAYS],
    /// For how many minutes the entry still counts; 0 marks an empty one.
    minutes: [u8; WAYS],
    /// Whether the entry's slots are in use.
    spread: [bool; WAYS],
}

impl Scans {
    /// Starts empty; `seed` keeps others from aiming at a bucket or a slot.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            buckets: vec![Bucket::default(); BUCKETS].into(),
            slots: vec![[0; SLOTS]; BUCKETS * WAYS].into(),
            displaced: 0,
            hasher: FixedState::with_seed(seed),
            dice: seed | 1,
            minute: 0,
        }
    }

    /// Tells the time; called before a batch is recorded and before figures are read.
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
                if bucket.spread[way] && bucket.minutes[way] > 0 {
                    bucket.ports[way] = age(slots, passed);
                }
            }
        }
    }

    /// Sees a source reach for a port.
    #[expect(clippy::cast_possible_truncation, reason = "the tag is a part of the hash")]
    pub fn record(&mut self, prefix: NameId, source: IpAddr, port: u16) {
        let hash = match source {
            IpAddr::V4(source) => self.hasher.hash_one((prefix.index(), source.to_bits())),
            IpAddr::V6(source) => self.hasher.hash_one((prefix.index(), source.to_bits())),
        };
        let place = (hash >> (u64::BITS - BUCKET_BITS)) as usize;
        let tag = hash as u32;
        let bucket = &mut self.buckets[place];
        let known = (0..WAYS).find(|&way| bucket.tags[way] == tag && bucket.minutes[way] > 0);
        let Some(way) = known else { return self.admit(place, tag, prefix, port) };
        let last = std::mem::replace(&mut bucket.minutes[way], MINUTES);
        if !bucket.spread[way] && bucket.first_ports[way] == port {
            return;
        }
        let slots = &mut self.slots[place * WAYS + way];
        if !bucket.spread[way] {
            *slots = [0; SLOTS];
            slots[slot(&self.hasher, bucket.first_ports[way])] = last;
            bucket.spread[way] = true;
        }
        let slot = &mut slots[slot(&self.hasher, port)];
        bucket.ports[way] += u16::from(*slot == 0);
        *slot = MINUTES;
    }

    /// Marks the prefixes of all entries that still count.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for bucket in &self.buckets {
            for way in (0..WAYS).filter(|&way| bucket.minutes[way] > 0) {
                used.mark(NameId::from_index(bucket.prefixes[way]));
            }
        }
    }

    /// What is known under each of these prefixes.
    #[must_use]
    pub fn figures(&self, prefixes: impl Iterator<Item = NameId>) -> Vec<ScanFigures> {
        let mut figures: Vec<_> =
            prefixes.map(|prefix| ScanFigures { prefix, sources: 0, most_ports: 0.0 }).collect();
        let longest = figures.iter().map(|of| usize::from(of.prefix.index()) + 1).max();
        let mut totals = vec![(0, 0); longest.unwrap_or(0)];
        for bucket in &self.buckets {
            for way in (0..WAYS).filter(|&way| bucket.minutes[way] > 0) {
                let ports = bucket.ports[way];
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

    /// How often a source gave its place to another, or found none.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Takes up a source that has no entry yet, if there is room.
    #[expect(clippy::cast_possible_truncation, reason = "a way's number fits")]
    fn admit(&mut self, place: usize, tag: u32, prefix: NameId, port: u16) {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let bucket = &mut self.buckets[place];
        // Among equals any: if it were always the same, the others would never move.
        let first = (self.dice % WAYS as u64) as usize;
        let worth = |way: usize| match bucket.minutes[way] {
            0 => (0, 0),
            minutes => (bucket.ports[way], minutes),
        };
        let ways: [usize; WAYS] = array::from_fn(|step| (first + step) % WAYS);
        let way = ways.into_iter().min_by_key(|&way| worth(way)).unwrap_or(0);
        let (ports, minutes) = worth(way);
        if minutes > 0 {
            self.displaced += 1;
            let reluctant = minutes == MINUTES && !(self.dice >> 32).is_multiple_of(RELUCTANCE);
            if ports >= SCANNING_PORTS || reluctant {
                return;
            }
        }
        bucket.tags[way] = tag;
        bucket.ports[way] = 1;
        bucket.first_ports[way] = port;
        bucket.prefixes[way] = prefix.index();
        bucket.minutes[way] = MINUTES;
        bucket.spread[way] = false;
    }
}

/// The slot of a port.
fn slot(hasher: &FixedState, port: u16) -> usize {
    // Ten bits, so it fits.
    (hasher.hash_one(port) >> (u64::BITS - SLOT_BITS)) as usize
}

/// Lets minutes pass over the slots of an entry; how many still count.
fn age(slots: &mut [u8; SLOTS], passed: u8) -> u16 {
    let mut left = 0;
    for slot in slots {
        *slot = slot.saturating_sub(passed);
        left += u16::from(*slot > 0);
    }
    left
}

/// Estimates how many ports there were for this many slots in use.
fn ports(slots: u16) -> f64 {
    let all = f64::from(1_u32 << SLOT_BITS);
    // If none is left the estimate would be endless.
    let free = (all - f64::from(slots)).max(1.0);
    all * (all / free).ln()
}

#[cfg(test)]
mod tests;
