//! The content of a report as facts and tables of plain text, which each format lays out and escapes.

use super::numbers::{at_least, bytes, count, minute, share};
use crate::report::{
    model::{CountryRow, List, NameRow, NetworkRow, PortRow, Report, RowCounts, SourceRow},
    utc::unit_name,
};

/// The title of every report.
pub(super) const TITLE: &str = "Firewall log report";

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Numbers are aligned to the right.
    pub(super) is_number: bool,
}

/// A row of a table.
#[derive(Debug)]
pub(super) struct TableRow {
    pub(super) cells: Vec<String>,
    /// Packets, for a bar; `None` for tables without bars.
    pub(super) packets: Option<u64>,
}

/// A table with its title.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<TableRow>,
    /// What the table omits; may be empty.
    pub(super) more: String,
}

impl Section {
    /// Whether its rows have bars.
    pub(super) fn has_bars(&self) -> bool {
        self.rows.iter().any(|row| row.packets.is_some())
    }
}

/// Name and value of the figures at the start.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Period", period(report))];
    facts.push(("Packets", format!("{}, {}", count(report.packets), bytes(report.bytes))));
    let about = if report.sources_estimated { "about " } else { "" };
    facts.push(("Sources", format!("{about}{}", count(report.sources_seen))));
    if !report.undecoded.is_empty() {
        let reasons = report.undecoded.iter();
        let reasons: Vec<_> =
            reasons.map(|issue| format!("{} {}", issue.reason, count(issue.packets))).collect();
        facts.push(("Not decoded", reasons.join(", ")));
    }
    facts
}

fn period(report: &Report) -> String {
    let period = &report.period;
    let start = period.since.as_ref().or(period.first.as_ref());
    let end = period.until.as_ref().or(period.last.as_ref());
    match (start, end) {
        (Some(start), Some(end)) => format!("{} to {} UTC", minute(start), minute(end)),
        (Some(start), None) => format!("from {} UTC", minute(start)),
        (None, Some(end)) => format!("until {} UTC", minute(end)),
        (None, None) => "no packets".into(),
    }
}

/// The title of the packets over time, with the highest number.
pub(super) fn timeline_title(report: &Report) -> String {
    let peak = report.timeline.packets.iter().max().copied().unwrap_or(0);
    format!("Packets per {}, at most {}", unit_name(report.timeline.slot_seconds), count(peak))
}

/// Every table that has rows.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let all = report.packets;
    let mut sections = vec![
        countries("Countries", &report.countries, all),
        ports("Ports", &report.ports, all),
        names("Prefixes", "prefix", &report.prefixes, all),
        names("Protocols", "protocol", &report.protocols, all),
        networks(&report.networks, all),
        sources("Sources", &report.sources),
        sources("Port scans: sources that tried at least 16 ports", &report.port_scans),
    ];
    if let Some(new) = &report.new {
        let since = format!("first seen since {} UTC", minute(&new.since));
        sections.push(countries(&format!("New countries, {since}"), &new.countries, all));
        sections.push(ports(&format!("New ports, {since}"), &new.ports, all));
        sections.push(sources(&format!("New sources, {since}"), &new.sources));
    }
    sections.retain(|section| !section.rows.is_empty());
    sections
}

const fn text(name: &'static str) -> Column {
    Column { name, is_number: false }
}

const fn number(name: &'static str) -> Column {
    Column { name, is_number: true }
}

const COUNTS: [Column; 3] = [number("packets"), number("share"), number("bytes")];

fn with_counts(columns: &[Column]) -> Vec<Column> {
    [columns, &COUNTS].concat()
}

/// A row with these cells, followed by the counts.
fn counted(cells: Vec<String>, counts: &RowCounts, all: u64) -> TableRow {
    let is_lower_bound = counts.missing > 0;
    let numbers =
        [at_least(counts.packets, is_lower_bound), share(counts.packets, all), bytes(counts.bytes)];
    TableRow { cells: [cells, numbers.into()].concat(), packets: Some(counts.packets) }
}

fn section<T>(
    title: &str,
    columns: Vec<Column>,
    list: &List<T>,
    row: impl Fn(&T) -> TableRow,
) -> Section {
    let more = match (list.more, list.exact) {
        (0, _) => String::new(),
        (more, true) => format!("and {} more", count(more as u64)),
        (more, false) => format!("and at least {} more", count(more as u64)),
    };
    Section { title: title.to_owned(), columns, rows: list.rows.iter().map(row).collect(), more }
}

fn countries(title: &str, list: &List<CountryRow>, all: u64) -> Section {
    section(title, with_counts(&[text("country"), text("code")]), list, |row| {
        let code = if row.country.len() == 2 { row.country } else { "" };
        counted(vec![row.name.into(), code.into()], &row.counts, all)
    })
}

fn ports(title: &str, list: &List<PortRow>, all: u64) -> Section {
    section(title, with_counts(&[text("port"), text("service")]), list, |row| {
        let port = format!("{}/{}", row.port, row.proto);
        counted(vec![port, row.service.into()], &row.counts, all)
    })
}

fn names(title: &str, column: &'static str, list: &List<NameRow>, all: u64) -> Section {
    section(title, with_counts(&[text(column)]), list, |row| {
        let name = if row.name.is_empty() { "(none)" } else { &row.name };
        counted(vec![name.into()], &row.counts, all)
    })
}

fn networks(list: &List<NetworkRow>, all: u64) -> Section {
    section("Networks", with_counts(&[text("network"), text("country")]), list, |row| {
        counted(vec![row.network.clone(), row.country.into()], &row.counts, all)
    })
}

fn sources(title: &str, list: &List<SourceRow>) -> Section {
    let columns = vec![
        text("source"),
        text("country"),
        number("packets"),
        number("ports"),
        text("first, UTC"),
        text("last, UTC"),
    ];
    section(title, columns, list, |row| TableRow {
        cells: vec![
            row.source.clone(),
            row.country.into(),
            at_least(row.counts.packets, row.counts.missing > 0),
            at_least(row.ports.into(), row.ports_at_least),
            minute(&row.first),
            minute(&row.last),
        ],
        packets: None,
    })
}
