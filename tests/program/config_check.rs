//! `config check` and the program at start print every error on one line.
use std::{
    fs,
    process::{Command, Output},
};

use crate::support::server::certificates;

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"));
    command.env_remove("NFLOG_EXPORTER_MIRROR_URL").args(arguments).output().unwrap()
}

const WRONG: &str = r#"
[nflog]
group = [1]
copy_range = 7
[geoip]
databases = ["/no/such.mmdb", "/etc/passwd"]
[mirror]
url = "mysql://u:s3cr3t x@h/d"
anonymize = "cryptopan"
anonymize_key_file = "/no/key"
[web]
config_file = "/no/web.yml"
[privileges]
user = "nosuchuser"
group = "nosuchgroup"
"#;

#[test]
fn every_error_is_on_its_own_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, WRONG).unwrap();
    let name = file.to_str().unwrap();
    let expected = [
        (":3: nflog.group: unknown key; did you mean groups?", ""),
        (":4: nflog.copy_range: is 7; use 60 to", ""),
        (":6: geoip.databases: ", "/no/such.mmdb"),
        (":6: geoip.databases: ", "/etc/passwd"),
        (":8: mirror.url: invalid database URL: it has a space in it; ", "a space as %20"),
        (":10: mirror.anonymize_key_file: names /no/key, which cannot be read: ", "check the path"),
        (":12: web.config_file: cannot read /no/web.yml: ", ""),
        (":14: privileges.user: ", "nosuchuser"),
        (":15: privileges.group: ", "nosuchgroup"),
    ];
    for command in [&["config", "check"][..], &["run"], &[], &["config", "show"]] {
        let output =
            program(&[command, &["--config.file", name, "--web.telemetry-path", "m"]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(output.stdout.is_empty() && !said.contains("s3cr3t"), "{said}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), expected.len() + 1, "{said}");
        for ((begin, more), line) in expected.iter().zip(&lines) {
            assert!(
                line.starts_with(&format!("{name}{begin}")) && line.contains(more),
                "{line}\n{said}"
            );
        }
        let flag = lines.last().unwrap();
        assert!(flag.starts_with("--web.telemetry-path: web.telemetry_path: is \"m\"; "), "{said}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for (path, why) in [
        (directory.path().join("missing.toml"), "No such file"),
        (directory.path().to_owned(), "directory"),
    ] {
        let name = path.to_str().unwrap();
        let output = program(&["config", "check", "--config.file", name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let begin = format!("{name}: cannot read the configuration file: ");
        assert!(said.starts_with(&begin) && said.contains(why), "{said}");
    }
    let file = directory.path().join("config.toml");
    for (text, why) in [
        (
            "mirror.url_file = '/no/url'",
            ":1: mirror.url_file: names /no/url, which cannot be read: ",
        ),
        (
            "mirror.url = 'mysql://h/d?ssl-ca=/no/ca.pem'",
            ":1: mirror.url: cannot read the certificates /no/ca.pem: No such file",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let name = file.to_str().unwrap();
        let output = program(&["config", "check", "--config.file", name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("{name}{why}")), "{said}");
    }
}

#[test]
fn a_valid_file_is_named_and_an_empty_one_causes_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let name = file.to_str().unwrap();
    let check = |text: &str, warns: bool| {
        fs::write(&file, text).unwrap();
        let output = program(&["config", "check", "--config.file", name]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(said.starts_with(&format!("{name}: configuration is valid\n")), "{said}");
        let warning = format!("\n{name}: warning: the configuration file is empty, ");
        assert_eq!(said.contains(&warning), warns, "{said}");
    };
    check("# all defaults\n", false);
    check("[nflog]\ngroups = [5]\n", false);
    check("", true);
    check(" \n", true);
    let output = program(&["config", "check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "configuration is valid: no --config.file, only defaults and flags\n");
}

/// The program warns at start too, before anything else can fail.
#[test]
fn an_empty_file_causes_a_warning_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, "").unwrap();
    let output = program(&[
        "--config.file",
        file.to_str().unwrap(),
        // An address that no host has (RFC 5737), so that the start fails here.
        "--web.listen-address",
        "192.0.2.1:1",
    ]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("level=warn") && said.contains("the configuration file is empty"),
        "{said}"
    );
}

/// Settings that are valid but have no effect, or count twice, are named by `config check` and at start.
#[test]
fn settings_without_effect_cause_warnings() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let name = file.to_str().unwrap();
    fs::write(
        &file,
        "[kernel_log]\nkmsg = true\nfiles = ['/var/log/kern.log']\nallow = ['192.0.2.0/24']\n\
         [[family]]\nname = 'x'\nlabels = ['list', 'asn', 'host']\n",
    )
    .unwrap();
    let output = program(&["config", "check", "--config.file", name]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let warnings: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
    let expected = [
        "family.x.labels: the label list is always empty, because there is no [[list]]: add a [[list]], or remove the label",
        "family.x.labels: the label asn is always empty, because no GeoIP database provides AS numbers: run \
         `nflog_exporter geoip update --edition asn`, or add one to geoip.databases, or remove the label",
        "kernel_log.kmsg: a syslog daemon writes the lines of /dev/kmsg to /var/log/kern.log too, so packets count \
         twice: remove these files from kernel_log.files, or set kernel_log.kmsg = false",
        "kernel_log.allow: it has no effect, because kernel_log.syslog is not set: set it, or remove the key",
    ];
    assert_eq!(warnings, expected);
}

/// The files of a TLS listener are read, as at start.
#[test]
fn certificates_of_syslog_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path(), ",IP:127.0.0.1");
    let file = |name: &str| directory.path().join(name);
    fs::write(file("text"), "no certificate").unwrap();
    let check = |certificate: &str, key: &str, authority: &str, expect: &str| {
        fs::write(
            file("config.toml"),
            format!(
                "[kernel_log]\nsyslog = ['tls://127.0.0.1:6514']\n[kernel_log.tls]\ncert_file = {:?}\n\
                 key_file = {:?}\nclient_ca_file = {:?}\n",
                file(certificate),
                file(key),
                file(authority)
            ),
        )
        .unwrap();
        let output =
            program(&["config", "check", "--config.file", file("config.toml").to_str().unwrap()]);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.success(), expect.is_empty(), "{said}");
        assert!(said.contains(expect), "{said}");
    };
    check("server.pem", "server.key", "ca.pem", "");
    check("missing", "server.key", "ca.pem", ":4: kernel_log.tls.cert_file: ");
    check("text", "server.key", "ca.pem", "text: no certificate in PEM");
    check("server.pem", "text", "ca.pem", ":5: kernel_log.tls.key_file: ");
    check("server.pem", "server.key", "text", ":6: kernel_log.tls.client_ca_file: ");
    check("server.pem", "ca.key", "ca.pem", ":4: kernel_log.tls.cert_file: ");
}
