//! The Debian package: built of the program under test, installed, started, upgraded and purged in a
//! root of its own; the unit's hardening; the configuration it comes with. Takes root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::Command,
};

use nflog_exporter::config::{self, Config};
use nix::sys::signal::Signal;
use support::{
    Wire, frame,
    program::{EXPORTER, PATIENCE, Program, get, sum, wait_for},
    server::run,
    tmpfs::Tmpfs,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the package in a version, around the program under test.
fn build(folder: &Path, version: &str) -> PathBuf {
    fs::create_dir_all(folder.join("release")).unwrap();
    fs::copy(EXPORTER, folder.join("release/nflog_exporter")).unwrap();
    let package = folder.join(format!("{version}.deb"));
    run(Command::new(root().join("packaging/build"))
        .args(["--no-build", "--no-strip", "--deb-version", version, "--output"])
        .arg(&package)
        .env("PROGRAM", EXPORTER)
        .env("CARGO_TARGET_DIR", folder));
    package
}

/// This system under another root, whose changes go with it.
struct System(Tmpfs);

impl System {
    fn new() -> Self {
        let disk = Tmpfs::mount(2 << 30);
        let folder = disk.folder.path();
        for name in ["upper", "work", "root"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let layers = format!("lowerdir=/,upperdir={0}/upper,workdir={0}/work", folder.display());
        run(Command::new("mount")
            .args(["-t", "overlay", "-o", &layers, "system"])
            .arg(folder.join("root")));
        let system = Self(disk);
        run(Command::new("mount").args(["-t", "proc", "proc"]).arg(system.path("proc")));
        system
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.folder.path().join("root").join(path)
    }

    /// Runs a program in it; returns what it said.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("chroot");
        // No service is to be started: there is no manager.
        command.env("RUNLEVEL", "1").env("DEBIAN_FRONTEND", "noninteractive");
        let output = run(command.arg(self.path("")).arg(program).args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn install(&self, package: &Path) {
        fs::copy(package, self.path("package.deb")).unwrap();
        self.run("dpkg", &["--install", "--force-confold", "/package.deb"]);
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for path in ["proc", ""] {
            let _ = Command::new("umount").arg("-l").arg(self.path(path)).status();
        }
    }
}

#[test]
fn the_package_comes_runs_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (build(folder.path(), "1.0.0"), build(folder.path(), "1.0.1"));
    let system = System::new();
    system.install(&first);
    assert!(system.run("getent", &["passwd", "nflog_exporter"]).contains("nflog_exporter"));
    assert_eq!(system.mode("etc/nflog_exporter/config.toml"), 0o640);
    assert_eq!(system.mode("var/lib/nflog_exporter"), 0o750);
    for path in [
        "usr/lib/systemd/system/nflog_exporter.service",
        "usr/share/man/man8/nflog_exporter.8.gz",
        "usr/share/bash-completion/completions/nflog_exporter",
        "usr/share/nflog_exporter/dashboards/overview.json",
        "usr/share/nflog_exporter/alerts/nflog_exporter.rules.yml",
        "usr/share/doc/nflog-exporter/copyright",
        "etc/systemd/system/multi-user.target.wants/nflog_exporter.service",
    ] {
        assert!(fs::symlink_metadata(system.path(path)).is_ok(), "{path}");
    }
    run_as_the_unit_says(&system);

    // An upgrade keeps what an administrator wrote and what waits in the spool.
    let config = system.path("etc/nflog_exporter/config.toml");
    fs::write(&config, "[log]\nlevel = 'warn'\n").unwrap();
    fs::write(system.path("var/lib/nflog_exporter/rows"), "").unwrap();
    system.install(&second);
    assert_eq!(fs::read_to_string(&config).unwrap(), "[log]\nlevel = 'warn'\n");
    assert!(system.has("var/lib/nflog_exporter/rows"));
    assert!(system.run("dpkg-query", &["-W", "nflog-exporter"]).contains("1.0.1"));

    system.run("dpkg", &["--remove", "nflog-exporter"]);
    assert!(!system.has("usr/bin/nflog_exporter"));
    assert!(
        system.has("etc/nflog_exporter/config.toml") && system.has("var/lib/nflog_exporter/rows")
    );
    system.run("dpkg", &["--purge", "nflog-exporter"]);
    for path in ["etc/nflog_exporter", "var/lib/nflog_exporter", "usr/share/nflog_exporter"] {
        assert!(!system.has(path), "{path}");
    }
    let mut user = Command::new("chroot");
    let user = user.arg(system.path("")).args(["getent", "passwd", "nflog_exporter"]).status();
    assert!(!user.unwrap().success());
}

/// Starts it as systemd would by the unit: its command, user, capability and notification.
fn run_as_the_unit_says(system: &System) {
    let unit =
        fs::read_to_string(system.path("usr/lib/systemd/system/nflog_exporter.service")).unwrap();
    let setting = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name}")).to_owned()
    };
    assert_eq!(setting("Type"), "notify");
    assert_eq!(setting("AmbientCapabilities"), "CAP_NET_ADMIN");
    let notify = system.path("run/notify-test");
    let manager = UnixDatagram::bind(&notify).unwrap();
    fs::set_permissions(&notify, fs::Permissions::from_mode(0o777)).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |expected: &str| loop {
        let mut buffer = [0; 200];
        let length = manager.recv(&mut buffer).unwrap_or_else(|why| panic!("{expected}: {why}"));
        if String::from_utf8_lossy(&buffer[..length]).contains(expected) {
            return;
        }
    };

    let wire = Wire::new();
    wire.host.nft("table inet t {\n chain c {\n type filter hook input priority 0\n udp dport 9 log prefix \"x\" group 1\n }\n}");
    let mut command = wire.host.command("chroot");
    command
        .arg(system.path(""))
        .args([
            "setpriv",
            "--reuid",
            &setting("User"),
            "--regid",
            &setting("Group"),
            "--clear-groups",
        ])
        .args(["--bounding-set", "-all,+net_admin", "--inh-caps", "-all,+net_admin"])
        .args(["--ambient-caps", "-all,+net_admin", "--no-new-privs"])
        .args(setting("ExecStart").split(' '))
        .env("NOTIFY_SOCKET", "/run/notify-test")
        .env("WATCHDOG_USEC", "400000");
    let mut program = Program::start(&mut command, system.path("run/exporter.log"));
    hear("READY=1");
    hear("WATCHDOG=1");
    wire.send(frame::spoofed(10, 9));
    wait_for("the packets", || {
        let (_, metrics) = get(&wire.host, 10239, "/metrics")?;
        (sum(&metrics, "nflog_exporter_received_packets_total") == 10).then_some(())
    });
    program.signal(Signal::SIGHUP);
    hear("RELOADING=1");
    hear("READY=1");
    hear("WATCHDOG=1");
    assert!(
        program.log().contains("capabilities no_new_privs landlock seccomp"),
        "{}",
        program.log()
    );
    program.signal(Signal::SIGTERM);
    hear("STOPPING=1");
    assert!(program.wait().success());
    fs::remove_file(&notify).unwrap();
}

#[test]
fn the_unit_is_hardened() {
    let output = run(Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(root().join("packaging/systemd/nflog_exporter.service")));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let score = text.split("exposure level for nflog_exporter.service: ").nth(1).unwrap();
    let score: f64 = score.split(' ').next().unwrap().parse().unwrap();
    assert!(score < 2.0, "{score}");
}

/// A word of `SystemCallFilter=` as the calls that it means.
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

/// The unit's filter goes before the program's own: what the one lets through, the other may not keep
/// back. There is no service manager here to run it under.
#[test]
fn the_unit_lets_through_what_the_program_lets_itself() {
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
    let source = fs::read_to_string(root().join("src/privileges/syscalls.rs")).unwrap();
    let own = source.split("const FORBIDDEN").next().unwrap().split("libc::SYS_").skip(1);
    let own = own.map(|rest| rest.split([',', ' ', ')', ';']).next().unwrap().to_owned());
    let kept_back: Vec<String> = own.filter(|call| !allowed.contains(call)).collect();
    assert_eq!(kept_back, [""; 0]);
}

/// The text with its keys in force: a comment is prose behind a space, and a key without one.
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
fn the_default_configuration_names_every_key_with_its_default() {
    let text = fs::read_to_string(root().join("packaging/config.toml")).unwrap();
    assert_eq!(config::parse(&text, "config.toml").unwrap(), Config::default());
    let uncommented = uncommented(&text);
    assert_eq!(config::parse(&uncommented, "config.toml").unwrap(), Config::default());
    let shown = Config::default().to_toml().unwrap();
    for line in shown.lines().filter(|line| !line.is_empty()) {
        let key = line.split(" =").next().unwrap();
        let count = |lines: &mut dyn Iterator<Item = &str>| {
            lines.filter(|line| line.split(" =").next() == Some(key)).count()
        };
        let (here, there) = (count(&mut uncommented.lines()), count(&mut shown.lines()));
        assert_eq!(here, there, "{key}");
    }
}

#[test]
fn the_example_of_a_web_configuration_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("packaging/web.yml")).unwrap();
    let file = folder.path().join("web.yml");
    run(Command::new("openssl")
        .current_dir(folder.path())
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=x", "-keyout", "server.key", "-out", "server.pem"]));
    fs::copy(folder.path().join("server.pem"), folder.path().join("ca.pem")).unwrap();
    for text in [text.clone(), uncommented(&text)] {
        fs::write(&file, text).unwrap();
        run(Command::new("promtool").args(["check", "web-config"]).arg(&file));
        run(Command::new(EXPORTER).args(["config", "check", "--web.config.file"]).arg(&file));
    }
}
