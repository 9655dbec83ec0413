//! Whether the page can show sources and packets, for the overview.

use serde::Serialize;

use super::super::drilldown::{DrilldownPages, MAX_CSV_PACKETS, MAX_CSV_SOURCES};
use crate::mirror::config::Anonymize;

/// Whether sources and packets can be shown.
#[derive(Serialize)]
pub(super) struct DrilldownState {
    /// Whether the configuration allows it, and there are rows.
    enabled: bool,
    /// Whether the client may read rows.
    available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The mirror's settings that change what rows show: the name of this host, the number of packets of each row, and
    /// the anonymization of addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymize: Option<Anonymize>,
    /// Maximum number of rows in CSV.
    csv_sources: u32,
    csv_packets: u32,
}

impl DrilldownState {
    /// The state for a client, which may be refused for a reason.
    pub(super) fn new(pages: &DrilldownPages, refusal: Option<&'static str>) -> Self {
        let reason = pages.why_off().or(refusal);
        let source = pages.source().filter(|_| reason.is_none());
        Self {
            enabled: pages.why_off().is_none(),
            available: reason.is_none(),
            reason,
            host: source.map(|source| source.rows.host().to_owned()),
            sample: source.map(|source| source.sample),
            anonymize: source.map(|source| source.anonymize),
            csv_sources: MAX_CSV_SOURCES,
            csv_packets: MAX_CSV_PACKETS,
        }
    }
}
