//! Makes a report of a tally: sorts, names and limits its figures, and says which are estimates.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    model::{
        CountryRow, FORMAT, List, NameRow, NetworkRow, New, Period, PortRow, Report, RowCounts,
        SourceRow, TimelineReport, Undecoded,
    },
    tally::{
        Counts, Entry, HiddenHosts, MAX_HIDDEN_HOSTS, MAX_SOURCES, MAX_VALUES, Slots,
        SourceDetails, Table, Tally,
    },
    utc::utc,
};
use crate::{
    event::{MAX_PREFIXES, Names},
    geoip::Country,
    metrics::{Dimension, SCANNING_PORTS},
    mirror::day::LATEST,
    packet::{DecodeIssue, protocol, service_name},
};

/// 24 hours in microseconds.
const DAY: u64 = 86_400_000_000;

impl Tally {
    /// The report, with at most `top` rows in each list. `names` is the table of the events' names.
    #[must_use]
    pub fn report(&self, top: usize, names: &Names) -> Report {
        let total = self.total.get(&()).map(|entry| entry.counts);
        let counts = total.unwrap_or_default();
        let Slots { seconds, start, packets } = self.timeline.slots();
        let slot_time = |slot: u64| {
            if packets.is_empty() {
                return String::new();
            }
            utc((start + slot * seconds).saturating_mul(1_000_000))
        };
        let reasons = DecodeIssue::ALL.into_iter().zip(self.undecoded);
        Report {
            format: FORMAT,
            period: self.period_of(total.map(|counts| (counts.first, counts.last))),
            packets: counts.packets,
            bytes: counts.bytes,
            sources_seen: self.source_count(),
            sources_estimated: !self.sources.is_exact(),
            undecoded: reasons
                .filter(|(_, packets)| *packets > 0)
                .map(|(issue, packets)| Undecoded { reason: issue.name(), packets })
                .collect(),
            timeline: TimelineReport {
                start: slot_time(0),
                end: slot_time(packets.len() as u64),
                slot_seconds: seconds,
                packets,
            },
            countries: heaviest(&self.countries, top, country_row),
            ports: heaviest(&self.ports, top, port_row),
            prefixes: heaviest(&self.prefixes, top, |id, entry| {
                name_row(names.text(id).to_string(), entry)
            }),
            protocols: heaviest(&self.protocols, top, |value, entry| {
                let name = Dimension::Proto.text(value, names);
                name_row(name.unwrap_or_default().into_owned(), entry)
            }),
            networks: heaviest(&self.networks, top, |value, entry| {
                let network =
                    Dimension::Network.text(value, names).unwrap_or_default().into_owned();
                let country = entry.details.map_or("", Country::code);
                NetworkRow { network, country, counts: row_counts(entry) }
            }),
            sources: heaviest(&self.sources, top, |source, entry| self.source_row(source, entry)),
            port_scans: self.port_scans(top),
            new: total.and_then(|counts| self.first_seen(top, counts.first, counts.last)),
            notes: self.notes(names),
            map: self
                .countries
                .top(usize::MAX, |_| true, |entry| entry.counts.packets)
                .into_iter()
                .map(|(bits, entry)| (Country::from_bits(bits).code(), entry.counts.packets))
                .collect(),
        }
    }

    fn period_of(&self, seen: Option<(u64, u64)>) -> Period {
        let (start, end) = self.period().into_inner();
        Period {
            since: (start > 0).then(|| utc(start)),
            until: (end < LATEST).then(|| utc(end + 1)),
            first: seen.map(|(first, _)| utc(first)),
            last: seen.map(|(_, last)| utc(last)),
        }
    }

    fn source_row(&self, source: IpAddr, entry: &Entry<SourceDetails>) -> SourceRow {
        source_row(source, entry.counts, &entry.details, self.may_lack_ports(&entry.details.ports))
    }

    fn port_scans(&self, top: usize) -> List<SourceRow> {
        if let Some(hosts) = &self.hidden_hosts {
            return hidden_port_scans(hosts, top);
        }
        let is_scan =
            |entry: &Entry<SourceDetails>| entry.details.ports.count() >= SCANNING_PORTS.into();
        let order =
            |entry: &Entry<SourceDetails>| (entry.details.ports.count(), entry.counts.packets);
        list(&self.sources, top, is_scan, order, |source, entry| self.source_row(source, entry))
    }

    /// What was first seen in the last 24 hours up to the end of the period, or up to the last packet.
    fn first_seen(&self, top: usize, first: u64, last: u64) -> Option<New> {
        let end = match *self.period().end() {
            LATEST.. => last,
            end => end + 1,
        };
        let since = end.checked_sub(DAY).filter(|since| first < *since)?;
        Some(New {
            since: utc(since),
            countries: newest(&self.countries, top, since, country_row),
            ports: newest(&self.ports, top, since, port_row),
            sources: newest(&self.sources, top, since, |source, entry| {
                self.source_row(source, entry)
            }),
        })
    }

    fn notes(&self, names: &Names) -> Vec<String> {
        let mut notes = Vec::new();
        if self.outside > 0 {
            notes.push(format!("{} packets are outside the period and not counted.", self.outside));
        }
        if self.sampled > 0 {
            notes.push(format!(
                "{} rows represent more than one packet each: packets and bytes are estimates, and the numbers of \
                 sources and ports are lower bounds.",
                self.sampled
            ));
        }
        let lists = [
            ("source addresses", self.sources.is_exact(), MAX_SOURCES),
            ("networks", self.networks.is_exact(), MAX_VALUES),
            ("ports", self.ports.is_exact(), MAX_VALUES),
            (
                "hosts behind the shown networks",
                self.hidden_hosts.as_ref().is_none_or(|hosts| hosts.table.is_exact()),
                MAX_HIDDEN_HOSTS,
            ),
        ];
        for (what, _, limit) in lists.into_iter().filter(|(_, is_exact, _)| !is_exact) {
            notes.push(format!(
                "There are more than {limit} different {what}: light ones can be missing, and numbers with ≥ are \
                 lower bounds."
            ));
        }
        if !self.sources.is_exact() {
            notes.push(
                "The number of sources is an estimate, with a standard error of 2.3 %.".to_owned(),
            );
        }
        if names.rejected() > 0 {
            notes.push(format!(
                "There are more than {MAX_PREFIXES} different prefixes: the packets of the others are counted as \
                 \"other\"."
            ));
        }
        notes
    }
}

fn source_row(
    source: IpAddr,
    counts: Counts,
    details: &SourceDetails,
    may_lack_ports: bool,
) -> SourceRow {
    SourceRow {
        source: source.to_string(),
        country: details.country.map_or("", Country::code),
        counts: counts_of(counts),
        ports: details.ports.count(),
        ports_at_least: counts.missing > 0 || may_lack_ports,
        first: utc(counts.first),
        last: utc(counts.last),
    }
}

/// The hosts that tried many ports, each with the network that is shown instead of its address.
fn hidden_port_scans(hosts: &HiddenHosts, top: usize) -> List<SourceRow> {
    list(
        &hosts.table,
        top,
        |host| host.details.source.ports.count() >= SCANNING_PORTS.into(),
        |host| (host.details.source.ports.count(), host.counts.packets),
        |_, host| {
            let source = &host.details.source;
            // Set with the first packet.
            let shown = host.details.shown.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            source_row(shown, host.counts, source, hosts.may_lack_ports(&source.ports))
        },
    )
}

fn row_counts<V>(entry: &Entry<V>) -> RowCounts {
    counts_of(entry.counts)
}

fn counts_of(counts: Counts) -> RowCounts {
    RowCounts { packets: counts.packets, bytes: counts.bytes, missing: counts.missing }
}

fn name_row<V>(name: String, entry: &Entry<V>) -> NameRow {
    NameRow { name, counts: row_counts(entry) }
}

fn country_row(bits: u64, entry: &Entry<()>) -> CountryRow {
    let country = Country::from_bits(bits);
    let name = match country {
        Country::Known(id) => id.info().name,
        Country::Private => "Private addresses",
        Country::Unknown => "Unknown to the database",
    };
    CountryRow { country: country.code(), name, counts: row_counts(entry) }
}

fn port_row((number, port): (u8, u16), entry: &Entry<()>) -> PortRow {
    let proto = protocol::name(number).into_owned();
    PortRow { proto, port, service: service_name(port), counts: row_counts(entry) }
}

/// The keys with the most packets.
fn heaviest<K: Copy + Eq + Hash + Ord, V: Default, T>(
    table: &Table<K, V>,
    top: usize,
    row: impl Fn(K, &Entry<V>) -> T,
) -> List<T> {
    list(table, top, |_| true, |entry| entry.counts.packets, row)
}

/// The keys that were certainly not seen before, with the most packets first.
fn newest<K: Copy + Eq + Hash + Ord, V: Default, T>(
    table: &Table<K, V>,
    top: usize,
    since: u64,
    row: impl Fn(K, &Entry<V>) -> T,
) -> List<T> {
    let is_new = |entry: &Entry<V>| entry.counts.first >= since && entry.counts.missing == 0;
    list(table, top, is_new, |entry| entry.counts.packets, row)
}

fn list<K: Copy + Eq + Hash + Ord, V: Default, T, O: Ord>(
    table: &Table<K, V>,
    top: usize,
    keep: impl Fn(&Entry<V>) -> bool,
    order: impl Fn(&Entry<V>) -> O,
    row: impl Fn(K, &Entry<V>) -> T,
) -> List<T> {
    let mut all = table.top(usize::MAX, keep, order);
    let more = all.len().saturating_sub(top);
    all.truncate(top);
    let rows = all.into_iter().map(|(key, entry)| row(key, entry)).collect();
    List { rows, more, exact: table.is_exact() }
}
