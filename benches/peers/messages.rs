//! Frames in the form that `sendmmsg` takes, built once.

use std::{
    io::IoSlice,
    os::fd::{AsRawFd, BorrowedFd},
};

use rustix::io::Errno;

/// Frames that are sent again and again, in order.
pub struct Messages<'f> {
    /// Each points to the slices with its number.
    headers: Vec<libc::mmsghdr>,
    _slices: Vec<[IoSlice<'f>; 2]>,
    next: usize,
}

impl<'f> Messages<'f> {
    /// The frames of these slices.
    pub fn new(slices: Vec<[IoSlice<'f>; 2]>) -> Self {
        let headers = slices.iter().map(header).collect();
        Self { headers, _slices: slices, next: 0 }
    }

    /// Sends up to `count` frames with one system call. Returns the number of frames that were sent, or dropped because the
    /// queue of the device was full.
    #[expect(unsafe_code, reason = "nix has sendmmsg only with an additional feature")]
    pub fn send(&mut self, socket: BorrowedFd<'_>, count: usize) -> usize {
        let end = self.headers.len().min(self.next + count);
        let batch = &mut self.headers[self.next..end];
        let length = u32::try_from(batch.len()).unwrap();
        // SAFETY: the kernel reads `length` headers and writes their `msg_len`; `batch` has as many, borrowed for the call.
        // Their pointers lead to slices that live as long as `self`, and these to bytes that live as long as `'f`. The
        // kernel reads those only.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), batch.as_mut_ptr(), length, 0) };
        let sent = usize::try_from(sent).unwrap_or_else(|_| {
            let error = std::io::Error::last_os_error();
            let is_full =
                [Errno::NOBUFS, Errno::AGAIN].contains(&Errno::from_io_error(&error).unwrap());
            assert!(is_full, "sendmmsg: {error}");
            // The first frame was dropped.
            1
        });
        self.next = (self.next + sent) % self.headers.len();
        sent
    }
}

/// A message without address, control data and flags.
#[expect(unsafe_code, reason = "the header has private fields on some systems")]
fn header(slices: &[IoSlice<'_>; 2]) -> libc::mmsghdr {
    // SAFETY: the type has integers and raw pointers, for which zero is a valid value.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    // The standard library documents that the layout of `IoSlice` is that of `iovec`. `sendmmsg` does not write to it.
    header.msg_hdr.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_hdr.msg_iovlen = slices.len();
    header
}
