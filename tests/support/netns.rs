//! Network namespaces that are deleted when they are dropped, and a pair of them connected by a wire.
//!
//! Everything here requires root and panics without it, so that a kernel test cannot pass without running.

use std::{
    fs::{self, File},
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
    panic,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use nix::{
    ifaddrs::getifaddrs,
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, send, socket},
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::{after_exit::AfterExit, logged::DEADLINE};

/// A network namespace with a loopback device that is up.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace; `label` identifies it in `ip netns list`.
    pub fn new(label: &str) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        assert!(rustix::process::geteuid().is_root(), "kernel tests require root");
        remove_after_exit();
        let name = format!("nfl-{}-{}-{label}", std::process::id(), COUNTER.fetch_add(1, Relaxed));
        succeed(Command::new("ip").args(["netns", "add", &name]), "");
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name in `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread inside. Sockets that it opens stay in the namespace, also in other threads.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })
    }

    /// A command that runs inside. The caller ends the process.
    pub fn command(&self, program: &str) -> Command {
        command_in(&self.name, program)
    }

    /// Runs `ip` inside with arguments separated by spaces; returns its output.
    pub fn ip(&self, arguments: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name]).args(arguments.split(' '));
        succeed(&mut command, "")
    }

    /// Runs a program inside; returns its output. Panics if it fails.
    pub fn exec(&self, program: &str, arguments: &[&str]) -> String {
        succeed(self.command(program).args(arguments), "")
    }

    /// Loads rules in the syntax of nft.
    pub fn nft(&self, rules: &str) {
        succeed(self.command("nft").args(["-f", "-"]), rules);
    }

    /// The packets of a named counter of table `inet t`: the expected value of a count.
    pub fn counter(&self, name: &str) -> u64 {
        let json = self.exec("nft", &["-j", "list", "counter", "inet", "t", name]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let counters = json["nftables"].as_array().unwrap();
        counters.iter().find_map(|entry| entry["counter"]["packets"].as_u64()).unwrap()
    }

    /// Drops the owner of sockets in this namespace, and waits until the kernel has released all of them.
    ///
    /// A socket can exist longer than its owner while another process refers to it: a child between
    /// fork and exec has a copy, and a process that reads `/proc/PID/fd` holds a reference.
    pub fn release<T>(&self, owner: T) {
        drop(owner);
        let deadline = Instant::now() + DEADLINE;
        let held = || fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log").unwrap();
        self.run(|| {
            while !held().is_empty() {
                assert!(Instant::now() < deadline, "groups still held: {}", held());
                thread::yield_now();
            }
        });
        while self.exec("nft", &["list", "ruleset"]).contains("flags owner") {
            assert!(Instant::now() < deadline, "a table still has its owner");
        }
    }

    /// Sets a sysctl given as a path below `/proc/sys/net`.
    pub fn sysctl(&self, path: &str, value: &str) {
        self.run(|| fs::write(format!("/proc/sys/net/{path}"), value).unwrap());
    }

    /// Gives it a copy of a directory below `/etc`, until the returned value is dropped.
    pub fn copy_etc(&self, name: &str) -> Etc {
        let directory = PathBuf::from("/etc/netns").join(&self.name);
        fs::create_dir_all(&directory).unwrap();
        let etc = Etc(directory);
        let mut copy = Command::new("cp");
        let copied = copy.arg("-a").arg(format!("/etc/{name}")).arg(&etc.0).status().unwrap();
        assert!(copied.success(), "{copy:?}");
        etc
    }

    /// Gives it a file `/etc/hosts` with these lines, until the returned value is dropped.
    pub fn set_hosts(&self, lines: &str) -> Etc {
        let etc = Etc(PathBuf::from("/etc/netns").join(&self.name));
        fs::create_dir_all(&etc.0).unwrap();
        fs::write(etc.path("hosts"), lines).unwrap();
        etc
    }

    /// Sends raw frames on a device. Returns their number.
    pub fn send(&self, device: &str, frames: impl IntoIterator<Item = Vec<u8>> + Send) -> u64 {
        self.run(|| {
            let raw = packet_socket(device);
            let mut sent = 0;
            for frame in frames {
                send(raw.as_raw_fd(), &frame, MsgFlags::empty()).unwrap();
                sent += 1;
            }
            sent
        })
    }
}

/// A command that runs in the namespace of this name. The caller ends the process.
pub fn command_in(name: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", name, program]);
    command
}

/// Removes the namespaces of this process after its end, with what runs in them: when a test is killed, no value is dropped.
fn remove_after_exit() {
    static REMOVED: OnceLock<AfterExit> = OnceLock::new();
    let id = std::process::id();
    let script = format!(
        "for name in $(ip netns list | grep -o '^nfl-{id}-[^ ]*'); do
            kill -9 $(ip netns pids $name)
            ip netns del $name
            rm -rf /etc/netns/$name
        done"
    );
    REMOVED.get_or_init(|| AfterExit::new(&script, None));
}

/// A socket for raw frames, bound to a device of this thread's namespace.
pub fn packet_socket(device: &str) -> OwnedFd {
    let link = getifaddrs()
        .unwrap()
        .filter(|interface| interface.interface_name == device)
        // By reference: optimized for size, a moved `SockaddrStorage` of nix 0.31 has lost its family.
        .find_map(|interface| interface.address.as_ref()?.as_link_addr().copied())
        .unwrap();
    let raw = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(raw.as_raw_fd(), &link).unwrap();
    raw
}

/// Rules that log TCP and UDP packets from the wire to a group, with further options of the statement, and drop them. The
/// counter `logged` counts them.
pub fn log_and_drop(group: u16, options: &str) -> String {
    format!(
        "table inet t {{
            counter logged {{}}
            chain in {{
                type filter hook prerouting priority -100;
                iifname wan0 meta l4proto {{ tcp, udp }} counter name logged \
                    log prefix \"drop-in: \" group {group} {options} drop
            }}
        }}"
    )
}

/// Directories that programs in a namespace see instead of those below `/etc`: ip-netns(8).
pub struct Etc(PathBuf);

impl Etc {
    /// The real path of a path below `/etc`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Two namespaces connected by a wire: `host`, which logs, and `peer`, which sends.
///
/// The host's end is the device `wan0` with [`HOST`] and [`HOST_V6`], the peer's `wire0` with
/// [`PEER`] and [`PEER_V6`]. The host accepts any source address. Besides the packets of a test, the kernels'
/// own ARP and ICMPv6 (neighbours, multicast reports) use the wire.
pub struct Wire {
    pub host: Namespace,
    pub peer: Namespace,
}

/// The host's address, with a /24.
pub const HOST: [u8; 4] = [198, 51, 100, 1];
/// The peer's address.
pub const PEER: [u8; 4] = [198, 51, 100, 2];
/// The host's address, with a /64: `2001:db8::1`.
pub const HOST_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The peer's address: `2001:db8::2`.
pub const PEER_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// Hardware address of `wan0`.
pub const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Hardware address of `wire0`.
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

impl Wire {
    pub fn new() -> Self {
        let wire = Self { host: Namespace::new("host"), peer: Namespace::new("peer") };
        for end in [&wire.host, &wire.peer] {
            for scope in ["all", "default"] {
                end.sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0");
                end.sysctl(&format!("ipv6/conf/{scope}/router_solicitations"), "0");
                end.sysctl(&format!("ipv6/conf/{scope}/addr_gen_mode"), "1");
            }
        }
        wire.host.ip(&format!(
            "link add wan0 address 02:00:00:00:00:01 type veth peer name wire0 \
             address 02:00:00:00:00:02 netns {}",
            wire.peer.name()
        ));
        for (end, device, last) in [(&wire.host, "wan0", 1), (&wire.peer, "wire0", 2)] {
            end.ip(&format!("addr add 198.51.100.{last}/24 dev {device}"));
            end.ip(&format!("addr add 2001:db8::{last}/64 dev {device} nodad"));
            end.ip(&format!("link set {device} up"));
        }
        wire
    }

    /// Sends raw frames from the peer to the host, about 200,000 per second. Returns their number.
    /// A busy kernel can process the last ones later: wait for a counter.
    pub fn send(&self, frames: impl IntoIterator<Item = Vec<u8>> + Send) -> u64 {
        self.peer.send("wire0", frames)
    }
}

/// Runs `work` on a thread without `CAP_NET_ADMIN`.
pub fn lacking_net_admin<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let lacking = scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::NET_ADMIN);
            set_capabilities(None, sets).unwrap();
            work()
        });
        lacking.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}

/// Runs a command to its end with `input` on its standard input; returns its standard output.
fn succeed(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} < {input:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
