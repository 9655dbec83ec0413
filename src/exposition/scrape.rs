//! What one scrape shows: the aggregate's snapshot and the state of the other parts, as plain
//! values.

use crate::{aggregate::Snapshot, event::Names};

/// Everything one scrape shows. Lists are shown in their order unless told otherwise.
#[derive(Debug)]
pub struct Scrape {
    /// The aggregate; its series are shown sorted by the text of their labels.
    pub snapshot: Snapshot,
    /// The texts behind the snapshot's name ids.
    pub names: Names,
    /// The countries seen so far.
    pub countries: Vec<CountryRow>,
    /// The NFLOG groups; none where packets come from elsewhere.
    pub groups: Vec<GroupStatus>,
    /// The mirror, where there is one.
    pub mirror: Option<MirrorStatus>,
    /// The `GeoIP` databases, of distinct names.
    pub databases: Vec<DatabaseStatus>,
    /// How the configuration was last loaded.
    pub reload: ReloadStatus,
    /// Whether the web configuration is in force as its files say; left out where there is none.
    pub web_config_successful: Option<bool>,
    /// When a Prometheus last scraped, seconds since 1970-01-01 UTC; left out where none has.
    pub last_scrape_timestamp_seconds: Option<f64>,
    /// The layers by which the program is confined, and whether each is in force; none for a replay.
    pub confinement: Vec<(&'static str, bool)>,
    /// The clients that the server has turned away, by reason; none where nothing is served.
    pub refusals: Vec<(&'static str, u64)>,
    /// Lines that were left out of the log.
    pub log_lines_left_out: u64,
    /// What this program is.
    pub build: Build,
    /// What this program uses.
    pub vitals: Vitals,
}

/// Where to draw a country.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountryRow {
    /// ISO 3166-1 alpha-2: the value of the label `country`.
    pub code: &'static str,
    /// ISO 3166-1 alpha-3.
    pub iso3: &'static str,
    /// English short name.
    pub name: &'static str,
    /// Of its centre, degrees, north is positive.
    pub latitude: f64,
    /// Of its centre, degrees, east is positive.
    pub longitude: f64,
}

/// An NFLOG group's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Number of the group.
    pub group: u16,
    /// Packets the kernel logged and this program never got: gaps in the sequence.
    pub lost_packets: u64,
    /// Datagrams the kernel dropped at the socket.
    pub socket_drops: u64,
    /// Netlink messages that could not be read.
    pub malformed_messages: u64,
    /// Datagrams that did not fit the reader's buffer.
    pub truncated_datagrams: u64,
    /// Receive buffer the kernel granted, bytes.
    pub receive_buffer_bytes: u64,
}

/// The rows on their way to a database. At every moment
/// `written + spooled + queued + dropped + filtered = packets received + recovered`.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorStatus {
    /// Whether the database takes rows.
    pub up: bool,
    /// Rows that the database holds.
    pub written: u64,
    /// Rows that are lost, by reason.
    pub dropped: Vec<(&'static str, u64)>,
    /// Packets that were to have no row, by reason.
    pub filtered: Vec<(&'static str, u64)>,
    /// Rows that an earlier run left in the spool.
    pub recovered: u64,
    /// Packets that no row was made of yet.
    pub queued: u64,
    /// Rows that wait in the spool.
    pub spooled: u64,
    /// Age of the oldest packet that is not in the database yet.
    pub lag_seconds: f64,
    /// Whether no row is dropped, because a clock looks wrong.
    pub retention_held: bool,
    /// Panics in its threads.
    pub panics: u64,
    /// Bytes of the spool on disk.
    pub spool_size_bytes: u64,
    /// Rows in the spool for another database.
    pub other_target_rows: u64,
    /// Most bytes it may have.
    pub spool_size_limit_bytes: u64,
    /// When retention and partitions were last looked after, seconds since 1970-01-01 UTC.
    pub upkeep_timestamp_seconds: u64,
}

/// A `GeoIP` database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseStatus {
    /// Value of the label `database`.
    pub name: String,
    /// When it was built, seconds since 1970-01-01 UTC.
    pub build_timestamp: u64,
    /// How often it was replaced while running.
    pub reloads_ok: u64,
    /// How often a replacement could not be used.
    pub reloads_failed: u64,
}

/// How the configuration was last loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReloadStatus {
    /// Whether the last attempt worked.
    pub successful: bool,
    /// When one last worked, seconds since 1970-01-01 UTC.
    pub timestamp_seconds: f64,
}

/// What this program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// Version of the crate.
    pub version: &'static str,
    /// Commit it was built from; empty when unknown.
    pub revision: &'static str,
}

/// What this program uses; `None` is left out of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// User and system time, seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in RAM, bytes.
    pub resident_bytes: Option<u64>,
    /// Address space, bytes.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Most file descriptors allowed: the soft limit.
    pub max_fds: Option<u64>,
    /// Start, seconds since 1970-01-01 UTC.
    pub start_time_seconds: Option<f64>,
    /// Threads.
    pub threads: Option<u64>,
}
