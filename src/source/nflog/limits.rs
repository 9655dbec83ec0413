//! Valid ranges of the NFLOG settings, from the kernel's `net/netfilter/nfnetlink_log.c` where it has a limit.

use std::{ops::RangeInclusive, time::Duration};

/// Maximum number of groups of one exporter; each has a socket and a receive buffer of its own.
pub const MAX_GROUPS: usize = 64;

/// Bytes copied of each packet. At least an IPv6 header (40) and a TCP header (20); at most the value of one
/// netlink attribute, whose 16-bit length includes its header of 4 bytes (`struct nlattr`).
pub const COPY_RANGE: RangeInclusive<u32> = 60..=65531;

/// Unit of `NFULA_CFG_TIMEOUT`.
pub const TIMEOUT_STEP: Duration = Duration::from_millis(10);

/// Maximum time for which the kernel may hold a packet back.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a datagram (`NFULA_CFG_NLBUFSIZ`). The kernel's maximum is `NFULNL_NLBUFSIZ_MAX`; the minimum is
/// its default, one page.
pub const KERNEL_BUFFER: RangeInclusive<u32> = 4096..=131_072;

/// Bytes of a socket's receive buffer. The minimum is the kernel's (`SOCK_MIN_RCVBUF`), rounded up. One
/// datagram fits into any buffer.
pub const RECEIVE_BUFFER: RangeInclusive<u32> = 4096..=1024 * 1024 * 1024;
