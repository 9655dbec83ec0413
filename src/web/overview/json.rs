//! The JSON of the overview: the fields have their names in the JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::drilldown::DrilldownState;
use crate::{
    conditions::{Alert, Condition, Severity, Unit},
    geoip::DatabaseStatus,
    history::Range,
    metrics::Dimension,
    mirror::Queue,
    recent::{Count, Span, WindowMode},
    source::nflog::GroupMeter,
};

/// The whole document.
#[derive(Serialize)]
pub(super) struct Overview<'a> {
    pub(super) version: &'static str,
    /// Seconds since 1970-01-01 UTC.
    pub(super) time: f64,
    pub(super) telemetry_path: &'a str,
    pub(super) window: WindowInfo,
    pub(super) now: CurrentRate,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) undecoded: u64,
    pub(super) filter: BTreeMap<&'static str, &'a str>,
    pub(super) total: Total,
    pub(super) timeline: Vec<u64>,
    pub(super) countries: Vec<CountryRow>,
    pub(super) ports: TopList,
    pub(super) prefixes: TopList,
    pub(super) protocols: TopList,
    pub(super) networks: TopList,
    pub(super) places: CityList,
    /// Estimated distinct sources of the last 10 minutes, and by prefix.
    pub(super) source_addresses: f64,
    pub(super) sources: Vec<PrefixSources>,
    pub(super) groups: Vec<GroupFigures>,
    pub(super) mirror: Option<MirrorState>,
    pub(super) drilldown: DrilldownState,
    pub(super) databases: Vec<DatabaseInfo>,
    /// Unusual conditions, the most urgent first.
    pub(super) conditions: Vec<ConditionRow>,
    pub(super) health: Option<String>,
}

#[derive(Serialize)]
pub(super) struct WindowInfo {
    seconds: u64,
    slices: usize,
    /// Seconds since the start of the last slice.
    running: f64,
    capture: bool,
    /// The range of time, and the time from which on the exporter has all packets, seconds since 1970-01-01 UTC; not for a
    /// recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

impl WindowInfo {
    pub(super) fn new(span: &Span, range: Option<(Range, u64)>) -> Self {
        Self {
            range: range.map(|(range, _)| range.name()),
            since: range.map(|(_, since)| since),
            seconds: span.width.as_secs() * span.length as u64,
            slices: span.length,
            running: span.running.as_secs_f64(),
            capture: span.mode == WindowMode::Capture,
        }
    }
}

#[derive(Serialize)]
pub(super) struct CurrentRate {
    pub(super) packets_per_second: f64,
    pub(super) bytes_per_second: f64,
}

#[derive(Serialize)]
pub(super) struct Total {
    pub(super) packets: u64,
    bytes: u64,
    /// Packets in the previous range of the same length, if they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
}

impl Total {
    pub(super) fn new(count: Count, before: Option<u64>) -> Self {
        Self { packets: count.packets, bytes: count.bytes, before }
    }
}

#[derive(Serialize)]
pub(super) struct CountryRow {
    pub(super) value: String,
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iso3: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) longitude: Option<f64>,
    #[serde(flatten)]
    pub(super) count: Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeline: Option<Vec<u64>>,
}

#[derive(Serialize)]
pub(super) struct TopList {
    pub(super) rows: Vec<TopRow>,
    pub(super) more: Remainder,
}

#[derive(Serialize)]
pub(super) struct TopRow {
    pub(super) value: String,
    pub(super) name: &'static str,
    #[serde(flatten)]
    pub(super) count: Total,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeline: Option<Vec<u64>>,
}

/// The values of a list that have no row.
#[derive(Serialize)]
pub(super) struct Remainder {
    pub(super) values: usize,
    pub(super) packets: u64,
}

#[derive(Serialize)]
pub(super) struct CityList {
    pub(super) rows: Vec<CityRow>,
    pub(super) more: Remainder,
    /// Packets that were searched, whether they have a city or not.
    pub(super) packets: u64,
    /// Time of the oldest of them, seconds since 1970-01-01 UTC; only if they are not all packets of the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct CityRow {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) city: String,
    pub(super) country: String,
    pub(super) packets: u64,
}

#[derive(Serialize)]
pub(super) struct PrefixSources {
    pub(super) prefix: String,
    pub(super) addresses: f64,
}

#[derive(Serialize)]
pub(super) struct GroupFigures {
    #[serde(rename = "group")]
    number: u16,
    pub(super) lost: u64,
    socket_drops: u64,
}

impl From<&GroupMeter> for GroupFigures {
    fn from(meter: &GroupMeter) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        Self {
            number: meter.group,
            lost: meter.lost_packets.load(Relaxed),
            socket_drops: meter.socket_drops.load(Relaxed),
        }
    }
}

#[derive(Serialize)]
pub(super) struct MirrorState {
    up: bool,
    lag_seconds: f64,
    written: u64,
    queued: u64,
    spooled: u64,
    dropped: u64,
    spool_bytes: u64,
    spool_limit_bytes: u64,
}

impl From<&Queue> for MirrorState {
    fn from(queue: &Queue) -> Self {
        let figures = queue.status();
        Self {
            up: figures.up,
            lag_seconds: figures.lag.as_secs_f64(),
            written: figures.account.written,
            queued: figures.account.queued,
            spooled: figures.account.spooled,
            dropped: figures.account.dropped.iter().sum(),
            spool_bytes: figures.spool_size,
            spool_limit_bytes: figures.spool_limit,
        }
    }
}

/// A condition. In its English text, `{value}` stands for the value and `{subject}` for the subject.
#[derive(Serialize)]
pub(super) struct ConditionRow {
    alert: Alert,
    severity: Severity,
    text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The label that the subject is a value of.
    #[serde(skip_serializing_if = "Option::is_none")]
    dimension: Option<&'static str>,
    value: f64,
    unit: Unit,
    /// Number of further subjects.
    more: usize,
}

impl From<&Condition> for ConditionRow {
    fn from(condition: &Condition) -> Self {
        let Condition { alert, subject, value, more } = condition;
        Self {
            alert: *alert,
            severity: alert.severity(),
            text: alert.text(),
            subject: subject.clone(),
            dimension: alert.dimension().map(Dimension::name),
            value: *value,
            unit: alert.unit(),
            more: *more,
        }
    }
}

#[derive(Serialize)]
pub(super) struct DatabaseInfo {
    name: String,
    edition: String,
    built: u64,
}

impl From<DatabaseStatus> for DatabaseInfo {
    fn from(status: DatabaseStatus) -> Self {
        Self { name: status.name, edition: status.edition, built: status.build_timestamp }
    }
}
