//! The editions of databases that publishers offer: country, city and ASN.

use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::database::Database;

/// What a database provides.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Edition {
    /// Countries, cities and coordinates.
    City,
    /// Countries.
    Country,
    /// AS numbers.
    Asn,
}

impl Edition {
    /// All editions. An address is looked up in this order: the city database has the same countries as the country
    /// database of its publisher.
    pub(super) const ALL: [Self; 3] = [Self::City, Self::Country, Self::Asn];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Country => "country",
            Self::Asn => "asn",
        }
    }

    /// The name of its file in the directory of downloaded databases.
    pub(super) fn file_name(self) -> String {
        format!("{}.mmdb", self.name())
    }

    /// The edition of an open database, by its content; `None` for a database with other content, such as countries and
    /// AS numbers in one.
    pub(super) fn of_database(database: &Database) -> Option<Self> {
        match (database.has_countries(), database.has_locations(), database.has_asns()) {
            (true, true, false) => Some(Self::City),
            (true, false, false) => Some(Self::Country),
            (false, false, true) => Some(Self::Asn),
            _ => None,
        }
    }

    /// The edition that a file's name contains, in either case; `None` if it contains none or several.
    pub(super) fn of_file_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let mut named = Self::ALL.into_iter().filter(|edition| name.contains(edition.name()));
        let edition = named.next()?;
        named.next().is_none().then_some(edition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geoip::file::{open, tests::data};

    #[test]
    fn an_edition_is_that_of_the_content() {
        for (name, edition) in [
            ("GeoIP2-City-Test.mmdb", Edition::City),
            ("GeoIP2-Country-Test.mmdb", Edition::Country),
            ("GeoLite2-ASN-Test.mmdb", Edition::Asn),
        ] {
            let (database, _) = open(&data(name)).unwrap();
            assert_eq!(Edition::of_database(&database), Some(edition), "{name}");
            assert_eq!(Edition::of_file_name(Path::new(name)), Some(edition), "{name}");
        }
        assert_eq!(Edition::of_file_name(Path::new("/city/geo.mmdb")), None);
        assert_eq!(Edition::of_file_name(Path::new("city-asn.mmdb")), None);
    }
}
