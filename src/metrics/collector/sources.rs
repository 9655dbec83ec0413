//! The metrics of sources: distinct addresses and port scans.

use std::{fmt, sync::Arc};

use crate::{
    event::Names,
    exposition::MetricWriter,
    metrics::{ScanFigures, Snapshot},
};

pub(super) fn source_addresses(
    snapshot: &Snapshot,
    names: &Names,
    writer: &mut MetricWriter<'_>,
) -> fmt::Result {
    let mut estimates: Vec<(Arc<str>, f64)> = snapshot
        .source_addresses
        .iter()
        .map(|&(prefix, estimate)| (names.text(prefix), estimate))
        .collect();
    estimates.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    writer.gauges(
        "nflog_source_addresses",
        "Estimated distinct source addresses in the last 10 minutes, by log prefix.",
        estimates.iter().map(|(prefix, estimate)| ([("prefix", &**prefix)], *estimate)),
    )?;
    writer.counter(
        "nflog_exporter_source_addresses_folded_packets",
        "Packets whose source was counted under the prefix other because the maximum number of prefixes was reached.",
        Some(snapshot.source_addresses_folded_packets),
    )?;
    writer.counter(
        "nflog_exporter_rejected_names",
        "Prefixes and device names of packets that became other because the table of names was full.",
        Some(names.rejected()),
    )
}

pub(super) fn port_scans(
    snapshot: &Snapshot,
    names: &Names,
    writer: &mut MetricWriter<'_>,
) -> fmt::Result {
    let mut rows: Vec<(Arc<str>, &ScanFigures)> =
        snapshot.scans.iter().map(|figures| (names.text(figures.prefix), figures)).collect();
    rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    writer.gauges(
        "nflog_scanning_sources",
        "Sources that reached at least 16 destination ports in the last 10 minutes, by log prefix.",
        rows.iter().map(|(prefix, figures)| ([("prefix", &**prefix)], figures.sources)),
    )?;
    writer.gauges(
        "nflog_scan_ports_max",
        "Maximum number of destination ports that one source reached in the last 10 minutes, by log prefix.",
        rows.iter().map(|(prefix, figures)| ([("prefix", &**prefix)], figures.most_ports)),
    )?;
    writer.counter(
        "nflog_exporter_scan_evicted_sources",
        "Sources that were evicted from the port-scan table, or not added because it was full.",
        Some(snapshot.scan_evicted_sources),
    )
}
