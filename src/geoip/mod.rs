//! Looks up the place of an address in databases, which are replaced while the program runs, and the country table.

mod country_codes;
mod country_info;
#[rustfmt::skip] // Generated, one country per line.
mod country_table;
mod as_names;
mod city_lookup;
mod config;
mod database;
mod edition;
mod embedded;
mod fact_cache;
mod file;
mod file_bytes;
mod location;
mod locator;
mod metrics;
mod packed_database;
mod place_cache;
mod record;
mod scope;
mod search_tree;
mod thread_databases;
pub mod update;
mod watch;

pub use city_lookup::CityLookup;
pub use config::GeoIpConfig;
pub use country_info::{Continent, CountryInfo};
pub use edition::Edition;
pub use file::GeoIpError;
pub use location::Location;
pub use locator::{GeoIp, Locator};
pub use metrics::DatabaseMetrics;
pub use packed_database::UnpackError;
pub use scope::is_global;
pub use watch::DatabaseStatus;

use country_table::COUNTRIES;

/// The place of an address: a small handle, copied into every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The country, or why there is none.
    pub country: Country,
    /// Autonomous system number; 0 when no database has it.
    pub asn: u32,
}

/// A country of the table, or the reason why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Country {
    /// Index into the country table.
    Known(CountryId),
    /// The address is not globally routable (RFC 6890 and its registries).
    Private,
    /// No database has the address.
    Unknown,
}

impl Country {
    /// Value of the label `country` without a country.
    const PRIVATE: &'static str = "private";
    /// Value of the label `country` without a country.
    const UNKNOWN: &'static str = "unknown";
    /// First number of [`Self::to_bits`] that is a row of the table.
    const FIRST_ROW: u64 = 2;

    /// ISO 3166-1 alpha-2, `private` or `unknown`: the value of the label `country`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Known(id) => id.info().code,
            Self::Private => Self::PRIVATE,
            Self::Unknown => Self::UNKNOWN,
        }
    }

    /// The value of this code, in either case: the inverse of [`Self::code`].
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        if code.eq_ignore_ascii_case(Self::PRIVATE) {
            return Some(Self::Private);
        }
        if code.eq_ignore_ascii_case(Self::UNKNOWN) {
            return Some(Self::Unknown);
        }
        CountryId::from_code(code).map(Self::Known)
    }

    /// Two letters, `private` or `unknown`: the value of the label `continent`.
    #[must_use]
    pub fn continent(self) -> &'static str {
        Self::continent_name(self.continent_bits())
    }

    /// A number for this value, for [`Self::from_bits`].
    #[must_use]
    pub fn to_bits(self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Private => 1,
            Self::Known(id) => Self::FIRST_ROW + u64::from(id.0),
        }
    }

    /// The value of this number; [`Self::Unknown`] for an invalid number.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        match bits {
            1 => Self::Private,
            _ => bits
                .checked_sub(Self::FIRST_ROW)
                .and_then(|index| CountryId::from_index(usize::try_from(index).ok()?))
                .map_or(Self::Unknown, Self::Known),
        }
    }

    /// A number for the continent, or for the reason why there is none, for [`Self::continent_name`].
    #[must_use]
    pub fn continent_bits(self) -> u64 {
        match self {
            Self::Known(id) => Self::FIRST_ROW + id.info().continent as u64,
            _ => self.to_bits(),
        }
    }

    /// The value of the label `continent` for a number of [`Self::continent_bits`]; `unknown` for
    /// an invalid number.
    #[must_use]
    pub fn continent_name(bits: u64) -> &'static str {
        match bits {
            1 => Self::PRIVATE,
            _ => bits
                .checked_sub(Self::FIRST_ROW)
                .and_then(|index| Continent::ALL.get(usize::try_from(index).ok()?))
                .map_or(Self::UNKNOWN, |continent| continent.code()),
        }
    }
}

/// Index into the country table: always valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountryId(u8);

impl CountryId {
    /// Number of countries in the table.
    pub const COUNT: usize = COUNTRIES.len();

    /// Every country, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).filter_map(Self::from_index)
    }

    /// The country of these two letters, in either case.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        country_codes::find(code.as_bytes()).map(Self)
    }

    /// The country at this index of the table, below [`Self::COUNT`].
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|&row| usize::from(row) < Self::COUNT).map(Self)
    }

    /// Index into the table, below [`Self::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The table's row.
    #[must_use]
    pub fn info(self) -> &'static CountryInfo {
        &COUNTRIES[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the label values, and that the numbers convert back to them.
    fn check(country: Country, code: &str, continent: &str) {
        assert_eq!((country.code(), country.continent()), (code, continent));
        assert_eq!(Country::from_bits(country.to_bits()), country);
        assert_eq!(Country::from_code(&code.to_lowercase()), Some(country));
        assert_eq!(Country::continent_name(country.continent_bits()), continent);
    }

    #[test]
    fn labels_and_numbers_convert_both_ways() {
        check(Country::Private, "private", "private");
        check(Country::Unknown, "unknown", "unknown");
        for id in CountryId::all() {
            check(Country::Known(id), id.info().code, id.info().continent.code());
            assert_eq!(CountryId::from_index(id.index()), Some(id));
            assert_eq!(CountryId::from_code(id.info().code), Some(id));
        }
        for bits in [252, 253, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(Country::from_bits(bits), Country::Unknown);
            assert_eq!(Country::continent_name(bits), "unknown");
        }
        assert_eq!(CountryId::from_index(CountryId::COUNT), None);
        assert_eq!(Country::from_code("ZZ"), None);
        assert_eq!(Country::from_code("other"), None);
    }
}
