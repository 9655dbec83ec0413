//! `doctor` on hosts that are not as they should be: each failure it knows, made for real. Takes root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;
use support::{
    Namespace, Wire, frame,
    mariadb::MariaDb,
    plan,
    program::{EXPORTER, Exporter, wait_for},
    tmpfs::Tmpfs,
};

use nflog_exporter::source::nflog::Nflog;

/// What the doctor said.
struct Said {
    checks: Vec<Value>,
    code: Option<i32>,
}

impl Said {
    fn of(output: &Output) -> Self {
        let all: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|why| panic!("{why}: {output:?}"));
        let said =
            Self { checks: all["checks"].as_array().unwrap().clone(), code: output.status.code() };
        let failed = said.checks.iter().any(|check| check["status"] == "failed");
        assert_eq!(all["ok"], !failed);
        assert_eq!(said.code, Some(i32::from(failed)));
        for check in &said.checks {
            assert_eq!(check["status"] == "failed", check.get("mend").is_some(), "{check}");
        }
        said
    }

    /// A check's status and message, of all those of this name the worst.
    fn check(&self, name: &str) -> (&str, &str) {
        let found: Vec<(&str, &str)> = self
            .checks
            .iter()
            .filter(|check| check["check"] == name)
            .map(|check| (check["status"].as_str().unwrap(), check["message"].as_str().unwrap()))
            .collect();
        let failed = found.iter().find(|(status, _)| *status == "failed");
        *failed.or(found.first()).unwrap_or_else(|| panic!("no {name}: {:?}", self.checks))
    }

    #[track_caller]
    fn failed(&self, name: &str, words: &str) {
        let (status, message) = self.check(name);
        assert!(status == "failed" && message.contains(words), "{name} {status}: {message}");
    }

    #[track_caller]
    fn ok(&self, name: &str, words: &str) {
        let (status, message) = self.check(name);
        assert!(status == "ok" && message.contains(words), "{name} {status}: {message}");
    }

    #[track_caller]
    fn skipped(&self, name: &str) {
        let (status, message) = self.check(name);
        assert_eq!(status, "skipped", "{name}: {message}");
    }
}

fn doctor(namespace: &Namespace, arguments: &[&str]) -> Said {
    let mut command = namespace.command(EXPORTER);
    Said::of(&command.args(["doctor", "--json"]).args(arguments).output().unwrap())
}

/// With a configuration.
fn doctor_with(namespace: &Namespace, config: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, config).unwrap();
    doctor(namespace, &["--config.file", file.to_str().unwrap()])
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/geoip").join(name)
}

const RULES: &str = "table inet filter {
    chain input {
        type filter hook input priority 0
        log prefix \"web\" group 1
    }
}";

#[test]
fn a_host_as_it_should_be() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    // While nobody reads: its own look at the packets.
    let said = doctor_in_traffic(&wire);
    assert_eq!(said.code, Some(0), "{:?}", said.checks);
    said.ok("config", "valid");
    said.ok("kernel", "NFLOG");
    said.ok("capability", "CAP_NET_ADMIN");
    said.ok("group", "group 1 is free");
    said.ok("rules", "\"web\" in inet filter input to group 1");
    said.ok("receive_buffer", "16777216");
    said.ok("interfaces", "wan0");
    said.ok("packets", "\"web\"");
    said.ok("geoip", "embedded");
    said.ok("port", "127.0.0.1:10239 is free");
    said.skipped("mirror");
    said.skipped("spool");
    said.skipped("prometheus");

    // Beside the exporter, and with a Prometheus that scrapes.
    // The rules go first: the kernel holds what they have logged back for a while, and the start
    // of the exporter is asked for over the loopback that they log.
    wire.host.nft("flush ruleset");
    let exporter = Exporter::start(&wire.host, "", &[]);
    let said = doctor(&wire.host, &[]);
    said.ok("group", "nflog_exporter");
    said.ok("port", "an exporter that runs");
    said.failed("prometheus", "none has scraped");
    said.failed("packets", "got no more");
    wire.host.nft(RULES);
    scrape_as_prometheus(&wire);
    let said = doctor_in_traffic(&wire);
    assert_eq!(said.code, Some(0), "{:?}", said.checks);
    said.ok("prometheus", "it scraped");
    said.ok("packets", "more");
    // An hour later.
    let mut command = wire.host.command("faketime");
    let output = command.args(["-f", "+1h", EXPORTER, "doctor", "--json"]).output().unwrap();
    Said::of(&output).failed("prometheus", "the last scrape was 3");
    drop(exporter);

    let mut command = wire.host.command(EXPORTER);
    let text = String::from_utf8(command.arg("doctor").output().unwrap().stdout).unwrap();
    assert!(text.starts_with("ok       config           the configuration is valid\n"), "{text}");
    assert!(text.ends_with("1 check failed\n"), "{text}");
}

/// While packets come.
fn doctor_in_traffic(wire: &Wire) -> Said {
    thread::scope(|scope| {
        let asked = scope.spawn(|| doctor(&wire.host, &[]));
        while !asked.is_finished() {
            wire.send(frame::spoofed(1, 80));
            thread::sleep(Duration::from_millis(20));
        }
        asked.join().unwrap()
    })
}

fn scrape_as_prometheus(wire: &Wire) {
    let mut command = wire.host.command("curl");
    command.args(["--silent", "--fail", "--output", "/dev/null"]);
    command.args(["--header", "X-Prometheus-Scrape-Timeout-Seconds: 10"]);
    assert!(command.arg("http://127.0.0.1:10239/metrics").status().unwrap().success());
}

#[test]
fn a_wrong_configuration() {
    let host = Namespace::new("host");
    doctor_with(&host, "[nflog]\ngroup = 1\n").failed("config", "group");
}

#[test]
fn a_wrong_web_configuration() {
    let host = Namespace::new("host");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    fs::write(file.path(), "basic_auth_users: {alice: secret}").unwrap();
    doctor(&host, &["--web.config.file", path]).failed("web_config", "is no bcrypt hash");
    fs::write(file.path(), "rate_limit: {interval: 1s, burst: 5}").unwrap();
    doctor(&host, &["--web.config.file", path]).ok("web_config", "can be followed");
}

#[test]
fn a_kernel_without_nflog() {
    let host = Namespace::new("host");
    let script = format!("mount -t tmpfs none /proc && exec {EXPORTER} doctor --json");
    let output = host.command("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    Said::of(&output).failed("kernel", "does not show NFLOG");
}

#[test]
fn a_process_without_rights() {
    let host = Namespace::new("host");
    let output = host
        .command("setpriv")
        .args(["--bounding-set", "-net_admin", EXPORTER, "doctor", "--json"])
        .args(["--nflog.group", "7"])
        .output()
        .unwrap();
    let said = Said::of(&output);
    said.failed("capability", "CAP_NET_ADMIN is missing");
    said.failed("receive_buffer", "bursts will be lost");
    said.skipped("packets");
}

#[test]
fn a_group_that_another_holds() {
    let wire = Wire::new();
    let other = wire.host.run(|| Nflog::open(&plan(&[1])).unwrap());
    let said = doctor(&wire.host, &[]);
    said.failed("group", &format!("(pid {}, netlink port", std::process::id()));
    said.skipped("packets");
    wire.host.release(other);
}

#[test]
fn interfaces_that_are_not_there() {
    let alone = Namespace::new("alone");
    doctor(&alone, &[]).failed("interfaces", "no interface but lo");
    let wire = Wire::new();
    doctor(&wire.host, &["--rules.interface", "eth7"]).failed("interfaces", "names eth7");
}

#[test]
fn databases_of_addresses_that_are_gone_or_old() {
    let host = Namespace::new("host");
    let of = |file: &Path| doctor(&host, &["--geoip.database", file.to_str().unwrap()]);
    of(Path::new("/nowhere/x.mmdb")).failed("geoip", "/nowhere/x.mmdb");
    of(&data("unexpected-bytes.mmdb")).failed("geoip", "unexpected-bytes.mmdb");
    of(&data("GeoLite2-ASN-Test.mmdb")).failed("geoip", "days old");
}

#[test]
fn a_port_that_another_has() {
    let host = Namespace::new("host");
    let listener =
        host.run(|| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 10239))).unwrap());
    let said = doctor(&host, &[]);
    said.failed("port", &format!("(pid {}) has it", std::process::id()));
    host.release(listener);
    doctor(&host, &["--web.listen-address", "192.0.2.1:10239"]).failed("port", "192.0.2.1:10239");
}

#[test]
fn a_spool_without_room() {
    let host = Namespace::new("host");
    let disk = Tmpfs::mount(16 << 20);
    let config = |size: &str| {
        format!(
            "[mirror]\nurl = 'sqlite:{0}/rows.db'\nspool.directory = '{0}/spool'\nspool.max_size = '{size}'\n",
            disk.folder.path().display()
        )
    };
    doctor_with(&host, &config("1GiB")).failed("spool", "may need 1.0 GiB more");
    // It leaves the file for the exporter to make, as the user that it runs with.
    let said = doctor_with(&host, &config("1MiB"));
    said.skipped("mirror");
    let file = disk.folder.path().join("rows.db");
    assert!(!file.exists());
    let schema = Command::new(EXPORTER).args(["schema", "--for", "sqlite"]).output().unwrap();
    let sql = disk.folder.path().join("schema.sql");
    fs::write(&sql, schema.stdout).unwrap();
    let made = Command::new("sqlite3").arg(&file).stdin(File::open(&sql).unwrap()).status();
    assert!(made.unwrap().success());
    let said = doctor_with(&host, &config("1MiB"));
    said.ok("spool", "enough");
    said.ok("mirror", "answers");
    said.ok("mirror_schema", "up to date");
    said.ok("mirror_rights", "written");
    said.ok("mirror_days", "");
    said.ok("mirror_clock", "UTC");
}

#[test]
fn a_mirror_that_cannot_be_written() {
    let server = MariaDb::start();
    let database = server.database();
    let look = |user: &str, password: &str| {
        let mut command = Command::new(EXPORTER);
        command.args(["doctor", "--json", "--nflog.group", "41000", "--mirror.url"]);
        command.arg(format!("{}?sslmode=disable", server.url(user, password, &database)));
        Said::of(&command.output().unwrap())
    };
    let look_at = |time: &str, user: &str| {
        let mut command = Command::new("faketime");
        command.args(["-f", time, EXPORTER, "doctor", "--json", "--nflog.group", "41000"]);
        command.arg("--mirror.url");
        command.arg(format!("{}?sslmode=disable", server.url(user, "secret", &database)));
        Said::of(&command.output().unwrap())
    };
    let grant = |user: &str, rights: &str| {
        server.query("mysql", &format!("CREATE USER {user}@'%' IDENTIFIED BY 'secret'"));
        server.query("mysql", &format!("GRANT {rights} ON {database}.* TO {user}@'%'"));
    };
    grant("reader", "SELECT");
    grant("owner", "ALL");
    grant("writer", "SELECT, INSERT, UPDATE, DELETE");
    grant("half", "SELECT, INSERT");

    let said = look("owner", "wrong");
    said.failed("mirror", "Access denied");
    assert!(!said.check("mirror").1.contains("wrong"));
    look("reader", "secret").failed("mirror_schema", "");
    let said = look("owner", "secret");
    for check in ["mirror", "mirror_schema", "mirror_rights", "mirror_days", "mirror_clock"] {
        said.ok(check, "");
    }
    look("half", "secret").failed("mirror_rights", "");
    // The days that there are will have passed in a month.
    let said = look_at("+30d", "writer");
    said.ok("mirror_rights", "");
    said.failed("mirror_days", "");
    assert_eq!(server.query(&database, "SELECT count(*) FROM nflog_writers"), "0");

    let said = look_at("-2h", "owner");
    said.failed("mirror_clock", "s ahead of this host's");
    server.kill_9();
    wait_for("a word of it", || {
        let said = look("owner", "secret");
        (said.check("mirror").0 == "failed").then_some(())
    });
}
