//! The country database inside the binary.

use std::{
    io::{self, Read},
    sync::{Arc, OnceLock},
};

use ruzstd::decoding::StreamingDecoder;

use super::{database::Database, file::GeoIpError};

/// DB-IP Lite, countries, IPv4 and IPv6 (see NOTICE); written by `assets/refresh database`.
const COMPRESSED: &[u8] = include_bytes!("../../assets/dbip-country-lite.mmdb.zst");

/// Maximum size of the unpacked database, bytes.
const MAX_SIZE: u64 = 64 << 20;

/// The embedded database, unpacked at the first call and shared after that.
pub(super) fn database() -> Result<Arc<Database>, GeoIpError> {
    static DATABASE: OnceLock<Arc<Database>> = OnceLock::new();
    if let Some(database) = DATABASE.get() {
        return Ok(Arc::clone(database));
    }
    let bytes = unpack(COMPRESSED).map_err(GeoIpError::Unpack)?;
    let database = Database::from_bytes(bytes).map_err(GeoIpError::Embedded)?;
    Ok(Arc::clone(DATABASE.get_or_init(|| Arc::new(database))))
}

fn unpack(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let decoder = StreamingDecoder::new_with_max_window_size(compressed, MAX_SIZE)
        .map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    decoder.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it unpacks to more than {MAX_SIZE} bytes"),
        ));
    }
    Ok(bytes)
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
    fn a_truncated_or_empty_asset_is_an_error() {
        assert!(unpack(&COMPRESSED[..COMPRESSED.len() / 2]).is_err());
        assert!(unpack(&[]).is_err());
        assert!(unpack(b"no zstd frame at all").is_err());
    }
}
