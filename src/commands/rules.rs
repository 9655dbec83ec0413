//! `rules`: prints, loads, verifies or removes firewall rules that log to our group.

use std::{collections::BTreeSet, env, fmt::Write as _};

use anyhow::{Context as _, ensure};

use super::{hide_password::without_url, print};
use crate::{
    cli::{Rules, writes_file},
    config::{Config, Flags},
    firewall::{self, RulesPlan, Tool, Wanted},
    system::random,
};

/// The output if there are no rules: `sh` exits with 1, and `nft -f` rejects it.
const FAILS: &str = "exit 1\n";

/// Prints, loads, verifies or removes the rules.
///
/// # Errors
/// No rules can log the requested packets, or they are not loaded.
pub(super) fn rules(rules: &Rules, flags: &Flags) -> anyhow::Result<()> {
    if rules.remove {
        return Ok(firewall::remove(rules.tool)?);
    }
    let is_printed = !(rules.apply || rules.verify);
    let result = flags.load().map_err(Into::into).and_then(|config| act(rules, &config));
    if result.is_err() && is_printed && !is_included(rules) {
        print(FAILS)?;
    }
    result
}

/// Whether the output may become part of a firewall that is loaded at the next boot. An invalid file would break all
/// of it.
fn is_included(rules: &Rules) -> bool {
    rules.tool == Tool::Nft && rules.log != Wanted::Dropped && writes_file()
}

fn act(rules: &Rules, config: &Config) -> anyhow::Result<()> {
    let plan = plan(rules, config)?;
    let places = if rules.apply {
        let applied = firewall::apply(&plan, rules.tool)?;
        warn(&applied.warnings);
        applied.places
    } else if rules.verify {
        firewall::verify(&plan, rules.tool)?
    } else {
        let script = firewall::script(&plan, rules.tool, &command()?)?;
        warn(&script.warnings);
        return print(&script.text);
    };
    let mut text = format!(
        "verified: packets reach the rules that log to {} with the prefix {:?}, in\n",
        plan.groups_text(),
        plan.prefix
    );
    for place in places {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {place}");
    }
    if rules.spread > 1
        && let Some(unread) = plan.groups().find(|group| !config.nflog.groups.contains(group))
    {
        let groups: Vec<u16> = plan.groups().collect();
        warn(&[format!(
            "the configuration does not read group {unread}: add it, [nflog] groups = {groups:?}"
        )]);
    }
    print(&text)
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// This command line, quoted for a shell, with the path of this program. Scripts are kept in files and logs,
/// so the mirror's URL, which can hold a password and changes no rule, is omitted.
fn command() -> anyhow::Result<String> {
    let program = env::current_exe().context("cannot find this program")?;
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments = without_url(&arguments).unwrap_or(arguments);
    let words = arguments.iter().map(|word| word.to_string_lossy().into_owned());
    let words = std::iter::once(program.to_string_lossy().into_owned()).chain(words);
    Ok(words.map(|word| firewall::shell_word(&word)).collect::<Vec<_>>().join(" "))
}

/// The plan of the rules.
fn plan(rules: &Rules, config: &Config) -> anyhow::Result<RulesPlan> {
    let ports = config.web.listen_addresses.iter().map(|address| address.port);
    let group = config.nflog.groups.first().copied().unwrap_or(1);
    ensure!(
        group.checked_add(rules.spread - 1).is_some(),
        "cannot spread packets over {} groups from group {group} on: the last group is 65535; use a lower --nflog.group",
        rules.spread
    );
    Ok(RulesPlan {
        wanted: rules.log,
        group,
        spread: rules.spread,
        seed: u32::try_from(random::number() >> 32).unwrap_or_default(),
        prefix: rules.prefix.clone().unwrap_or_else(|| rules.log.prefix().into()),
        limit: Some(rules.limit).filter(|limit| *limit != 0),
        copy_range: config.nflog.copy_range,
        queue_threshold: config.nflog.queue_threshold,
        // Scrapes from other hosts are not counted. Port 0 is another one at each start.
        spare_tcp_ports: ports
            .filter(|port| *port != 0)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    })
}
