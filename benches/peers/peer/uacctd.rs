//! uacctd with the memory plugin and the keys of the exporter's family `traffic`, as far as it has them.

use std::{fs, process::Command};

use super::{Peer, country_database::geoip2, start};
use crate::{
    cores,
    process_group::ProcessGroup,
    support::{
        Namespace,
        program::{Program, wait_for},
        server::run,
    },
    traffic::{COPY_RANGE, GROUP, KERNEL_BUFFER, QUEUE_THRESHOLD},
};

/// A running uacctd: the core process and its plugin.
pub struct Uacctd {
    group: ProcessGroup,
    _program: Program,
    directory: tempfile::TempDir,
}

impl Uacctd {
    /// Starts it; returns when its table can be queried.
    pub fn start(host: &Namespace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::write(path("countries.mmdb"), geoip2()).unwrap();
        // It cannot read the prefix. With the default sizes of queue and buffer, packets are lost between its processes.
        // With these, at most a buffer of about 100 packets is missing: the last one, which is not full.
        let config = format!(
            "daemonize: false\n\
             uacctd_group: {GROUP}\n\
             uacctd_nl_size: {KERNEL_BUFFER}\n\
             uacctd_threshold: {QUEUE_THRESHOLD}\n\
             snaplen: {COPY_RANGE}\n\
             geoipv2_file: {}\n\
             aggregate[memory]: proto, dst_port, src_host_country\n\
             plugins: memory[memory]\n\
             imt_path[memory]: {}\n\
             imt_mem_pools_number[memory]: 0\n\
             plugin_pipe_size[memory]: 67108864\n\
             plugin_buffer_size[memory]: 10240\n",
            path("countries.mmdb"),
            path("table"),
        );
        fs::write(path("uacctd.conf"), config).unwrap();
        let mut command = cores::peer_command(host, "uacctd");
        command.arg("-f").arg(path("uacctd.conf"));
        let (program, group) = start(command, directory.path().join("log"));
        wait_for("uacctd's table", || fs::exists(path("table")).unwrap().then_some(()));
        Self { group, _program: program, directory }
    }
}

impl Peer for Uacctd {
    fn group(&self) -> &ProcessGroup {
        &self.group
    }

    fn finish(self: Box<Self>) -> u64 {
        let output = run(Command::new("pmacct")
            .args(["-s", "-O", "csv", "-p"])
            .arg(self.directory.path().join("table")));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = rows.next().unwrap();
        let column = |name| names.iter().position(|it| *it == name).expect("a known column");
        let (packets, country) = (column("PACKETS"), column("SH_COUNTRY"));
        let rows: Vec<_> = rows.filter(|row| row.len() == names.len()).collect();
        assert!(rows.iter().any(|row| !row[country].is_empty()), "uacctd found no country");
        rows.iter().map(|row| row[packets].parse::<u64>().unwrap()).sum()
    }
}
