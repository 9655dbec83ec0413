//! The packages: built from the program under test, installed with the commands in `docs` on a fresh system, started
//! by a real service manager, upgraded and purged; hardening of the unit; the installed configuration. Requires root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod container;
mod journal;
mod podman;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use nflog_exporter::config::{self, Config};

use crate::support::{
    documents,
    fresh_root::fresh_root,
    mmdb::{self, Value},
    program::{EXPORTER, samples, sum, wait_for, whole},
    server::{certificates, run},
    system::{Booted, System},
};

const UNIT: &str = "nflog_exporter.service";
const TIMER: &str = "nflog_exporter-geoip.timer";

/// Rules that log the packets of `send`.
const RULES: &str = "table inet t { chain c { type filter hook input priority 0; \
                     udp dport 9 log prefix \"x\" group 1; }; }";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Packages of the program under test: two versions for Debian, one for RPM systems.
fn packages() -> &'static [PathBuf; 3] {
    static PACKAGES: OnceLock<[PathBuf; 3]> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let build = |version: &str, kinds: &[&str]| {
            let mut command = Command::new(root().join("packaging/build"));
            run(command.args(kinds).env("PROGRAM", EXPORTER).env("VERSION", version));
        };
        build("0.0.1-rc.1", &["deb", "rpm"]);
        build("0.0.1", &["deb"]);
        let found = |ending: &str| {
            let files = fs::read_dir(root().join("target/packages")).unwrap();
            let mut paths = files.map(|file| file.unwrap().path());
            let named = |path: &PathBuf| path.to_str().unwrap().contains(ending);
            paths.find(named).unwrap_or_else(|| panic!("no package {ending}"))
        };
        ["_0.0.1~rc.1_", "_0.0.1_", "-0.0.1~rc.1-1."].map(found)
    })
}

/// The metrics of the service.
fn scrape(booted: &Booted) -> Option<String> {
    let (good, text) = booted.try_run("curl", &["-fsS", "http://127.0.0.1:10239/metrics"]);
    good.then_some(text)
}

/// Sends packets that are logged, and waits until the service has received them.
fn flow(booted: &Booted, packets: u64) {
    let received = |text: &String| sum(text, "nflog_exporter_received_packets_total");
    let before = wait_for("an answer", || scrape(booted).as_ref().map(received));
    let script = format!("for i in $(seq {packets}); do echo > /dev/udp/127.0.0.1/9; done");
    booted.run("bash", &["-c", &script]);
    wait_for("the packets", || {
        (scrape(booted).as_ref().map(received)? == before + packets).then_some(())
    });
}

/// Checks that every layer of the sandbox is active.
fn assert_confined(booted: &Booted) {
    let metrics = scrape(booted).unwrap();
    let layers = samples(&metrics, "nflog_exporter_confinement");
    assert_eq!(layers.len(), 6);
    assert!(layers.iter().all(|(_, value)| whole(*value) == 1), "{layers:?}");
}

fn main_pid(booted: &Booted) -> String {
    booted.property(UNIT, "MainPID")
}

const CONFIG: &str = "etc/nflog_exporter/config.toml";

/// Sets options as an administrator does.
const SETTINGS: &str = "[geoip]\ndatabases = ['/var/lib/GeoIP/asn.mmdb']\n\
                        [mirror]\nurl = 'sqlite:/var/lib/nflog_exporter/packets.db'\n\
                        [web]\nconfig_file = '/etc/nflog_exporter/web.yml'\n";

/// Replaces the content of the configuration file, but not its owner and mode.
fn configure(booted: &Booted, content: &str) {
    fs::write(booted.system.path(CONFIG), content).unwrap();
}

fn install(booted: &Booted, package: &Path) {
    booted.take(package, "root/package.deb");
    booted.run("dpkg", &["--install", "--force-confold", "/root/package.deb"]);
}

/// Waits until this many packets are rows.
fn wait_for_rows(booted: &Booted, count: u64) {
    let query = ["/var/lib/nflog_exporter/packets.db", "SELECT count(*) FROM packets"];
    let rows = || booted.try_run("sqlite3", &query).1.trim().parse::<u64>().ok();
    wait_for("rows", || (rows()? == count).then_some(()));
}

#[test]
fn the_debian_package_is_installed_upgraded_and_purged() {
    let [first, second, _] = packages();
    let system = System::new();
    let booted = system.boot();
    booted.run("nft", &[RULES]);
    // The program was started by hand before, as root.
    let tried = "/var/lib/nflog_exporter/tried";
    booted.run("install", &["-D", "-o", "nobody", "-m", "600", "/dev/null", tried]);
    install(&booted, first);
    assert_eq!(booted.run("stat", &["-c", "%U", tried]), "nflog_exporter\n");
    // The service runs at once, and after the next boot.
    booted.wait_until(UNIT, "active");
    assert_eq!(booted.property(UNIT, "UnitFileState"), "enabled");
    assert_eq!(system.mode("etc/nflog_exporter"), 0o750);
    assert_eq!(system.mode(CONFIG), 0o640);
    assert_eq!(system.mode("var/lib/nflog_exporter"), 0o750);
    flow(&booted, 10);
    assert_confined(&booted);

    the_timer_updates_databases(&booted);
    uses_the_configured_paths(&booted);
    is_reloaded(&booted);
    is_started_again(&booted);
    wait_for_rows(&booted, 40);
    the_doctor_knows_the_sandbox(&booted);

    // An upgrade keeps the configuration and the rows, and the service runs.
    let pid = main_pid(&booted);
    install(&booted, second);
    assert!(system.read(CONFIG).starts_with(SETTINGS));
    booted.wait_until(UNIT, "active");
    assert_ne!(main_pid(&booted), pid);
    assert_eq!(booted.property(TIMER, "UnitFileState"), "enabled");
    assert_eq!(booted.property(TIMER, "ActiveState"), "active");
    flow(&booted, 10);
    wait_for_rows(&booted, 50);
    // The same if the configuration was removed and the administrator changed permissions.
    booted.run("chmod", &["700", "/etc/nflog_exporter"]);
    fs::rename(system.path(CONFIG), system.path("root/config.toml")).unwrap();
    install(&booted, second);
    assert_eq!(system.mode("etc/nflog_exporter"), 0o700);
    fs::rename(system.path("root/config.toml"), system.path(CONFIG)).unwrap();

    booted.run("dpkg", &["--remove", "nflog-exporter"]);
    assert!(!system.has("usr/bin/nflog_exporter") && scrape(&booted).is_none());
    assert!(system.has(CONFIG) && system.has("var/lib/nflog_exporter/packets.db"));
    // A mount point, which a purge cannot remove.
    booted.run("mount", &["-t", "tmpfs", "spool", "/var/lib/nflog_exporter"]);
    booted.run("dpkg", &["--purge", "nflog-exporter"]);
    for path in [
        "etc/nflog_exporter",
        "usr/share/nflog_exporter",
        "etc/systemd/system/multi-user.target.wants/nflog_exporter.service",
        "etc/systemd/system/timers.target.wants/nflog_exporter-geoip.timer",
    ] {
        assert!(!system.has(path), "{path}");
    }
}

/// Databases, rows and the web configuration work within the sandbox of the unit.
fn uses_the_configured_paths(booted: &Booted) {
    let data = root().join("tests/data/geoip");
    fs::create_dir_all(booted.system.path("var/lib/GeoIP")).unwrap();
    booted.take(&data.join("GeoLite2-ASN-Test.mmdb"), "var/lib/GeoIP/asn.mmdb");
    let headers = "http_server_config: {headers: {X-Frame-Options: deny}}\n";
    booted.system.write("etc/nflog_exporter/web.yml", headers);
    configure(booted, SETTINGS);
    booted.run("systemctl", &["restart", UNIT]);
    flow(booted, 10);
    assert_confined(booted);
    let answer = booted.run("curl", &["-fsSi", "http://127.0.0.1:10239/-/ready"]);
    assert!(answer.contains("x-frame-options: deny"), "{answer}");
    wait_for_rows(booted, 10);

    booted.take(&data.join("GeoIP2-City-Test.mmdb"), "var/lib/GeoIP/new");
    booted.run("mv", &["/var/lib/GeoIP/new", "/var/lib/GeoIP/asn.mmdb"]);
    wait_for("the other database", || {
        let reloads = samples(&scrape(booted)?, "nflog_exporter_geoip_reloads_total");
        let mut good = reloads.iter().filter(|(labels, _)| labels["result"] == "success");
        good.any(|(_, count)| *count > 0.0).then_some(())
    });
}

/// A database that is downloaded within the sandbox of its unit is loaded by the running service.
fn the_timer_updates_databases(booted: &Booted) {
    let units = "/usr/lib/systemd/system";
    let service = TIMER.replace(".timer", ".service");
    booted.run(
        "systemd-analyze",
        &["verify", &format!("{units}/{service}"), &format!("{units}/{TIMER}")],
    );
    assert_eq!(booted.property(TIMER, "UnitFileState"), "disabled");
    assert_eq!(booted.property(TIMER, "ActiveState"), "inactive");
    let directory = booted.system.path("srv/geo");
    fs::create_dir_all(directory.join("free")).unwrap();
    certificates(&directory, "");
    let ca_file = booted.system.path("etc/nflog_exporter/ca.pem");
    fs::copy(directory.join("ca.pem"), ca_file).unwrap();
    let country = Value::Map(vec![("iso_code", Value::Text("NL"))]);
    let record = Value::Map(vec![("country", country)]);
    let file = directory.join("free/country.mmdb");
    fs::write(&file, mmdb::everywhere("DBIP-Country-Lite", 1_793_491_200, &record)).unwrap();
    run(Command::new("gzip").arg(&file));
    let month = booted.run("date", &["--utc", "+%Y-%m"]);
    let published = format!("free/dbip-country-lite-{}.mmdb.gz", month.trim());
    fs::rename(directory.join("free/country.mmdb.gz"), directory.join(published)).unwrap();
    booted.run(
        "systemd-run",
        &[
            "--unit=publisher",
            "--property=WorkingDirectory=/srv/geo",
            "openssl",
            "s_server",
            "-WWW",
            "-accept",
            "443",
            "-cert",
            "server.pem",
            "-key",
            "server.key",
        ],
    );
    wait_for("the server", || {
        let script = "exec 3<>/dev/tcp/localhost/443";
        booted.try_run("bash", &["-c", script]).0.then_some(())
    });
    let before = booted.system.read(CONFIG);
    let update = "server = 'https://localhost'\nca_file = '/etc/nflog_exporter/ca.pem'\n";
    configure(booted, &format!("[geoip.update]\n{update}"));
    let (good, _) = booted.try_run("systemctl", &["start", &service]);
    assert!(good, "{}", booted.journal(&service));
    let installed = "var/lib/nflog_exporter/geoip/country.mmdb";
    assert_eq!(booted.system.mode(installed), 0o644);
    wait_for("the downloaded database", || {
        let built = samples(&scrape(booted)?, "nflog_exporter_geoip_build_timestamp_seconds");
        built.iter().any(|(labels, _)| labels["database"] == "country.mmdb").then_some(())
    });
    // Root replaces it, and the service can replace it again.
    let config = format!("/{CONFIG}");
    let arguments = ["geoip", "update", "--force", "--config.file", &config];
    let printed = booted.run("nflog_exporter", &arguments);
    assert!(printed.contains("updated: DBIP-Country-Lite"), "{printed}");
    let owner = booted.run("stat", &["-c", "%U", &format!("/{installed}")]);
    assert_eq!(owner, "nflog_exporter\n");
    booted.run("systemctl", &["start", &service]);
    booted.run("systemctl", &["enable", "--now", TIMER]);
    assert_eq!(booted.property(TIMER, "ActiveState"), "active");
    booted.run("systemctl", &["stop", "publisher"]);
    configure(booted, &before);
}

/// If the unit denies writing, the error does not suggest chown.
fn the_doctor_knows_the_sandbox(booted: &Booted) {
    let unit = || {
        let config = format!("/{CONFIG}");
        let arguments = ["doctor", "--json", "--wait", "0s", "--config.file", &config];
        let (_, text) = booted.try_run("nflog_exporter", &arguments);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let checks = json["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == "unit").unwrap().clone()
    };
    assert_eq!(unit()["status"], "ok", "{}", unit());
    booted.run("install", &["-d", "-o", "nflog_exporter", "/srv/rows"]);
    configure(
        booted,
        &SETTINGS.replace("/var/lib/nflog_exporter/packets.db", "/srv/rows/packets.db"),
    );
    let found = unit();
    assert_eq!(found["status"], "failed", "{found}");
    assert!(found["fix"].as_str().unwrap().contains("ReadWritePaths=/srv/rows"), "{found}");
    let drop_in = "etc/systemd/system/nflog_exporter.service.d/rows.conf";
    booted.system.write(drop_in, "[Service]\nReadWritePaths=/srv/rows\n");
    booted.run("systemctl", &["daemon-reload"]);
    assert_eq!(unit()["status"], "ok", "{}", unit());
    booted.run("rm", &["-r", "/etc/systemd/system/nflog_exporter.service.d"]);
    booted.run("systemctl", &["daemon-reload"]);
    configure(booted, SETTINGS);
}

/// An invalid configuration is reported by the command, and the start is not repeated.
fn is_reloaded(booted: &Booted) {
    let good = format!("{SETTINGS}[log]\nlevel = 'debug'\n");
    configure(booted, &good);
    let pid = main_pid(booted);
    booted.run("systemctl", &["reload", UNIT]);
    wait_for("the reload", || {
        booted.journal(UNIT).contains("configuration reloaded").then_some(())
    });
    configure(booted, "[nflog]\ngroup = 1\n");
    assert!(!booted.try_run("systemctl", &["reload", UNIT]).0);
    assert_eq!(main_pid(booted), pid);
    flow(booted, 10);

    assert!(!booted.try_run("systemctl", &["restart", UNIT]).0);
    booted.wait_until(UNIT, "failed");
    assert_eq!(booted.property(UNIT, "NRestarts"), "0");
    configure(booted, &good);
    booted.run("systemctl", &["start", UNIT]);
}

/// The service is restarted after a kill, and if it does not respond.
fn is_started_again(booted: &Booted) {
    let goes_down = |how: &str| {
        let before = booted.property(UNIT, "NRestarts");
        // systemctl fails if the cgroup of the unit is gone after the signal to its main process.
        booted.run("kill", &[&format!("-{how}"), &main_pid(booted)]);
        wait_for(how, || (booted.property(UNIT, "NRestarts") != before).then_some(()));
        booted.wait_until(UNIT, "active");
        flow(booted, 10);
    };
    goes_down("KILL");
    let impatient = "[Service]\nWatchdogSec=1s\n";
    booted.system.write("etc/systemd/system/nflog_exporter.service.d/test.conf", impatient);
    booted.run("systemctl", &["daemon-reload"]);
    booted.run("systemctl", &["restart", UNIT]);
    goes_down("STOP");
}

/// The block of shell commands with this text in the page about the installation.
fn documented(text: &str) -> String {
    let page = fs::read_to_string(root().join("docs/install.md")).unwrap();
    let mut blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains(text)).unwrap().to_owned()
}

/// The firewall of a fresh system is loaded at each step: with the package, without it and after a purge.
#[test]
fn the_documents_install_on_a_fresh_system_and_a_purge_leaves_its_firewall() {
    let [first, second, _] = packages();
    let system = System::over(fresh_root());
    let config = system.read("etc/nftables.conf");
    let own =
        "table inet own { chain c { type filter hook input priority 0; tcp dport 7 drop; }; }";
    system.write("etc/nftables.conf", &format!("{config}{own}\n"));
    let booted = system.boot();
    let shell = |script: &str| booted.run("bash", &["-ec", &format!("cd /root\n{script}")]);
    // Checks whether our rules are loaded after the next boot; those of the administrator always are.
    let is_logged_after_a_start = || {
        booted.run("systemctl", &["restart", "nftables"]);
        let rules = booted.run("nft", &["list", "ruleset"]);
        assert!(rules.contains("tcp dport 7 drop"), "{rules}");
        rules.contains("group 1")
    };
    let commands = documented("dpkg -i");
    let install = commands.lines().find(|line| line.contains("dpkg -i")).unwrap();
    let install = install.strip_prefix("sudo ").unwrap();
    fs::create_dir_all(system.path("root/target/packages")).unwrap();
    let deliver = |package| booted.take(package, "root/target/packages/nflog-exporter_0_amd64.deb");
    let rules = documented("/etc/nftables.conf");

    deliver(first);
    shell(install);
    booted.wait_until(UNIT, "active");
    for _ in 0..2 {
        shell(&rules);
    }
    assert_eq!(system.read("etc/nftables.conf").matches("nflog_exporter").count(), 1);
    assert_eq!(booted.property("nftables.service", "UnitFileState"), "enabled");
    assert!(is_logged_after_a_start());
    deliver(second);
    shell(install);
    assert!(is_logged_after_a_start());
    booted.run("dpkg", &["--remove", "nflog-exporter"]);
    assert!(is_logged_after_a_start());
    shell(install);
    booted.wait_until(UNIT, "active");
    assert!(is_logged_after_a_start());
    booted.run("dpkg", &["--purge", "nflog-exporter"]);
    assert!(!system.has("etc/nflog_exporter"));
    assert!(!is_logged_after_a_start());
    // Installed again, it has no rules before the documented commands.
    shell(install);
    assert!(!is_logged_after_a_start());
}

/// Packages that the tests install start no service, now or at the next boot, and the policy of the host is restored.
#[test]
fn packages_of_the_tests_enable_no_service() {
    let system = System::over(fresh_root());
    let booted = system.boot();
    booted.take(&packages()[0], "root/package.deb");
    booted.take(&root().join("tests/install"), "root/install");
    let policy = "usr/sbin/policy-rc.d";
    system.write(policy, "the host's own");
    booted.run("/root/install", &["/root/package.deb"]);
    assert!(system.has("usr/bin/nflog_exporter"));
    assert_eq!(booted.property(UNIT, "UnitFileState"), "disabled");
    assert_eq!(booted.property(UNIT, "ActiveState"), "inactive");
    assert_eq!(system.read(policy), "the host's own");

    // The same if an installation fails, and if there was no policy.
    booted.run("dpkg", &["--purge", "nflog-exporter"]);
    fs::remove_file(system.path(policy)).unwrap();
    let arguments = ["/root/package.deb", "/root/install"];
    let (good, _) = booted.try_run("/root/install", &arguments);
    assert!(!good && !system.has(policy));
}

#[test]
fn the_rpm_is_installed_upgraded_and_removed() {
    let [_, _, package] = packages();
    let system = System::new();
    let booted = system.boot();
    booted.run("nft", &[RULES]);
    booted.take(package, "root/package.rpm");
    let rpm = |arguments: &[&str]| booted.run("rpm", arguments);
    // The database of rpm does not contain the packages of this system.
    rpm(&["--install", "--nodeps", "/root/package.rpm"]);
    assert_eq!(system.mode(CONFIG), 0o640);
    assert_eq!(system.mode("var/lib/nflog_exporter"), 0o750);
    assert_eq!(booted.property(TIMER, "UnitFileState"), "disabled");
    booted.run("systemctl", &["start", UNIT]);
    flow(&booted, 10);
    assert_confined(&booted);

    let config = "[log]\nlevel = 'warn'\n";
    configure(&booted, config);
    let pid = main_pid(&booted);
    rpm(&["--upgrade", "--force", "--nodeps", "/root/package.rpm"]);
    assert_eq!(system.read(CONFIG), config);
    wait_for("the new process", || {
        let now = main_pid(&booted);
        (now != pid && now != "0").then_some(())
    });
    flow(&booted, 10);

    // A socket unit: the first request starts the service.
    configure(&booted, "[web]\nsystemd_socket = true\n");
    let socket = "[Socket]\nListenStream=127.0.0.1:10239\n";
    system.write("etc/systemd/system/nflog_exporter.socket", socket);
    booted.run("systemctl", &["stop", UNIT]);
    booted.run("systemctl", &["daemon-reload"]);
    booted.run("systemctl", &["start", "nflog_exporter.socket"]);
    assert_eq!(booted.property(UNIT, "ActiveState"), "inactive");
    flow(&booted, 10);
    assert_confined(&booted);
    booted.run("systemctl", &["stop", "nflog_exporter.socket"]);

    rpm(&["--erase", "nflog-exporter"]);
    assert!(!system.has("usr/bin/nflog_exporter") && scrape(&booted).is_none());
    assert!(!system.has("usr/share/nflog_exporter"));
}

/// Both packages contain the same files, in the directories of their systems.
#[test]
fn both_packages_contain_the_same_files() {
    let [debian, _, rpm] = packages();
    let listed = |command: &mut Command| {
        let output = run(command);
        let text = String::from_utf8(output.stdout).unwrap();
        let files: BTreeSet<String> = text
            .lines()
            .map(|line| line.split(" -> ").next().unwrap())
            .map(|line| line.split_whitespace().last().unwrap().trim_start_matches('.'))
            .filter(|path| !path.ends_with('/') && !path.contains("/licenses/"))
            // Files that only Debian needs.
            .filter(|path| !path.ends_with("/copyright") && !path.ends_with("/changelog.gz"))
            .map(|path| path.replace("/site-functions/", "/vendor-completions/"))
            .collect();
        files
    };
    let ours = listed(Command::new("dpkg-deb").arg("--contents").arg(debian));
    let mut theirs = listed(Command::new("rpm").args(["--query", "--list", "--package"]).arg(rpm));
    // The list contains directories too.
    theirs.retain(|path| !ours.iter().any(|file| file.starts_with(&format!("{path}/"))));
    assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), ["/var/lib/nflog_exporter"]);
    assert_eq!(ours.difference(&theirs).collect::<Vec<_>>(), [""; 0]);
    for path in [
        "/usr/lib/systemd/system/nflog_exporter.service",
        "/usr/lib/systemd/system/nflog_exporter-geoip.service",
        "/usr/lib/systemd/system/nflog_exporter-geoip.timer",
        "/usr/share/man/man8/nflog_exporter.8.gz",
        "/usr/share/bash-completion/completions/nflog_exporter",
        "/usr/share/nflog_exporter/dashboards/overview.json",
        "/usr/share/nflog_exporter/dashboards/provisioning/datasources/nflog.yaml",
        "/usr/share/nflog_exporter/alerts/nflog_exporter.rules.yml",
    ] {
        assert!(ours.contains(path), "{path}");
    }
}

/// The documents for users are installed, and the targets of their links too.
#[test]
fn the_package_contains_the_documents() {
    let unpacked = tempfile::tempdir().unwrap();
    run(Command::new("dpkg-deb").arg("--extract").arg(&packages()[0]).arg(unpacked.path()));
    let installed = unpacked.path().join("usr/share/doc/nflog-exporter");
    let mut checked = 0;
    for page in documents::for_users() {
        let file = installed.join(&page);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{page}: {error}"));
        for link in documents::links(&text).iter().filter(|link| !link.contains("://")) {
            let target = link.split('#').next().unwrap();
            assert!(file.parent().unwrap().join(target).exists(), "{page}: {link}");
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn the_units_are_hardened() {
    for unit in [UNIT, "nflog_exporter-geoip.service"] {
        let output = run(Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(root().join("packaging/systemd").join(unit)));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let score = text.split(&format!("exposure level for {unit}: ")).nth(1).unwrap();
        let score: f64 = score.split(' ').next().unwrap().parse().unwrap();
        assert!(score < 2.0, "{unit}: {score}");
    }
}

/// The calls that an entry of `SystemCallFilter=` selects.
fn system_calls(word: &str) -> BTreeSet<String> {
    if !word.starts_with('@') {
        return [word.to_owned()].into();
    }
    let output = run(Command::new("systemd-analyze").args(["syscall-filter", word]));
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.lines().skip(1).map(str::trim);
    let words = words.filter(|word| !word.is_empty() && !word.starts_with('#'));
    words.flat_map(system_calls).collect()
}

/// The filter of the unit applies in addition to the program's own filter: it must allow every call that the program
/// allows itself. This test runs without a service manager.
#[test]
fn the_unit_allows_every_call_that_the_program_allows() {
    let unit = root().join("packaging/systemd/nflog_exporter.service");
    let unit = fs::read_to_string(unit).unwrap();
    let mut allowed = system_calls("@default");
    for words in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let calls = words.trim_start_matches('~').split(' ').flat_map(system_calls);
        if words.starts_with('~') {
            let calls: BTreeSet<String> = calls.collect();
            allowed.retain(|call| !calls.contains(call));
        } else {
            allowed.extend(calls);
        }
    }
    let source = ["mod.rs", "system_calls.rs"].map(|name| {
        fs::read_to_string(root().join("src/system/privileges/seccomp").join(name)).unwrap()
    });
    let source = source.concat();
    let own = source.split("const FORBIDDEN").next().unwrap().split("libc::SYS_").skip(1);
    let own = own.map(|rest| rest.split([',', ' ', ')', ';']).next().unwrap().to_owned());
    let kept_back: Vec<String> = own.filter(|call| !allowed.contains(call)).collect();
    assert_eq!(kept_back, [""; 0]);
}

/// The text with its keys enabled: a comment has a space after `#`, and a commented key has none.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{indent}{key}\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

#[test]
fn the_installed_configuration_lists_every_key_with_its_default() {
    let text = fs::read_to_string(root().join("packaging/config.toml")).unwrap();
    assert_eq!(config::parse(&text, "config.toml").unwrap(), Config::default());
    let uncommented = uncommented(&text);
    assert_eq!(config::parse(&uncommented, "config.toml").unwrap(), Config::default());
    let shown = Config::default().to_toml().unwrap();
    // An empty array of tables has no key that could be commented out; the file has an example.
    let is_key = |line: &&str| !["", "list = []", "output = []"].contains(line);
    for line in shown.lines().filter(is_key) {
        let key = line.split(" =").next().unwrap();
        let count = |lines: &mut dyn Iterator<Item = &str>| {
            lines.filter(|line| line.split(" =").next() == Some(key)).count()
        };
        let (here, there) = (count(&mut uncommented.lines()), count(&mut shown.lines()));
        assert_eq!(here, there, "{key}");
    }
}

#[test]
fn the_example_web_configuration_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("packaging/web.yml")).unwrap();
    let file = directory.path().join("web.yml");
    run(Command::new("openssl")
        .current_dir(directory.path())
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=x", "-keyout", "server.key", "-out", "server.pem"]));
    fs::copy(directory.path().join("server.pem"), directory.path().join("ca.pem")).unwrap();
    for text in [text.clone(), uncommented(&text)] {
        fs::write(&file, text).unwrap();
        run(Command::new("promtool").args(["check", "web-config"]).arg(&file));
        run(Command::new(EXPORTER).args(["config", "check", "--web.config.file"]).arg(&file));
    }
}
