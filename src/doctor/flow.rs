//! Whether packets come: a few seconds of waiting, and what was seen.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Finding, peers::Running};
use crate::{
    config::Config,
    source::{
        Source as _,
        nflog::{Nflog, NflogPlan},
    },
};

/// How long to wait for a packet.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long to go on once one came.
const MORE: Duration = Duration::from_secs(1);

/// Most prefixes that are named.
const NAMED: usize = 5;

/// Waits for packets: asks the exporter that runs, or reads the groups itself.
pub(super) fn packets(config: &Config, running: Option<&Running>) -> Finding {
    match running {
        Some(running) => through(running),
        None => own(config),
    }
}

fn through(running: &Running) -> Finding {
    let received = |running: &Running| running.sum("nflog_exporter_received_packets_total");
    let before = received(running);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(200));
        let Some(now) = running.again().as_ref().map(received) else {
            return Finding::skipped("packets", "the exporter that ran has stopped answering");
        };
        if now > before {
            let more = now - before;
            return Finding::ok("packets", format!("the exporter that runs got {more} more"));
        }
    }
    none(&format!("the exporter that runs has {before} so far and got no more"))
}

fn own(config: &Config) -> Finding {
    let nflog = &config.nflog;
    let plan = NflogPlan {
        groups: nflog.groups.clone(),
        copy_range: nflog.copy_range,
        queue_threshold: nflog.queue_threshold,
        queue_timeout: nflog.queue_timeout.min(Duration::from_millis(100)),
        kernel_buffer: nflog.kernel_buffer,
        // At most 1 GiB, so it fits.
        receive_buffer: nflog.receive_buffer as usize,
    };
    let mut source = match Nflog::open(&plan) {
        Ok(source) => source,
        // Why is told by the checks before.
        Err(error) => return Finding::skipped("packets", format!("they cannot be read: {error}")),
    };
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let before = seen.len();
        let filled = source.fill(Duration::from_millis(100), &mut |record| {
            let prefix = String::from_utf8_lossy(record.prefix).into_owned();
            // A rule set has few prefixes; a hostile one does not matter for so short a time.
            if seen.len() < 1000 || seen.contains_key(&prefix) {
                *seen.entry(prefix).or_default() += 1;
            }
        });
        if let Err(error) = filled {
            return Finding::skipped("packets", format!("they cannot be read: {error:#}"));
        }
        if before == 0 && !seen.is_empty() {
            deadline = deadline.min(Instant::now() + MORE);
        }
    }
    if seen.is_empty() {
        return none("none came");
    }
    let count: u64 = seen.values().sum();
    let mut prefixes: Vec<String> =
        seen.iter().take(NAMED).map(|(prefix, count)| format!("{prefix:?} {count}")).collect();
    if seen.len() > NAMED {
        prefixes.push("and others".into());
    }
    Finding::ok("packets", format!("{count} came, by prefix: {}", prefixes.join(", ")))
}

fn none(seen: &str) -> Finding {
    Finding::failed(
        "packets",
        format!("waited {} s: {seen}", PATIENCE.as_secs()),
        "send a packet that a rule logs (another host: nc -vz THIS-HOST 23), and see the checks on rules \
         above; `nft list ruleset` and `iptables -vnL` count what each rule has met",
    )
}
