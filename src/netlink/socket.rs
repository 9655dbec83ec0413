//! A netlink socket, and the two socket options that no crate wraps: the whole unsafe edge.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};
use rustix::net::{RecvFlags, recv, sockopt};

use super::frame::messages;

/// A netlink socket. Belongs to the network namespace it was opened in.
pub(crate) struct Socket {
    inner: NlSocket,
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Sequence number of the message that was refused; `None` when the socket itself failed.
    pub(crate) sequence: Option<u32>,
    /// The kernel's error number.
    pub(crate) cause: io::Error,
    /// The kernel's own words (extended ack), where it has some.
    pub(crate) text: Option<String>,
}

impl From<io::Error> for Refusal {
    fn from(cause: io::Error) -> Self {
        Self { sequence: None, cause, text: None }
    }
}

impl AsFd for Socket {
    #[expect(unsafe_code, reason = "neli's socket knows its descriptor only by number")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as `inner` lives, and the borrow is of `self`.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}

impl Socket {
    /// Opens a socket of `family` that hears the multicast groups in the bit mask `groups`.
    pub(crate) fn open(family: NlFamily, groups: u32) -> io::Result<Self> {
        Ok(Self { inner: NlSocket::connect(family, None, Groups::new_bitmask(groups))? })
    }

    /// Sends what is in `bytes`; the kernel has acted on it when this returns.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.inner.send(bytes, Msg::empty()).map(drop)
    }

    /// Takes the next datagram without waiting. Returns its true length, which is more than
    /// `buffer` holds when its end was cut off.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        recv(self, buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC).map(|(_, length)| length)
    }

    /// Sends `requests`, whose last message has the number `last` and wants an acknowledgement, and
    /// reads until that or a refusal is there. Datagrams that are no answer go to `stray`.
    pub(crate) fn ask(
        &self,
        requests: &[u8],
        last: u32,
        mut stray: impl FnMut(&[u8]),
    ) -> Result<(), Refusal> {
        // Words are wanted, not needed: kernels before 4.12 have none.
        let _ = self.inner.enable_ext_ack(true);
        self.send(requests)?;
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            // The kernel answers before `send` returns, so an empty queue means there is none.
            let length = self.receive(&mut buffer).map_err(io::Error::from)?;
            let datagram = &buffer[..length.min(MAX_DATAGRAM)];
            let Some(answer) = messages(datagram).flatten().find_map(|message| message.answer())
            else {
                stray(datagram);
                continue;
            };
            if answer.error != 0 {
                return Err(Refusal {
                    sequence: Some(answer.sequence),
                    cause: io::Error::from_raw_os_error(answer.error),
                    text: answer.text.map(|text| text.to_string_lossy().into_owned()),
                });
            }
            if answer.sequence == last {
                return Ok(());
            }
        }
    }

    /// Asks for a receive buffer of `bytes`, past `net.core.rmem_max` where this process may.
    /// Returns what the kernel gave, in the same measure: it books twice as much for itself.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> io::Result<usize> {
        if sockopt::set_socket_recv_buffer_size_force(self, bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(self, bytes)?;
        }
        Ok(sockopt::socket_recv_buffer_size(self)? / 2)
    }

    /// Lets reads go on while the receive buffer overruns. Without this the kernel reports ENOBUFS
    /// and throws everything away until the queue was read empty.
    #[expect(unsafe_code, reason = "no crate wraps NETLINK_NO_ENOBUFS")]
    pub(crate) fn go_on_after_overruns(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the option takes a C int, which `on` is, with its size.
        let result = unsafe {
            libc::setsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_NETLINK,
                libc::NETLINK_NO_ENOBUFS,
                (&raw const on).cast(),
                INT,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Datagrams the kernel threw away because the receive buffer was full; wraps.
    #[expect(unsafe_code, reason = "no crate wraps SO_MEMINFO")]
    pub(crate) fn drops(&self) -> io::Result<u32> {
        let mut info = [0_u32; MEMINFO as usize];
        let mut size = INT * MEMINFO;
        // SAFETY: the kernel writes `size` bytes at most, which is the size of `info`.
        let result = unsafe {
            libc::getsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        if result == 0 { Ok(info[MEMINFO as usize - 1]) } else { Err(io::Error::last_os_error()) }
    }
}

/// Size of a C int and of a u32, in bytes.
const INT: libc::socklen_t = 4;
/// Values of `SO_MEMINFO` up to `SK_MEMINFO_DROPS`, the ninth (`linux/sock_diag.h`).
const MEMINFO: libc::socklen_t = libc::SK_MEMINFO_DROPS.cast_unsigned() + 1;
/// The longest datagram: the kernel rounds NFLOG's largest buffer, 131072 bytes and its own
/// book-keeping, up to the next power of two, and fills it.
pub(crate) const MAX_DATAGRAM: usize = 256 * 1024;
