//! Which process has a socket open, out of `/proc`.

use std::fs;

/// Process id and name of who has the socket with this inode open; `None` where it cannot be told.
#[must_use]
pub fn with_socket(inode: u64) -> Option<(u32, String)> {
    let link = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        files.find(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*link))?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((pid, name.trim_end().to_owned()))
    })
}

/// Process id and name of who listens on a TCP port, of either IP version.
#[must_use]
pub fn listening_on(port: u16) -> Option<(u32, String)> {
    ["tcp", "tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok()?;
        let inode = table.lines().find_map(|line| {
            // sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode; proc(5)
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let own = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
            // TCP_LISTEN, include/net/tcp_states.h
            (own == port && *fields.get(3)? == "0A").then(|| fields.get(9)?.parse().ok())?
        })?;
        with_socket(inode)
    })
}
