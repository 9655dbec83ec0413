//! The exporter, its scrapes, and its page.

use std::{
    os::unix::process::CommandExt as _,
    time::{Duration, Instant},
};

use super::Peer;
use crate::{
    cores,
    process_group::ProcessGroup,
    support::{
        Namespace,
        program::{EXPORTER, Exporter, sum, wait_for},
    },
};

/// Interval of a Prometheus server, and of the page.
const SCRAPE: Duration = Duration::from_secs(5);
const PAGE: Duration = Duration::from_secs(1);

/// A running exporter with a server and a browser that ask it.
pub struct Exporting<'n> {
    group: ProcessGroup,
    exporter: Exporter<'n>,
    next_scrape: Instant,
    next_page: Instant,
}

/// Starts an exporter on the core of the peers; returns when it is ready.
pub fn start<'n>(host: &'n Namespace, config: &str) -> (ProcessGroup, Exporter<'n>) {
    let mut command = cores::peer_command(host, EXPORTER);
    command.process_group(0);
    let exporter = Exporter::spawn_by(host, command, config, &[]);
    let group = ProcessGroup::of(exporter.program.pid());
    wait_for("the exporter to be ready", || {
        exporter.get("/-/ready").filter(|(status, _)| *status == 200)
    });
    (group, exporter)
}

impl<'n> Exporting<'n> {
    /// Starts it with its default configuration.
    pub fn start(host: &'n Namespace) -> Self {
        let (group, exporter) = start(host, "");
        Self { group, exporter, next_scrape: Instant::now(), next_page: Instant::now() }
    }
}

impl Peer for Exporting<'_> {
    fn group(&self) -> &ProcessGroup {
        &self.group
    }

    fn ask(&mut self) {
        let now = Instant::now();
        if now >= self.next_scrape {
            self.exporter.scrape();
            self.next_scrape = now + SCRAPE;
        }
        if now >= self.next_page {
            let (status, _) = self.exporter.get("/overview.json").expect("a response");
            assert_eq!(status, 200);
            self.next_page = now + PAGE;
        }
    }

    fn finish(self: Box<Self>) -> u64 {
        sum(&self.exporter.scrape(), "nflog_exporter_received_packets_total")
    }
}
