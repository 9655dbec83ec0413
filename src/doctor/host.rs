//! Checks the host: the kernel's NFLOG, capabilities, receive buffers and network interfaces.

use std::{fs, path::Path, time::Duration};

use super::Finding;
use crate::{
    config::Config,
    source::nflog::{Nflog, NflogConfig, NflogError, holder, receive_buffer_for},
    system::privileges::has_net_admin,
};

/// The kernel's list of bound groups in the network namespace of this process.
const NFLOG: &str = "/proc/self/net/netfilter/nfnetlink_log";

/// Maximum number of groups that are tried to find a free one.
const MAX_TRIED: usize = 64;

pub(super) fn kernel(config: &Config) -> Finding {
    if Path::new(NFLOG).exists() {
        return Finding::ok("kernel", "NFLOG is available");
    }
    // The kernel loads the module when a group is bound for the first time.
    match Nflog::open(&test_plan(config)) {
        Ok(_) => Finding::ok("kernel", "NFLOG is available: its module was loaded by this check"),
        Err(why @ NflogError::NoNflog) => Finding::failed(
            "kernel",
            why.to_string(),
            "load it: modprobe nfnetlink_log; at every boot: echo nfnetlink_log > \
             /etc/modules-load.d/nflog.conf; if the kernel has no such module, use another kernel",
        ),
        Err(why) => Finding::unknown("kernel", format!("cannot check for NFLOG: {why}")),
    }
}

/// Checks whether the kernel adds connections to packets; `None` if they are not requested.
pub(super) fn conntrack(config: &Config) -> Option<Finding> {
    let plan = test_plan(config);
    if !plan.conntrack || plan.groups.is_empty() {
        return None;
    }
    // The configured groups can have a reader already.
    let is_free = |group: &u16| !plan.groups.contains(group) && matches!(holder(*group), Ok(None));
    let free = (1..=u16::MAX).rev().take(MAX_TRIED).find(is_free);
    let groups = free.map_or_else(|| plan.groups.clone(), |group| vec![group]);
    Some(match Nflog::open(&NflogConfig { groups, ..plan }) {
        Ok(_) => Finding::ok("conntrack", "the kernel adds the connection of each packet"),
        Err(NflogError::NoConntrack { .. }) => Finding::failed(
            "conntrack",
            "nflog.conntrack is true, and the kernel cannot add connections: the exporter cannot start",
            "load its module: modprobe nf_conntrack_netlink, which needs CONFIG_NETFILTER_NETLINK_GLUE_CT; or set \
             nflog.conntrack = false",
        ),
        Err(why) => Finding::unknown("conntrack", format!("cannot check for connections: {why}")),
    })
}

/// The exporter's configuration with a short queue timeout, so that a short wait sees packets.
pub(super) fn test_plan(config: &Config) -> NflogConfig {
    let nflog = config.nflog.clone();
    NflogConfig { queue_timeout: nflog.queue_timeout.min(Duration::from_millis(100)), ..nflog }
}

pub(super) fn capability() -> Finding {
    if has_net_admin() {
        return Finding::ok("capability", "CAP_NET_ADMIN is available");
    }
    Finding::failed(
        "capability",
        "CAP_NET_ADMIN is missing: groups cannot be bound",
        "run as root, or grant it to the service (AmbientCapabilities=CAP_NET_ADMIN) or to the program \
         (setcap cap_net_admin+ep)",
    )
}

pub(super) fn receive_buffer(config: &Config) -> Finding {
    let requested = config.nflog.receive_buffer as usize;
    match receive_buffer_for(requested) {
        Ok(granted) if granted >= requested => {
            Finding::ok("receive_buffer", format!("the kernel grants {requested} bytes"))
        }
        Ok(granted) => Finding::failed(
            "receive_buffer",
            format!(
                "the kernel grants {granted} of the requested {requested} bytes: bursts of packets may be lost"
            ),
            format!(
                "sysctl -w net.core.rmem_max={requested}, or run with CAP_NET_ADMIN in the initial user \
                 namespace"
            ),
        ),
        Err(error) => Finding::skipped("receive_buffer", format!("cannot open a socket: {error}")),
    }
}

pub(super) fn interfaces(config: &Config) -> Finding {
    let present: Vec<String> = match fs::read_to_string("/proc/self/net/dev") {
        // Two header lines, then NAME: VALUES; proc(5).
        Ok(table) => table
            .lines()
            .skip(2)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .collect(),
        Err(error) => {
            return Finding::skipped("interfaces", format!("cannot list them: {error}"));
        }
    };
    let wanted = &config.rules.interfaces;
    if let Some(missing) = wanted.iter().find(|name| !present.contains(name)) {
        return Finding::failed(
            "interfaces",
            format!("rules.interfaces has {missing}, which does not exist"),
            format!("use the name of an existing interface: {}", present.join(", ")),
        );
    }
    let (down, up): (Vec<&str>, Vec<&str>) = present
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "lo")
        .partition(|name| is_down(&Path::new("/sys/class/net").join(name)));
    let down = down.join(", ");
    match (up.is_empty(), down.as_str()) {
        (true, "") => Finding::failed(
            "interfaces",
            "there is no interface except lo: packets of other hosts cannot arrive",
            "run the exporter in the network namespace whose firewall logs (containers: --network host)",
        ),
        (true, down) => Finding::failed(
            "interfaces",
            format!(
                "no interface except lo is up: packets of other hosts cannot arrive; down: {down}"
            ),
            "ip link set NAME up, and check its cable or its peer",
        ),
        (false, "") => Finding::ok("interfaces", up.join(", ")),
        (false, down) => Finding::ok("interfaces", format!("{}; down: {down}", up.join(", "))),
    }
}

/// Whether an interface is down or has no link, according to its directory in sysfs; false without that
/// directory.
fn is_down(directory: &Path) -> bool {
    /// `linux/if.h`
    const IFF_UP: u32 = 1;
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let flags = u32::from_str_radix(read("flags").trim().trim_start_matches("0x"), 16);
    // Documentation/networking/operstates.rst; many working interfaces stay `unknown`.
    let state = read("operstate");
    flags.is_ok_and(|flags| flags & IFF_UP == 0)
        || ["down", "lowerlayerdown", "notpresent"].contains(&state.trim())
}
