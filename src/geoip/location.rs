//! City and coordinates, and the layouts in which publishers store them.

use std::fmt;

use compact_str::CompactString;
use maxminddb::{
    LookupResult,
    PathElement::{self, Key},
};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::file_bytes::FileBytes;
use crate::system::untrusted_text::one_line;

/// The path of a fact in a record.
pub(super) type Path = &'static [PathElement<'static>];

/// Maximum length of a city name, bytes.
const MAX_CITY: usize = 128;

/// A single-precision number is rounded to a fraction of this many steps per degree, about ten metres: it
/// can represent them everywhere, and the result has no spurious digits.
const STEPS: f64 = 10_000.0;

/// The location of an address, as precise as the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// English name of the city, one line of at most 128 bytes; empty when only the coordinates are
    /// known. Untrusted text: escape it where it is shown.
    pub city: CompactString,
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

/// The paths of a location in a record.
#[derive(Debug)]
pub(super) struct LocationLayout {
    city: Path,
    latitude: Path,
    longitude: Path,
}

/// Layouts of locations.
static LAYOUTS: [LocationLayout; 3] = [
    // MaxMind and DB-IP.
    LocationLayout {
        city: &[Key("city"), Key("names"), Key("en")],
        latitude: &[Key("location"), Key("latitude")],
        longitude: &[Key("location"), Key("longitude")],
    },
    LocationLayout {
        city: &[Key("city")],
        latitude: &[Key("latitude")],
        longitude: &[Key("longitude")],
    },
    // IPinfo, as text.
    LocationLayout { city: &[Key("city")], latitude: &[Key("lat")], longitude: &[Key("lng")] },
];

impl LocationLayout {
    /// The layout by which this record has coordinates.
    pub(super) fn of(record: &LookupResult<'_, FileBytes>) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.coordinates(record).is_some())
    }

    /// Decodes the record's location; `None` when it has no coordinates, or invalid ones.
    pub(super) fn location(&self, record: &LookupResult<'_, FileBytes>) -> Option<Location> {
        let (latitude, longitude) = self.coordinates(record)?;
        // An error is a value of another type or an invalid record: neither has a city.
        let city = record.decode_path::<&str>(self.city).ok().flatten();
        let city = city.map(|name| one_line(name, MAX_CITY));
        Some(Location { city: city.unwrap_or_default(), latitude, longitude })
    }

    fn coordinates(&self, record: &LookupResult<'_, FileBytes>) -> Option<(f64, f64)> {
        let Degrees(latitude) = record.decode_path(self.latitude).ok().flatten()?;
        let Degrees(longitude) = record.decode_path(self.longitude).ok().flatten()?;
        is_valid(latitude, longitude).then_some((latitude, longitude))
    }
}

/// Whether coordinates are valid. Some publishers write 0, 0, a point in the sea, for unknown.
fn is_valid(latitude: f64, longitude: f64) -> bool {
    // A NaN is in no range.
    (-90.0..=90.0).contains(&latitude)
        && (-180.0..=180.0).contains(&longitude)
        && (latitude, longitude) != (0.0, 0.0)
}

/// Degrees, written as a number of any type or as text.
#[derive(Debug)]
struct Degrees(f64);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DegreesVisitor)
    }
}

struct DegreesVisitor;

impl Visitor<'_> for DegreesVisitor {
    type Value = Degrees;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("degrees")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Degrees, E> {
        Ok(Degrees(value))
    }

    fn visit_f32<E: Error>(self, value: f32) -> Result<Degrees, E> {
        Ok(Degrees((f64::from(value) * STEPS).round() / STEPS))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Degrees, E> {
        u32::try_from(value).map(|value| Degrees(value.into())).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Degrees, E> {
        i32::try_from(value).map(|value| Degrees(value.into())).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Degrees, E> {
        value.trim().parse().map(Degrees).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::{IntoDeserializer, value};

    use super::*;

    fn degrees<'de, T>(written: T, expect: Option<f64>)
    where
        T: IntoDeserializer<'de, value::Error>,
    {
        let read = Degrees::deserialize(written.into_deserializer());
        assert_eq!(read.ok().map(|Degrees(number)| number), expect);
    }

    #[test]
    fn coordinates_are_read_as_numbers_or_text() {
        degrees(51.5142_f64, Some(51.5142));
        degrees(51.5142_f32, Some(51.5142));
        degrees(-179.9999_f32, Some(-179.9999));
        degrees(51_u32, Some(51.0));
        degrees(51_u64, Some(51.0));
        degrees(-9_i32, Some(-9.0));
        degrees("-0.0931", Some(-0.0931));
        degrees(" 12 ", Some(12.0));
        degrees(u64::MAX, None);
        degrees("", None);
        degrees("51,5", None);
        degrees("51N", None);
        degrees(true, None);
    }

    fn place(latitude: f64, longitude: f64, expect: bool) {
        assert_eq!(is_valid(latitude, longitude), expect, "{latitude} {longitude}");
    }

    #[test]
    fn invalid_coordinates_are_rejected() {
        place(90.0, 180.0, true);
        place(-90.0, -180.0, true);
        place(0.0, 9.5, true);
        place(0.0, 0.0, false);
        place(-0.0, 0.0, false);
        place(90.1, 0.0, false);
        place(-90.1, 0.0, false);
        place(1.0, 180.1, false);
        place(1.0, -180.1, false);
        place(f64::NAN, 1.0, false);
        place(1.0, f64::NAN, false);
        place(f64::INFINITY, 1.0, false);
        place(1.0, f64::NEG_INFINITY, false);
    }
}
