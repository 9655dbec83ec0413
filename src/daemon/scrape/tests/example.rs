//! A scrape with every metric.

use std::{sync::Arc, time::Duration};

use prometheus_client::collector::Collector;

use super::super::super::reload::ReloadStatus;
use super::super::{audience::LastScrape, build::Build};
use crate::{
    event::{Interner, NameField, NameId, Names},
    exposition::render,
    geoip::{Country, CountryId, DatabaseMetrics, DatabaseStatus},
    history::HistoryStatus,
    http::{ServerMetrics, WebConfigWatcher},
    metrics::{
        ABSENT, Dimension, FamilySnapshot, Key, OTHER, ScanFigures, SeriesSnapshot, Snapshot,
        SnapshotMetrics, process::ProcessMetrics,
    },
    mirror::{Drilldown, MirrorStatus, account::Account},
    networks::{FileStatus, NetworkMetrics},
    output::{OutputMetrics, OutputStatus, account::OutputAccount},
    source::{
        kernel_log::{LineMeter, LineMetrics},
        nflog::{GroupMeter, GroupMetrics},
    },
    system::{logging::LogMetrics, privileges::Confinement},
};

/// The collectors of a scrape with every metric.
pub(super) struct Scrape {
    pub(super) packets: SnapshotMetrics,
    pub(super) groups: GroupMetrics,
    pub(super) databases: DatabaseMetrics,
    pub(super) networks: NetworkMetrics,
    pub(super) process: ProcessMetrics,
}

impl Scrape {
    pub(super) fn render(self) -> String {
        let collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(self.packets),
            Box::new(self.groups),
            Box::new(lines()),
            Box::new(mirror()),
            Box::new(drilldown()),
            Box::new(outputs()),
            Box::new(history()),
            Box::new(self.databases),
            Box::new(self.networks),
            Box::new(ReloadStatus { successful: true, timestamp_seconds: 1_780_000_000.5 }),
            Box::new(server()),
            Box::new(LastScrape(Some(1_700_000_000.5))),
            Box::new(Confinement::default()),
            Box::new(LogMetrics),
            Box::new(Build { version: "0.1.0", revision: "0123abc" }),
            Box::new(self.process),
        ];
        render(collectors, 0).unwrap()
    }
}

/// The outputs of this scrape.
fn outputs() -> OutputMetrics {
    let output = |name: &str, is_up| OutputStatus {
        name: name.into(),
        account: OutputAccount {
            offered: 47,
            queued: 2,
            written: 9,
            dropped: [3, 4, 5, 6],
            filtered: [7, 8, 1, 2],
        },
        is_up,
    };
    OutputMetrics(vec![output("file", true), output("siem", false)])
}

/// The history of this scrape.
fn history() -> HistoryStatus {
    HistoryStatus { size: 1_234_567, removed_slices: 1, damaged_files: 2, write_errors: 3 }
}

/// The value of the label `country`.
fn country(code: &str) -> u64 {
    Country::Known(CountryId::from_code(code).unwrap()).to_bits()
}

fn family(name: &str, labels: &[Dimension], series: &[(&[u64], u64, u64)]) -> FamilySnapshot {
    let series = series.iter().map(|&(values, packets, bytes)| SeriesSnapshot {
        key: Key::new(values),
        packets,
        bytes,
    });
    FamilySnapshot {
        name: name.into(),
        labels: labels.into(),
        series: series.collect(),
        series_limit: 2000,
        demand: 0.0,
        folded: vec![0; labels.len()],
        retired_packets: 0,
        pending_packets: 0,
        replaced_series: 0,
    }
}

/// A small scrape with every metric. `prefix` is the log prefix of some series.
pub(super) fn scrape(prefix: &str, database: &str) -> Scrape {
    let names = Names::default();
    let prefix = Interner::new(names.clone()).intern(NameField::Prefix, prefix.as_bytes());
    let id = u64::from(prefix.index());
    let (de, fr) = (country("DE"), country("FR"));
    let traffic = [Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port];
    let mut families = vec![
        family(
            "traffic",
            &traffic,
            &[
                (&[id, 6, fr, 443], 2, 120),
                (&[id, 6, de, 443], 7, 420),
                (&[id, 6, de, OTHER], 1, 60),
                (&[OTHER, OTHER, OTHER, OTHER], 0, 0),
                (&[id, 1, de, ABSENT], 3, 252),
                (&[id, 6, de, 22], u64::MAX, u64::MAX),
            ],
        ),
        family("asn", &[Dimension::Asn], &[(&[64496], 13, 852)]),
    ];
    families[0].folded = vec![0, 0, 0, 1];
    families[0].retired_packets = 11;
    families[0].pending_packets = 12;
    families[0].replaced_series = 13;
    Scrape {
        packets: SnapshotMetrics {
            snapshot: Snapshot {
                generation: 1,
                received: vec![(1, 13), (7, 0)],
                undecoded: [0, 4, 0, 0],
                families,
                source_addresses: vec![(prefix, 2.5), (NameId::OTHER, 0.0)],
                source_addresses_folded_packets: 0,
                scans: vec![
                    ScanFigures { prefix, sources: 2, most_ports: 131.0 },
                    ScanFigures { prefix: NameId::OTHER, sources: 0, most_ports: 0.0 },
                ],
                scan_evicted_sources: 3,
                countries: ["FR", "CI"].map(|code| CountryId::from_code(code).unwrap()).into(),
            },
            names,
            as_names: vec![(64496, "Example Net, Inc.".into())],
        },
        groups: GroupMetrics(vec![Arc::new(GroupMeter {
            group: 1,
            lost_packets: 5.into(),
            socket_drops: 6.into(),
            receive_buffer_bytes: 33_554_432.into(),
            ..GroupMeter::default()
        })]),
        databases: DatabaseMetrics(vec![DatabaseStatus {
            name: database.into(),
            build_timestamp: 1_780_000_000,
            edition: String::new(),
            provides: String::new(),
            reloads_ok: 2,
            reloads_failed: 1,
        }]),
        networks: NetworkMetrics(vec![file(None), file(Some("drop"))]),
        process: ProcessMetrics {
            cpu_seconds: Some(1.25),
            resident_bytes: Some(10_000_000),
            virtual_bytes: Some(20_000_000),
            open_fds: Some(12),
            max_fds: Some(1024),
            start_time_seconds: Some(1_779_999_999.25),
            threads: Some(4),
        },
    }
}

/// The file of the networks, or of a list.
fn file(list: Option<&str>) -> FileStatus {
    FileStatus {
        list: list.map(str::to_owned),
        entries: 1500,
        modified: 1_780_000_000,
        reloads_ok: 4,
        reloads_failed: 3,
    }
}

/// The metrics of lines of the kernel log.
fn lines() -> LineMetrics {
    LineMetrics(Some(Arc::new(LineMeter {
        lines: [21, 22, 23, 24].map(Into::into),
        skipped: [31, 32, 33, 34].map(Into::into),
        lost: [41, 0, 43, 0].map(Into::into),
        wrong_times: [0, 45, 46, 0].map(Into::into),
        rejected: [51, 52, 53, 54].map(Into::into),
        unfollowed_files: 55.into(),
    })))
}

fn mirror() -> MirrorStatus {
    MirrorStatus {
        account: Account {
            offered: 13,
            recovered: 1,
            queued: 3,
            spooled: 4,
            written: 4,
            dropped: from_first(1),
            filtered: from_first(2),
        },
        up: true,
        servers: ["db1:3306".into(), "[2001:db8::2]:3306".into()].into(),
        connected: Some(1),
        reverted: 2,
        lag: Duration::from_millis(250),
        spool_size: 4096,
        other_target_rows: 3,
        spool_limit: 1 << 30,
        retention_held: false,
        panics: 0,
        maintenance_timestamp: 1_780_000_000,
    }
}

/// A drill-down without queries.
fn drilldown() -> Drilldown {
    Drilldown::new("sqlite:/x.db".parse().unwrap(), "gate".into())
}

/// A first count, followed by zeros.
fn from_first<const LENGTH: usize>(first: u64) -> [u64; LENGTH] {
    std::array::from_fn(|at| if at == 0 { first } else { 0 })
}

/// The metrics of a server with a web configuration and no rejection.
fn server() -> ServerMetrics {
    let file = tempfile::NamedTempFile::new().unwrap();
    ServerMetrics::new(Arc::default(), Arc::new(WebConfigWatcher::open(file.path()).unwrap()))
}
