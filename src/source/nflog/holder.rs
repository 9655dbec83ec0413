//! Which socket and process have an NFLOG group bound, from the lists in `/proc`.

use std::{fmt, fs, io};

use crate::system::socket_owner;

/// The socket that has a group bound, and its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHolder {
    /// Netlink port id of the socket; `None` if unknown.
    pub port: Option<u32>,
    /// Process id and name; `None` if unknown, for example in another PID namespace.
    pub program: Option<(u32, String)>,
}

impl GroupHolder {
    /// The owner of the netfilter socket with this netlink port.
    pub(super) fn of_port(port: u32) -> Self {
        Self { port: Some(port), program: program(port) }
    }
}

impl fmt::Display for GroupHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.program, self.port) {
            (Some((pid, name)), Some(port)) => {
                write!(f, "{} (pid {pid}, netlink port {port})", name.escape_default())
            }
            (_, Some(port)) => write!(f, "another program (netlink port {port})"),
            (_, None) => f.write_str("another program"),
        }
    }
}

/// The current reader of a group; `None` if the group is free.
///
/// # Errors
/// `/proc/thread-self/net/netfilter/nfnetlink_log` cannot be read: only root may read it, and it is missing
/// without the module `nfnetlink_log`.
pub fn holder(group: u16) -> io::Result<Option<GroupHolder>> {
    let port = port_of(group)?;
    Ok(port.map(GroupHolder::of_port))
}

/// The netlink port of a group's reader; `None` if the group has none.
pub(super) fn port_of(group: u16) -> io::Result<Option<u32>> {
    let bound = fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log")?;
    Ok(bound.lines().find_map(|line| {
        // group, port, queued packets, copy mode, copy range, flush timeout, users
        let mut fields = line.split_ascii_whitespace();
        (fields.next()?.parse() == Ok(group)).then(|| fields.next()?.parse().ok())?
    }))
}

/// The process that has the netfilter socket with this port open.
fn program(port: u32) -> Option<(u32, String)> {
    socket_owner::with_socket(inode_of(port)?)
}

fn inode_of(port: u32) -> Option<u64> {
    let sockets = fs::read_to_string("/proc/thread-self/net/netlink").ok()?;
    sockets.lines().find_map(|line| {
        // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let ours = fields.get(1)?.parse() == Ok(libc::NETLINK_NETFILTER)
            && fields.get(2)?.parse() == Ok(port);
        ours.then(|| fields.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_named_as_far_as_known() {
        let check = |port, program, expect: &str| {
            assert_eq!(GroupHolder { port, program }.to_string(), expect);
        };
        check(None, None, "another program");
        check(Some(7), None, "another program (netlink port 7)");
        check(Some(8), Some((7, "a\nb".into())), "a\\nb (pid 7, netlink port 8)");
    }
}
