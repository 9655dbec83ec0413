//! Updates from DB-IP.

use std::os::unix::fs::MetadataExt as _;

use super::{server::Authority, *};

/// A server with one answer to all requests.
fn always(reply: Reply) -> Server {
    Server::start(move |_| reply.clone())
}

#[test]
fn a_database_is_downloaded_once_and_replaced_by_a_newer_one() {
    let (first, second) = (country(OCTOBER), country(NOVEMBER));
    let packed = gzip(&first);
    let server = Server::start(move |request| match request.header("if-none-match").as_deref() {
        None => Reply::new("200 OK", &["ETag: \"1\"".into()], &packed),
        Some("\"1\"") => Reply::new("304 Not Modified", &["ETag: \"1\"".into()], b""),
        Some(_) => Reply::new("400 Bad Request", &[], b""),
    });
    let host = Host::new(&server, "");
    let outcome = host.update(&[]);
    outcome.says("country.mmdb: updated: DBIP-Country-Lite, built 2026-10-01\n");
    outcome.says("restart an exporter that runs");
    outcome.says("IP Geolocation by DB-IP, https://db-ip.com (CC BY 4.0)\n");
    assert_eq!(fs::read(host.country()).unwrap(), first);
    assert_eq!((host.mode(), host.files().len()), (0o644, 2), "{:?}", host.files());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let target = &requests[0].target;
    assert!(
        target.starts_with("/free/dbip-country-lite-20") && target.ends_with(".mmdb.gz"),
        "{target}"
    );
    assert_eq!(requests[0].header("authorization"), None);

    let inode = || fs::metadata(host.country()).unwrap().ino();
    let before = inode();
    let outcome = host.update(&[]);
    outcome.says("country.mmdb: up to date: DBIP-Country-Lite, built 2026-10-01\n");
    assert!(!outcome.stdout.contains("CC BY"), "{}", outcome.stdout);
    assert_eq!(inode(), before);
    // Without the knowledge of its origin, the file is downloaded, and not replaced.
    fs::remove_file(host.path("state/geoip/country.mmdb.source")).unwrap();
    host.update(&[]).says("up to date");
    assert_eq!(inode(), before);
    assert_eq!(server.requests().last().unwrap().header("if-none-match"), None);
    host.update(&["--force"]).says("updated");
    assert_ne!(inode(), before);

    let server = always(Reply::ok(&gzip(&second)));
    let directory = host.databases_in_directory();
    host.configure(&directory, &format!("{}/mirror/", server.url()), &server.ca_file(), "");
    host.update(&[]).says("country.mmdb: updated: DBIP-Country-Lite, built 2026-11-01\n");
    assert_eq!(fs::read(host.country()).unwrap(), second);
    assert!(server.requests()[0].target.starts_with("/mirror/free/"));
}

#[test]
fn the_file_of_the_previous_month_is_used_until_the_next_is_published() {
    let packed = gzip(&country(OCTOBER));
    let (sent, received) = std::sync::mpsc::channel();
    let first = std::sync::Mutex::new(None);
    let server = Server::start(move |request| {
        let mut first = first.lock().unwrap();
        let current = first.get_or_insert_with(|| request.target.clone());
        if *current == request.target {
            return Reply::new("404 Not Found", &[], b"<html>");
        }
        sent.send(request.target.clone()).unwrap();
        Reply::ok(&packed)
    });
    let host = Host::new(&server, "");
    host.update(&[]).says("updated: DBIP-Country-Lite");
    let months: Vec<i64> = server
        .requests()
        .iter()
        .map(|request| {
            let month = request.target.strip_prefix("/free/dbip-country-lite-").unwrap();
            let (year, month) = month.strip_suffix(".mmdb.gz").unwrap().split_once('-').unwrap();
            12 * year.parse::<i64>().unwrap() + month.parse::<i64>().unwrap()
        })
        .collect();
    assert_eq!(months, [months[0], months[0] - 1]);
    assert_eq!(received.try_iter().count(), 1);
}

#[test]
fn editions_that_exist_are_updated_with_the_requested_ones() {
    let packed =
        (gzip(&country(NOVEMBER)), gzip(&asn("DBIP-ASN-Lite (compat=GeoLite2-ASN)", NOVEMBER)));
    let server = Server::start(move |request| {
        Reply::ok(if request.target.contains("asn") { &packed.1 } else { &packed.0 })
    });
    let host = Host::new(&server, "");
    host.update(&["--edition", "asn"]).says("asn.mmdb: updated: DBIP-ASN-Lite");
    assert_eq!(host.files(), ["asn.mmdb", "asn.mmdb.source"]);
    host.update(&["--edition", "country"]).says("country.mmdb: updated");
    server.requests();
    let outcome = host.update(&["--force"]);
    outcome.says("country.mmdb: updated");
    outcome.says("asn.mmdb: updated");
    assert_eq!(server.requests().len(), 2);
}

/// Every failure leaves the file as it is, and nothing beside it.
#[test]
fn a_file_that_fails_a_check_changes_nothing() {
    let good = gzip(&country(NOVEMBER));
    let mut damaged = country(NOVEMBER);
    // The pointer of the search tree.
    damaged[0] = 0x7f;
    let cases: Vec<(&str, Reply, &str)> = vec![
        ("no file", Reply::new("404 Not Found", &[], b""), "the server has neither https://"),
        ("an error", Reply::new("500 Oops", &[], &good), "the status 500 Internal Server Error"),
        ("a limit", Reply::new("429 Too Many", &[], b""), "the limit of downloads of a day"),
        ("a refusal", Reply::new("403 No", &[], b""), "the status 403 Forbidden"),
        ("a page", Reply::ok(b"<!doctype html><p>Sign in"), "is not a complete gzip file"),
        ("an empty file", Reply::ok(b""), "is not a complete gzip file"),
        ("a cut body", Reply::ok(&good).cut(), "cannot download https://"),
        ("a cut file", Reply::ok(&good[..good.len() - 9]), "is not a complete gzip file"),
        ("silence", Reply::ok(&good).hang(), "did not end within geoip.update.timeout (2s)"),
        ("a large file", Reply::ok(&vec![7; (1 << 20) + 1]), "has more than 1048576 bytes"),
        ("a body without end", Reply::endless(&[7; 16_384]), "has more than 1048576 bytes"),
        ("a gzip bomb", Reply::ok(&gzip(&vec![0; 8 << 20])), "has more than 1048576 bytes"),
        ("another file", Reply::ok(&gzip(b"no database")), "is not a usable MaxMind DB file"),
        ("a damaged database", Reply::ok(&gzip(&damaged)), "is not a usable MaxMind DB file"),
        (
            "another edition",
            Reply::ok(&gzip(&asn("DBIP-ASN-Lite", NOVEMBER))),
            "has the database DBIP-ASN-Lite, and the edition country was requested",
        ),
        (
            "a database of few networks",
            Reply::ok(&gzip(&fs::read("tests/data/geoip/GeoIP2-Country-Test.mmdb").unwrap())),
            "of 5 well-known addresses",
        ),
        (
            "an older database",
            Reply::ok(&gzip(&country(OCTOBER - 86_400))),
            "was built on 2026-09-30, and the database in use on 2026-10-01; use --force",
        ),
        ("a redirect without TLS", Reply::redirect("http://localhost/x"), "that is not https"),
        ("a redirect to itself", Reply::redirect("/free/x"), "more than 5 times"),
    ];
    for (case, reply, message) in cases {
        let server = always(reply);
        let host = Host::new(&server, "timeout = '2s'");
        let current = country(OCTOBER);
        host.write_country(&current);
        let outcome = host.update(&[]);
        eprintln!("{case}: {}", outcome.stderr);
        outcome.fails(1, "country.mmdb: not updated: ");
        outcome.fails(1, message);
        assert_eq!(fs::read(host.country()).unwrap(), current, "{case}");
        assert_eq!(host.files(), ["country.mmdb"], "{case}");
    }
}

#[test]
fn an_older_database_is_used_if_it_is_forced() {
    let server = always(Reply::ok(&gzip(&country(OCTOBER))));
    let host = Host::new(&server, "");
    host.write_country(&country(NOVEMBER));
    host.update(&[]).fails(1, "use --force");
    host.update(&["--force"]).says("updated: DBIP-Country-Lite, built 2026-10-01");
    // A file that cannot be opened is replaced.
    host.write_country(b"<html>");
    host.update(&[]).says("updated");
}

/// A server can have databases that do not name DB-IP.
#[test]
fn databases_with_other_names_are_compared_too() {
    let named = |built| {
        let record = Value::Map(vec![("country_code", Value::Text("NL"))]);
        mmdb::everywhere("country ipv4", built, &record)
    };
    let server = always(Reply::ok(&gzip(&named(OCTOBER))));
    let host = Host::new(&server, "");
    host.update(&[]).says("updated: country ipv4, built 2026-10-01");
    host.update(&[]).says("up to date: country ipv4, built 2026-10-01");
    host.write_country(&named(NOVEMBER));
    host.update(&[]).fails(1, "the database in use on 2026-11-01");
    // Their dates are not comparable with those of another publisher.
    host.write_country(&country(NOVEMBER));
    host.update(&[]).says("updated: country ipv4, built 2026-10-01");
}

#[test]
fn only_trusted_certificates_are_accepted() {
    let server = always(Reply::ok(&gzip(&country(NOVEMBER))));
    let host = Host::new(&server, "");
    let other = host.path("other.pem");
    Authority::new().write(&other);
    let directory = host.databases_in_directory();
    host.configure(&directory, &server.url(), &other, "");
    let outcome = host.update(&[]);
    outcome.fails(1, "TLS with localhost failed: invalid peer certificate");
    outcome.fails(1, "set geoip.update.ca_file");
    // The certificate has the name, not the address.
    let by_address = server.url().replace("localhost", "127.0.0.1");
    host.configure(&directory, &by_address, &server.ca_file(), "");
    host.update(&[]).fails(1, "TLS with 127.0.0.1 failed: invalid peer certificate");
    assert_eq!(server.requests().len(), 0);
    assert_eq!(host.files(), [""; 0]);
    host.configure(&directory, &server.url(), &host.path("absent.pem"), "");
    host.update(&[]).fails(2, "geoip.update.ca_file: cannot use the certificate authorities in");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    host.configure(&directory, &format!("https://{closed}"), &server.ca_file(), "");
    host.update(&[]).fails(1, &format!("cannot connect to {closed}: Connection refused"));
}

#[test]
fn configured_files_are_updated_unless_they_are_of_another_publisher() {
    let server = always(Reply::ok(&gzip(&country(NOVEMBER))));
    let host = Host::new(&server, "");
    let path = host.path("my-country.mmdb");
    let databases = format!("databases = ['{}']", path.display());
    host.configure(&databases, &server.url(), &server.ca_file(), "");
    host.update(&[]).says("my-country.mmdb: updated: DBIP-Country-Lite, built 2026-11-01");
    assert!(!host.path("state").exists());
    let of_maxmind = {
        let country = Value::Map(vec![("iso_code", Value::Text("NL"))]);
        mmdb::everywhere("GeoLite2-Country", OCTOBER, &Value::Map(vec![("country", country)]))
    };
    fs::write(&path, &of_maxmind).unwrap();
    host.update(&[]).fails(1, "it is GeoLite2-Country, and DB-IP does not publish that");
    assert_eq!(fs::read(&path).unwrap(), of_maxmind);
    host.update(&["--edition", "asn"]).fails(2, "is a database of the edition asn");
    host.update(&["--force"]).says("updated: DBIP-Country-Lite");
    let databases = format!("databases = ['{}']", host.path("x.mmdb").display());
    host.configure(&databases, &server.url(), &server.ca_file(), "");
    host.update(&[]).fails(2, "neither the content nor the name of");
}

/// Root often runs the command in the directory of another user.
#[test]
fn links_are_followed_only_if_the_configuration_names_them() {
    let server = always(Reply::ok(&gzip(&country(NOVEMBER))));
    let host = Host::new(&server, "");
    let (victim, link) = (host.path("victim"), host.country());
    fs::write(&victim, "before").unwrap();
    fs::create_dir_all(host.path("state/geoip")).unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    host.update(&[]).says("updated");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "before");
    assert!(!link.is_symlink());

    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    let databases = format!("databases = ['{}']", link.display());
    host.configure(&databases, &server.url(), &server.ca_file(), "");
    host.update(&[]).says("updated");
    assert_eq!(fs::read(&victim).unwrap(), country(NOVEMBER));
    assert!(link.is_symlink());
}

/// The database is used, and downloaded again by the next update.
#[test]
fn a_file_of_its_origin_that_cannot_be_written_is_a_warning() {
    let server = always(Reply::ok(&gzip(&country(NOVEMBER))));
    let host = Host::new(&server, "");
    fs::create_dir_all(host.path("state/geoip/country.mmdb.source/directory")).unwrap();
    for outcome in ["updated", "up to date"] {
        let output = host.update(&[]);
        let expect = format!("country.mmdb: {outcome}: DBIP-Country-Lite, built 2026-11-01\n");
        assert!(output.code == 0 && output.stdout.contains(&expect), "{}", output.stdout);
        let warning = ["level=warn message=\"cannot write ", "country.mmdb.source: "];
        let is_shown = warning.iter().all(|part| output.stderr.contains(part));
        assert!(is_shown && output.stderr.lines().count() == 1, "{}", output.stderr);
        assert_eq!(
            (fs::read(host.country()).unwrap(), server.requests().len()),
            (country(NOVEMBER), 1)
        );
    }
}

#[test]
fn a_directory_that_cannot_be_written_prevents_the_download() {
    let server = always(Reply::ok(&gzip(&country(NOVEMBER))));
    let host = Host::new(&server, "");
    fs::write(host.path("state"), "a file").unwrap();
    host.update(&[]).fails(1, "cannot write to");
    assert_eq!(server.requests().len(), 0);
}
