//! The aggregate: all packet counters, in families and outside of them.

use std::{sync::Arc, time::Duration};

use super::{
    FamilyConfig,
    family::Family,
    port_scans::{self, PortScans, ScanFigures},
    snapshot::{Snapshot, SnapshotMemory},
    source_counts::SourceCounts,
};

use crate::{
    event::{Event, NameId, UsedNames},
    geoip::{Country, CountryId},
    packet::DecodeIssue,
};

/// Interval at which weights decay.
const TICK: Duration = Duration::from_secs(60);

/// All packet counters. One thread writes them, under one lock.
///
/// The caller passes the time, which must be monotonic: the time since the start of the program, or the timestamps
/// of a capture's packets.
#[derive(Debug)]
pub struct Aggregate {
    families: Vec<Family>,
    seed: u64,
    received: Vec<(u16, u64)>,
    undecoded: [u64; DecodeIssue::ALL.len()],
    sources: SourceCounts,
    scans: PortScans,
    /// By [`CountryId::index`].
    countries: [bool; CountryId::COUNT],
    generation: u64,
    next_tick: Duration,
}

impl Aggregate {
    /// Creates these families, and a counter at zero for each of these NFLOG groups. `seed` must be unpredictable if
    /// the packets can come from an attacker.
    #[must_use]
    pub fn new(families: &[FamilyConfig], groups: &[u16], seed: u64, now: Duration) -> Self {
        let mut received: Vec<_> = groups.iter().map(|&group| (group, 0)).collect();
        received.sort_unstable();
        Self {
            families: families.iter().map(|config| Family::new(config, seed, 0, 0, now)).collect(),
            seed,
            received,
            undecoded: [0; DecodeIssue::ALL.len()],
            sources: SourceCounts::new(seed),
            scans: PortScans::new(seed),
            countries: [false; CountryId::COUNT],
            generation: 0,
            next_tick: now + TICK,
        }
    }

    /// Counts a batch of packets in every family.
    pub fn record(&mut self, events: &[Event], now: Duration) {
        self.advance(now);
        for event in events {
            self.count_received(event.group);
            if let Some(issue) = event.headers.issue {
                self.undecoded[issue as usize] += 1;
            }
            if let Country::Known(id) = event.place.country {
                self.countries[id.index()] = true;
            }
        }
        self.scans.record(events.iter().filter_map(|event| {
            let source = event.headers.addresses?.source();
            let prefix = self.sources.record(event.prefix, source);
            Some((prefix, source, port_scans::port_reached(event)?))
        }));
        for family in &mut self.families {
            family.record(events, now);
        }
    }

    /// Advances the time. Also called while no packets arrive.
    pub fn advance(&mut self, now: Duration) {
        self.sources.advance(now);
        self.scans.advance(now);
        for family in &mut self.families {
            family.drop_due(now);
        }
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        for family in &mut self.families {
            family.tick(now);
        }
    }

    /// Whether a family has a label that is a device name.
    #[must_use]
    pub fn has_devices(&self) -> bool {
        self.families.iter().any(Family::has_devices)
    }

    /// Marks every name in use here. Only [`Self::record`] adds names.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for family in &self.families {
            family.mark_names(used);
        }
        self.sources.mark_names(used);
        self.scans.mark_names(used);
    }

    /// Packets received, of all groups.
    #[must_use]
    pub fn received_packets(&self) -> u64 {
        self.received.iter().map(|(_, packets)| packets).sum()
    }

    /// Packets that could not be decoded in full.
    #[must_use]
    pub fn undecoded_packets(&self) -> u64 {
        self.undecoded.iter().sum()
    }

    /// Estimated distinct source addresses of the last 10 minutes: of all packets, and by prefix.
    pub fn source_addresses(&mut self, now: Duration) -> (f64, Vec<(NameId, f64)>) {
        self.advance(now);
        self.sources.estimates()
    }

    /// The packets of each family, by its name, that were counted with a folded label; for each label.
    pub fn folded_packets(&self) -> impl Iterator<Item = (&Arc<str>, &[u64])> {
        self.families.iter().map(Family::folded_packets)
    }

    /// The port scans of the last 10 minutes, by prefix.
    pub fn scans(&mut self, now: Duration) -> Vec<ScanFigures> {
        let (_, prefixes) = self.source_addresses(now);
        self.scans.figures(prefixes.iter().map(|&(prefix, _)| prefix))
    }

    /// Number of series of each family, for [`SnapshotMemory::new`].
    #[must_use]
    pub fn series_counts(&self) -> Vec<usize> {
        self.families.iter().map(Family::series_count).collect()
    }

    /// Copies the current state for one scrape.
    pub fn snapshot(&mut self, now: Duration) -> Snapshot {
        self.snapshot_into(SnapshotMemory::default(), now)
    }

    /// Copies the current state into memory that was made before the lock was acquired.
    pub fn snapshot_into(&mut self, memory: SnapshotMemory, now: Duration) -> Snapshot {
        self.advance(now);
        self.generation += 1;
        let generation = self.generation;
        let (_, source_addresses) = self.sources.estimates();
        let scans = self.scans.figures(source_addresses.iter().map(|&(prefix, _)| prefix));
        // A reload can have added families meanwhile.
        let memory = memory.0.into_iter().chain(std::iter::repeat_with(Vec::new));
        Snapshot {
            generation,
            received: self.received.clone(),
            undecoded: self.undecoded,
            families: self
                .families
                .iter_mut()
                .zip(memory)
                .map(|(family, series)| family.snapshot(generation, now, series))
                .collect(),
            source_addresses,
            source_addresses_folded_packets: self.sources.folded_packets(),
            scans,
            scan_evicted_sources: self.scans.displaced(),
            countries: CountryId::all().filter(|id| self.countries[id.index()]).collect(),
        }
    }

    /// Called when the scrape of this snapshot was delivered: new series may now show their count, and retiring
    /// series may be dropped.
    pub fn delivered(&mut self, generation: u64, now: Duration) {
        for family in &mut self.families {
            family.delivered(generation, now);
        }
    }

    /// Shows every count at once: for a single report, which is not compared with later ones. Called before the first packet.
    pub fn show_at_once(&mut self) {
        for family in &mut self.families {
            family.show_at_once();
        }
    }

    /// Replaces the families. A family with the same name and labels keeps its counts under its new budgets; the
    /// others start at zero.
    pub fn reconfigure(&mut self, families: &[FamilyConfig], now: Duration) {
        let mut old = std::mem::take(&mut self.families);
        let missed = self.received_packets();
        for config in families {
            let kept = old.iter_mut().position(|family| family.adopt(config, now));
            self.families.push(match kept {
                Some(place) => old.swap_remove(place),
                None => Family::new(config, self.seed, missed, self.generation, now),
            });
        }
    }

    fn count_received(&mut self, group: u16) {
        // Bounded, because a group has 16 bits.
        match self.received.binary_search_by_key(&group, |(known, _)| *known) {
            Ok(place) => self.received[place].1 += 1,
            Err(place) => self.received.insert(place, (group, 1)),
        }
    }
}
