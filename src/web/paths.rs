//! Every path of the HTTP server except that of the metrics.
//!
//! The server routes by these constants, and the configuration rejects them as `web.telemetry_path`.

/// The page itself.
pub const INDEX: &str = "/";
/// The page's style sheet.
pub const STYLE: &str = "/page.css";
/// The outlines of the countries.
pub const MAP: &str = "/world.svg";
/// The figures of the page.
pub const OVERVIEW: &str = "/overview.json";
/// Markers as XML.
pub const MARKERS_XML: &str = "/markers.xml";
/// Markers as `GeoJSON`.
pub const MARKERS_GEOJSON: &str = "/markers.geojson";
/// The sources of packets, from the mirror's database.
pub const SOURCES_JSON: &str = "/sources.json";
/// The same as CSV.
pub const SOURCES_CSV: &str = "/sources.csv";
/// The newest packets, from the mirror's database.
pub const PACKETS_JSON: &str = "/packets.json";
/// The same as CSV.
pub const PACKETS_CSV: &str = "/packets.csv";
/// Whether the exporter works.
pub const HEALTHY: &str = "/-/healthy";
/// Whether the exporter has started.
pub const READY: &str = "/-/ready";
/// Reloads the configuration.
pub const RELOAD: &str = "/-/reload";

/// All paths except those of the page's modules.
pub const FIXED: [&str; 13] = [
    INDEX,
    STYLE,
    MAP,
    OVERVIEW,
    MARKERS_XML,
    MARKERS_GEOJSON,
    SOURCES_JSON,
    SOURCES_CSV,
    PACKETS_JSON,
    PACKETS_CSV,
    HEALTHY,
    READY,
    RELOAD,
];

/// Prefix of the modules of the page's script.
pub const MODULES: &str = "/page/";

/// Prefix of the paths for operation. All paths under it are reserved, for later versions.
const OPERATION: &str = "/-/";

/// Whether the server uses a path itself, so that the metrics cannot be served there.
#[must_use]
pub fn is_reserved(path: &str) -> bool {
    path.starts_with(OPERATION) || is_served(path)
}

/// Whether the server has a resource at this path, or reserves the path for the page.
#[must_use]
pub fn is_served(path: &str) -> bool {
    path.starts_with(MODULES) || FIXED.contains(&path)
}
