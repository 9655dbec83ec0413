//! Followed log files, standard input, and `replay` of logs.

mod follow;
mod kills;
mod replay;
mod rows;
mod syslog;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::support::program::{PATIENCE, get_from, sum, wait_for};

/// A line of the kernel with the number as its source port.
fn line(number: u64) -> String {
    format!(
        "Nov 28 10:00:00 web1 kernel: [12345.{:06}] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=40 \
         TOS=0x00 PREC=0x00 TTL=64 ID={} PROTO=UDP SPT={} DPT=53 LEN=20 \n",
        number % 1_000_000,
        number % 65536,
        number % 65536,
    )
}

pub fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

pub fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A directory with logs and the state of the exporter, for every user.
pub struct Logs(TempDir);

impl Logs {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        for path in [directory.path().to_owned(), directory.path().join("state")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        Self(directory)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A configuration that follows a pattern in the directory.
    pub fn config(&self, pattern: &str, more: &str) -> String {
        let (files, state) = (self.path(pattern), self.path("state/positions"));
        let (files, state) = (files.display(), state.display());
        format!(
            "[web]\nlisten_addresses = ['127.0.0.1:0']\n[kernel_log]\nfiles = ['{files}']\nstate_file = '{state}'\n{more}"
        )
    }
}

/// A running exporter.
pub struct Exporter {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Exporter {
    pub fn start(logs: &Logs, config: &str) -> Self {
        Self::start_with(logs, config, Stdio::null())
    }

    /// Starts it; returns when it is ready.
    fn start_with(logs: &Logs, config: &str, input: Stdio) -> Self {
        let (file, log) = (logs.path("config.toml"), logs.path("exporter.out"));
        fs::write(&file, config).unwrap();
        let output = fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"))
            .arg("--config.file")
            .arg(&file)
            .env_remove("NFLOG_EXPORTER_MIRROR_URL")
            .stdin(input)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut exporter = Self { child, address: SocketAddr::from(([0; 4], 0)), log };
        exporter.address = wait_for("the exporter to serve", || {
            if let Some(status) = exporter.child.try_wait().unwrap() {
                panic!("{status}: {}", exporter.log());
            }
            let log = exporter.log();
            log.split_once("metrics=http://")?.1.split_once('/')?.0.parse().ok()
        });
        wait_for("the exporter to be ready", || {
            // 401: it requires a password.
            get_from(exporter.address, "/-/ready").filter(|(status, _)| matches!(status, 200 | 401))
        });
        exporter
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn scrape(&self) -> String {
        get_from(self.address, "/metrics").expect("a response").1
    }

    /// Waits until exactly this number of packets is counted.
    pub fn wait_for_packets(&self, packets: u64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let received = sum(&self.scrape(), "nflog_exporter_received_packets_total");
            if received == packets {
                return;
            }
            assert!(
                received < packets && std::time::Instant::now() < deadline,
                "{received} packets instead of {packets}\n{}",
                self.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn wait_for_log(&self, text: &str) {
        wait_for(text, || self.log().contains(text).then_some(()));
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = wait_for("the exporter to end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{}", self.log());
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// The directory may be the one of the configuration: the exporter's user must not own it.
#[test]
fn the_directory_of_the_state_file_keeps_its_owner() {
    let logs = Logs::new();
    fs::set_permissions(logs.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(logs.path("state/rules"), "").unwrap();
    append(&logs.path("kern.log"), "");
    let config = logs.config("kern.log", "");
    let exporter = Exporter::start(&logs, &config);
    exporter.wait_for_log("following a log file");
    append(&logs.path("kern.log"), &lines(0..3));
    exporter.wait_for_packets(3);
    exporter.stop();
    let user = nix::unistd::geteuid().as_raw();
    for name in ["state", "state/rules"] {
        assert_eq!(fs::metadata(logs.path(name)).unwrap().uid(), user, "{name}");
    }
    append(&logs.path("kern.log"), &lines(3..5));
    Exporter::start(&logs, &config).wait_for_packets(2);
}

#[test]
fn a_state_file_of_another_program_ends_the_start() {
    let logs = Logs::new();
    append(&logs.path("kern.log"), "");
    fs::write(logs.path("state/positions"), "important").unwrap();
    fs::write(logs.path("config.toml"), logs.config("kern.log", "")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"))
        .arg("--config.file")
        .arg(logs.path("config.toml"))
        .env_remove("NFLOG_EXPORTER_MIRROR_URL")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let expect =
        "state/positions: it is not empty and contains no positions; set kernel_log.state_file";
    assert!(!output.status.success() && error.contains(expect), "{error}");
    assert_eq!(fs::read_to_string(logs.path("state/positions")).unwrap(), "important");
}

#[test]
fn two_exporters_do_not_share_a_state_file() {
    let logs = Logs::new();
    append(&logs.path("kern.log"), "");
    let config = logs.config("kern.log", "");
    let first = Exporter::start(&logs, &config);
    first.wait_for_log("following a log file");
    let second = Exporter::start(&logs, &config);
    second.wait_for_log("another exporter uses it; set another kernel_log.state_file");
}
