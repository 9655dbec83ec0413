//! Counts the events of a period in bounded memory.

mod ports_tried;
mod table;
mod timeline;

use std::{
    hash::BuildHasher as _,
    net::IpAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
};

use foldhash::quality::FixedState;

use self::ports_tried::Allowance;
pub(super) use self::{
    ports_tried::PortsTried,
    table::{Counts, Entry, Table},
    timeline::{Slots, Timeline},
};
use crate::{
    event::{Event, NameId},
    geoip::Country,
    metrics::{ABSENT, Dimension, HyperLogLog, port_reached},
    mirror::anonymize::Anonymizer,
    packet::{Addresses, DecodeIssue},
    pipeline::EventSink,
    system::lock::lock,
};

/// Sources with figures of their own.
pub(super) const MAX_SOURCES: usize = 200_000;

/// Networks, and pairs of protocol and port, with figures of their own.
pub(super) const MAX_VALUES: usize = 100_000;

/// Hosts whose ports are counted apart from those of other hosts with the same anonymized address.
pub(super) const MAX_HIDDEN_HOSTS: usize = 100_000;

/// Sources with an exact number of more than 63 ports.
const MAX_SCANNERS: usize = 1024;

/// Prefixes have a limit already, and there are fewer countries and protocols than this.
const NO_LIMIT: usize = usize::MAX;

/// The seed of the estimate of distinct sources. It is fixed, so that two reports on the same packets are the same.
const SEED: u64 = 0;

/// What is known of a source.
#[derive(Debug, Default)]
pub(super) struct SourceDetails {
    pub(super) country: Option<Country>,
    pub(super) ports: PortsTried,
}

/// The figures of a report. At most about 180 MB, whatever is counted.
#[derive(Debug)]
pub struct Tally {
    period: RangeInclusive<u64>,
    anonymizer: Anonymizer,
    /// All packets of the period.
    pub(super) total: Table<()>,
    /// Packets outside the period.
    pub(super) outside: u64,
    /// Rows of the period that represent more than one packet.
    pub(super) sampled: u64,
    /// By the number of [`DecodeIssue`].
    pub(super) undecoded: [u64; DecodeIssue::ALL.len()],
    pub(super) timeline: Timeline,
    pub(super) countries: Table<u64>,
    pub(super) prefixes: Table<NameId>,
    pub(super) protocols: Table<u64>,
    /// By protocol and destination port.
    pub(super) ports: Table<(u8, u16)>,
    /// Packets without a port.
    pub(super) without_port: u64,
    pub(super) networks: Table<u64, Option<Country>>,
    pub(super) sources: Table<IpAddr, SourceDetails>,
    /// Sources by their true addresses, if an anonymized address can be that of several hosts: hosts that try one port
    /// each are no port scan. These addresses are not shown.
    pub(super) hidden_hosts: Option<HiddenHosts>,
    distinct_sources: Box<HyperLogLog>,
    allowance: Allowance,
    hasher: FixedState,
    /// The hosts whose packets count; `None` for all.
    hosts: Option<Vec<NameId>>,
}

/// Sources by their true addresses, and what is shown of them.
#[derive(Debug)]
pub(super) struct HiddenHosts {
    pub(super) table: Table<IpAddr, HiddenHost>,
    allowance: Allowance,
}

/// A source whose address is not shown.
#[derive(Debug, Default)]
pub(super) struct HiddenHost {
    /// The anonymized address.
    pub(super) shown: Option<IpAddr>,
    pub(super) source: SourceDetails,
}

impl Tally {
    /// Creates a tally of the packets with these times, in microseconds since 1970.
    #[must_use]
    pub fn new(period: RangeInclusive<u64>, anonymizer: Anonymizer) -> Self {
        let hidden_hosts = anonymizer.joins_addresses().then(|| HiddenHosts {
            table: Table::new(MAX_HIDDEN_HOSTS),
            allowance: Allowance(MAX_SCANNERS),
        });
        Self {
            period,
            anonymizer,
            total: Table::new(NO_LIMIT),
            outside: 0,
            sampled: 0,
            undecoded: [0; DecodeIssue::ALL.len()],
            timeline: Timeline::default(),
            countries: Table::new(NO_LIMIT),
            prefixes: Table::new(NO_LIMIT),
            protocols: Table::new(NO_LIMIT),
            ports: Table::new(MAX_VALUES),
            without_port: 0,
            networks: Table::new(MAX_VALUES),
            sources: Table::new(MAX_SOURCES),
            hidden_hosts,
            distinct_sources: Box::default(),
            allowance: Allowance(MAX_SCANNERS),
            hasher: FixedState::with_seed(SEED),
            hosts: None,
        }
    }

    /// The times of the packets that are counted.
    #[must_use]
    pub fn period(&self) -> RangeInclusive<u64> {
        self.period.clone()
    }

    /// Counts only packets that these hosts logged. The names are not evicted.
    pub fn only_hosts(&mut self, hosts: Vec<NameId>) {
        self.hosts = Some(hosts);
    }

    /// Counts an event that represents `weight` packets.
    pub fn add(&mut self, event: &Event, weight: u32) {
        if self.hosts.as_ref().is_some_and(|hosts| !hosts.contains(&event.host)) {
            return;
        }
        if !self.period.contains(&event.time) {
            self.outside = self.outside.saturating_add(weight.into());
            return;
        }
        let true_source = event.headers.addresses.map(Addresses::source);
        let event = &self.anonymized(event);
        let (packets, time) = (u64::from(weight), event.time);
        let bytes = packets * u64::from(event.headers.length);
        self.total.add((), packets, bytes, time);
        self.sampled += u64::from(weight > 1);
        if let Some(issue) = event.headers.issue {
            self.undecoded[issue as usize] += packets;
        }
        self.timeline.add(time / 1_000_000, packets);
        self.countries.add(event.place.country.to_bits(), packets, bytes, time);
        self.prefixes.add(event.prefix, packets, bytes, time);
        self.protocols.add(Dimension::Proto.value(event), packets, bytes, time);
        match (event.headers.protocol, event.headers.transport.ports()) {
            (Some(protocol), Some((_, port))) => {
                self.ports.add((protocol, port), packets, bytes, time);
            }
            _ => self.without_port += packets,
        }
        self.add_source(event, packets, bytes);
        if let Some(source) = true_source {
            self.add_hidden_host(source, event, packets, bytes);
        }
    }

    /// Counts the ports of a source by its true address. The event has the anonymized one.
    fn add_hidden_host(&mut self, source: IpAddr, event: &Event, packets: u64, bytes: u64) {
        let Some(HiddenHosts { table, allowance }) = &mut self.hidden_hosts else { return };
        let Some(port) = port_reached(event) else { return };
        let (host, _) = table.add(source, packets, bytes, event.time);
        host.shown = event.headers.addresses.map(Addresses::source);
        let country = (event.remote() == host.shown).then_some(event.place.country);
        host.source.country = host.source.country.or(country);
        host.source.ports.add(port, allowance);
    }

    fn add_source(&mut self, event: &Event, packets: u64, bytes: u64) {
        let Some(source) = event.headers.addresses.map(Addresses::source) else { return };
        // The country is that of the remote end, which is not the source of a packet that this host sent.
        let country = (event.remote() == Some(source)).then_some(event.place.country);
        let network = Dimension::Network.value(event);
        if network != ABSENT {
            let (known, _) = self.networks.add(network, packets, bytes, event.time);
            *known = known.or(country);
        }
        let (details, is_new) = self.sources.add(source, packets, bytes, event.time);
        details.country = details.country.or(country);
        if let Some(port) = port_reached(event) {
            details.ports.add(port, &mut self.allowance);
        }
        if is_new {
            self.distinct_sources.add(self.hasher.hash_one(source));
        }
    }

    /// The event with other addresses, as in anonymized rows.
    fn anonymized(&mut self, event: &Event) -> Event {
        let mut event = *event;
        let Some(addresses) = event.headers.addresses else { return event };
        let mut hide = |address| self.anonymizer.hide(address);
        let hidden = (hide(addresses.source()), hide(addresses.destination()));
        event.headers.addresses = Some(match hidden {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4 { source, destination },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6 { source, destination },
            // The IP version does not change.
            _ => addresses,
        });
        event
    }

    /// Number of distinct sources: exact while the table of sources is, otherwise an estimate.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rounded estimate"
    )]
    pub(super) fn source_count(&self) -> u64 {
        if self.sources.is_exact() {
            return self.sources.len() as u64;
        }
        self.distinct_sources.estimate().round() as u64
    }

    /// Whether the number of ports of a source is a lower bound.
    pub(super) fn may_lack_ports(&self, ports: &PortsTried) -> bool {
        self.allowance.0 == 0 && ports.is_full()
    }
}

impl HiddenHosts {
    /// Whether the number of ports of a host is a lower bound.
    pub(super) fn may_lack_ports(&self, ports: &PortsTried) -> bool {
        self.allowance.0 == 0 && ports.is_full()
    }
}

/// A tally that a reading thread fills.
#[derive(Clone, Debug)]
pub struct SharedTally(Arc<Mutex<Tally>>);

impl SharedTally {
    /// Shares a tally.
    #[must_use]
    pub fn new(tally: Tally) -> Self {
        Self(Arc::new(Mutex::new(tally)))
    }

    /// Runs a function on the tally.
    pub fn with<T>(&self, work: impl FnOnce(&mut Tally) -> T) -> T {
        work(&mut lock(&self.0))
    }
}

impl EventSink for SharedTally {
    fn take(&mut self, batch: &[Event]) {
        let mut tally = lock(&self.0);
        for event in batch {
            tally.add(event, 1);
        }
    }
}
