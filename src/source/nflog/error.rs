//! Errors of opening a group. Distinguishes causes for which the kernel returns the same `errno`.

use std::{fs, io};

use rustix::io::Errno;

use super::{
    holder::{GroupHolder, port_of},
    limits::KERNEL_BUFFER,
};
use crate::system::privileges::has_net_admin;

/// An NFLOG group could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum NflogError {
    /// The configuration has no group.
    #[error("no NFLOG group to read: name at least one in nflog.groups")]
    NoGroup,
    /// `kernel_buffer` exceeds the kernel's limit.
    #[error(
        "invalid NFLOG kernel buffer of {requested} bytes: the kernel accepts at most {} (nlbufsiz)",
        KERNEL_BUFFER.end()
    )]
    KernelBuffer {
        /// Configured size, bytes.
        requested: u32,
    },
    /// Another socket has the group bound; a group has one reader.
    #[error(
        "NFLOG group {group} is held by {holder}: stop it, or read another group (--nflog.group)"
    )]
    Held {
        /// The group.
        group: u16,
        /// The socket that has it bound.
        holder: GroupHolder,
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
    #[error("this kernel does not support NFLOG: load its module (modprobe nfnetlink_log)")]
    NoNflog,
    /// The kernel cannot add the connection of a packet.
    #[error(
        "NFLOG group {group}: the kernel cannot add connections: load its module (modprobe nf_conntrack_netlink), which \
         needs CONFIG_NETFILTER_NETLINK_GLUE_CT, or set nflog.conntrack = false"
    )]
    NoConntrack {
        /// The group.
        group: u16,
    },
    /// Another system call failed.
    #[error("NFLOG group {group}: {doing}: {cause}")]
    Io {
        /// The group.
        group: u16,
        /// The operation, as a verb phrase.
        doing: &'static str,
        /// The system's error.
        cause: io::Error,
    },
}

/// The error of a bind that the kernel rejected with `cause`.
pub(super) fn bind_error(group: u16, cause: io::Error) -> NflogError {
    match Errno::from_io_error(&cause) {
        // The kernel checks the capability first, so without it nothing else was checked.
        Some(Errno::PERM) if !has_net_admin() => NflogError::NotPermitted { group },
        Some(Errno::PERM | Errno::BUSY) => match port_of(group) {
            // The capability is valid in that user namespace only.
            Ok(None) if in_user_namespace() => NflogError::NotPermitted { group },
            Ok(Some(port)) => NflogError::Held { group, holder: GroupHolder::of_port(port) },
            // Only root may read the list, and the holder may have closed its socket since.
            Ok(None) | Err(_) => {
                NflogError::Held { group, holder: GroupHolder { port: None, program: None } }
            }
        },
        // No handler is registered for the subsystem, and no module could be loaded.
        Some(Errno::INVAL | Errno::PROTONOSUPPORT) => NflogError::NoNflog,
        // Only the flag for connections is optional.
        Some(Errno::OPNOTSUPP) => NflogError::NoConntrack { group },
        _ => NflogError::Io { group, doing: "bind", cause },
    }
}

/// Whether this process runs in a user namespace other than the initial one, which maps every id to itself.
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: i32, expect: &str) {
        let message = bind_error(40_000, io::Error::from_raw_os_error(errno)).to_string();
        assert!(message.contains(expect), "{message}");
    }

    #[test]
    fn messages_name_the_fix() {
        check(libc::EINVAL, "modprobe nfnetlink_log");
        check(libc::EPROTONOSUPPORT, "modprobe nfnetlink_log");
        check(libc::EOPNOTSUPP, "nflog.conntrack = false");
        check(libc::ENOMEM, "NFLOG group 40000: bind: ");
        check(libc::EPERM, "NFLOG group 40000");
    }
}
