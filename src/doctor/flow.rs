//! Whether packets come: a few seconds of waiting, and what was seen.

use std::{
    collections::BTreeMap,
    panic, thread,
    time::{Duration, Instant},
};

use humantime::format_duration;

use super::{
    Finding,
    exporter::{Exporter, Metrics, RECEIVED},
    host::nflog_plan,
};
use crate::{
    config::Config,
    source::{Source as _, nflog::Nflog},
    system::privileges::{self, Account, Needs, Plan},
};

/// How long to go on once one came.
const MORE: Duration = Duration::from_secs(1);

/// Most prefixes that are named.
const NAMED: usize = 5;

/// What to do where the exporter tells us nothing.
pub(super) fn closed(exporter: &Exporter, why: &str) -> Finding {
    let Exporter { address, path, .. } = exporter;
    Finding::unknown(
        "packets",
        format!(
            "the exporter at {address} cannot be asked, {why}; look with its credentials whether \
             {RECEIVED} grows: curl -u USER http(s)://{address}{path}"
        ),
    )
}

/// Waits until each group of the exporter that runs got packets, for so long at most, and tells what each
/// got; with what the exporter said last.
pub(super) fn through(
    config: &Config,
    exporter: &Exporter,
    before: &Metrics,
    wait: Duration,
) -> (Vec<Finding>, Option<Metrics>) {
    let read: Vec<u16> =
        config.nflog.groups.iter().copied().filter(|group| reads(before, *group)).collect();
    let more = |after: &Metrics, group: u16| {
        let count = |metrics: &Metrics| metrics.of_group(RECEIVED, group).unwrap_or(0);
        (count(after).saturating_sub(count(before)), count(after))
    };
    let deadline = Instant::now() + wait;
    loop {
        thread::sleep(Duration::from_millis(200));
        let Some(after) = exporter.ask() else {
            let why = "the exporter that ran has stopped answering";
            return (vec![Finding::unknown("packets", why)], None);
        };
        if Instant::now() < deadline && read.iter().any(|group| more(&after, *group).0 == 0) {
            continue;
        }
        let findings = read.iter().map(|group| got(*group, more(&after, *group), wait)).collect();
        return (findings, Some(after));
    }
}

fn reads(metrics: &Metrics, group: u16) -> bool {
    metrics.of_group(RECEIVED, group).is_some()
}

/// What a group got just now, and since the exporter's start.
fn got(group: u16, (more, all): (u64, u64), wait: Duration) -> Finding {
    match (more, all) {
        (0, 0) => {
            none(&format!("the exporter has got none of group {group} since its start"), wait)
        }
        (0, all) => Finding::ok(
            "packets",
            format!(
                "none of group {group} in the last {}, {all} since the exporter's start",
                format_duration(wait)
            ),
        ),
        (more, _) => Finding::ok(
            "packets",
            format!("the exporter that runs got {more} more of group {group}"),
        ),
    }
}

/// Reads the groups itself for so long at most, for no exporter does. What a packet holds is looked at with no more rights
/// than the exporter has.
pub(super) fn own(config: &Config, wait: Duration) -> Finding {
    let plan = nflog_plan(config);
    let cannot = |why: String| Finding::unknown("packets", format!("they cannot be read: {why}"));
    let look = || {
        // Why is told by the checks before.
        let source = Nflog::open(&plan).map_err(|why| why.to_string())?;
        let account = Account::choose(&config.privileges.user, &config.privileges.group);
        let account = account.map_err(|why| why.to_string())?;
        let sandbox = config.privileges.sandbox.then(Needs::default);
        let held = privileges::give_up(&Plan { account, sandbox });
        let _held = held.map_err(|why| why.to_string())?;
        count(source, wait)
    };
    let looked = thread::scope(|scope| {
        // What is given up, this thread alone gives up.
        scope.spawn(look).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    });
    match looked {
        Err(why) => cannot(why),
        Ok(seen) if !seen.is_empty() => came(&seen),
        Ok(_) if config.rules.install => {
            Finding::unknown("packets", "none came; the exporter's own rules come when it starts")
        }
        Ok(_) => none("none came", wait),
    }
}

/// Packets by prefix, of a few seconds.
fn count(mut source: Nflog, wait: Duration) -> Result<BTreeMap<String, u64>, String> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut deadline = Instant::now() + wait;
    while Instant::now() < deadline {
        let before = seen.len();
        let filled = source.fill(Duration::from_millis(100), &mut |record| {
            let prefix = String::from_utf8_lossy(record.prefix).into_owned();
            // A rule set has few prefixes; a hostile one does not matter for so short a time.
            if seen.len() < 1000 || seen.contains_key(&prefix) {
                *seen.entry(prefix).or_default() += 1;
            }
        });
        filled.map_err(|why| format!("{why:#}"))?;
        if before == 0 && !seen.is_empty() {
            deadline = deadline.min(Instant::now() + MORE);
        }
    }
    Ok(seen)
}

fn came(seen: &BTreeMap<String, u64>) -> Finding {
    let count: u64 = seen.values().sum();
    let mut prefixes: Vec<String> =
        seen.iter().take(NAMED).map(|(prefix, count)| format!("{prefix:?} {count}")).collect();
    if seen.len() > NAMED {
        prefixes.push("and others".into());
    }
    Finding::ok("packets", format!("{count} came, by prefix: {}", prefixes.join(", ")))
}

fn none(seen: &str, wait: Duration) -> Finding {
    // Another check reports whether rules log at all, so a quiet host is healthy.
    Finding::hint(
        "packets",
        format!("waited {}: {seen}", format_duration(wait)),
        "if there should have been some: send a packet that a rule logs (from another host: \
         nc -vz THIS-HOST 23), and see the checks on rules above; `nft list ruleset` and `iptables -vnL` \
         count what each rule has met",
    )
}
