//! Hosts in network namespaces, each with a wire to one namespace, and packets with a known number for each host.

use std::{
    collections::BTreeMap,
    os::fd::AsRawFd,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, send};

use crate::support::{
    Namespace, frame,
    netns::{Etc, packet_socket},
};

/// Number of hosts.
pub const HOSTS: usize = 50;

/// Address of the fabric, which all hosts reach.
pub const FABRIC: &str = "10.77.0.1";

/// Rules that log and drop the packets to the address of [`frame`], with which no other packet of a host has to do.
const RULES: &str = "
    table inet t {
        counter logged {}
        chain in {
            type filter hook prerouting priority -100;
            meta nfproto ipv6 accept
            ip daddr != 198.51.100.1 accept
            counter name logged
            tcp dport 22 log prefix \"ssh: \" group 1 drop
            meta l4proto tcp log prefix \"tcp\" group 1 drop
            meta l4proto udp log prefix \"udp\" group 1 drop
            log prefix \"ping\" group 1 drop
        }
    }
";

/// A kind of packets: log prefix, the label `proto`, protocol number, destination port.
pub type Kind = (&'static str, &'static str, u8, Option<u16>);

/// The kinds of packets, by their first numbers. The packets of a scan have a kind for each port.
const KINDS: [Kind; 4] = [
    ("ssh:", "tcp", 6, Some(22)),
    ("tcp", "tcp", 6, Some(443)),
    ("udp", "udp", 17, Some(53)),
    ("ping", "icmp", 1, None),
];

/// Ports of a scan.
const SCANNED: u16 = 20;

/// Sources in several countries; the first one scans.
const SOURCES: [[u8; 4]; 4] = [[130, 75, 1, 1], [133, 11, 0, 7], [200, 160, 2, 3], [10, 1, 2, 3]];

/// Hosts that are connected to one namespace, the fabric, where Prometheus and the database are.
pub struct Fleet {
    pub hosts: Vec<Namespace>,
    pub fabric: Namespace,
    _names: Etc,
}

impl Fleet {
    /// Creates the namespaces. In the fabric, the names of [`host_name`] are known.
    pub fn new() -> Self {
        let fabric = Namespace::new("fabric");
        fabric.ip(&format!("addr add {FABRIC}/32 dev lo"));
        let hosts = (0..HOSTS).map(|number| {
            let host = Namespace::new(&format!("host{number}"));
            host.ip(&format!(
                "link add wan0 address 02:00:00:00:00:01 type veth peer name wire{number} \
                 address 02:00:00:00:00:02 netns {}",
                fabric.name()
            ));
            fabric.ip(&format!("addr add 10.77.{}.1/24 dev wire{number}", number + 1));
            fabric.ip(&format!("link set wire{number} up"));
            host.ip(&format!("addr add 10.77.{}.2/24 dev wan0", number + 1));
            host.ip("link set wan0 up");
            host.ip(&format!("route add default via 10.77.{}.1", number + 1));
            host.nft(RULES);
            host
        });
        let hosts = hosts.collect();
        let name = |number| format!("10.77.{}.2 {}\n", number + 1, host_name(number));
        let names = fabric.set_hosts(&(0..HOSTS).map(name).collect::<String>());
        Self { hosts, fabric, _names: names }
    }

    /// Sends this many packets of each kind to a host, and a scan.
    pub fn burst(&self, traffic: &Traffic, host: usize, each: impl Fn(usize) -> usize) {
        let mut kinds: Vec<Kind> =
            (0..SCANNED).map(|port| ("tcp", "tcp", 6, Some(8000 + port))).collect();
        for (number, kind) in KINDS.iter().enumerate() {
            kinds.extend(std::iter::repeat_n(*kind, each(number)));
        }
        let mut sent = traffic.lock();
        let frames: Vec<_> = kinds.into_iter().map(|kind| sent.next(host, kind)).collect();
        self.fabric.send(&format!("wire{host}"), frames);
    }

    /// Sends a packet to each host in each interval, except to the paused one, until the traffic ends.
    pub fn load(&self, traffic: &Traffic, interval: Duration) {
        self.fabric.run(|| {
            let sockets: Vec<_> =
                (0..HOSTS).map(|host| packet_socket(&format!("wire{host}"))).collect();
            let mut due = Instant::now();
            for kind in KINDS.iter().cycle() {
                due += interval;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let mut sent = traffic.lock();
                if sent.ended {
                    return;
                }
                for (host, socket) in sockets.iter().enumerate() {
                    if sent.paused != Some(host) {
                        let frame = sent.next(host, *kind);
                        send(socket.as_raw_fd(), &frame, MsgFlags::empty()).unwrap();
                    }
                }
            }
        });
    }
}

/// The name of a host in the fabric and in its rows.
pub fn host_name(number: usize) -> String {
    format!("host-{number:02}.example.net")
}

/// The packets that were sent, shared with the thread that sends them.
#[derive(Default)]
pub struct Traffic(Mutex<Sent>);

impl Traffic {
    /// Keeps packets from being sent until the guard is dropped.
    pub fn lock(&self) -> std::sync::MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The packets that were sent.
#[derive(Default)]
pub struct Sent {
    /// Packets of each host and kind.
    pub packets: BTreeMap<usize, BTreeMap<Kind, u64>>,
    /// The host that gets no load.
    pub paused: Option<usize>,
    /// Whether the load has ended.
    pub ended: bool,
}

impl Sent {
    /// All packets to a host.
    pub fn to(&self, host: usize) -> u64 {
        self.packets.get(&host).map_or(0, |kinds| kinds.values().sum())
    }

    /// The next packet for a host. No two packets to a host have the same source and source port.
    fn next(&mut self, host: usize, kind: Kind) -> Vec<u8> {
        let number = self.to(host);
        *self.packets.entry(host).or_default().entry(kind).or_default() += 1;
        let source_port = u16::try_from(1024 + number).unwrap();
        let (_, _, protocol, port) = kind;
        let scan = port.is_some_and(|port| port >= 8000);
        let source = SOURCES[if scan { 0 } else { usize::from(source_port) % SOURCES.len() }];
        match (protocol, port) {
            (6, Some(port)) => frame::syn(source, source_port, port),
            (17, Some(port)) => frame::udp(source, source_port, port, b"x"),
            _ => frame::ping(source),
        }
    }
}

/// Ends the load when it is dropped, also after a panic.
pub struct EndOfLoad<'t>(pub &'t Traffic);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
    }
}
