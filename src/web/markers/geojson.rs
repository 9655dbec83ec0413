//! Markers as `GeoJSON` (RFC 7946).

use serde::{Serialize, Serializer};

use super::{
    search::{Marker, MarkerList},
    seconds,
};

/// Bytes of a typical feature.
const FEATURE_LENGTH: usize = 176;

/// Writes the markers as features, and the counts as further members of the collection.
pub(in crate::web) fn write(found: &MarkerList) -> String {
    let collection = FeatureCollection {
        kind: "FeatureCollection",
        entries: found.markers.len(),
        left_out: found.left_out,
        held: found.held,
        oldest: found.reach.map(|(oldest, _)| seconds(oldest)),
        newest: found.reach.map(|(_, newest)| seconds(newest)),
        features: &found.markers,
    };
    let mut page = Vec::with_capacity(256 + found.markers.len() * FEATURE_LENGTH);
    // Every value is a number, a text or a list of them, so serializing does not fail.
    let written = serde_json::to_writer(&mut page, &collection);
    written.ok().and_then(|()| String::from_utf8(page).ok()).unwrap_or_default()
}

#[derive(Serialize)]
struct FeatureCollection<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    entries: usize,
    left_out: u64,
    held: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<f64>,
    #[serde(serialize_with = "features")]
    features: &'a [Marker],
}

/// Converts one marker at a time: a list of all features needs half as much memory as the page.
fn features<S: Serializer>(markers: &[Marker], page: S) -> Result<S::Ok, S::Error> {
    page.collect_seq(markers.iter().map(Feature::from))
}

#[derive(Serialize)]
struct Feature<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    geometry: Point,
    properties: Properties<'a>,
}

#[derive(Serialize)]
struct Point {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Degrees east, degrees north.
    coordinates: [f64; 2],
}

#[derive(Serialize)]
struct Properties<'a> {
    country_code: &'static str,
    country_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<&'a str>,
}

impl<'a> From<&'a Marker> for Feature<'a> {
    fn from(marker: &'a Marker) -> Self {
        let info = marker.country.info();
        Self {
            kind: "Feature",
            geometry: Point { kind: "Point", coordinates: [marker.longitude, marker.latitude] },
            properties: Properties {
                country_code: info.code,
                country_name: info.name,
                city: (!marker.city.is_empty()).then_some(marker.city.as_str()),
            },
        }
    }
}
