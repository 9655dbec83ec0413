//! Checks the sources of kernel log lines, and what hides lines from them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Finding, response::RECEIVED, running_exporter::RunningExporter};
use crate::{
    config::Config,
    firewall::{LogTarget, Logging, Reach, listing, logging},
    source::kernel_log::{DEVICE, LINES_GROUP, Pattern, check_kmsg},
};

/// What is wrong without a rule, and the fix.
const NO_RULE: &str = "no rule that packets reach logs to the kernel's log";
const MAKE_RULE: &str = "ufw: ufw logging on; iptables: a rule with -j LOG; nftables: a rule with log; or log to an NFLOG \
                         group: nflog_exporter rules";

/// The settings of netfilter in the network namespace of the thread.
const SETTINGS: &str = "/proc/sys/net/netfilter";

/// Maximum number of network namespaces that are searched for the first one.
const MAX_NAMESPACES: usize = 256;

/// Only in the first network namespace of the host: netfilter's `nf_log.c`.
const ALL_NAMESPACES: &str = "nf_log_all_netns";

/// Files of rsyslog's configuration.
const RSYSLOG: &str = "/etc/rsyslog.conf";
const RSYSLOG_DIRECTORY: &str = "/etc/rsyslog.d";

/// Names of the settings of rsyslog that limit the rate of kernel messages: of the modules imklog and imjournal.
const RSYSLOG_LIMITS: [&str; 4] =
    ["ratelimitburst", "ratelimit.burst", "imjournalratelimitburst", "klogratelimitburst"];

/// The findings; none without a source.
pub(super) fn check(config: &Config, exporter: Option<&RunningExporter>) -> Vec<Finding> {
    if !config.kernel_log.has_source() {
        return Vec::new();
    }
    let listing = listing();
    let found = logging(&listing.tables);
    let reached = found
        .iter()
        .find(|rule| *rule.log == LogTarget::Kernel && matches!(rule.reach, Reach::Reached));
    let received = received(config, exporter);
    let mut findings = vec![rules(config, reached, received, listing.incomplete.as_deref())];
    if config.kernel_log.kmsg {
        findings.push(kmsg());
    }
    // Files can have the lines of other hosts only.
    let has_own_lines =
        config.kernel_log.kmsg || !config.kernel_log.files.is_empty() && reached.is_some();
    if has_own_lines && received == 0 {
        findings.extend(namespace(Path::new(SETTINGS), first_namespace_allows));
    }
    let patterns = config.kernel_log.patterns();
    if !patterns.is_empty() {
        let files: Vec<_> = patterns.iter().flat_map(Pattern::files).collect();
        findings.push(log_files(config, &files));
        findings.extend(rate_limit(&rsyslog_files()));
    }
    findings
}

/// The number of packets in lines that the running exporter received; 0 if it is not known.
fn received(config: &Config, exporter: Option<&RunningExporter>) -> u64 {
    // An NFLOG group has the same number in the metrics.
    if config.nflog.groups.contains(&LINES_GROUP) {
        return 0;
    }
    let metrics = exporter.and_then(RunningExporter::metrics);
    metrics.and_then(|metrics| metrics.of_group(RECEIVED, LINES_GROUP)).unwrap_or(0)
}

/// Whether a rule writes lines.
fn rules(
    config: &Config,
    reached: Option<&Logging<'_>>,
    received: u64,
    incomplete: Option<&str>,
) -> Finding {
    match (reached, incomplete) {
        (Some(rule), _) => Finding::ok(
            "kernel_log",
            format!("{} {} logs to the kernel's log", rule.table.place, rule.chain),
        ),
        (None, _) if received > 0 => Finding::ok(
            "kernel_log",
            format!("the running exporter received {received} packets in lines since its start"),
        ),
        (None, _) if !config.kernel_log.syslog.is_empty() => {
            Finding::ok("kernel_log", "other hosts send their lines by syslog")
        }
        (None, Some(why)) => Finding::unknown(
            "kernel_log",
            format!("no rule with LOG found, but not all rules can be listed: {why}"),
        ),
        // A syslog daemon writes the lines of other hosts to them.
        (None, None) if !config.kernel_log.files.is_empty() => Finding::hint(
            "kernel_log",
            format!("{NO_RULE}: the files can only have lines of other hosts"),
            format!("if the files should have lines of this host: {MAKE_RULE}"),
        ),
        (None, None) => Finding::failed("kernel_log", NO_RULE, MAKE_RULE),
    }
}

/// Whether the device can be opened. What hides messages from the console does not hide them from it.
fn kmsg() -> Finding {
    match check_kmsg() {
        Ok(()) => Finding::ok(
            "kmsg",
            format!("{DEVICE} can be read; kernel.printk only selects what the console shows"),
        ),
        Err(error) => {
            let text = error.to_string();
            let (what, fix) = text.split_once("; ").unwrap_or((&text, "use --kernel-log.file"));
            Finding::failed("kmsg", what, fix)
        }
    }
}

/// Rules of other network namespaces than the first write no line, unless the host allows it.
fn namespace(settings: &Path, first_allows: impl FnOnce() -> bool) -> Option<Finding> {
    if !settings.exists() {
        return None;
    }
    match fs::read_to_string(settings.join(ALL_NAMESPACES)) {
        Ok(_) => None,
        Err(_) if first_allows() => None,
        Err(_) => Some(Finding::hint(
            "kernel_log_namespace",
            "this is not the first network namespace of the host: its LOG rules write no line unless the host sets \
             net.netfilter.nf_log_all_netns = 1",
            "on the host: sysctl -w net.netfilter.nf_log_all_netns=1; or log to an NFLOG group, which each namespace has",
        )),
    }
}

/// Whether the first network namespace, that of some process, allows lines of all. Only root can enter it, and not from a
/// container.
fn first_namespace_allows() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let namespaces: BTreeMap<_, _> = processes
        .map(|process| process.path().join("ns/net"))
        .filter_map(|namespace| Some((fs::read_link(&namespace).ok()?, namespace)))
        .collect();
    let setting = |namespace: &Path| {
        let namespace = File::open(namespace).ok()?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
        fs::read_to_string(Path::new(SETTINGS).join(ALL_NAMESPACES)).ok()
    };
    let find = || namespaces.values().take(MAX_NAMESPACES).find_map(|path| setting(path));
    // Only this thread enters them.
    let found = thread::scope(|scope| scope.spawn(find).join().ok().flatten());
    found.is_some_and(|setting| setting.trim() == "1")
}

/// Whether there are files to follow. The check `rights` tells whether they can be read.
fn log_files(config: &Config, files: &[PathBuf]) -> Finding {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    if !names.is_empty() {
        return Finding::ok("log_files", names.join(", "));
    }
    let patterns: Vec<_> =
        config.kernel_log.files.iter().map(|file| file.display().to_string()).collect();
    Finding::hint(
        "log_files",
        format!("no file matches {}; the exporter waits for it", patterns.join(", ")),
        "use the log of the syslog daemon, such as /var/log/kern.log or /var/log/messages; without a daemon, use \
         --kernel-log.kmsg",
    )
}

/// Whether rsyslog limits the rate of kernel messages.
fn rate_limit(files: &[PathBuf]) -> Option<Finding> {
    let limited = files.iter().find(|file| {
        let text = fs::read(file).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().any(|line| {
            let line = line.to_ascii_lowercase();
            !line.trim_start().starts_with('#')
                && RSYSLOG_LIMITS.iter().any(|setting| line.contains(setting))
        })
    })?;
    Some(Finding::hint(
        "rsyslog",
        format!("{} limits the rate of messages: lines above it are in no file", limited.display()),
        "raise RatelimitBurst of imklog, or Ratelimit.Burst of imjournal; or read /dev/kmsg, which has no limit: \
         --kernel-log.kmsg",
    ))
}

fn rsyslog_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(RSYSLOG_DIRECTORY).into_iter().flatten().filter_map(Result::ok);
    std::iter::once(RSYSLOG.into()).chain(entries.map(|entry| entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_network_namespace_is_recognised() {
        let directory = tempfile::tempdir().unwrap();
        assert!(namespace(&directory.path().join("missing"), || false).is_none());
        assert!(namespace(directory.path(), || true).is_none());
        let finding = namespace(directory.path(), || false).unwrap();
        assert!(finding.message.contains("nf_log_all_netns = 1"), "{}", finding.message);
        fs::write(directory.path().join(ALL_NAMESPACES), "0\n").unwrap();
        assert!(namespace(directory.path(), || false).is_none());
    }

    #[test]
    fn rate_limits_of_rsyslog_are_recognised() {
        let directory = tempfile::tempdir().unwrap();
        let check = |text: &str, expect: bool| {
            let file = directory.path().join("rsyslog.conf");
            fs::write(&file, text).unwrap();
            assert_eq!(rate_limit(&[file]).is_some(), expect, "{text}");
        };
        check("module(load=\"imklog\")\n", false);
        check("# module(load=\"imklog\" RatelimitBurst=\"10\")\n", false);
        check("module(load=\"imklog\" RatelimitInterval=\"1\" RatelimitBurst=\"10\")\n", true);
        check("module(load=\"imjournal\" Ratelimit.Burst=\"10\")\n", true);
        check("$imjournalRatelimitBurst 10\n", true);
    }
}
