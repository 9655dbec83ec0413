//! The processes of a peer: CPU time, peak memory, the socket of the group, and their end.

use std::{fs, os::fd::OwnedFd, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use rustix::{
    net::sockopt::set_socket_recv_buffer_size_force,
    process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::{
    support::{Namespace, program::wait_for},
    traffic::{GROUP, RECEIVE_BUFFER},
};

/// The protocol of netfilter's netlink sockets in `/proc/net/netlink`: `include/uapi/linux/netlink.h`.
const NETLINK_NETFILTER: &str = "12";

/// The process group of a program that was started with `process_group(0)`. Its processes end when it is dropped.
pub struct ProcessGroup(u32);

/// CPU time of all threads, also of those that ended.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    /// Exact.
    pub total: Duration,
    /// In hundredths of a second.
    pub user: Duration,
    /// In hundredths of a second.
    pub system: Duration,
}

impl ProcessGroup {
    /// The group of a process that leads one.
    pub fn of(leader: u32) -> Self {
        Self(leader)
    }

    /// All processes of it.
    fn ids(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        let ids = entries.filter_map(|name| name.to_str()?.parse::<u32>().ok());
        // Field 5 of `/proc/PID/stat`.
        ids.filter(|id| stat(*id).is_some_and(|fields| fields[2] == self.0.to_string())).collect()
    }

    /// Their CPU time so far.
    pub fn cpu(&self) -> Cpu {
        let mut cpu = Cpu::default();
        for id in self.ids() {
            cpu.total += self::cpu(id);
            // Fields 14 and 15, in hundredths of a second.
            let fields = stat(id).expect("no process of a peer ends");
            let time = |field: usize| {
                Duration::from_millis(10 * fields[field - 3].parse::<u64>().unwrap())
            };
            cpu.user += time(14);
            cpu.system += time(15);
        }
        cpu
    }

    /// Sum of their peak memory, KiB.
    pub fn peak(&self) -> u64 {
        let peak = |id| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        self.ids().into_iter().map(peak).sum()
    }

    /// Waits until a socket of them, the only one in the namespace, is bound to the group, and gives it the receive buffer of
    /// all peers.
    pub fn set_receive_buffer(&self, host: &Namespace) {
        let socket = wait_for("a reader of the group", || reader_sockets(host).pop());
        let (owner, number) = self.descriptor(&socket.inode);
        let process = pidfd_open(rustix_pid(owner), PidfdFlags::empty()).unwrap();
        let socket: OwnedFd = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).unwrap();
        set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).unwrap();
    }

    /// The process that has this socket, and the number of its descriptor.
    fn descriptor(&self, inode: &str) -> (u32, i32) {
        let link = format!("socket:[{inode}]");
        for id in self.ids() {
            for entry in fs::read_dir(format!("/proc/{id}/fd")).unwrap() {
                let path = entry.unwrap().path();
                if fs::read_link(&path).is_ok_and(|target| target == Path::new(&link)) {
                    return (id, path.file_name().unwrap().to_str().unwrap().parse().unwrap());
                }
            }
        }
        panic!("no process of the peer has the socket that reads group {GROUP}");
    }
}

/// CPU time of a process so far.
#[expect(
    unsafe_code,
    reason = "clocks of other processes, whose wrapper in nix is an additional feature"
)]
pub fn cpu(id: u32) -> Duration {
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both functions write only to the variable behind the pointer, which has the type that they expect and lives
    // longer than the call.
    let failed = unsafe {
        libc::clock_getcpuclockid(id.cast_signed(), &raw mut clock) != 0
            || libc::clock_gettime(clock, &raw mut time) != 0
    };
    assert!(!failed, "no CPU clock of process {id}: {}", std::io::Error::last_os_error());
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Fails if all have ended.
        let _ = killpg(Pid::from_raw(self.0.cast_signed()), Signal::SIGKILL);
    }
}

fn rustix_pid(id: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(id.cast_signed()).unwrap()
}

/// Fields of `/proc/PID/stat` from the third on; `None` if the process has ended.
fn stat(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, field 2, may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// A netlink socket that a group is bound to.
pub struct ReaderSocket {
    inode: String,
    /// Bytes that wait in it.
    waiting: u64,
}

/// Whether there are sockets and no packet waits in them.
pub fn are_empty(sockets: &[ReaderSocket]) -> bool {
    !sockets.is_empty() && sockets.iter().all(|socket| socket.waiting == 0)
}

/// The sockets in a namespace that groups are bound to.
pub fn reader_sockets(host: &Namespace) -> Vec<ReaderSocket> {
    host.run(reader_sockets_here)
}

/// The sockets in the namespace of this thread that groups are bound to.
pub fn reader_sockets_here() -> Vec<ReaderSocket> {
    let read = |file: &str| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
    // Group, port of its socket, …
    let groups = read("netfilter/nfnetlink_log");
    let ports: Vec<_> = groups.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let sockets = read("netlink");
    let sockets = sockets.lines().filter_map(|line| {
        // sk, protocol, port, groups, bytes that wait to be read, …, inode.
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields[1] == NETLINK_NETFILTER && ports.contains(&fields[2])).then(|| ReaderSocket {
            inode: fields[9].to_owned(),
            waiting: fields[4].parse().unwrap(),
        })
    });
    sockets.collect()
}
