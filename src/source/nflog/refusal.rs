//! Why a group could not be opened: tells apart what the kernel answers with the same number.

use std::{fs, io};

use rustix::{
    io::Errno,
    thread::{CapabilitySet, capabilities},
};

use crate::system::socket_owner;

/// Why packets cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NflogError {
    /// The plan names no group.
    #[error("no NFLOG group to read: name at least one")]
    NoGroup,
    /// The plan's `kernel_buffer` is more than the kernel takes.
    #[error(
        "kernel buffer of {asked} bytes for NFLOG: the kernel takes {MAX_KERNEL_BUFFER} bytes at \
         most (nlbufsiz)"
    )]
    KernelBuffer {
        /// Bytes the plan asked for.
        asked: u32,
    },
    /// Another program reads the group; a group has one reader.
    #[error(
        "NFLOG group {group} is held by {holder}: stop it, or read another group (--nflog.group)"
    )]
    Held {
        /// The group.
        group: u16,
        /// Who holds it.
        holder: Holder,
    },
    /// The process lacks `CAP_NET_ADMIN` over this network namespace.
    #[error(
        "not permitted to read NFLOG group {group}: run as root, or give the program the \
         capability CAP_NET_ADMIN (setcap cap_net_admin+ep, AmbientCapabilities=CAP_NET_ADMIN)"
    )]
    NotPermitted {
        /// The group.
        group: u16,
    },
    /// The kernel has no `nfnetlink_log`.
    #[error("this kernel does not know NFLOG: load its module (modprobe nfnetlink_log)")]
    NoNflog,
    /// Any other failure of a system call.
    #[error("NFLOG group {group}: {doing}: {cause}")]
    Io {
        /// The group.
        group: u16,
        /// What failed.
        doing: &'static str,
        /// Why.
        cause: io::Error,
    },
}

/// Who holds a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Netlink port id of its socket, where it could be told.
    pub port: Option<u32>,
    /// Process id and name, where they could be told.
    pub program: Option<(u32, String)>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.program, self.port) {
            (Some((pid, name)), Some(port)) => {
                write!(f, "{} (pid {pid}, netlink port {port})", name.escape_default())
            }
            (_, Some(port)) => write!(f, "another program (netlink port {port})"),
            (_, None) => f.write_str("another program"),
        }
    }
}

/// Most the kernel takes as `NFULA_CFG_NLBUFSIZ` (`NFULNL_NLBUFSIZ_MAX`), bytes.
pub(super) const MAX_KERNEL_BUFFER: u32 = 131_072;

/// The reason behind a refused bind.
pub(super) fn of_bind(group: u16, cause: io::Error) -> NflogError {
    match Errno::from_io_error(&cause) {
        // The kernel looks at the capability first, so its lack explains all.
        Some(Errno::PERM) if !has_net_admin() => NflogError::NotPermitted { group },
        Some(Errno::PERM | Errno::BUSY) => match port_of(group) {
            // The capability counts in that user namespace only.
            Ok(None) if in_user_namespace() => NflogError::NotPermitted { group },
            Ok(Some(port)) => NflogError::Held {
                group,
                holder: Holder { port: Some(port), program: program(port) },
            },
            // The list is for root to read; or the holder went after the kernel had looked.
            Ok(None) | Err(_) => {
                NflogError::Held { group, holder: Holder { port: None, program: None } }
            }
        },
        // No one has registered for the subsystem's messages, and no module could be loaded.
        Some(Errno::INVAL | Errno::PROTONOSUPPORT) => NflogError::NoNflog,
        _ => NflogError::Io { group, doing: "bind", cause },
    }
}

/// Whether this thread has `CAP_NET_ADMIN` in its effective set.
#[must_use]
pub fn has_net_admin() -> bool {
    // Of oneself it can always be asked.
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
}

/// Whether this process lives in a user namespace of its own: not all ids are mapped to themselves.
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// Who reads a group now; `None` for nobody.
///
/// # Errors
/// The kernel's list cannot be read: it is for root, and missing where there is no NFLOG.
pub fn holder(group: u16) -> io::Result<Option<Holder>> {
    let port = port_of(group)?;
    Ok(port.map(|port| Holder { port: Some(port), program: program(port) }))
}

/// The netlink port of a group's reader; `None` when the group has none.
fn port_of(group: u16) -> io::Result<Option<u32>> {
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

    fn check(errno: i32, expect: &str) {
        let message = of_bind(40_000, io::Error::from_raw_os_error(errno)).to_string();
        assert!(message.contains(expect), "{message}");
    }

    #[test]
    fn messages_say_what_to_do() {
        check(libc::EINVAL, "modprobe nfnetlink_log");
        check(libc::EPROTONOSUPPORT, "modprobe nfnetlink_log");
        check(libc::ENOMEM, "NFLOG group 40000: bind: ");
        check(libc::EPERM, "NFLOG group 40000");
    }

    #[test]
    fn holders_are_named_as_far_as_known() {
        let check = |port, program, expect: &str| {
            assert_eq!(Holder { port, program }.to_string(), expect);
        };
        check(None, None, "another program");
        check(Some(7), None, "another program (netlink port 7)");
        check(Some(8), Some((7, "a\nb".into())), "a\\nb (pid 7, netlink port 8)");
    }
}
