//! The configuration section `[nflog]`: the groups to read, and how the kernel delivers their packets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{
    COPY_RANGE, KERNEL_BUFFER, MAX_GROUPS, MAX_TIMEOUT, RECEIVE_BUFFER, TIMEOUT_STEP,
};
use crate::settings::{
    ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject, units,
};

/// `[nflog]`: the groups to read, and how the kernel delivers their packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NflogConfig {
    /// Groups to read, no duplicates; default 1, or none beside a source of `[kernel_log]`. A group has one reader in a network namespace.
    pub groups: Vec<u16>,
    /// Bytes of each packet that the kernel copies, from the IP header on; default 128. A rule's `snaplen` can only
    /// lower it.
    pub copy_range: u32,
    /// Maximum number of packets that the kernel collects into one datagram, at least 1; default 100. A rule's
    /// `queue-threshold` can only lower it.
    pub queue_threshold: u32,
    /// Maximum time for which the kernel holds a packet back to collect more, in steps of 10 ms; default 100 ms.
    #[serde(with = "units::duration")]
    pub queue_timeout: Duration,
    /// Whether the kernel adds the connection of each packet, for the labels and columns `ct_state` and `ct_zone`;
    /// default off. Needs the kernel's module `nf_conntrack_netlink`, built with `CONFIG_NETFILTER_NETLINK_GLUE_CT`.
    pub conntrack: bool,
    /// Maximum size of a datagram (`nlbufsiz`), bytes; default 128 KiB.
    #[serde(with = "units::size")]
    pub kernel_buffer: u32,
    /// Size of each group's receive buffer, bytes; default 16 MiB.
    #[serde(with = "units::size")]
    pub receive_buffer: u32,
}

impl Default for NflogConfig {
    fn default() -> Self {
        Self {
            groups: vec![1],
            copy_range: 128,
            queue_threshold: 100,
            queue_timeout: Duration::from_millis(100),
            conntrack: false,
            kernel_buffer: 128 * 1024,
            receive_buffer: 16 * 1024 * 1024,
        }
    }
}

impl ConfigSection for NflogConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        broken([
            validate_groups(&self.groups),
            validate_copy_range(self.copy_range),
            validate_queue_threshold(self.queue_threshold),
            validate_queue_timeout(self.queue_timeout),
            validate_kernel_buffer(self.kernel_buffer),
            validate_receive_buffer(self.receive_buffer),
        ])
    }
}

fn validate_groups(groups: &[u16]) -> RuleResult {
    check_list("nflog.groups", groups.iter(), MAX_GROUPS)
}

fn validate_copy_range(bytes: u32) -> RuleResult {
    if COPY_RANGE.contains(&bytes) {
        return Ok(());
    }
    let (min, max) = COPY_RANGE.into_inner();
    reject(
        "nflog.copy_range",
        format!(
            "is {bytes}; use {min} to {max} bytes: fewer cut off the ports of IPv6 packets, more do not fit \
             into a netlink attribute"
        ),
    )
}

fn validate_queue_threshold(packets: u32) -> RuleResult {
    match packets {
        0 => reject("nflog.queue_threshold", "is 0; use 1 packet or more, such as 100"),
        _ => Ok(()),
    }
}

fn validate_queue_timeout(timeout: Duration) -> RuleResult {
    let steps = timeout.as_nanos().is_multiple_of(TIMEOUT_STEP.as_nanos());
    if steps && (TIMEOUT_STEP..=MAX_TIMEOUT).contains(&timeout) {
        return Ok(());
    }
    let timeout = humantime::format_duration(timeout);
    reject(
        "nflog.queue_timeout",
        format!("is {timeout}; use 10ms to 60s in steps of 10ms, the kernel's unit"),
    )
}

fn validate_kernel_buffer(bytes: u32) -> RuleResult {
    if KERNEL_BUFFER.contains(&bytes) {
        return Ok(());
    }
    let (min, max) = KERNEL_BUFFER.into_inner();
    reject(
        "nflog.kernel_buffer",
        format!("is {bytes}; use {min} to {max} bytes, the kernel rejects more"),
    )
}

fn validate_receive_buffer(bytes: u32) -> RuleResult {
    if RECEIVE_BUFFER.contains(&bytes) {
        return Ok(());
    }
    let (min, max) = RECEIVE_BUFFER.into_inner();
    reject("nflog.receive_buffer", format!("is {bytes}; use {min} to {max} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::check_section;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        check_section::<NflogConfig>(&format!("[nflog]\n{text}"), expect);
    }

    #[test]
    fn the_default_is_valid() {
        check("", "");
    }

    #[test]
    fn groups_are_a_list_without_duplicates() {
        check("groups = [2, 1, 2]", "nflog.groups: has 2 twice; remove the duplicate");
        let groups: Vec<_> = (0..65).collect();
        check(&format!("groups = {:?}", &groups[..64]), "");
        check(&format!("groups = {groups:?}"), "nflog.groups: has 65 entries; use 64 at most");
    }

    #[test]
    fn copy_range_has_limits() {
        for bytes in [59, 65532] {
            check(
                &format!("copy_range = {bytes}"),
                &format!(
                    "nflog.copy_range: is {bytes}; use 60 to 65531 bytes: fewer cut off the ports of IPv6 \
                     packets, more do not fit into a netlink attribute"
                ),
            );
        }
        check("copy_range = 60", "");
        check("copy_range = 65531", "");
    }

    #[test]
    fn queue_settings_have_limits() {
        check(
            "queue_threshold = 0",
            "nflog.queue_threshold: is 0; use 1 packet or more, such as 100",
        );
        for (timeout, shown) in [("0s", "0s"), ("15ms", "15ms"), ("60010ms", "1m 10ms")] {
            check(
                &format!("queue_timeout = '{timeout}'"),
                &format!(
                    "nflog.queue_timeout: is {shown}; use 10ms to 60s in steps of 10ms, the kernel's unit"
                ),
            );
        }
        check("queue_timeout = '10ms'", "");
        check("queue_timeout = '60s'", "");
    }

    #[test]
    fn buffers_have_limits() {
        for bytes in [4095, 131_073] {
            check(
                &format!("kernel_buffer = {bytes}"),
                &format!(
                    "nflog.kernel_buffer: is {bytes}; use 4096 to 131072 bytes, the kernel rejects more"
                ),
            );
        }
        check("kernel_buffer = 4096", "");
        check(
            "receive_buffer = '2KiB'",
            "nflog.receive_buffer: is 2048; use 4096 to 1073741824 bytes",
        );
        check("receive_buffer = '4KiB'", "");
        check("receive_buffer = '1GiB'", "");
    }

    #[test]
    fn all_errors_are_reported() {
        let text = "groups = [1, 1]\ncopy_range = 0\nqueue_threshold = 0\nqueue_timeout = '0s'\n\
                    kernel_buffer = 0\nreceive_buffer = 0";
        let text = format!("[nflog]\n{text}");
        assert_eq!(
            crate::settings::testing::section_errors::<NflogConfig>(&text).lines().count(),
            6
        );
    }
}
