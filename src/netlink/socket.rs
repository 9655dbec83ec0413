//! A netlink socket, with the two socket options that no crate wraps.

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
use crate::system::descriptors::socket_drops;

/// A netlink socket. Belongs to the network namespace in which it was opened.
pub(crate) struct Socket {
    inner: NlSocket,
}

/// A request that failed.
#[derive(Debug)]
pub(crate) struct RequestError {
    /// Sequence number of the message that the kernel rejected; `None` if sending or receiving failed.
    pub(crate) sequence: Option<u32>,
    /// The kernel's error number.
    pub(crate) cause: io::Error,
    /// The kernel's error message (extended ack), if any.
    pub(crate) text: Option<String>,
}

impl From<io::Error> for RequestError {
    fn from(cause: io::Error) -> Self {
        Self { sequence: None, cause, text: None }
    }
}

impl AsFd for Socket {
    #[expect(unsafe_code, reason = "neli's socket knows its descriptor only by number")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as `inner` exists, and the borrow is of `self`.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}

impl Socket {
    /// Opens a socket of `family` that receives the multicast groups in the bit mask `groups`.
    pub(crate) fn open(family: NlFamily, groups: u32) -> io::Result<Self> {
        Ok(Self { inner: NlSocket::connect(family, None, Groups::new_bitmask(groups))? })
    }

    /// Sends `bytes`; the kernel has processed them when this returns.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.inner.send(bytes, Msg::empty()).map(drop)
    }

    /// Receives the next datagram without waiting. Returns its full length, which exceeds `buffer` if its end
    /// was truncated.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        recv(self, buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC).map(|(_, length)| length)
    }

    /// Sends `requests`, whose last message has the sequence number `last` and the flag `NLM_F_ACK`, and reads
    /// until its acknowledgement or an error arrives. Other datagrams go to `stray`.
    ///
    /// # Errors
    /// The first message that the kernel rejects, or a failure of the socket.
    pub(crate) fn request(
        &self,
        requests: &[u8],
        last: u32,
        mut stray: impl FnMut(&[u8]),
    ) -> Result<(), RequestError> {
        // Optional: kernels before 4.12 have no error messages.
        let _ = self.inner.enable_ext_ack(true);
        self.send(requests)?;
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            // The kernel queues the acknowledgement before `send` returns, so an empty queue is an error.
            let length = self.receive(&mut buffer).map_err(io::Error::from)?;
            let datagram = &buffer[..length.min(MAX_DATAGRAM)];
            let acknowledgement =
                messages(datagram).flatten().find_map(|message| message.acknowledgement());
            let Some(acknowledgement) = acknowledgement else {
                stray(datagram);
                continue;
            };
            if acknowledgement.error != 0 {
                return Err(RequestError {
                    sequence: Some(acknowledgement.sequence),
                    cause: io::Error::from_raw_os_error(acknowledgement.error),
                    text: acknowledgement.text.map(|text| text.to_string_lossy().into_owned()),
                });
            }
            if acknowledgement.sequence == last {
                return Ok(());
            }
        }
    }

    /// Requests a receive buffer of `bytes`, beyond `net.core.rmem_max` if this process has `CAP_NET_ADMIN`.
    /// Returns the size granted, in the same unit: the kernel reports twice as much, for its bookkeeping.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> io::Result<usize> {
        if sockopt::set_socket_recv_buffer_size_force(self, bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(self, bytes)?;
        }
        Ok(sockopt::socket_recv_buffer_size(self)? / 2)
    }

    /// Disables `ENOBUFS` errors. By default the kernel reports `ENOBUFS` after an overrun of the receive
    /// buffer, and drops all datagrams until the queue was read empty.
    #[expect(unsafe_code, reason = "no crate wraps NETLINK_NO_ENOBUFS")]
    pub(crate) fn disable_overrun_errors(&self) -> io::Result<()> {
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

    /// Datagrams that the kernel dropped because the receive buffer was full; wraps.
    pub(crate) fn drops(&self) -> io::Result<u32> {
        socket_drops(self.as_fd())
    }
}

/// Size of a C int and of a u32, in bytes.
const INT: libc::socklen_t = 4;
/// Maximum length of a datagram: the kernel rounds NFLOG's largest buffer, 131072 bytes and its
/// bookkeeping, up to the next power of two, and fills it.
pub(crate) const MAX_DATAGRAM: usize = 256 * 1024;
