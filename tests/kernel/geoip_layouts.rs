//! Databases of providers with different record layouts, and files as downloaded. Requires root.

use std::{fs, path::Path, process::Command};

use nflog_exporter::geoip::GeoIp;

use crate::support::{
    Namespace,
    mmdb::{self, Value},
    program::{EXPORTER, Exporter},
    server::run,
};

/// 2024-05-06 00:00:00 UTC.
const BUILT: u64 = 1_714_953_600;

/// `IPinfo`'s location database: all values are text.
fn ipinfo() -> Vec<u8> {
    let texts = [
        ("city", "Mountain View"),
        ("region", "California"),
        ("country", "US"),
        ("lat", "37.4056"),
        ("lng", "-122.0775"),
        ("postal", "94043"),
        ("timezone", "America/Los_Angeles"),
    ];
    let record = Value::Map(texts.map(|(key, text)| (key, Value::Text(text))).into());
    mmdb::file("ipinfo standard_location.mmdb", BUILT, &record)
}

/// CIRCL's Geo Open with AS numbers, which are texts in the map of the country.
fn circl() -> Vec<u8> {
    let country = Value::Map(vec![
        ("iso_code", Value::Text("BE")),
        ("AutonomousSystemNumber", Value::Text("49677")),
        ("AutonomousSystemOrganization", Value::Text("MAEHDROS-AS")),
    ]);
    mmdb::file("GeoOpen-Country-ASN", BUILT, &Value::Map(vec![("country", country)]))
}

#[test]
fn databases_of_ipinfo_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ipinfo.mmdb");
    fs::write(&path, ipinfo()).unwrap();
    let geoip = GeoIp::open(&[path]).unwrap();
    let place = geoip.locator().locate([8, 8, 8, 8].into());
    assert_eq!((place.country.code(), place.asn), ("US", 0));
    let mut city_lookup = geoip.city_lookup();
    let location = city_lookup.location([8, 8, 8, 8].into()).unwrap();
    assert_eq!(location.city, "Mountain View");
    assert_eq!(
        (location.latitude.to_string(), location.longitude.to_string()),
        ("37.4056".into(), "-122.0775".into())
    );
}

#[test]
fn databases_of_circl_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("circl.mmdb");
    fs::write(&path, circl()).unwrap();
    let geoip = GeoIp::open(&[path]).unwrap();
    let place = geoip.locator().locate([8, 8, 8, 8].into());
    assert_eq!((place.country.code(), place.asn), ("BE", 49_677));
    assert_eq!(geoip.as_name(49_677).as_deref(), Some("MAEHDROS-AS"));
    assert_eq!(geoip.as_name(1), None);
}

#[test]
fn the_log_describes_each_database_at_start() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    crate::support::program::open_to_all(directory.path());
    let put = |name: &str, bytes: Vec<u8>| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let (first, second) = (put("circl.mmdb", circl()), put("ipinfo.mmdb", ipinfo()));
    let arguments = ["--geoip.database", &first, "--geoip.database", &second];
    let exporter = Exporter::start(&host, "", &arguments);
    let log = exporter.program.log();
    for line in [
        "database=circl.mmdb edition=GeoOpen-Country-ASN provides=\"country, ASN\" built=2024-05-06",
        "database=ipinfo.mmdb edition=\"ipinfo standard_location.mmdb\" provides=\"country, city\" \
         built=2024-05-06",
    ] {
        assert!(log.contains(line), "no line with {line}: {log}");
    }
}

/// Runs the command in the error. Afterwards the database at `unpacked` can be used.
fn check_advice(directory: &Path, file: &Path, unpacked: &Path) {
    let database = |path: &Path| {
        let mut command = Command::new(EXPORTER);
        command.args(["config", "check", "--geoip.database"]).arg(path);
        command
    };
    let output = database(file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    let (_, advice) = error.trim().split_once("unpack it: ").expect(&error);
    run(Command::new("sh").args(["-c", advice]).current_dir(directory));
    run(&mut database(unpacked));
}

#[test]
fn the_error_for_a_compressed_file_has_the_unpack_command() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("it's GeoLite_20240506")).unwrap();
    fs::write(path("it's GeoLite_20240506/in-tar.mmdb"), circl()).unwrap();
    let tar = ["-czf", "all.tar.gz", "it's GeoLite_20240506"];
    run(Command::new("tar").args(tar).current_dir(directory.path()));
    check_advice(directory.path(), &path("all.tar.gz"), &path("in-tar.mmdb"));

    fs::write(path("it's.mmdb"), circl()).unwrap();
    run(Command::new("gzip").arg(path("it's.mmdb")));
    check_advice(directory.path(), &path("it's.mmdb.gz"), &path("it's.mmdb"));

    // Saved under the name of the file that it contains.
    run(Command::new("gzip").arg(path("it's.mmdb")));
    fs::rename(path("it's.mmdb.gz"), path("it's.mmdb")).unwrap();
    check_advice(directory.path(), &path("it's.mmdb"), &path("it's.mmdb"));
}
