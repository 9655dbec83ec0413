//! The public interface: countries and AS numbers, and the order of databases.

mod hostile;
mod reload;

use std::{fs, path::Path};

use super::*;
use crate::geoip::{
    CountryId,
    database::{Database, no_locations},
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
    assert_eq!(geoip.as_name(1_221).as_deref(), Some("Telstra Pty Ltd"));
    assert_eq!(geoip.as_name(64_496), None);
    assert_eq!(open(&[CITY]).as_name(1_221), None);

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
