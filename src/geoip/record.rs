//! Layouts of database records: the paths of country and AS number of each publisher, and their detection.

use std::fmt;

use compact_str::CompactString;
use hashbrown::HashSet;
use maxminddb::{LookupResult, PathElement::Key, Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::{
    CountryId,
    file_bytes::FileBytes,
    location::{Location, LocationLayout, Path},
};
use crate::system::untrusted_text::one_line;

/// The facts of one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The country.
    pub(super) country: Option<CountryId>,
    /// Autonomous system number, not 0.
    pub(super) asn: Option<u32>,
}

/// Layouts of countries. Within a layout, the first path that leads to a country of the table counts.
const COUNTRY_LAYOUTS: [&[Path]; 3] = [
    // MaxMind and DB-IP; the networks of satellite providers have the second path only.
    &[&[Key("country"), Key("iso_code")], &[Key("registered_country"), Key("iso_code")]],
    &[&[Key("country_code")]],
    &[&[Key("country")]],
];

/// The paths of an AS number and of the names of its organization, the first of which counts.
#[derive(Debug)]
struct AsnLayout {
    number: Path,
    names: &'static [Path],
}

/// Layouts of AS numbers.
static ASN_LAYOUTS: [AsnLayout; 4] = [
    AsnLayout {
        number: &[Key("autonomous_system_number")],
        names: &[&[Key("autonomous_system_organization")]],
    },
    // IPinfo.
    AsnLayout { number: &[Key("asn")], names: &[&[Key("as_name")], &[Key("name")]] },
    AsnLayout {
        number: &[Key("traits"), Key("autonomous_system_number")],
        names: &[&[Key("traits"), Key("autonomous_system_organization")]],
    },
    // CIRCL Geo Open, as text.
    AsnLayout {
        number: &[Key("country"), Key("AutonomousSystemNumber")],
        names: &[&[Key("country"), Key("AutonomousSystemOrganization")]],
    },
];

/// Maximum length of the name of an autonomous system, bytes.
const MAX_AS_NAME: usize = 128;

/// Maximum networks examined to find the layout: a hostile search tree can hold 2^128.
const PROBED_NETWORKS: usize = 65_536;

/// Maximum distinct records examined to find the layout.
const PROBED_RECORDS: usize = 1_024;

/// The layout of a database; `None` for a fact that no examined record has.
#[derive(Debug, Default)]
pub(super) struct Layout {
    country: Option<&'static [Path]>,
    asn: Option<&'static AsnLayout>,
    location: Option<&'static LocationLayout>,
}

impl Layout {
    /// Finds the layout from the database's first records, whatever its type says.
    pub(super) fn probe(reader: &Reader<FileBytes>) -> Self {
        // With these options each step of the iterator is short, because it skips nothing.
        let options =
            WithinOptions::default().include_aliased_networks().include_networks_without_data();
        let mut layout = Self::default();
        let mut probed = HashSet::new();
        let Ok(networks) = reader.networks(options) else { return layout };
        for record in networks.take(PROBED_NETWORKS).flatten() {
            let Some(offset) = record.offset() else { continue };
            if !probed.insert(offset) {
                continue;
            }
            if layout.country.is_none() {
                layout.country =
                    COUNTRY_LAYOUTS.into_iter().find(|paths| country(&record, paths).is_some());
            }
            if layout.asn.is_none() {
                layout.asn = ASN_LAYOUTS.iter().find(|layout| layout.asn(&record).is_some());
            }
            if layout.location.is_none() {
                layout.location = LocationLayout::of(&record);
            }
            let found_all =
                layout.country.is_some() && layout.asn.is_some() && layout.location.is_some();
            if found_all || probed.len() == PROBED_RECORDS {
                break;
            }
        }
        layout
    }

    /// Whether the records have countries.
    pub(super) fn has_countries(&self) -> bool {
        self.country.is_some()
    }

    /// Whether the records have AS numbers.
    pub(super) fn has_asns(&self) -> bool {
        self.asn.is_some()
    }

    /// Whether the records have coordinates.
    pub(super) fn has_locations(&self) -> bool {
        self.location.is_some()
    }

    /// Decodes city and coordinates of a record.
    pub(super) fn location(&self, record: &LookupResult<'_, FileBytes>) -> Option<Location> {
        self.location?.location(record)
    }

    /// Decodes the facts of a record, and nothing else of it.
    pub(super) fn facts(&self, record: &LookupResult<'_, FileBytes>) -> Facts {
        Facts {
            country: self.country.and_then(|paths| country(record, paths)),
            asn: self.asn(record),
        }
    }

    /// Decodes the AS number of a record, which is not 0.
    pub(super) fn asn(&self, record: &LookupResult<'_, FileBytes>) -> Option<u32> {
        self.asn?.asn(record)
    }

    /// Decodes the name of a record's autonomous system: one line, not empty. Untrusted text: escape it where it is shown.
    pub(super) fn as_name(&self, record: &LookupResult<'_, FileBytes>) -> Option<CompactString> {
        // An error is a value of another type or an invalid record: neither has a name.
        let names = self.asn?.names.iter();
        let names = names.filter_map(|path| record.decode_path::<&str>(path).ok().flatten());
        names.map(|name| one_line(name, MAX_AS_NAME)).find(|name| !name.is_empty())
    }
}

fn country(record: &LookupResult<'_, FileBytes>, paths: &[Path]) -> Option<CountryId> {
    // An error is a value of another type or an invalid record: neither has a country.
    paths
        .iter()
        .filter_map(|path| record.decode_path::<&str>(path).ok().flatten())
        .find_map(CountryId::from_code)
}

impl AsnLayout {
    fn asn(&self, record: &LookupResult<'_, FileBytes>) -> Option<u32> {
        let AsNumber(number) = record.decode_path(self.number).ok().flatten()?;
        (number != 0).then_some(number)
    }
}

/// An AS number, written as a number, as `"123"` or as `"AS123"`.
struct AsNumber(u32);

impl<'de> Deserialize<'de> for AsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsNumberVisitor)
    }
}

struct AsNumberVisitor;

impl Visitor<'_> for AsNumberVisitor {
    type Value = AsNumber;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an AS number")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<AsNumber, E> {
        u32::try_from(value).map(AsNumber).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<AsNumber, E> {
        u32::try_from(value).map(AsNumber).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<AsNumber, E> {
        let digits = match value.as_bytes() {
            [b'A' | b'a', b'S' | b's', ..] => &value[2..],
            _ => value,
        };
        digits.parse().map(AsNumber).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::{IntoDeserializer, value};

    use super::*;

    fn check<'de, T>(written: T, expect: Option<u32>)
    where
        T: IntoDeserializer<'de, value::Error>,
    {
        let read = AsNumber::deserialize(written.into_deserializer());
        assert_eq!(read.ok().map(|AsNumber(number)| number), expect);
    }

    #[test]
    fn as_numbers_are_read_as_numbers_or_text() {
        check(1_221_u32, Some(1_221));
        check(4_294_967_295_u64, Some(u32::MAX));
        check(4_294_967_296_u64, None);
        check(-1_i32, None);
        check("AS13335", Some(13_335));
        check("as13335", Some(13_335));
        check("13335", Some(13_335));
        check("AS", None);
        check("", None);
        check("<script>", None);
        check("Ä1", None);
        check(true, None);
        check(1.5_f64, None);
    }
}
