//! The report itself: the fields have their names in the JSON.

use serde::Serialize;

/// The version of the JSON. It changes when a field is removed or gets another meaning.
pub(super) const FORMAT: u32 = 1;

/// The figures of a period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of this format.
    pub format: u32,
    /// The period.
    pub period: Period,
    /// Number of packets.
    pub packets: u64,
    /// Bytes on the wire, from the IP header on.
    pub bytes: u64,
    /// Number of distinct source addresses.
    pub sources_seen: u64,
    /// Whether that number is an estimate, with a standard error of 2.3 %.
    pub sources_estimated: bool,
    /// Packets that were not decoded in full, by reason, without zeros.
    pub undecoded: Vec<Undecoded>,
    /// Packets over time.
    pub timeline: TimelineReport,
    /// Packets of each country.
    pub countries: List<CountryRow>,
    /// Packets of each protocol and destination port.
    pub ports: List<PortRow>,
    /// Packets of each log prefix.
    pub prefixes: List<NameRow>,
    /// Packets of each protocol.
    pub protocols: List<NameRow>,
    /// Packets of each source network.
    pub networks: List<NetworkRow>,
    /// Packets of each source.
    pub sources: List<SourceRow>,
    /// The sources that tried at least 16 ports, those with the most ports first.
    pub port_scans: List<SourceRow>,
    /// What was seen for the first time in the last 24 hours; `None` if the period is not longer.
    pub new: Option<New>,
    /// What the figures omit or estimate.
    pub notes: Vec<String>,
    /// Code and packets of every country, for the map.
    #[serde(skip)]
    pub map: Vec<(&'static str, u64)>,
}

/// The period of a report: times in RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Period {
    /// Requested start.
    pub since: Option<String>,
    /// Requested end, not included.
    pub until: Option<String>,
    /// Time of the first packet.
    pub first: Option<String>,
    /// Time of the last packet.
    pub last: Option<String>,
}

/// Packets that were not decoded in full.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Undecoded {
    /// As in the label `reason`.
    pub reason: &'static str,
    /// Number of packets.
    pub packets: u64,
}

/// Packets over time, in UTC.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimelineReport {
    /// Start of the first slot, RFC 3339; empty without packets.
    pub start: String,
    /// End of the last slot, RFC 3339; empty without packets.
    pub end: String,
    /// Length of a slot, seconds.
    pub slot_seconds: u64,
    /// Packets of each slot.
    pub packets: Vec<u64>,
}

/// The first rows of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct List<T> {
    /// At most as many rows as requested.
    pub rows: Vec<T>,
    /// Number of further values; a lower bound if the list is not exact.
    pub more: usize,
    /// Whether all figures of the list are exact. Otherwise those of rows with `missing` are lower bounds, and light
    /// values can be missing.
    pub exact: bool,
}

/// Numbers of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowCounts {
    /// Number of packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Maximum number of packets that `packets` lacks; 0 if the row is exact.
    pub missing: u64,
}

/// A country.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountryRow {
    /// As in the label `country`.
    pub country: &'static str,
    /// English name.
    pub name: &'static str,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: RowCounts,
}

/// A destination port of a protocol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortRow {
    /// As in the label `proto`.
    pub proto: String,
    /// Number of the port.
    pub port: u16,
    /// Usual service; may be empty.
    pub service: &'static str,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: RowCounts,
}

/// A prefix or a protocol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NameRow {
    /// Its text; a prefix may be empty.
    pub name: String,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: RowCounts,
}

/// A source network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkRow {
    /// As in the label `network`.
    pub network: String,
    /// Country of its first packet that this host did not send; empty without one.
    pub country: &'static str,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: RowCounts,
}

/// A source address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceRow {
    /// The address.
    pub source: String,
    /// Its country; empty if this host sent all of its packets.
    pub country: &'static str,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: RowCounts,
    /// Number of different destination ports of its packets, replies excluded.
    pub ports: u32,
    /// Whether that number is a lower bound.
    pub ports_at_least: bool,
    /// Time of its first packet, RFC 3339.
    pub first: String,
    /// Time of its last packet, RFC 3339.
    pub last: String,
}

/// What was first seen in the last 24 hours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct New {
    /// Start of these 24 hours, RFC 3339.
    pub since: String,
    /// Countries.
    pub countries: List<CountryRow>,
    /// Ports.
    pub ports: List<PortRow>,
    /// Sources.
    pub sources: List<SourceRow>,
}
