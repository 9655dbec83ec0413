//! ulogd2 to a text file and to MariaDB.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{Peer, start};
use crate::{
    cores,
    process_group::{ProcessGroup, cpu},
    support::{
        Namespace,
        mariadb::MariaDb,
        program::Program,
        ulogd::{self, Input},
    },
    traffic::{GROUP, QUEUE_THRESHOLD, QUEUE_TIMEOUT, RECEIVE_BUFFER},
};

const INPUT: Input = Input {
    group: GROUP,
    receive_buffer: RECEIVE_BUFFER,
    queue_threshold: QUEUE_THRESHOLD,
    queue_timeout: QUEUE_TIMEOUT,
};

/// With the stack of Debian's configuration.
pub struct ToFile {
    group: ProcessGroup,
    program: Program,
    directory: tempfile::TempDir,
}

impl ToFile {
    /// Starts it without waiting.
    pub fn start(host: &Namespace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("ulogd.conf");
        std::fs::write(&config, ulogd::text_file(&INPUT, directory.path())).unwrap();
        let mut command = cores::peer_command(host, "ulogd");
        command.arg("--configfile").arg(&config);
        let (program, group) = start(command, directory.path().join("output"));
        Self { group, program, directory }
    }
}

impl Peer for ToFile {
    fn group(&self) -> &ProcessGroup {
        &self.group
    }

    fn finish(mut self: Box<Self>) -> u64 {
        // It writes the end of its file when it ends.
        self.program.signal(Signal::SIGTERM);
        self.program.wait();
        let mut file = BufReader::new(File::open(self.directory.path().join("packets")).unwrap());
        let (mut line, mut lines) = (Vec::new(), 0);
        while file.read_until(b'\n', &mut line).unwrap() > 0 {
            lines += 1;
            line.clear();
        }
        lines
    }
}

/// With its own schema and procedure.
pub struct ToDatabase<'s> {
    group: ProcessGroup,
    _program: Program,
    database: ulogd::Database<'s>,
    server: &'s MariaDb,
    _directory: tempfile::TempDir,
}

impl<'s> ToDatabase<'s> {
    /// Starts it without waiting.
    pub fn start(host: &Namespace, server: &'s MariaDb) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = ulogd::Database::new(server);
        let config = directory.path().join("ulogd.conf");
        std::fs::write(&config, database.configuration(&INPUT, directory.path())).unwrap();
        let mut command = cores::peer_command(host, "ulogd");
        command.arg("--configfile").arg(&config).env("MYSQL_UNIX_PORT", server.socket());
        let (program, group) = start(command, directory.path().join("output"));
        Self { group, _program: program, database, server, _directory: directory }
    }
}

impl Peer for ToDatabase<'_> {
    fn group(&self) -> &ProcessGroup {
        &self.group
    }

    fn server(&self) -> Option<Duration> {
        Some(cpu(self.server.pid()))
    }

    fn finish(self: Box<Self>) -> u64 {
        self.database.query("SELECT COUNT(*) FROM ulog2").parse().unwrap()
    }
}
