//! `/markers.xml` and `/markers.geojson`: the query read, the markers written.

use std::{fmt::Write as _, num::IntErrorKind};

use serde::{Serialize, Serializer};

use crate::{
    geoip::Country,
    recent::{Marker, MarkerQuery, Markers},
};

/// The paths that serve markers.
pub(crate) const PATHS: [&str; 2] = ["/markers.xml", "/markers.geojson"];

/// Parameters that scripts add to bypass caches, as a bare number does. They are ignored.
const CACHE_BUSTERS: [&str; 8] = ["_", "t", "ts", "v", "cb", "nocache", "random", "timestamp"];

/// A query that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadQuery {
    #[error("unknown parameter {0:?}: there are last, since, port, prefix and country")]
    Unknown(String),
    #[error("the parameter {0:?} stands there twice")]
    Repeated(String),
    #[error("{name}={value:?} is not {allowed}")]
    Value { name: &'static str, value: String, allowed: &'static str },
}

/// Reads the part of a request behind its `?`.
pub(crate) fn query(text: &str) -> Result<MarkerQuery, BadQuery> {
    let mut query = MarkerQuery::default();
    let mut seen = Vec::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        if is_cache_buster(&name) {
            continue;
        }
        if seen.contains(&name) {
            return Err(BadQuery::Repeated(name.into_owned()));
        }
        match &*name {
            "last" => query.last = last(&value)?,
            "since" => {
                let allowed = "a duration with its unit, such as 10m or 1h30m";
                query.since =
                    Some(read("since", &value, allowed, |it| humantime::parse_duration(it).ok())?);
            }
            "port" => {
                let allowed = "a port from 0 to 65535";
                query.port = Some(read("port", &value, allowed, |it| it.parse().ok())?);
            }
            "prefix" => query.prefix = Some(value.into_owned()),
            "country" => {
                let allowed = "two letters of ISO 3166-1 such as NL, private or unknown";
                query.country = Some(read("country", &value, allowed, Country::from_code)?);
            }
            _ => return Err(BadQuery::Unknown(name.into_owned())),
        }
        seen.push(name);
    }
    Ok(query)
}

fn is_cache_buster(name: &str) -> bool {
    let is_number =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number || CACHE_BUSTERS.contains(&name)
}

fn last(value: &str) -> Result<usize, BadQuery> {
    let allowed = "a number of packets from 1 on, such as 10000";
    read("last", value, allowed, |it| match it.parse::<usize>() {
        Ok(0) => None,
        Ok(last) => Some(last),
        // More than there ever are: all of them.
        Err(error) => (*error.kind() == IntErrorKind::PosOverflow).then_some(usize::MAX),
    })
}

fn read<T>(
    name: &'static str,
    value: &str,
    allowed: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, BadQuery> {
    read(value).ok_or_else(|| BadQuery::Value { name, value: value.into(), allowed })
}

/// Bytes that a marker takes written, about.
const MARKER_LENGTH: usize = 128;

/// The same in `GeoJSON`.
const FEATURE_LENGTH: usize = 176;

/// Writes XML.
pub(crate) fn xml(found: &Markers) -> String {
    let Markers { markers, left_out, held, reach } = found;
    let mut page = String::with_capacity(256 + markers.len() * MARKER_LENGTH);
    page.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<markers");
    attribute(&mut page, "entries", &markers.len().to_string());
    attribute(&mut page, "left_out", &left_out.to_string());
    attribute(&mut page, "held", &held.to_string());
    if let Some((oldest, newest)) = *reach {
        attribute(&mut page, "oldest", &seconds(oldest).to_string());
        attribute(&mut page, "newest", &seconds(newest).to_string());
    }
    page.push_str(">\n");
    for Marker { country, latitude, longitude, city } in markers {
        let info = country.info();
        page.push_str("<marker");
        attribute(&mut page, "country_code", info.code);
        attribute(&mut page, "country_name", info.name);
        attribute(&mut page, "lng", &longitude.to_string());
        attribute(&mut page, "lat", &latitude.to_string());
        if !city.is_empty() {
            attribute(&mut page, "city", city);
        }
        page.push_str("/>\n");
    }
    page.push_str("</markers>\n");
    page
}

/// Writes an attribute that a parser reads back as it was, save what XML 1.0 has no way to write.
fn attribute(page: &mut String, name: &str, value: &str) {
    page.push(' ');
    page.push_str(name);
    page.push_str("=\"");
    for character in value.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&apos;"),
            // As such, they would read as spaces. Writing to a string does not fail.
            '\t' | '\n' | '\r' => {
                let _ = write!(page, "&#{};", u32::from(character));
            }
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => page.push(char::REPLACEMENT_CHARACTER),
            other => page.push(other),
        }
    }
    page.push('"');
}

/// Writes `GeoJSON` (RFC 7946), the counts as members beside the features.
pub(crate) fn geojson(found: &Markers) -> String {
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
    // Numbers, texts and lists of them: nothing there that has no JSON.
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

/// One after the other: all of them at once would be half as long as the page.
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

/// Seconds since 1970, of microseconds.
#[expect(clippy::cast_precision_loss, reason = "exact for times of this age")]
fn seconds(time: u64) -> f64 {
    time as f64 / 1e6
}
