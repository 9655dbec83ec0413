//! The programs that read the same packets, and what they counted.

mod country_database;
pub mod exporter;
mod uacctd;
mod ulogd;

use std::{cell::OnceCell, env, fmt, process::Command, time::Duration};

use clap::ValueEnum;

use crate::{
    cores,
    process_group::ProcessGroup,
    support::{Namespace, mariadb::MariaDb, program::Program},
};

/// A program to measure.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Counts packets and bytes per prefix.
    BareReader,
    /// The exporter with its default configuration, scraped every 5 s, its page open.
    Exporter,
    /// uacctd of pmacct with the memory plugin.
    Uacctd,
    /// ulogd2 to a text file.
    Ulogd,
    /// ulogd2 to MariaDB.
    UlogdMysql,
}

/// The version of a Debian package; `None` if it is not installed.
pub fn version(package: &str) -> Option<String> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status} ${Version}", package])
        .output()
        .expect("dpkg-query runs");
    let text = String::from_utf8(output.stdout).expect("ASCII");
    text.strip_prefix("installed ").map(str::to_owned)
}

/// A running peer. It ends when it is dropped.
pub trait Peer {
    /// Its processes.
    fn group(&self) -> &ProcessGroup;

    /// Requests what its users request while packets arrive.
    fn ask(&mut self) {}

    /// CPU time of its database server so far.
    fn server(&self) -> Option<Duration> {
        None
    }

    /// Ends it. Returns the number of packets that it counted or wrote.
    fn finish(self: Box<Self>) -> u64;
}

/// Servers that several runs use, started at the first use.
#[derive(Default)]
pub struct Servers(OnceCell<MariaDb>);

impl Servers {
    fn mariadb(&self) -> &MariaDb {
        self.0.get_or_init(|| MariaDb::start_with(&["--innodb-buffer-pool-size=1G"]))
    }
}

impl Kind {
    /// The Debian packages that it needs: first the one that contains it.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::BareReader | Self::Exporter => &[],
            Self::Uacctd => &["pmacct"],
            Self::Ulogd => &["ulogd2"],
            Self::UlogdMysql => &["ulogd2-mysql", "mariadb-server"],
        }
    }

    /// Panics if a package is not installed. Called before the first measurement.
    pub fn require(self) {
        for package in self.packages() {
            assert!(
                version(package).is_some(),
                "{self} needs the Debian package {package}: install it, or choose other programs with --peers"
            );
        }
    }

    /// Starts it in a namespace; returns when it is ready, or at least reads the group soon.
    pub fn start<'a>(self, host: &'a Namespace, servers: &'a Servers) -> Box<dyn Peer + 'a> {
        match self {
            Self::BareReader => Box::new(BareReader::start(host)),
            Self::Exporter => Box::new(exporter::Exporting::start(host)),
            Self::Uacctd => Box::new(uacctd::Uacctd::start(host)),
            Self::Ulogd => Box::new(ulogd::ToFile::start(host)),
            Self::UlogdMysql => Box::new(ulogd::ToDatabase::start(host, servers.mariadb())),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::BareReader => "bare reader",
            Self::Exporter => "nflog_exporter",
            Self::Uacctd => "uacctd",
            Self::Ulogd => "ulogd2, text file",
            Self::UlogdMysql => "ulogd2, MariaDB",
        })
    }
}

/// This program as the bare reader.
struct BareReader {
    group: ProcessGroup,
    program: Program,
    _directory: tempfile::TempDir,
}

impl BareReader {
    fn start(host: &Namespace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let own = env::current_exe().unwrap();
        let mut command = cores::peer_command(host, own.to_str().unwrap());
        command.arg("bare-reader");
        let (program, group) = start(command, directory.path().join("log"));
        Self { group, program, _directory: directory }
    }
}

impl Peer for BareReader {
    fn group(&self) -> &ProcessGroup {
        &self.group
    }

    fn finish(self: Box<Self>) -> u64 {
        let log = self.program.log();
        let last = log.lines().last().and_then(|line| line.split(' ').next());
        last.and_then(|packets| packets.parse().ok())
            .unwrap_or_else(|| panic!("no count in {log:?}"))
    }
}

/// Starts a program in a process group of its own.
fn start(mut command: std::process::Command, log: std::path::PathBuf) -> (Program, ProcessGroup) {
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let program = Program::start(&mut command, log);
    let group = ProcessGroup::of(program.pid());
    (program, group)
}
