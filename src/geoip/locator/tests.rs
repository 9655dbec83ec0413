//! The public interface: order of databases, reloads while a locator exists, hostile files.

use std::{fs, path::Path};

use super::*;
use crate::geoip::{
    CountryId,
    database::{Database, location_records},
    file::tests::data,
};

const CITY: &str = "GeoIP2-City-Test.mmdb";
const COUNTRY: &str = "GeoIP2-Country-Test.mmdb";
const ASN: &str = "GeoLite2-ASN-Test.mmdb";

fn open(names: &[&str]) -> GeoIp {
    GeoIp::open(&names.iter().map(|name| data(name)).collect::<Vec<_>>()).unwrap()
}

/// Country label and AS number of an address.
fn check(locator: &mut Locator, address: &str, country: &str, asn: u32) {
    let place = locator.locate(address.parse().unwrap());
    assert_eq!((place.country.code(), place.asn), (country, asn), "{address}");
    // The second time from the cache.
    assert_eq!(locator.locate(address.parse().unwrap()), place, "{address}");
}

/// Names of the databases, successful reloads, failed reloads.
fn status(geoip: &GeoIp) -> Vec<(String, u64, u64)> {
    geoip.status().into_iter().map(|it| (it.name, it.reloads_ok, it.reloads_failed)).collect()
}

/// Installs a file of `tests/data/geoip` as an updater does: by a rename.
fn install(name: &str, path: &Path) {
    let new = path.with_extension("new");
    fs::copy(data(name), &new).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn the_embedded_database_is_used_without_files() {
    let geoip = open(&[]);
    let mut locator = geoip.locator();
    check(&mut locator, "8.8.8.8", "US", 0);
    check(&mut locator, "::ffff:8.8.8.8", "US", 0);
    check(&mut locator, "64:ff9b::8.8.8.8", "US", 0);
    check(&mut locator, "2003::1", "DE", 0);
    check(&mut locator, "192.168.1.1", "private", 0);
    check(&mut locator, "fe80::1", "private", 0);
    check(&mut locator, "3000::1", "unknown", 0);
    assert_eq!(status(&geoip), [("embedded".to_owned(), 0, 0)]);
    assert!(!geoip.status()[0].edition.is_empty());
}

#[test]
fn a_country_file_replaces_the_embedded_database() {
    for name in [CITY, COUNTRY] {
        let geoip = open(&[name]);
        let mut locator = geoip.locator();
        check(&mut locator, "81.2.69.142", "GB", 0);
        check(&mut locator, "89.160.20.112", "SE", 0);
        check(&mut locator, "2001:218::1", "JP", 0);
        // Not in the file, and the embedded database is not used.
        check(&mut locator, "8.8.8.8", "unknown", 0);
        assert_eq!(status(&geoip), [(name.to_owned(), 0, 0)]);
    }
}

#[test]
fn countries_are_added_to_an_asn_file() {
    let geoip = open(&[ASN]);
    let mut locator = geoip.locator();
    check(&mut locator, "1.128.0.1", "AU", 1_221);
    check(&mut locator, "193.0.6.139", "NL", 0);
    check(&mut locator, "10.0.0.1", "private", 0);
    assert_eq!(status(&geoip), [(ASN.to_owned(), 0, 0), ("embedded".to_owned(), 0, 0)]);

    let mut locator = open(&[ASN, CITY]).locator();
    check(&mut locator, "89.160.20.112", "SE", 29_518);
    check(&mut locator, "81.2.69.142", "GB", 0);
}

#[test]
fn the_first_database_with_an_answer_wins() {
    let directory = tempfile::tempdir().unwrap();
    // Has GB where the test file has SE.
    let mut bytes = fs::read(data(COUNTRY)).unwrap();
    replace(&mut bytes, b"\x42SE", b"\x42GB");
    let mine = directory.path().join("mine.mmdb");
    fs::write(&mine, bytes).unwrap();

    let first = GeoIp::open(&[mine.clone(), data(CITY)]).unwrap();
    check(&mut first.locator(), "89.160.20.112", "GB", 0);
    let second = GeoIp::open(&[data(CITY), mine]).unwrap();
    check(&mut second.locator(), "89.160.20.112", "SE", 0);
}

/// Replaces every occurrence by the same number of other bytes.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let places: Vec<_> =
        (0..bytes.len()).filter(|&place| bytes[place..].starts_with(old)).collect();
    assert!(!places.is_empty() && old.len() == new.len());
    for place in places {
        bytes[place..place + new.len()].copy_from_slice(new);
    }
}

#[test]
fn databases_with_the_same_file_name_have_distinct_labels() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "a"].map(|name| directory.path().join(name).join("x.mmdb"));
    for path in &paths[..2] {
        fs::create_dir(path.parent().unwrap()).unwrap();
        install(CITY, path);
    }
    let labels: Vec<_> =
        GeoIp::open(&paths).unwrap().status().into_iter().map(|it| it.name).collect();
    assert_eq!(labels, [paths[0].to_str().unwrap(), paths[1].to_str().unwrap()]);
}

#[test]
fn a_replaced_file_is_loaded_while_a_locator_exists() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("geo.mmdb");
    install(CITY, &path);
    let geoip = GeoIp::open(&[path.clone(), data(ASN)]).unwrap();
    let mut locator = geoip.locator();
    check(&mut locator, "89.160.20.112", "SE", 29_518);
    geoip.check();
    geoip.check();
    assert_eq!(geoip.status()[0].reloads_ok, 0);

    // The ASN file replaces the city file: countries now come from the embedded database.
    install(ASN, &path);
    geoip.check();
    assert_eq!(
        geoip.status()[0].reloads_ok,
        0,
        "loaded before it was unchanged between two checks"
    );
    geoip.check();
    assert_eq!(geoip.status()[0].reloads_ok, 1);
    assert_eq!(geoip.status().len(), 3);
    check(&mut locator, "81.2.69.142", "GB", 0);
    locator.refresh();
    check(&mut locator, "193.0.6.139", "NL", 0);
    check(&mut locator, "89.160.20.112", "SE", 29_518);

    install(COUNTRY, &path);
    geoip.check();
    geoip.check();
    locator.refresh();
    check(&mut locator, "193.0.6.139", "unknown", 0);
    check(&mut locator, "81.2.69.142", "GB", 0);
    let expect = [("geo.mmdb".to_owned(), 2, 0), (ASN.to_owned(), 0, 0)];
    assert_eq!(status(&geoip), expect);
}

/// The country test file with another code for Sweden, and larger than a processor's cache: the format allows a gap
/// between data and metadata.
fn large(code: [u8; 2]) -> Vec<u8> {
    let mut bytes = fs::read(data(COUNTRY)).unwrap();
    replace(&mut bytes, b"\x42SE", &[0x42, code[0], code[1]]);
    let marker = b"\xab\xcd\xefMaxMind.com";
    let metadata = (0..bytes.len()).rfind(|&place| bytes[place..].starts_with(marker)).unwrap();
    let tail = bytes.split_off(metadata);
    bytes.resize(17 << 20, 0);
    bytes.extend(tail);
    bytes
}

#[test]
fn answers_of_a_large_database_are_cached_until_it_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("geo.mmdb");
    fs::write(&path, large(*b"NO")).unwrap();
    let geoip = GeoIp::open(std::slice::from_ref(&path)).unwrap();
    let mut locator = geoip.locator();
    assert!(locator.databases.answers.is_some());
    check(&mut locator, "89.160.20.112", "NO", 0);
    check(&mut locator, "10.0.0.1", "private", 0);

    let new = directory.path().join("new");
    fs::write(&new, large(*b"FI")).unwrap();
    fs::rename(new, &path).unwrap();
    geoip.check();
    geoip.check();
    locator.refresh();
    assert!(locator.databases.answers.is_some());
    check(&mut locator, "89.160.20.112", "FI", 0);

    install(COUNTRY, &path);
    geoip.check();
    geoip.check();
    locator.refresh();
    assert!(locator.databases.answers.is_none());
    check(&mut locator, "89.160.20.112", "SE", 0);
}

#[test]
fn a_symbolic_link_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("geo.mmdb");
    std::os::unix::fs::symlink(data(CITY), &path).unwrap();
    let geoip = GeoIp::open(std::slice::from_ref(&path)).unwrap();
    let new = directory.path().join("new");
    std::os::unix::fs::symlink(data(COUNTRY), &new).unwrap();
    fs::rename(new, &path).unwrap();
    geoip.check();
    geoip.check();
    assert_eq!(status(&geoip), [("geo.mmdb".to_owned(), 1, 0)]);
    assert_eq!(geoip.status()[0].edition, "GeoIP2-Country");
}

#[test]
fn an_invalid_or_missing_file_keeps_the_previous_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("geo.mmdb");
    install(CITY, &path);
    let geoip = GeoIp::open(std::slice::from_ref(&path)).unwrap();
    let mut locator = geoip.locator();
    let mut expect = |ok, failed| {
        // Each state of the file counts once, however often it is checked.
        for _ in 0..4 {
            geoip.check();
        }
        assert_eq!(status(&geoip), [("geo.mmdb".to_owned(), ok, failed)]);
        locator.refresh();
        check(&mut locator, "89.160.20.112", "SE", 0);
    };
    fs::write(&path, "<html>").unwrap();
    expect(0, 1);
    fs::remove_file(&path).unwrap();
    expect(0, 2);
    install("MaxMind-DB-test-ipv4-24.mmdb", &path);
    expect(0, 3);
    install(CITY, &path);
    expect(1, 3);
}

#[test]
fn a_reload_replaces_all_databases_or_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("geo.mmdb");
    install(CITY, &path);
    let geoip = GeoIp::open(std::slice::from_ref(&path)).unwrap();
    let mut locator = geoip.locator();

    geoip.reload(&[data(ASN), path.clone()]).unwrap();
    assert_eq!(status(&geoip), [(ASN.to_owned(), 0, 0), ("geo.mmdb".to_owned(), 1, 0)]);
    locator.refresh();
    check(&mut locator, "89.160.20.112", "SE", 29_518);

    fs::write(&path, "<html>").unwrap();
    let error = geoip.reload(std::slice::from_ref(&path)).unwrap_err().to_string();
    assert!(error.contains("geo.mmdb is not a usable MaxMind DB file"), "{error}");
    assert_eq!(status(&geoip), [(ASN.to_owned(), 0, 0), ("geo.mmdb".to_owned(), 1, 1)]);
    locator.refresh();
    check(&mut locator, "89.160.20.112", "SE", 29_518);

    geoip.reload(&[]).unwrap();
    assert_eq!(status(&geoip), [("embedded".to_owned(), 0, 0)]);
    locator.refresh();
    check(&mut locator, "193.0.6.139", "NL", 0);
}

/// Looks up addresses in a database of arbitrary bytes. Any answer is allowed if it is valid.
fn survive(bytes: &[u8]) {
    let Ok(database) = Database::from_bytes(bytes.to_vec()) else { return };
    let (mut memo, mut locations) = (fact_records(), location_records());
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
        database.facts("89.160.20.112".parse().unwrap(), &mut fact_records()).country
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
