//! The host itself: the kernel, this process's rights, buffers and devices.

use std::{fs, path::Path, time::Duration};

use super::Finding;
use crate::{
    config::Config,
    source::nflog::{Nflog, NflogError, NflogPlan, has_net_admin, receive_buffer_for},
};

/// What the kernel shows of NFLOG, for the network namespace of this process.
const NFLOG: &str = "/proc/self/net/netfilter/nfnetlink_log";

pub(super) fn kernel(config: &Config) -> Finding {
    if Path::new(NFLOG).exists() {
        return Finding::ok("kernel", "NFLOG is there");
    }
    // The module is loaded when a group is bound for the first time.
    match Nflog::open(&nflog_plan(config)) {
        Ok(_) => Finding::ok("kernel", "NFLOG is there, now that it was asked for"),
        Err(why @ NflogError::NoNflog) => Finding::failed(
            "kernel",
            why.to_string(),
            "load it: modprobe nfnetlink_log; for good: echo nfnetlink_log > \
             /etc/modules-load.d/nflog.conf; a kernel that has no such module is to be replaced",
        ),
        Err(why) => {
            Finding::unknown("kernel", format!("whether it has NFLOG cannot be told: {why}"))
        }
    }
}

/// What the exporter would ask of the kernel; packets are held back for as short a time as they may.
pub(super) fn nflog_plan(config: &Config) -> NflogPlan {
    let nflog = &config.nflog;
    NflogPlan {
        groups: nflog.groups.clone(),
        copy_range: nflog.copy_range,
        queue_threshold: nflog.queue_threshold,
        queue_timeout: nflog.queue_timeout.min(Duration::from_millis(100)),
        kernel_buffer: nflog.kernel_buffer,
        // At most 1 GiB, so it fits.
        receive_buffer: nflog.receive_buffer as usize,
    }
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
    let (down, up): (Vec<&str>, Vec<&str>) = there
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "lo")
        .partition(|name| is_down(&Path::new("/sys/class/net").join(name)));
    let down = down.join(", ");
    match (up.is_empty(), down.as_str()) {
        (true, "") => Finding::failed(
            "interfaces",
            "there is no interface but lo, so that no packet comes from elsewhere",
            "run it in the network namespace whose firewall logs (containers: --network host)",
        ),
        (true, down) => Finding::failed(
            "interfaces",
            format!(
                "no interface but lo is up, so that no packet comes from elsewhere; down: {down}"
            ),
            "ip link set NAME up, and see that its cable or its other end is there",
        ),
        (false, "") => Finding::ok("interfaces", up.join(", ")),
        (false, down) => Finding::ok("interfaces", format!("{}; down: {down}", up.join(", "))),
    }
}

/// Whether an interface is switched off or has no link, as its folder in sysfs tells; without that
/// folder nothing is held against it.
fn is_down(folder: &Path) -> bool {
    /// `linux/if.h`
    const IFF_UP: u32 = 1;
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let flags = u32::from_str_radix(read("flags").trim().trim_start_matches("0x"), 16);
    // Documentation/networking/operstates.rst; many that work stay `unknown`.
    let state = read("operstate");
    flags.is_ok_and(|flags| flags & IFF_UP == 0)
        || ["down", "lowerlayerdown", "notpresent"].contains(&state.trim())
}
