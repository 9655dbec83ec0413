//! The metrics: every name, help text and label, in the order in which they are shown.

use std::{borrow::Cow, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder},
};

use super::{page::Page, scrape::Scrape};
use crate::{
    aggregate::{Dimension, FamilySnapshot, MAX_LABELS, ScanFigures},
    packet::Flaw,
};

/// The family whose metric names carry no infix.
const TRAFFIC: &str = "traffic";

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        for family in &self.snapshot.families {
            self.family(&mut page, family)?;
        }
        self.source_addresses(&mut page)?;
        self.scans(&mut page)?;
        self.countries(&mut page)?;
        self.intake(&mut page)?;
        self.ladder(&mut page)?;
        self.mirror(&mut page)?;
        self.state(&mut page)?;
        self.vitals(&mut page)
    }
}

/// One exposed series with its labels as text.
struct Row {
    texts: [Option<Cow<'static, str>>; MAX_LABELS],
    packets: u64,
    bytes: u64,
}

impl Row {
    fn labels<'r>(&'r self, dimensions: &'r [Dimension]) -> RowLabels<'r> {
        RowLabels { dimensions, texts: &self.texts }
    }
}

/// The labels that a row has, of those of its family.
struct RowLabels<'a> {
    dimensions: &'a [Dimension],
    texts: &'a [Option<Cow<'static, str>>],
}

impl EncodeLabelSet for RowLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (dimension, text) in self.dimensions.iter().zip(self.texts) {
            if let Some(text) = text {
                (dimension.name(), text.as_ref()).encode(encoder.encode_label())?;
            }
        }
        Ok(())
    }
}

impl Scrape {
    fn family(&self, page: &mut Page<'_>, family: &FamilySnapshot) -> fmt::Result {
        let rows = self.rows(family);
        let infix = match &*family.name {
            TRAFFIC => String::new(),
            name => format!("{name}_"),
        };
        let by = family.labels.iter().map(|label| label.name()).collect::<Vec<_>>().join(", ");
        page.counters(
            &format!("nflog_{infix}packets"),
            &format!("Packets the firewall logged, by {by}."),
            rows.iter().map(|row| (row.labels(&family.labels), row.packets)),
        )?;
        page.counters(
            &format!("nflog_{infix}bytes"),
            &format!("Bytes of the packets the firewall logged, from the IP header on, by {by}."),
            rows.iter().map(|row| (row.labels(&family.labels), row.bytes)),
        )
    }

    /// The series of a family as text, sorted by their labels.
    fn rows(&self, family: &FamilySnapshot) -> Vec<Row> {
        let mut rows: Vec<Row> = family
            .series
            .iter()
            .map(|series| {
                let mut texts = [const { None }; MAX_LABELS];
                let values = family.labels.iter().zip(series.key.values(family.labels.len()));
                for (text, (dimension, &value)) in texts.iter_mut().zip(values) {
                    *text = dimension.text(value, &self.names);
                }
                Row { texts, packets: series.packets, bytes: series.bytes }
            })
            .collect();
        rows.sort_unstable_by(|one, other| one.texts.cmp(&other.texts));
        rows
    }

    fn source_addresses(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut estimates: Vec<(Arc<str>, f64)> = self
            .snapshot
            .source_addresses
            .iter()
            .map(|&(prefix, estimate)| (self.names.text(prefix), estimate))
            .collect();
        estimates.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        page.gauges(
            "nflog_source_addresses",
            "Estimated distinct source addresses in the last 10 minutes, by log prefix.",
            estimates.iter().map(|(prefix, estimate)| ([("prefix", &**prefix)], *estimate)),
        )?;
        page.counter(
            "nflog_exporter_source_addresses_folded_packets",
            "Packets whose source went to the estimate of other, as too many prefixes have one.",
            Some(self.snapshot.source_addresses_folded_packets),
        )?;
        page.counter(
            "nflog_exporter_refused_names",
            "Prefixes and device names of packets that became other, as the table of names is full.",
            Some(self.names.refused()),
        )
    }

    fn scans(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut rows: Vec<(Arc<str>, &ScanFigures)> = self
            .snapshot
            .scans
            .iter()
            .map(|figures| (self.names.text(figures.prefix), figures))
            .collect();
        rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        page.gauges(
            "nflog_scanning_sources",
            "Sources that reached 16 destination ports or more in the last 10 minutes, by log prefix.",
            rows.iter().map(|(prefix, figures)| ([("prefix", &**prefix)], figures.sources)),
        )?;
        page.gauges(
            "nflog_scan_ports_max",
            "Most destination ports that one source reached in the last 10 minutes, by log prefix.",
            rows.iter().map(|(prefix, figures)| ([("prefix", &**prefix)], figures.most_ports)),
        )?;
        page.counter(
            "nflog_exporter_scan_displaced_sources",
            "Times a source found no room in the table that watches for scans, or gave up its place.",
            Some(self.snapshot.scan_displaced_sources),
        )
    }

    fn countries(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut rows: Vec<_> = self.countries.iter().collect();
        rows.sort_unstable_by_key(|row| row.code);
        page.gauges(
            "nflog_country_info",
            "Names and centre of a country seen so far, to join on country; always 1.",
            rows.into_iter().map(|row| {
                let names = [("country", row.code), ("iso3", row.iso3), ("name", row.name)];
                let centre = [("latitude", row.latitude), ("longitude", row.longitude)];
                ((names, centre), 1_u64)
            }),
        )
    }

    /// What came in, and what did not.
    fn intake(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            "nflog_exporter_received_packets",
            "Packets received, by NFLOG group.",
            self.snapshot.received.iter().map(|&(group, packets)| ([("group", group)], packets)),
        )?;
        page.counters(
            "nflog_exporter_lost_packets",
            "Packets the kernel logged that never arrived here: gaps in the group's sequence.",
            self.groups.iter().map(|status| ([("group", status.group)], status.lost_packets)),
        )?;
        page.counters(
            "nflog_exporter_socket_drops",
            "Datagrams the kernel dropped at the group's netlink socket.",
            self.groups.iter().map(|status| ([("group", status.group)], status.socket_drops)),
        )?;
        page.counters(
            "nflog_exporter_malformed_messages",
            "Netlink messages of the group that could not be read.",
            self.groups.iter().map(|status| ([("group", status.group)], status.malformed_messages)),
        )?;
        page.counters(
            "nflog_exporter_truncated_datagrams",
            "Datagrams of the group that were longer than any should be; what they held is lost.",
            self.groups
                .iter()
                .map(|status| ([("group", status.group)], status.truncated_datagrams)),
        )?;
        page.gauges(
            "nflog_exporter_receive_buffer_bytes",
            "Receive buffer the kernel granted the group's netlink socket.",
            self.groups
                .iter()
                .map(|status| ([("group", status.group)], status.receive_buffer_bytes)),
        )?;
        page.counters(
            "nflog_exporter_undecoded_packets",
            "Packets that could not be read in full, by reason; they are counted all the same.",
            Flaw::ALL
                .iter()
                .zip(self.snapshot.undecoded)
                .map(|(flaw, packets)| ([("reason", flaw.name())], packets)),
        )
    }

    /// How the families keep to their budgets.
    fn ladder(&self, page: &mut Page<'_>) -> fmt::Result {
        let families = &self.snapshot.families;
        page.gauges(
            "nflog_exporter_series",
            "Label sets exposed now; each gives a packets and a bytes sample.",
            families.iter().map(|family| (family_label(family), family.series.len())),
        )?;
        page.gauges(
            "nflog_exporter_series_limit",
            "Most label sets the family may expose.",
            families.iter().map(|family| (family_label(family), family.series_limit)),
        )?;
        page.counters(
            "nflog_exporter_folded_packets",
            "Packets counted with this label as other, because the family was out of budget.",
            families.iter().flat_map(|family| {
                family.labels.iter().zip(&family.folded).map(|(folded, &packets)| {
                    ([("family", &*family.name), ("label", folded.name())], packets)
                })
            }),
        )?;
        page.counters(
            "nflog_exporter_retired_packets",
            "Packets of series that are no longer exposed.",
            families.iter().map(|family| (family_label(family), family.retired_packets)),
        )?;
        page.gauges(
            "nflog_exporter_pending_packets",
            "Packets of new series, held back until their zero was scraped.",
            families.iter().map(|family| (family_label(family), family.pending_packets)),
        )?;
        page.counters(
            "nflog_exporter_replaced_series",
            "Series that gave their place to a heavier one.",
            families.iter().map(|family| (family_label(family), family.replaced_series)),
        )
    }

    /// Databases, configuration, build.
    fn state(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauges(
            "nflog_exporter_geoip_build_timestamp_seconds",
            "When the GeoIP database in use was built.",
            self.databases
                .iter()
                .map(|database| ([("database", &*database.name)], database.build_timestamp)),
        )?;
        page.counters(
            "nflog_exporter_geoip_reloads",
            "Attempts to replace the GeoIP database while running, by result.",
            self.databases.iter().flat_map(|database| {
                let results =
                    [("failure", database.reloads_failed), ("success", database.reloads_ok)];
                results.map(|(result, count)| {
                    ([("database", &*database.name), ("result", result)], count)
                })
            }),
        )?;
        page.gauge(
            "nflog_exporter_config_last_reload_successful",
            "Whether the configuration was last loaded without an error: 1 or 0.",
            Some(u32::from(self.reload.successful)),
        )?;
        page.gauge(
            "nflog_exporter_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded without an error.",
            Some(self.reload.timestamp_seconds),
        )?;
        page.gauge(
            "nflog_exporter_web_config_last_reload_successful",
            "Whether the web configuration was last loaded without an error: 1 or 0.",
            self.web_config_successful.map(u32::from),
        )?;
        page.gauge(
            "nflog_exporter_last_scrape_timestamp_seconds",
            "When a Prometheus last scraped this exporter.",
            self.last_scrape_timestamp_seconds,
        )?;
        page.gauges(
            "nflog_exporter_confinement",
            "Whether a layer that confines this program is in force: 1 or 0.",
            self.confinement
                .iter()
                .map(|(layer, in_force)| ([("layer", *layer)], u64::from(*in_force))),
        )?;
        page.counters(
            "nflog_exporter_http_refused",
            "Requests and connections that the HTTP server turned away, by reason.",
            self.refusals.iter().map(|(reason, count)| ([("reason", *reason)], *count)),
        )?;
        page.counter(
            "nflog_exporter_log_lines_left_out",
            "Log lines that were not written: they came too often, or nobody read them.",
            Some(self.log_lines_left_out),
        )?;
        let build = [("version", self.build.version), ("revision", self.build.revision)];
        page.gauges(
            "nflog_exporter_build_info",
            "Version and revision of this exporter; always 1.",
            [(build, 1_u64)],
        )
    }

    fn mirror(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(mirror) = &self.mirror else { return Ok(()) };
        page.gauge(
            "nflog_exporter_mirror_up",
            "Whether the mirror's database takes rows: 1, or 0.",
            Some(u64::from(mirror.up)),
        )?;
        page.counter(
            "nflog_exporter_mirror_written_rows",
            "Rows that the mirror's database holds.",
            Some(mirror.written),
        )?;
        page.counters(
            "nflog_exporter_mirror_dropped_rows",
            "Rows that are lost, by reason.",
            mirror.dropped.iter().map(|(reason, rows)| ([("reason", *reason)], *rows)),
        )?;
        page.counters(
            "nflog_exporter_mirror_filtered_rows",
            "Packets that were to have no row, by what the configuration says.",
            mirror.filtered.iter().map(|(reason, rows)| ([("reason", *reason)], *rows)),
        )?;
        page.counter(
            "nflog_exporter_mirror_recovered_rows",
            "Rows that an earlier run left in the spool; they are written and spooled rows too.",
            Some(mirror.recovered),
        )?;
        page.gauge(
            "nflog_exporter_mirror_queued_rows",
            "Packets in memory that no row was made of yet.",
            Some(mirror.queued),
        )?;
        page.gauge(
            "nflog_exporter_mirror_spooled_rows",
            "Rows in the spool that the database does not hold yet.",
            Some(mirror.spooled),
        )?;
        page.gauge(
            "nflog_exporter_mirror_other_target_rows",
            "Rows in the spool that wait for another database than the configured one.",
            Some(mirror.other_target_rows),
        )?;
        page.gauge(
            "nflog_exporter_mirror_lag_seconds",
            "Age of the oldest packet that the database does not hold yet; 0 when it holds all.",
            Some(mirror.lag_seconds),
        )?;
        page.gauge(
            "nflog_exporter_mirror_spool_size_bytes",
            "Size of the spool on disk.",
            Some(mirror.spool_size_bytes),
        )?;
        page.gauge(
            "nflog_exporter_mirror_spool_size_limit_bytes",
            "Most the spool may take on disk; 0 when rows wait in memory only.",
            Some(mirror.spool_size_limit_bytes),
        )?;
        page.gauge(
            "nflog_exporter_mirror_retention_held",
            "Whether expired rows are kept because a clock looks wrong: 1 or 0.",
            Some(u64::from(mirror.retention_held)),
        )?;
        page.counter(
            "nflog_exporter_mirror_panics",
            "Panics in the threads of the mirror, which went on after them; each is a bug.",
            Some(mirror.panics),
        )?;
        page.gauge(
            "nflog_exporter_mirror_last_upkeep_timestamp_seconds",
            "When the database's retention and partitions were last looked after; 0 for never.",
            Some(mirror.upkeep_timestamp_seconds),
        )
    }

    fn vitals(&self, page: &mut Page<'_>) -> fmt::Result {
        let vitals = &self.vitals;
        let cpu = "Total user and system CPU time spent in seconds.";
        page.counter("process_cpu_seconds", cpu, vitals.cpu_seconds)?;
        let max = "Maximum number of open file descriptors.";
        page.gauge("process_max_fds", max, vitals.max_fds)?;
        page.gauge("process_open_fds", "Number of open file descriptors.", vitals.open_fds)?;
        let resident = "Resident memory size in bytes.";
        page.gauge("process_resident_memory_bytes", resident, vitals.resident_bytes)?;
        let start = "Start time of the process since unix epoch in seconds.";
        page.gauge("process_start_time_seconds", start, vitals.start_time_seconds)?;
        page.gauge("process_threads", "Number of threads in the process.", vitals.threads)?;
        let space = "Virtual memory size in bytes.";
        page.gauge("process_virtual_memory_bytes", space, vitals.virtual_bytes)
    }
}

fn family_label(family: &FamilySnapshot) -> [(&'static str, &str); 1] {
    [("family", &family.name)]
}
