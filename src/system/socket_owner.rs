//! Finds the process that owns a socket, in `/proc`.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
};

/// Id and name of the process that has the socket with this inode open; `None` if it cannot be found.
#[must_use]
pub fn with_socket(inode: u64) -> Option<(u32, String)> {
    let pid = processes().find(|pid| sockets(*pid).any(|socket| socket == inode))?;
    Some((pid, name(pid)?))
}

/// Ids and names of the processes that listen on a TCP port, by IPv4 or IPv6. Several share one socket
/// if a service manager opened it.
#[must_use]
pub fn listening_on(port: u16) -> Vec<(u32, String)> {
    let listening: HashSet<u64> =
        listeners().into_iter().filter(|(of, _)| *of == port).map(|(_, inode)| inode).collect();
    if listening.is_empty() {
        return Vec::new();
    }
    let has_one = |pid: &u32| sockets(*pid).any(|socket| listening.contains(&socket));
    processes().filter(has_one).filter_map(|pid| Some((pid, name(pid)?))).collect()
}

/// The TCP ports that a process listens on.
#[must_use]
pub fn ports_of(pid: u32) -> BTreeSet<u16> {
    let open: HashSet<u64> = sockets(pid).collect();
    let listeners = listeners().into_iter();
    listeners.filter(|(_, inode)| open.contains(inode)).map(|(port, _)| port).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The inodes of a process's sockets; none without permission to read them.
fn sockets(pid: u32) -> impl Iterator<Item = u64> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| {
        let to = fs::read_link(file.path()).ok()?;
        to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

fn name(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// Port and inode of every listening TCP socket.
fn listeners() -> Vec<(u16, u64)> {
    let tables = ["tcp", "tcp6"].map(|table| format!("/proc/thread-self/net/{table}"));
    let tables = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    let listener = |line: &str| {
        // sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode; proc(5)
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let port = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
        // TCP_LISTEN, include/net/tcp_states.h
        (*fields.get(3)? == "0A").then(|| Some((port, fields.get(9)?.parse().ok()?)))?
    };
    tables.iter().flat_map(|table| table.lines()).filter_map(listener).collect()
}
