//! Facts of file descriptors: the limit on open ones of this process (`RLIMIT_NOFILE`), and the drops of a socket.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to `wanted`, or to the hard limit if that is lower. Never lowers it. Returns the limit in
/// force.
#[must_use]
pub fn raise_limit(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None means no limit.
    let before = current.unwrap_or(u64::MAX);
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if before >= raised {
        return before;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => before,
    }
}

/// Values of `SO_MEMINFO` up to `SK_MEMINFO_DROPS`, the ninth (`linux/sock_diag.h`).
const MEMINFO: libc::socklen_t = libc::SK_MEMINFO_DROPS.cast_unsigned() + 1;

/// Datagrams that the kernel dropped because the receive buffer of a socket was full; wraps.
///
/// # Errors
/// The descriptor is no socket, or the kernel is older than Linux 4.12.
#[expect(unsafe_code, reason = "no crate wraps SO_MEMINFO")]
pub fn socket_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0_u32; MEMINFO as usize];
    // The size of a u32.
    let mut size = 4 * MEMINFO;
    // SAFETY: the kernel writes at most `size` bytes, which is the size of `info`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    if result == 0 { Ok(info[MEMINFO as usize - 1]) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft_limit() -> u64 {
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    }

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = soft_limit();
        assert_eq!(raise_limit(1), before);
        assert_eq!(soft_limit(), before);
        let Some(maximum) = getrlimit(Resource::Nofile).maximum else { return };
        assert_eq!(raise_limit(u64::MAX), maximum);
        assert_eq!(soft_limit(), maximum);
    }
}
