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

/// A database with an autonomous system in half of all IPv4 addresses. All IPv6 addresses from `8000::` on refer to
/// the IPv4 addresses, each on its own path through a few nodes.
fn with_many_paths() -> Vec<u8> {
    const PATH: u32 = 96;
    const SHARED: u32 = 100;
    let nodes = PATH + 1 + SHARED;
    let mut tree: Vec<[u32; 2]> = (0..PATH).map(|node| [node + 1, nodes]).collect();
    tree[0][1] = PATH + 1;
    tree.push([nodes + 16, nodes]);
    tree.extend((1..SHARED).map(|node| [PATH + 1 + node; 2]));
    tree.push([PATH; 2]);
    let records = tree.into_iter().flatten();
    let mut bytes: Vec<u8> = records.flat_map(|it| it.to_be_bytes().into_iter().skip(1)).collect();
    bytes.extend([0; 16]);
    bytes.extend(b"\xe2\x58autonomous_system_number\xc2\xfb\xf0");
    bytes.extend(b"\x5d\x01autonomous_system_organization\x47Example");
    bytes.extend(b"\xab\xcd\xefMaxMind.com\xe9");
    bytes.extend(b"\x4anode_count\xc1");
    bytes.push(nodes.try_into().unwrap());
    bytes.extend(b"\x4brecord_size\xa1\x18\x4aip_version\xa1\x06\x4ddatabase_type\x41x");
    bytes.extend(b"\x5bbinary_format_major_version\xa1\x02\x5bbinary_format_minor_version\xa0");
    bytes.extend(b"\x4bbuild_epoch\x01\x02\x01\x49languages\x00\x04\x4bdescription\xe0");
    bytes
}

#[test]
fn a_tree_with_many_paths_ends() {
    let database = Database::from_bytes(with_many_paths()).unwrap();
    assert_eq!(database.as_name(64_496).as_deref(), Some("Example"));
    assert!(database.verify().is_err());
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
