//! Converts the sections of ulogd's plugin NFLOG.

use super::{MigrateError, grammar::ConfSection, output::Output};
use crate::source::nflog::limits::{MAX_GROUPS, MAX_TIMEOUT, RECEIVE_BUFFER, TIMEOUT_STEP};

/// The keys of the plugin.
const NFLOG_KEYS: [&str; 12] = [
    "bufsize",
    "group",
    "unbind",
    "bind",
    "seq_local",
    "seq_global",
    "numeric_label",
    "netlink_socket_buffer_size",
    "netlink_socket_buffer_maxsize",
    "netlink_qthreshold",
    "netlink_qtimeout",
    "attach_conntrack",
];

/// Converts a section of the plugin. Returns its group.
///
/// # Errors
/// A value of the section is invalid.
pub(super) fn convert(text: &[u8], name: &str, output: &mut Output) -> Result<u16, MigrateError> {
    let section = ConfSection::read(text, name, &NFLOG_KEYS, &[])?;
    if !section.exists {
        output.note(format!("[{name}]: there is no such section; the group is 0, as in ulogd"));
    }
    // The default is 0.
    let group = output.number(&section, name, "group", u32::from(u16::MAX))?.unwrap_or(0);
    queue(&section, name, output)?;
    receive_buffer(&section, name, output)?;
    let conntrack = output.number(&section, name, "attach_conntrack", i32::MAX as u32)?;
    if conntrack.is_some_and(|value| value != 0) {
        output.set("conntrack", "true".into());
    }
    for key in section.keys() {
        if let Some(why) = no_equivalent(key) {
            output.not_migrated(format!("[{name}] {key}: {why}"));
        }
    }
    for ignored in &section.ignored {
        output.note(ignored);
    }
    // The range is that of the type.
    let group = u16::try_from(group).unwrap_or(u16::MAX);
    add_group(group, name, output);
    Ok(group)
}

/// Converts the threshold and the timeout of the kernel's queue.
fn queue(section: &ConfSection, name: &str, output: &mut Output) -> Result<(), MigrateError> {
    // 0 means the kernel's default, which is also the default here.
    let threshold = output.number(section, name, "netlink_qthreshold", i32::MAX as u32)?;
    if let Some(packets) = threshold.filter(|packets| *packets > 0) {
        output.set("queue_threshold", packets.to_string());
    }
    let timeout = output.number(section, name, "netlink_qtimeout", i32::MAX as u32)?;
    if let Some(steps) = timeout.filter(|steps| *steps > 0) {
        let wanted = TIMEOUT_STEP * steps;
        if wanted > MAX_TIMEOUT {
            output.note(format!("[{name}] netlink_qtimeout={steps}: the maximum is 60s"));
        }
        let milliseconds = wanted.min(MAX_TIMEOUT).as_millis();
        output.set("queue_timeout", format!("\"{milliseconds}ms\""));
    }
    Ok(())
}

/// Converts the size of the socket's buffer: ulogd starts with the first size and grows it up to the second.
fn receive_buffer(
    section: &ConfSection,
    name: &str,
    output: &mut Output,
) -> Result<(), MigrateError> {
    let initial = output.number(section, name, "netlink_socket_buffer_size", i32::MAX as u32)?;
    let maximum = output.number(section, name, "netlink_socket_buffer_maxsize", i32::MAX as u32)?;
    if let Some(bytes) = initial.max(maximum).filter(|bytes| *bytes > 0) {
        let valid = bytes.clamp(*RECEIVE_BUFFER.start(), *RECEIVE_BUFFER.end());
        if valid != bytes {
            output.note(format!("[{name}] a socket buffer of {bytes} bytes: changed to {valid}"));
        }
        output.set("receive_buffer", valid.to_string());
    }
    Ok(())
}

/// Why a key has no equivalent; `None` if nothing is missing.
fn no_equivalent(key: &str) -> Option<&'static str> {
    match key {
        "seq_local" | "seq_global" => {
            Some("sequence numbers are always used to count losses; rows do not have them")
        }
        "numeric_label" => Some("packets have no label; use the rule's log prefix"),
        "bufsize" => Some("the read buffer has a fixed size"),
        "bind" | "unbind" => Some("kernels since 2.6.29 need no binding of the protocol"),
        _ => None,
    }
}

fn add_group(group: u16, name: &str, output: &mut Output) {
    if output.groups.contains(&group) {
        return;
    }
    if output.groups.len() == MAX_GROUPS {
        output.not_migrated(format!(
            "[{name}] group={group}: an exporter reads at most {MAX_GROUPS} groups"
        ));
    } else {
        output.groups.push(group);
    }
}
