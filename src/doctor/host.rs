//! The host itself: the kernel, this process's rights, who has the groups, buffers and devices.

use std::{fs, path::Path};

use super::Finding;
use crate::{
    config::Config,
    source::nflog::{has_net_admin, holder, receive_buffer_for},
};

/// What the kernel shows of NFLOG, for the network namespace of this process.
const NFLOG: &str = "/proc/self/net/netfilter/nfnetlink_log";

pub(super) fn kernel() -> Finding {
    if Path::new(NFLOG).exists() {
        return Finding::ok("kernel", "NFLOG is there");
    }
    Finding::failed(
        "kernel",
        "this kernel does not show NFLOG",
        "load its module: modprobe nfnetlink_log; for good: echo nfnetlink_log > \
         /etc/modules-load.d/nflog.conf",
    )
}

pub(super) fn capability() -> Finding {
    if has_net_admin() {
        return Finding::ok("capability", "CAP_NET_ADMIN is there");
    }
    Finding::failed(
        "capability",
        "CAP_NET_ADMIN is missing, so that no group can be read",
        "run as root, or give it to the service (AmbientCapabilities=CAP_NET_ADMIN) or the program \
         (setcap cap_net_admin+ep)",
    )
}

pub(super) fn group(group: u16) -> Finding {
    match holder(group) {
        Ok(None) => Finding::ok("group", format!("group {group} is free")),
        Ok(Some(holder)) if holder.program.as_ref().is_some_and(|(_, name)| is_ours(name)) => {
            Finding::ok("group", format!("group {group} is read by {holder}"))
        }
        Ok(Some(holder)) => Finding::failed(
            "group",
            format!("group {group} is held by {holder}; a group has one reader"),
            "stop that program, or let the rules log to another group and read that with --nflog.group",
        ),
        Err(error) => {
            Finding::skipped("group", format!("who reads group {group} cannot be told: {error}"))
        }
    }
}

/// Whether a process's name, 15 bytes at most, is that of this program.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("nflog_exporter")
}

pub(super) fn receive_buffer(config: &Config) -> Finding {
    // At most 1 GiB, so it fits.
    let asked = config.nflog.receive_buffer as usize;
    match receive_buffer_for(asked) {
        Ok(given) if given >= asked => {
            Finding::ok("receive_buffer", format!("the kernel gives the {asked} bytes asked for"))
        }
        Ok(given) => Finding::failed(
            "receive_buffer",
            format!("the kernel gives {given} bytes of the {asked} asked for: bursts will be lost"),
            format!(
                "sysctl -w net.core.rmem_max={asked}, or run with CAP_NET_ADMIN in the first \
                     user namespace"
            ),
        ),
        Err(error) => Finding::skipped("receive_buffer", format!("no socket to try it: {error}")),
    }
}

pub(super) fn interfaces(config: &Config) -> Finding {
    let there: Vec<String> = match fs::read_to_string("/proc/self/net/dev") {
        // Two lines of titles, then NAME: figures; proc(5).
        Ok(table) => table
            .lines()
            .skip(2)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .collect(),
        Err(error) => {
            return Finding::skipped("interfaces", format!("they cannot be told: {error}"));
        }
    };
    let wanted = &config.rules.interfaces;
    if let Some(missing) = wanted.iter().find(|name| !there.contains(name)) {
        return Finding::failed(
            "interfaces",
            format!("rules.interfaces names {missing}, which is not there"),
            format!("use the names that there are: {}", there.join(", ")),
        );
    }
    if there.iter().all(|name| name == "lo") {
        return Finding::failed(
            "interfaces",
            "there is no interface but lo, so that no packet comes from elsewhere",
            "run it in the network namespace whose firewall logs (containers: --network host)",
        );
    }
    Finding::ok("interfaces", there.join(", "))
}
