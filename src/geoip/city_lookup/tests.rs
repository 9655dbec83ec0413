//! The public interface: both layouts, order of databases, reloads, hostile values.

use std::{fs, path::PathBuf};

use super::*;
use crate::geoip::{GeoIp, GeoIpConfig, file::tests::data};

const CITY: &str = "GeoIP2-City-Test.mmdb";
const COUNTRY: &str = "GeoIP2-Country-Test.mmdb";
const ASN: &str = "GeoLite2-ASN-Test.mmdb";

fn city_lookup(names: &[&str]) -> CityLookup {
    let paths: Vec<_> = names.iter().map(|name| data(name)).collect();
    GeoIp::open(&paths).unwrap().city_lookup()
}

fn check(city_lookup: &mut CityLookup, address: &str, expect: Option<(&str, f64, f64)>) {
    let expect = expect.map(|(city, latitude, longitude)| Location {
        city: city.into(),
        latitude,
        longitude,
    });
    assert_eq!(city_lookup.location(address.parse().unwrap()), expect.as_ref(), "{address}");
    // The second time from the cache.
    assert_eq!(city_lookup.location(address.parse().unwrap()), expect.as_ref(), "{address}");
}

const LONDON: Option<(&str, f64, f64)> = Some(("London", 51.5142, -0.0931));
const LINKÖPING: Option<(&str, f64, f64)> = Some(("Linköping", 58.4167, 15.6167));

#[test]
fn a_city_file_has_locations() {
    let mut city_lookup = city_lookup(&[CITY]);
    check(&mut city_lookup, "81.2.69.142", LONDON);
    check(&mut city_lookup, "89.160.20.112", LINKÖPING);
    check(&mut city_lookup, "::ffff:89.160.20.112", LINKÖPING);
    // Coordinates without a city.
    check(&mut city_lookup, "2001:218::1", Some(("", 35.685_36, 139.753_09)));
    check(&mut city_lookup, "8.8.8.8", None);
    check(&mut city_lookup, "192.168.1.1", None);
    check(&mut city_lookup, "fe80::1", None);
}

#[test]
fn other_files_have_no_locations() {
    for names in [&[][..], &[COUNTRY], &[ASN]] {
        let mut city_lookup = city_lookup(names);
        check(&mut city_lookup, "81.2.69.142", None);
        assert!(city_lookup.databases.list.is_empty(), "{names:?} are searched without need");
    }
    check(&mut city_lookup(&[COUNTRY, ASN, CITY]), "81.2.69.142", LONDON);
}

/// A value of a database's record.
#[derive(Clone, Copy)]
enum Value {
    Text(&'static str),
    Double(f64),
    Float(f32),
    Whole(u32),
    Short(u16),
    Long(u64),
}

/// A database with one flat record for the upper half of the IPv4 addresses.
fn flat(latitude: &Value, longitude: &Value, city: &Value) -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        match length {
            0..29 => bytes.push(0x40 | length),
            _ => bytes.extend([0x5d, length - 29]),
        }
        bytes.extend(text.as_bytes());
    }
    fn value(bytes: &mut Vec<u8>, name: &str, value: &Value) {
        text(bytes, name);
        match value {
            Value::Text(value) => text(bytes, value),
            Value::Double(value) => {
                bytes.push(0x68);
                bytes.extend(value.to_be_bytes());
            }
            Value::Float(value) => {
                bytes.extend([0x04, 0x08]);
                bytes.extend(value.to_be_bytes());
            }
            Value::Whole(value) => {
                bytes.push(0xc4);
                bytes.extend(value.to_be_bytes());
            }
            Value::Short(value) => {
                bytes.push(0xa2);
                bytes.extend(value.to_be_bytes());
            }
            Value::Long(value) => {
                bytes.extend([0x08, 0x02]);
                bytes.extend(value.to_be_bytes());
            }
        }
    }
    // One node. Left: the number of nodes, which means no record. Right: the first record, 16 more.
    let mut bytes = vec![0, 0, 1, 0, 0, 17];
    bytes.extend([0; 16]);
    bytes.push(0xe4);
    value(&mut bytes, "country_code", &Value::Text("FR"));
    value(&mut bytes, "city", city);
    value(&mut bytes, "latitude", latitude);
    value(&mut bytes, "longitude", longitude);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    bytes.push(0xe9);
    text(&mut bytes, "languages");
    bytes.extend([0x00, 0x04]);
    text(&mut bytes, "description");
    bytes.push(0xe0);
    value(&mut bytes, "database_type", &Value::Text("flat"));
    for (name, number) in [
        ("node_count", Value::Whole(1)),
        ("record_size", Value::Short(24)),
        ("ip_version", Value::Short(4)),
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1)),
    ] {
        value(&mut bytes, name, &number);
    }
    bytes
}

/// The location of an address in a database with these values.
fn find(latitude: Value, longitude: Value, city: Value) -> Option<Location> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flat.mmdb");
    fs::write(&path, flat(&latitude, &longitude, &city)).unwrap();
    let mut city_lookup = GeoIp::open(&[path]).unwrap().city_lookup();
    city_lookup.location("193.0.6.139".parse().unwrap()).cloned()
}

fn check_flat(latitude: Value, longitude: Value, city: Value, expect: (&str, f64, f64)) {
    let (city_name, north, east) = expect;
    let expect = Location { city: city_name.into(), latitude: north, longitude: east };
    assert_eq!(find(latitude, longitude, city), Some(expect));
}

#[test]
fn a_flat_file_has_coordinates_as_numbers_or_text() {
    use Value::{Double, Float, Text, Whole};
    let paris = ("Paris", 48.8566, 2.3522);
    check_flat(Double(48.8566), Double(2.3522), Text("Paris"), paris);
    check_flat(Float(48.8566), Float(2.3522), Text("Paris"), paris);
    check_flat(Text("48.8566"), Text("2.3522"), Text("Paris"), paris);
    check_flat(Whole(48), Whole(2), Text(""), ("", 48.0, 2.0));
    check_flat(Whole(48), Whole(2), Whole(7), ("", 48.0, 2.0));
    check_flat(Whole(48), Whole(2), Text("<b>\u{7}"), ("<b>\u{fffd}", 48.0, 2.0));
}

#[test]
fn invalid_coordinates_give_no_location() {
    use Value::{Double, Float, Text, Whole};
    assert_eq!(find(Double(f64::NAN), Double(2.0), Text("x")), None);
    assert_eq!(find(Double(1.0), Float(f32::INFINITY), Text("x")), None);
    assert_eq!(find(Text("NaN"), Text("2"), Text("x")), None);
    assert_eq!(find(Text("inf"), Text("2"), Text("x")), None);
    assert_eq!(find(Whole(91), Whole(2), Text("x")), None);
    assert_eq!(find(Whole(1), Whole(181), Text("x")), None);
    assert_eq!(find(Text(""), Text(""), Text("x")), None);
    assert_eq!(find(Whole(0), Double(0.0), Text("x")), None);
}

#[test]
fn the_first_file_with_coordinates_wins() {
    let directory = tempfile::tempdir().unwrap();
    let mine = directory.path().join("mine.mmdb");
    let point = Value::Whole(7);
    fs::write(&mine, flat(&point, &point, &Value::Text("Mine"))).unwrap();
    let first = |paths: &[PathBuf]| {
        let mut city_lookup = GeoIp::open(paths).unwrap().city_lookup();
        // In both, and in one only.
        let both = city_lookup.location("216.160.83.56".parse().unwrap()).cloned();
        let one = city_lookup.location("193.0.6.139".parse().unwrap()).cloned();
        (both.map(|location| location.city), one.map(|location| location.city))
    };
    let (mine_found, other) = (Some("Mine".into()), Some("Milton".into()));
    assert_eq!(first(&[mine.clone(), data(CITY)]), (mine_found.clone(), mine_found.clone()));
    assert_eq!(first(&[data(CITY), mine]), (other, mine_found));
}

#[test]
fn a_replaced_file_is_loaded_while_a_city_lookup_exists() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("geo.mmdb");
    let put = |bytes: &[u8]| {
        let new = directory.path().join("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, &path).unwrap();
    };
    put(&fs::read(data(COUNTRY)).unwrap());
    let geoip = GeoIp::open(std::slice::from_ref(&path)).unwrap();
    let mut city_lookup = geoip.city_lookup();
    check(&mut city_lookup, "81.2.69.142", None);

    let city = fs::read(data(CITY)).unwrap();
    put(&city);
    geoip.check();
    geoip.check();
    check(&mut city_lookup, "81.2.69.142", None);
    city_lookup.refresh();
    check(&mut city_lookup, "81.2.69.142", LONDON);
    assert!(city_lookup.answers.is_none());

    // The same file larger than a processor's cache: answers are cached by address.
    let place = city.windows(14).rposition(|it| it == b"\xab\xcd\xefMaxMind.com").unwrap();
    let mut large = city[..place].to_vec();
    large.resize(17 << 20, 0);
    large.extend(&city[place..]);
    put(&large);
    geoip.check();
    geoip.check();
    city_lookup.refresh();
    assert!(city_lookup.answers.is_some());
    check(&mut city_lookup, "81.2.69.142", LONDON);
    check(&mut city_lookup, "89.160.20.112", LINKÖPING);
    check(&mut city_lookup, "10.0.0.1", None);

    let config = GeoIpConfig { databases: vec![data(ASN)], ..GeoIpConfig::default() };
    geoip.reload(&config).unwrap();
    city_lookup.refresh();
    check(&mut city_lookup, "81.2.69.142", None);
}
