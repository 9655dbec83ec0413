//! The drill-down: sources and packets from the rows of the mirror's database, as JSON and as CSV.

mod csv;
mod json;
mod query;

use tokio_util::sync::CancellationToken;

use self::query::DrilldownQuery;
use super::{BadQuery, paths};
use crate::{
    geoip::GeoIp,
    mirror::{Drilldown, DrilldownError, config::Anonymize},
    system::clock::unix_micros,
};

/// A part of the drill-down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrilldownResource {
    list: List,
    format: DrilldownFormat,
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    /// Sources, those with the most packets first.
    Sources,
    /// Packets, the newest first.
    Packets,
}

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DrilldownFormat {
    /// A page of 100 rows.
    Json,
    /// Up to [`MAX_CSV_SOURCES`] or [`MAX_CSV_PACKETS`] rows.
    Csv,
}

/// Maximum number of sources in CSV.
pub(super) const MAX_CSV_SOURCES: u32 = 10_000;

/// Maximum number of packets in CSV.
pub(super) const MAX_CSV_PACKETS: u32 = 50_000;

/// Bytes of CSV after which no further row is added. Rows have about 150 bytes, so only long texts reach it.
const MAX_CSV_BYTES: usize = 16 << 20;

impl DrilldownResource {
    /// The resource at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let (list, format) = match path {
            paths::SOURCES_JSON => (List::Sources, DrilldownFormat::Json),
            paths::SOURCES_CSV => (List::Sources, DrilldownFormat::Csv),
            paths::PACKETS_JSON => (List::Packets, DrilldownFormat::Json),
            paths::PACKETS_CSV => (List::Packets, DrilldownFormat::Csv),
            _ => return None,
        };
        Some(Self { list, format })
    }

    /// Value of the header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self.format {
            DrilldownFormat::Json => "application/json",
            DrilldownFormat::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// Value of the header `Content-Disposition`; `None` for a response that is not a file.
    #[must_use]
    pub fn disposition(self) -> Option<&'static str> {
        match (self.format, self.list) {
            (DrilldownFormat::Json, _) => None,
            (DrilldownFormat::Csv, List::Sources) => Some("attachment; filename=\"sources.csv\""),
            (DrilldownFormat::Csv, List::Packets) => Some("attachment; filename=\"packets.csv\""),
        }
    }
}

/// Why a drill-down has no answer.
#[derive(Debug, thiserror::Error)]
pub enum DrilldownFailure {
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] BadQuery),
    /// The database did not answer in time.
    #[error("{0}")]
    TimeLimit(String),
    /// The database cannot be read.
    #[error("{0}")]
    Database(String),
    /// There is no drill-down.
    #[error("{0}")]
    Off(&'static str),
}

impl From<DrilldownError> for DrilldownFailure {
    fn from(error: DrilldownError) -> Self {
        match error {
            DrilldownError::TimeLimit => Self::TimeLimit(error.to_string()),
            // Nobody reads the answer of a cancelled query.
            DrilldownError::Database(_) | DrilldownError::Cancelled => {
                Self::Database(error.to_string())
            }
        }
    }
}

/// The drill-down of a running exporter.
#[derive(Clone, Debug)]
pub struct DrilldownPages(Result<Source, &'static str>);

/// Where rows come from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) rows: Drilldown,
    geoip: GeoIp,
    pub(super) anonymize: Anonymize,
    pub(super) sample: u32,
}

impl DrilldownPages {
    /// Shows these rows, with names of autonomous systems from these databases. `anonymize` and `sample` are those of the
    /// mirror.
    #[must_use]
    pub fn new(rows: Drilldown, geoip: GeoIp, anonymize: Anonymize, sample: u32) -> Self {
        Self(Ok(Source { rows, geoip, anonymize, sample }))
    }

    /// Shows nothing, for this reason.
    #[must_use]
    pub fn off(reason: &'static str) -> Self {
        Self(Err(reason))
    }

    /// Why it shows nothing.
    #[must_use]
    pub fn why_off(&self) -> Option<&'static str> {
        self.0.as_ref().err().copied()
    }

    pub(super) fn source(&self) -> Option<&Source> {
        self.0.as_ref().ok()
    }

    /// The body of a resource for a query, which is the part of the URL after its `?`. Blocks its thread until the
    /// database answers or `cancelled` is.
    ///
    /// # Errors
    /// The query is invalid, or the database does not answer.
    pub fn render(
        &self,
        DrilldownResource { list, format }: DrilldownResource,
        query: &str,
        cancelled: CancellationToken,
    ) -> Result<String, DrilldownFailure> {
        let source = self.0.as_ref().map_err(|reason| DrilldownFailure::Off(reason))?;
        let query = DrilldownQuery::parse(query)?;
        if source.anonymize == Anonymize::Cryptopan && query.has_network() {
            return Err(query::network_is_encrypted().into());
        }
        let now = unix_micros();
        let request = query.request(list, format, source.rows.host(), now)?;
        let mut rows = Vec::new();
        match format {
            DrilldownFormat::Json => {
                source.rows.answer(&request.question, cancelled, &mut |row| rows.push(row))?;
                Ok(json::write(list, &request, rows, |number| source.geoip.as_name(number)))
            }
            DrilldownFormat::Csv => {
                let mut text = csv::header(list);
                source.rows.answer(&request.question, cancelled, &mut |(cells, _)| {
                    if text.len() < MAX_CSV_BYTES {
                        csv::write(&mut text, list, cells);
                    }
                })?;
                Ok(text)
            }
        }
    }
}
