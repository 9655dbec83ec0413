//! The log of the kernel, `/dev/kmsg`, while the kernel logs the packets of all network namespaces.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    os::fd::AsFd as _,
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FlockOperation, OFlags, fcntl_setfl, flock},
};

use super::{after_exit::AfterExit, logged::DEADLINE};

const ALL_NAMESPACES: &str = "/proc/sys/net/netfilter/nf_log_all_netns";

/// Held by the one test that uses the setting.
const LOCK: &str = "/run/lock/nflog-exporter-test-kernel-log";

/// A reader of the records that the kernel writes from now on.
///
/// The kernel logs packets of other namespaces than the first only if a setting of the whole system allows it. The
/// setting is restored when this value is dropped, or this process is killed.
pub struct KernelLog {
    records: File,
    _restored: AfterExit,
}

impl KernelLog {
    /// Waits until no other test uses the setting.
    pub fn open() -> Self {
        Self::with_setting("1")
    }

    /// As [`Self::open`], while the kernel logs only the packets of the first namespace.
    pub fn forbid() -> Self {
        Self::with_setting("0")
    }

    fn with_setting(value: &str) -> Self {
        let lock = File::create(LOCK).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let previous = fs::read_to_string(ALL_NAMESPACES).unwrap();
        // The lock is held until then.
        let restore = format!("echo {} > {ALL_NAMESPACES}", previous.trim());
        let restored = AfterExit::new(&restore, Some(lock.into()));
        fs::write(ALL_NAMESPACES, value).unwrap();
        let mut records = File::open("/dev/kmsg").unwrap();
        fcntl_setfl(&records, OFlags::NONBLOCK).unwrap();
        records.seek(SeekFrom::End(0)).unwrap();
        Self { records, _restored: restored }
    }

    /// Reads until there are `count` records that contain a text.
    pub fn read(&mut self, text: &str, count: usize) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + DEADLINE;
        let mut found = Vec::new();
        let mut buffer = vec![0; 8192];
        while found.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records with {text:?}", found.len());
            match self.records.read(&mut buffer) {
                Ok(length) => {
                    let record = &buffer[..length];
                    if record.windows(text.len()).any(|part| part == text.as_bytes()) {
                        found.push(record.to_vec());
                    }
                }
                // Records of others were overwritten before they were read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(),
                Err(error) => panic!("read /dev/kmsg: {error}"),
            }
        }
        found
    }

    fn wait(&self) {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut polled = [PollFd::from_borrowed_fd(self.records.as_fd(), PollFlags::IN)];
        poll(&mut polled, Some(&second)).map_err(io::Error::from).unwrap();
    }
}
