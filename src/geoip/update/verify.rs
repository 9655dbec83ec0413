//! Checks a downloaded database before it replaces one in use.

use std::net::IpAddr;

use super::error::UpdateError;
use crate::geoip::{database::Database, edition::Edition};

/// Addresses that have had the same holder for decades, in networks that every publisher knows: Google (also IPv6), RIPE
/// NCC, the University of Tokyo and the BBC.
const WELL_KNOWN: [&str; 5] =
    ["8.8.8.8", "2001:4860:4860::8888", "193.0.6.139", "133.11.0.1", "212.58.244.20"];

/// How many of them must be found: a network can be missing for a while.
const REQUIRED: usize = 3;

/// Opens a database, and checks that it is complete, of this edition, and has well-known addresses.
///
/// # Errors
/// It fails a check. `url` is its origin.
pub(super) fn verify(bytes: Vec<u8>, edition: Edition, url: &str) -> Result<Database, UpdateError> {
    let url = url.to_owned();
    let failed = |cause| UpdateError::Format { url: url.clone(), cause };
    let database = Database::from_bytes(bytes).map_err(|error| failed(error.to_string()))?;
    database.verify().map_err(failed)?;
    if Edition::of_database(&database) != Some(edition) {
        let (found, wanted) = (database.edition(), edition.name());
        return Err(UpdateError::WrongEdition { url, found, wanted });
    }
    let found = WELL_KNOWN.iter().filter(|address| knows(&database, edition, address)).count();
    if found < REQUIRED {
        let (database, of) = (database.edition(), WELL_KNOWN.len());
        return Err(UpdateError::MissingAddresses { url, database, found, of });
    }
    Ok(database)
}

fn knows(database: &Database, edition: Edition, address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let facts = database.decode_facts(address);
    match edition {
        Edition::City | Edition::Country => facts.country.is_some(),
        Edition::Asn => facts.asn.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geoip::{embedded, file::tests::data};

    fn check(bytes: Vec<u8>, edition: Edition, expect: &str) {
        let message = verify(bytes, edition, "https://a/x").err().map(|error| error.to_string());
        let message = message.unwrap_or_default();
        assert!(message.contains(expect) && message.is_empty() == expect.is_empty(), "{message}");
    }

    #[test]
    fn only_a_complete_database_of_the_edition_is_accepted() {
        let country = embedded::bytes().unwrap();
        check(country.clone(), Edition::Country, "");
        check(country.clone(), Edition::City, "and the edition city was requested");
        check(country.clone(), Edition::Asn, "and the edition asn was requested");
        check(country[..country.len() / 2].to_vec(), Edition::Country, "not a usable MaxMind DB");
        let mut damaged = country;
        // The data of the search tree's first half: its values point anywhere.
        let length = damaged.len();
        damaged[length / 4..length / 2].fill(0xff);
        check(damaged, Edition::Country, "not a usable MaxMind DB");
        // The test databases of MaxMind have only a few networks.
        let bytes = std::fs::read(data("GeoIP2-Country-Test.mmdb")).unwrap();
        check(bytes, Edition::Country, "of 5 well-known addresses");
    }
}
