//! Checks whether packets arrive, by waiting for them for a few seconds.

use std::{
    collections::BTreeMap,
    panic, thread,
    time::{Duration, Instant},
};

use humantime::format_duration;

use super::{
    Finding,
    host::test_plan,
    response::{Metrics, RECEIVED},
    running_exporter::RunningExporter,
};
use crate::{
    config::Config,
    source::{Source as _, kernel_log::LINES_GROUP, nflog::Nflog},
    system::privileges::{self, RetainedPrivileges, SandboxAccess, UserAccount},
};

/// How much longer to count after the first packet.
const AFTER_FIRST: Duration = Duration::from_secs(1);

/// Maximum number of prefixes in the message.
const MAX_PREFIXES: usize = 5;

/// The finding for an exporter whose metrics cannot be read.
pub(super) fn unavailable(exporter: &RunningExporter, why: &str) -> Finding {
    let RunningExporter { address, path, .. } = exporter;
    Finding::unknown(
        "packets",
        format!(
            "the metrics of the exporter at {address} cannot be read: {why}; check with its credentials that \
             {RECEIVED} increases: curl -u USER http(s)://{address}{path}"
        ),
    )
}

/// Waits at most `wait` until the running exporter received packets of every group. Returns a finding for
/// each group, and the exporter's last metrics.
pub(super) fn of_exporter(
    config: &Config,
    exporter: &RunningExporter,
    before: &Metrics,
    wait: Duration,
) -> (Vec<Finding>, Option<Metrics>) {
    let lines = config.kernel_log.has_source().then_some(LINES_GROUP);
    let groups = config.nflog.groups.iter().copied().chain(lines);
    let read: Vec<u16> = groups.filter(|group| before.has_group(*group)).collect();
    let counts = |after: &Metrics, group: u16| {
        let count = |metrics: &Metrics| metrics.of_group(RECEIVED, group).unwrap_or(0);
        (count(after).saturating_sub(count(before)), count(after))
    };
    let deadline = Instant::now() + wait;
    loop {
        thread::sleep(Duration::from_millis(200));
        let Some(after) = exporter.scrape() else {
            let why = "the running exporter stopped answering";
            return (vec![Finding::unknown("packets", why)], None);
        };
        if Instant::now() < deadline && read.iter().any(|group| counts(&after, *group).0 == 0) {
            continue;
        }
        let finding = |group: &u16| of_group(config, *group, counts(&after, *group), wait);
        let findings = read.iter().map(finding).collect();
        return (findings, Some(after));
    }
}

/// The finding for a group, by its packets during the wait and since the exporter's start.
fn of_group(config: &Config, group: u16, (new, all): (u64, u64), wait: Duration) -> Finding {
    match (new, all) {
        (0, 0) if has_only_senders(config) => Finding::hint(
            "packets",
            format!(
                "waited {}: the exporter received no packet from syslog senders since its start",
                format_duration(wait)
            ),
            "if packets are expected: check that the senders send the lines of their firewalls to an address of \
             kernel_log.syslog, that the firewall of this host accepts them (tcpdump -ni any port PORT), and that \
             kernel_log.allow has the senders",
        ),
        (0, 0) => no_packets(
            &format!("the exporter received no packet of group {group} since its start"),
            wait,
        ),
        (0, all) => Finding::ok(
            "packets",
            format!(
                "no packet of group {group} in the last {}, {all} since the exporter's start",
                format_duration(wait)
            ),
        ),
        (new, _) => Finding::ok(
            "packets",
            format!("the running exporter received {new} packets of group {group}"),
        ),
    }
}

/// Whether all packets come from other hosts by syslog.
fn has_only_senders(config: &Config) -> bool {
    let log = &config.kernel_log;
    config.nflog.groups.is_empty() && !log.kmsg && log.files.is_empty() && !log.syslog.is_empty()
}

/// Reads the groups for at most `wait`, if no exporter runs. Packets are parsed with the exporter's rights
/// only.
pub(super) fn of_groups(config: &Config, wait: Duration) -> Finding {
    let plan = test_plan(config);
    let read = || {
        let source = Nflog::open(&plan).map_err(|why| why.to_string())?;
        let account = UserAccount::choose(&config.privileges.user, &config.privileges.group);
        let account = account.map_err(|why| why.to_string())?;
        let sandbox = config.privileges.sandbox.then(SandboxAccess::default);
        let confinement = privileges::drop_privileges(&RetainedPrivileges { account, sandbox });
        let _confinement = confinement.map_err(|why| why.to_string())?;
        count(source, wait)
    };
    let outcome = thread::scope(|scope| {
        // Privileges belong to a thread: only this one drops them.
        scope.spawn(read).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    });
    match outcome {
        Err(why) => Finding::unknown("packets", format!("cannot read the groups: {why}")),
        Ok(counts) if !counts.is_empty() => by_prefix(&counts),
        Ok(_) if config.rules.install => Finding::unknown(
            "packets",
            "no packet arrived; the exporter installs its rules when it starts",
        ),
        Ok(_) => no_packets("no packet arrived", wait),
    }
}

/// Counts packets by prefix.
fn count(mut source: Nflog, wait: Duration) -> Result<BTreeMap<String, u64>, String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut deadline = Instant::now() + wait;
    while Instant::now() < deadline {
        let before = counts.len();
        let filled = source.fill(Duration::from_millis(100), &mut |record| {
            let prefix = String::from_utf8_lossy(record.prefix).into_owned();
            // Bounded; rules have few prefixes.
            if counts.len() < 1000 || counts.contains_key(&prefix) {
                *counts.entry(prefix).or_default() += 1;
            }
        });
        filled.map_err(|why| format!("{why:#}"))?;
        if before == 0 && !counts.is_empty() {
            deadline = deadline.min(Instant::now() + AFTER_FIRST);
        }
    }
    Ok(counts)
}

fn by_prefix(counts: &BTreeMap<String, u64>) -> Finding {
    let count: u64 = counts.values().sum();
    let mut prefixes: Vec<String> = counts
        .iter()
        .take(MAX_PREFIXES)
        .map(|(prefix, count)| format!("{prefix:?} {count}"))
        .collect();
    if counts.len() > MAX_PREFIXES {
        prefixes.push("and others".into());
    }
    Finding::ok("packets", format!("{count} received, by prefix: {}", prefixes.join(", ")))
}

fn no_packets(what: &str, wait: Duration) -> Finding {
    // Only a hint: another check reports whether rules log at all, and an idle host is healthy.
    Finding::hint(
        "packets",
        format!("waited {}: {what}", format_duration(wait)),
        "if packets are expected: send one that a rule logs (from another host: nc -vz THIS-HOST 23), and \
         see the checks of the rules above; `nft list ruleset` and `iptables -vnL` show the packet counter of \
         each rule",
    )
}
