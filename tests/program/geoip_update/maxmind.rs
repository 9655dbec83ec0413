//! Updates from MaxMind: the account, checksums and redirects.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use super::{server::Authority, *};

const KEY: &str = "abcdef_secret_mmk";

/// base64 of `42:KEY`.
const AUTHORIZATION: &str = "Basic NDI6YWJjZGVmX3NlY3JldF9tbWs=";

const ACCOUNT: &str = "publisher = 'maxmind'\naccount_id = 42\n";

fn archive(database: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let files: [(&str, &[u8]); 2] =
        [("COPYRIGHT.txt", b"Copyright"), ("GeoLite2-ASN.mmdb", database)];
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("GeoLite2-ASN_20261101/{name}"), content).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

/// The line of `sha256sum`.
fn checksum(bytes: &[u8]) -> String {
    let mut line = String::new();
    for byte in digest(&SHA256, bytes).as_ref() {
        write!(line, "{byte:02x}").unwrap();
    }
    line + "  GeoLite2-ASN_20261101.tar.gz\n"
}

/// The account, with its key in a file.
fn account(server: &Server) -> Host {
    let host = Host::new(server, "");
    let key = host.path("maxmind.key");
    fs::write(&key, format!("{KEY}\n")).unwrap();
    let more = format!("{ACCOUNT}editions = ['asn']\nlicense_key_file = '{}'", key.display());
    host.configure(&host.databases_in_directory(), &server.url(), &server.ca_file(), &more);
    host
}

#[test]
fn archives_are_downloaded_with_the_account_when_their_checksum_changes() {
    let database = asn("GeoLite2-ASN", NOVEMBER);
    let packed = archive(&database);
    let sum = checksum(&packed);
    let authority = Authority::new();
    // Archives are on another server, as MaxMind's are.
    let storage = Server::signed_by(&authority, move |_| Reply::ok(&packed));
    let location = format!("{}/archive?signature=1", storage.url());
    let server = Server::signed_by(&authority, move |request| {
        if request.header("authorization").as_deref() != Some(AUTHORIZATION) {
            return Reply::new("401 Unauthorized", &[], b"");
        }
        match request.target.as_str() {
            "/geoip/databases/GeoLite2-ASN/download?suffix=tar.gz.sha256" => {
                Reply::ok(sum.as_bytes())
            }
            "/geoip/databases/GeoLite2-ASN/download?suffix=tar.gz" => Reply::redirect(&location),
            _ => Reply::new("404 Not Found", &[], b""),
        }
    });
    let host = account(&server);
    let outcome = host.update(&[]);
    outcome.says("asn.mmdb: updated: GeoLite2-ASN, built 2026-11-01\n");
    outcome.says("GeoLite2 data created by MaxMind");
    assert_eq!(fs::read(host.path("state/geoip/asn.mmdb")).unwrap(), database);
    assert_eq!(server.requests().len(), 2);
    let requests = storage.requests();
    assert_eq!((requests.len(), &*requests[0].target), (1, "/archive?signature=1"));
    assert_eq!(requests[0].header("authorization"), None);

    host.update(&[]).says("asn.mmdb: up to date: GeoLite2-ASN, built 2026-11-01\n");
    assert_eq!((server.requests().len(), storage.requests().len()), (1, 0));
    host.update(&["--force"]).says("updated");
    assert_eq!(storage.requests().len(), 1);

    // The key of the environment.
    fs::write(host.path("maxmind.key"), "wrong").unwrap();
    let outcome = host.update(&[]);
    outcome.fails(1, "401 Unauthorized; check geoip.update.account_id and the license key");
    assert!(!outcome.stderr.contains("wrong"), "{}", outcome.stderr);
    let variables = [("NFLOG_EXPORTER_MAXMIND_LICENSE_KEY", KEY)];
    host.update_with(&[], &variables).says("up to date");
}

#[test]
fn an_archive_with_another_checksum_changes_nothing() {
    let packed = archive(&asn("GeoLite2-ASN", NOVEMBER));
    let cases: Vec<(&str, String, Vec<u8>, &str)> = vec![
        ("another file", checksum(b"other"), packed.clone(), "and the publisher names"),
        ("a page", "<html>".into(), packed.clone(), "is not a SHA-256 checksum"),
        ("a long page", "x".repeat(2000), packed, "has more than 1024 bytes"),
        ("no archive", checksum(b"x"), b"x".to_vec(), "is not a complete tar and gzip file"),
        ("an empty archive", checksum(&gzip(b"")), gzip(b""), "has no .mmdb file"),
    ];
    for (case, sum, packed, message) in cases {
        let server = Server::start(move |request| {
            let is_sum = request.target.ends_with("sha256");
            Reply::ok(if is_sum { sum.as_bytes() } else { &packed })
        });
        let host = account(&server);
        let outcome = host.update(&[]);
        eprintln!("{case}: {}", outcome.stderr);
        outcome.fails(1, message);
        assert_eq!(host.files(), [""; 0], "{case}");
    }
}

#[test]
fn a_missing_key_is_an_error_of_the_configuration() {
    let server = Server::start(|_| Reply::ok(b""));
    let host = Host::new(&server, ACCOUNT);
    host.update(&[]).fails(2, "NFLOG_EXPORTER_MAXMIND_LICENSE_KEY");
    let more = format!("{ACCOUNT}license_key_file = '{}'", host.path("absent").display());
    host.configure(&host.databases_in_directory(), &server.url(), &server.ca_file(), &more);
    host.update(&[]).fails(2, "which cannot be read: No such file or directory");
    assert_eq!(server.requests().len(), 0);
}

/// While an update waits for the server, neither its command line nor its output has the key.
#[test]
fn the_key_is_not_on_the_command_line() {
    let server = Server::start(|_| Reply::ok(&[7; 100]).hang());
    let host = account(&server);
    let mut update = Command::new(EXPORTER)
        .args(["geoip", "update", "--config.file"])
        .arg(&host.config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::support::program::wait_for("the request", || {
        (!server.requests().is_empty()).then_some(())
    });
    let line = fs::read(format!("/proc/{}/cmdline", update.id())).unwrap();
    update.kill().unwrap();
    let output = update.wait_with_output().unwrap();
    let written = [line, output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&written).contains("secret"));
    assert_eq!(host.files(), [""; 0]);
}
