//! Databases with damaged or unexpected contents.

use super::*;

/// Looks up addresses in a database of arbitrary bytes. Any answer is allowed if it is valid.
fn survive(bytes: &[u8]) {
    let Ok(database) = Database::from_bytes(bytes.to_vec()) else { return };
    for number in [1, 29_518, u32::MAX] {
        let name = database.as_name(number).unwrap_or_default();
        assert!(name.len() <= 128 && !name.contains(char::is_control), "{name}");
    }
    let (mut memo, mut locations) = (database.fact_cache(), no_locations(&database));
    for address in ["1.1.1.1", "89.160.20.112", "81.2.69.142", "255.0.0.1", "2001:218::1", "::"] {
        let _ = database.facts(address.parse().unwrap(), &mut memo);
        if let Some(location) = database.location(address.parse().unwrap(), &mut locations) {
            assert!(
                location.latitude.abs() <= 90.0 && location.longitude.abs() <= 180.0,
                "{location:?}"
            );
            assert!(
                location.city.len() <= 128 && !location.city.contains(char::is_control),
                "{location:?}"
            );
        }
    }
}

#[test]
fn invalid_files_do_not_panic() {
    for name in [
        "cyclic-data-structure.mmdb",
        "libmaxminddb-corrupt-search-tree.mmdb",
        "libmaxminddb-deep-nesting.mmdb",
        "unexpected-bytes.mmdb",
        "MaxMind-DB-string-value-entries.mmdb",
    ] {
        survive(&fs::read(data(name)).unwrap());
    }
}

#[test]
fn values_of_unexpected_types_or_text_are_ignored() {
    let country = |old: &[u8], new: &[u8]| {
        let mut bytes = fs::read(data(COUNTRY)).unwrap();
        replace(&mut bytes, old, new);
        let database = Database::from_bytes(bytes).unwrap();
        database.facts("89.160.20.112".parse().unwrap(), &mut database.fact_cache()).country
    };
    // The network has another registered country, which is used if its country is invalid.
    let registered = CountryId::from_code("DE");
    assert!(registered.is_some());
    // A string of two characters becomes markup, an integer, and two bytes.
    for new in [b"\x42<b", b"\xa2SE", b"\x82SE"] {
        assert_eq!(country(b"\x42SE", new), registered, "{new:?}");
    }
    assert_eq!(country(b"\x48iso_code", b"\x48iso_cod_"), None);
}

proptest::proptest! {
    #[test]
    fn a_damaged_file_does_not_panic(
        damage in proptest::collection::vec((0_usize..25_000, proptest::num::u8::ANY), 1..40),
    ) {
        for name in [CITY, ASN] {
            let mut bytes = fs::read(data(name)).unwrap();
            let length = bytes.len();
            for &(place, byte) in &damage {
                bytes[place % length] = byte;
            }
            survive(&bytes);
        }
    }
}
