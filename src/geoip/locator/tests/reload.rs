//! Databases that are replaced while a locator exists.

use super::*;

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

/// The country test file with another code for Sweden.
fn with_code(code: [u8; 2]) -> Vec<u8> {
    let mut bytes = fs::read(data(COUNTRY)).unwrap();
    replace(&mut bytes, b"\x42SE", &[0x42, code[0], code[1]]);
    bytes
}

#[test]
fn places_are_kept_until_a_database_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("geo.mmdb");
    fs::write(&path, with_code(*b"NO")).unwrap();
    let geoip = GeoIp::open(std::slice::from_ref(&path)).unwrap();
    let mut locator = geoip.locator();
    let address = "89.160.20.112".parse().unwrap();
    let known = |locator: &Locator| locator.places.get(locator.places.set_of(address), address);
    assert_eq!(known(&locator), None);
    for _ in 0..2 {
        check(&mut locator, "89.160.20.112", "NO", 0);
        check(&mut locator, "10.0.0.1", "private", 0);
    }
    assert!(known(&locator).is_some());

    let new = directory.path().join("new");
    fs::write(&new, with_code(*b"FI")).unwrap();
    fs::rename(new, &path).unwrap();
    geoip.check();
    geoip.check();
    locator.refresh();
    assert_eq!(known(&locator), None);
    check(&mut locator, "89.160.20.112", "FI", 0);
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
    let absent = directory.path().join("absent");
    let config = |databases: &[PathBuf]| GeoIpConfig {
        databases: databases.to_vec(),
        directory: absent.clone(),
        ..GeoIpConfig::default()
    };

    geoip.reload(&config(&[data(ASN), path.clone()])).unwrap();
    assert_eq!(status(&geoip), [(ASN.to_owned(), 0, 0), ("geo.mmdb".to_owned(), 1, 0)]);
    locator.refresh();
    check(&mut locator, "89.160.20.112", "SE", 29_518);

    fs::write(&path, "<html>").unwrap();
    let error = geoip.reload(&config(std::slice::from_ref(&path))).unwrap_err().to_string();
    assert!(error.contains("geo.mmdb is not a usable MaxMind DB file"), "{error}");
    assert_eq!(status(&geoip), [(ASN.to_owned(), 0, 0), ("geo.mmdb".to_owned(), 1, 1)]);
    locator.refresh();
    check(&mut locator, "89.160.20.112", "SE", 29_518);

    geoip.reload(&config(&[])).unwrap();
    assert_eq!(status(&geoip), [("embedded".to_owned(), 0, 0)]);
    locator.refresh();
    check(&mut locator, "193.0.6.139", "NL", 0);
}

/// The files of `geoip.directory` are used when they appear.
#[test]
fn downloaded_files_are_used_as_soon_as_they_exist() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let config = GeoIpConfig { directory: directory.path().to_owned(), ..GeoIpConfig::default() };
    let geoip = GeoIp::open_configured(&config).unwrap();
    let mut locator = geoip.locator();
    assert_eq!(status(&geoip), [("embedded".to_owned(), 0, 0)]);
    check(&mut locator, "193.0.6.139", "NL", 0);
    let mut checked = |expect: &[(&str, u64, u64)]| {
        for _ in 0..3 {
            geoip.check();
        }
        locator.refresh();
        let expect: Vec<_> =
            expect.iter().map(|(name, ok, failed)| ((*name).to_owned(), *ok, *failed)).collect();
        assert_eq!(status(&geoip), expect);
        locator.locate("89.160.20.112".parse().unwrap())
    };

    install(ASN, &path("asn.mmdb"));
    assert_eq!(checked(&[("asn.mmdb", 1, 0), ("embedded", 0, 0)]).asn, 29_518);
    install(CITY, &path("city.mmdb"));
    let place = checked(&[("city.mmdb", 1, 0), ("asn.mmdb", 1, 0)]);
    assert_eq!((place.country.code(), place.asn), ("SE", 29_518));
    fs::write(path("city.mmdb"), "<html>").unwrap();
    assert_eq!(checked(&[("city.mmdb", 1, 1), ("asn.mmdb", 1, 0)]).country.code(), "SE");
    // A file that was never valid is not used, and does not prevent a start.
    fs::write(path("country.mmdb"), "").unwrap();
    checked(&[("city.mmdb", 1, 1), ("asn.mmdb", 1, 0)]);
    let again = GeoIp::open_configured(&config).unwrap();
    assert_eq!(status(&again), [("asn.mmdb".to_owned(), 0, 0), ("embedded".to_owned(), 0, 0)]);
    install(COUNTRY, &path("country.mmdb"));
    for _ in 0..3 {
        again.check();
    }
    let expect = [("country.mmdb".to_owned(), 1, 0), ("asn.mmdb".to_owned(), 0, 0)];
    assert_eq!(status(&again), expect);
    // With a list, the directory is not used.
    let listed = GeoIpConfig { databases: vec![data(CITY)], ..config };
    again.reload(&listed).unwrap();
    assert_eq!(status(&again), [(CITY.to_owned(), 0, 0)]);
}
