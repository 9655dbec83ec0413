//! The built-in page: its files, and the bodies of the requests that it makes.
//!
//! Everything here maps a path and a query to a text. Sockets, headers, compression and limits belong
//! to `http`.

pub mod assets;
mod config;
mod drilldown;
mod live;
mod live_data;
mod markers;
mod overview;
pub mod paths;
mod query;

pub use assets::{PageInfo, PageSources};
pub use config::{ListenAddress, WebServerConfig};
pub use drilldown::{DrilldownFailure, DrilldownPages, DrilldownResource};
pub use live_data::LiveData;
pub use query::BadQuery;

/// A resource whose body is computed for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveResource {
    /// The figures of the page, as JSON.
    Overview,
    /// The newest packets on a map, as XML.
    MarkersXml,
    /// The newest packets on a map, as `GeoJSON`.
    MarkersGeoJson,
}

impl LiveResource {
    /// The resource at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        match path {
            paths::OVERVIEW => Some(Self::Overview),
            paths::MARKERS_XML => Some(Self::MarkersXml),
            paths::MARKERS_GEOJSON => Some(Self::MarkersGeoJson),
            _ => None,
        }
    }

    /// Value of the header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Overview => "application/json",
            Self::MarkersXml => "application/xml; charset=utf-8",
            Self::MarkersGeoJson => "application/geo+json",
        }
    }

    /// Whether pages of other origins may read it, where the web configuration allows that.
    #[must_use]
    pub fn is_shareable(self) -> bool {
        matches!(self, Self::MarkersXml | Self::MarkersGeoJson)
    }
}
