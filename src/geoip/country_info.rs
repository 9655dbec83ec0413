//! A row of the country table, and continents.

/// One row of the country table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountryInfo {
    /// ISO 3166-1 alpha-2; `XK` for Kosovo.
    pub code: &'static str,
    /// ISO 3166-1 alpha-3; `XKX` for Kosovo.
    pub iso3: &'static str,
    /// Short English name.
    pub name: &'static str,
    /// The continent of its largest part.
    pub continent: Continent,
    /// Latitude of a point in its largest part, degrees, -90 to 90.
    pub latitude: f64,
    /// Longitude of that point, degrees, -180 to 180.
    pub longitude: f64,
}

/// A continent by its two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Continent {
    /// Africa
    AF,
    /// Antarctica
    AN,
    /// Asia
    AS,
    /// Europe
    EU,
    /// North America
    NA,
    /// Oceania
    OC,
    /// South America
    SA,
}

impl Continent {
    /// Every continent, in the order of their codes.
    pub const ALL: [Self; 7] =
        [Self::AF, Self::AN, Self::AS, Self::EU, Self::NA, Self::OC, Self::SA];

    /// Its two letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AF => "AF",
            Self::AN => "AN",
            Self::AS => "AS",
            Self::EU => "EU",
            Self::NA => "NA",
            Self::OC => "OC",
            Self::SA => "SA",
        }
    }
}

/// Creates a row of the generated table.
pub(super) const fn row(
    code: &'static str,
    iso3: &'static str,
    name: &'static str,
    continent: Continent,
    latitude: f64,
    longitude: f64,
) -> CountryInfo {
    CountryInfo { code, iso3, name, continent, latitude, longitude }
}
