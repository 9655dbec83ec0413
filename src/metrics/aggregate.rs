//! All counters of packets: the families, and what belongs to no family.

use std::time::Duration;

use super::{
    Dimension,
    family::Family,
    port_scans::{self, Scans},
    snapshot::Snapshot,
    source_counts::Sources,
};

use crate::{
    event::{Event, NameId, UsedNames},
    geoip::{Country, CountryId},
    packet::DecodeIssue,
};

/// Most labels a family can have.
pub const MAX_LABELS: usize = 8;

/// How often heavy hitters that were folded are looked for.
const BEAT: Duration = Duration::from_secs(60);

/// What the configuration says of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyPlan {
    /// `[a-z][a-z0-9_]*`; the metric names are `nflog_<name>_packets_total`, without the infix
    /// for `traffic`.
    pub name: String,
    /// Most important first, 1 to [`MAX_LABELS`], no duplicates.
    pub labels: Vec<Dimension>,
    /// Hard budget of label sets, at least 1.
    pub max_series: usize,
    /// Most label sets that may be born in any hour, at least 1.
    pub max_new_series_per_hour: usize,
    /// How long a new series stays at zero after its first scrape.
    pub newborn_hold: Duration,
}

/// All families and what belongs to no family. One writer, behind one lock.
///
/// Time is told by the caller and never goes back: a clock that began at the start of the program,
/// or the times of a capture's packets.
#[derive(Debug)]
pub struct Aggregate {
    families: Vec<Family>,
    seed: u64,
    received: Vec<(u16, u64)>,
    undecoded: [u64; DecodeIssue::ALL.len()],
    sources: Sources,
    scans: Scans,
    /// By [`CountryId::index`].
    countries: [bool; CountryId::COUNT],
    generation: u64,
    next_beat: Duration,
}

impl Aggregate {
    /// Starts with these families, and with a zero for each of these NFLOG groups. `seed` should
    /// be unpredictable where the packets are not your own.
    #[must_use]
    pub fn new(plans: &[FamilyPlan], groups: &[u16], seed: u64, now: Duration) -> Self {
        let mut received: Vec<_> = groups.iter().map(|&group| (group, 0)).collect();
        received.sort_unstable();
        Self {
            families: plans.iter().map(|plan| Family::new(plan, seed, 0, 0, now)).collect(),
            seed,
            received,
            undecoded: [0; DecodeIssue::ALL.len()],
            sources: Sources::new(seed),
            scans: Scans::new(seed),
            countries: [false; CountryId::COUNT],
            generation: 0,
            next_beat: now + BEAT,
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
            if let Some(addresses) = event.headers.addresses {
                let prefix = self.sources.record(event.prefix, addresses.source());
                if let Some(port) = port_scans::port_reached(event) {
                    self.scans.record(prefix, addresses.source(), port);
                }
            }
            for family in &mut self.families {
                family.record(event, now);
            }
        }
    }

    /// Moves the slow clock on; called now and then when nothing comes in.
    pub fn advance(&mut self, now: Duration) {
        self.sources.advance(now);
        self.scans.advance(now);
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + BEAT;
        for family in &mut self.families {
            family.beat(now);
        }
    }

    /// Whether a label of a family is the name of a device.
    #[must_use]
    pub fn has_devices(&self) -> bool {
        self.families.iter().any(Family::has_devices)
    }

    /// Marks every name that something here refers to. Only [`Self::record`] adds one.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for family in &self.families {
            family.mark_names(used);
        }
        self.sources.mark_names(used);
        self.scans.mark_names(used);
    }

    /// Packets received of all groups.
    #[must_use]
    pub fn received_packets(&self) -> u64 {
        self.received.iter().map(|(_, packets)| packets).sum()
    }

    /// Packets that could not be read in full.
    #[must_use]
    pub fn undecoded_packets(&self) -> u64 {
        self.undecoded.iter().sum()
    }

    /// Estimated distinct source addresses of the last 10 minutes: of all packets, and by prefix.
    pub fn source_addresses(&mut self, now: Duration) -> (f64, Vec<(NameId, f64)>) {
        self.advance(now);
        self.sources.estimates()
    }

    /// Everything as it stands, for one scrape.
    pub fn snapshot(&mut self, now: Duration) -> Snapshot {
        self.advance(now);
        self.generation += 1;
        let generation = self.generation;
        let (_, source_addresses) = self.sources.estimates();
        let scans = self.scans.figures(source_addresses.iter().map(|&(prefix, _)| prefix));
        Snapshot {
            generation,
            received: self.received.clone(),
            undecoded: self.undecoded,
            families: self
                .families
                .iter_mut()
                .map(|family| family.snapshot(generation, now))
                .collect(),
            source_addresses,
            source_addresses_folded_packets: self.sources.folded_packets(),
            scans,
            scan_displaced_sources: self.scans.displaced(),
            countries: CountryId::all().filter(|id| self.countries[id.index()]).collect(),
        }
    }

    /// The scrape of this snapshot was delivered: series shown at zero may show their count, and
    /// retiring ones may go.
    pub fn delivered(&mut self, generation: u64, now: Duration) {
        for family in &mut self.families {
            family.delivered(generation, now);
        }
    }

    /// Shows every count at once from now on: for a single report that nobody adds up over time.
    pub fn show_at_once(&mut self) {
        for family in &mut self.families {
            family.show_at_once();
        }
    }

    /// Takes over other families. One with the same name and labels goes on counting under its new
    /// budgets; the others begin at zero.
    pub fn reconfigure(&mut self, plans: &[FamilyPlan], now: Duration) {
        let mut old = std::mem::take(&mut self.families);
        let missed = self.received_packets();
        for plan in plans {
            let kept = old.iter_mut().position(|family| family.adopt(plan, now));
            self.families.push(match kept {
                Some(place) => old.swap_remove(place),
                None => Family::new(plan, self.seed, missed, self.generation, now),
            });
        }
    }

    fn count_received(&mut self, group: u16) {
        // A capture can name any of 65,536 groups; there are no more.
        match self.received.binary_search_by_key(&group, |(known, _)| *known) {
            Ok(place) => self.received[place].1 += 1,
            Err(place) => self.received.insert(place, (group, 1)),
        }
    }
}

/// Lets a weight fade by an eighth: a half-life of about five beats.
pub(super) fn fade(weight: u32) -> u32 {
    weight - weight.div_ceil(8)
}
