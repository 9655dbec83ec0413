//! The country database inside the binary.

use std::sync::{Arc, OnceLock};

#[cfg(test)]
use super::packed_database::UnpackError;
use super::{database::Database, file::GeoIpError, packed_database::unpack};

/// DB-IP Lite, countries, IPv4 and IPv6 (see NOTICE); written by `assets/refresh database`.
const PACKED: &[u8] = include_bytes!("../../assets/dbip-country-lite.packed");

/// The embedded database, unpacked at the first call and shared after that.
pub(super) fn database() -> Result<Arc<Database>, GeoIpError> {
    static DATABASE: OnceLock<Arc<Database>> = OnceLock::new();
    if let Some(database) = DATABASE.get() {
        return Ok(Arc::clone(database));
    }
    let bytes = unpack(PACKED).map_err(GeoIpError::Unpack)?;
    let database = Database::from_bytes(bytes).map_err(GeoIpError::Embedded)?;
    Ok(Arc::clone(DATABASE.get_or_init(|| Arc::new(database))))
}

/// The bytes of the embedded database as a MaxMind DB file.
#[cfg(test)]
pub(super) fn bytes() -> Result<Vec<u8>, UnpackError> {
    unpack(PACKED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geoip::CountryId;

    fn check(address: &str, code: &str) {
        let database = database().unwrap();
        let facts = database.facts(address.parse().unwrap(), &mut database.fact_cache());
        assert_eq!(facts.country, CountryId::from_code(code), "{address}");
        assert_eq!(facts.asn, None, "{address}");
    }

    #[test]
    fn the_embedded_database_has_countries() {
        let database = database().unwrap();
        assert!(database.has_countries() && !database.has_asns());
        // Built after 2026-01-01.
        assert!(database.build_timestamp() > 1_767_225_600);
        assert!(!database.edition().is_empty());
        check("8.8.8.8", "US");
        check("2620:0:2d0:200::7", "US");
        check("193.0.6.139", "NL");
        check("2001:67c:2e8:22::c100:68b", "NL");
        check("212.58.244.20", "GB");
        check("133.11.0.1", "JP");
        check("2003::1", "DE");
    }

    #[test]
    fn the_packed_form_is_small_and_has_the_checksum_of_the_whole_file() {
        let bytes = unpack(PACKED).unwrap();
        assert!(PACKED.len() < bytes.len() / 8, "{} of {} bytes", PACKED.len(), bytes.len());
        assert_eq!(unpack(&PACKED[..PACKED.len() / 2]), Err(UnpackError::Truncated));
        let mut damaged = PACKED.to_vec();
        damaged[PACKED.len() / 2] ^= 1;
        assert!(unpack(&damaged).is_err());
    }

    /// The walk decodes each network's record by its position in the tree, a look-up by the bits of an address.
    #[test]
    fn the_ends_of_every_network_have_its_country() {
        let reader = maxminddb::Reader::from_source(unpack(PACKED).unwrap()).unwrap();
        let database = database().unwrap();
        let mut records = database.fact_cache();
        let mut networks = 0;
        for record in reader.networks(maxminddb::WithinOptions::default()).unwrap() {
            let record = record.unwrap();
            let code = record.decode_path::<&str>(&[maxminddb::PathElement::Key("country_code")]);
            let expect = code.unwrap().and_then(CountryId::from_code);
            assert!(expect.is_some(), "{record:?}");
            let network = record.network().unwrap();
            for address in [network.network(), network.broadcast()] {
                let facts = database.facts(address, &mut records);
                assert_eq!(facts.country, expect, "{address} of {network}");
            }
            networks += 1;
        }
        assert!(networks > 1_000_000, "{networks} networks");
    }
}
