//! The packets that all peers receive, and the rule that logs them.

use std::{fmt, io::IoSlice};

use etherparse::PacketBuilder;

use crate::support::netns::{HOST, HOST_MAC, PEER_MAC, log_and_drop};

/// Group of the rule and of all peers.
pub const GROUP: u16 = 1;

/// Settings of the kernel for the group, the defaults of the exporter: bytes copied of each packet, packets in a datagram,
/// size of a datagram, and the time until an incomplete datagram is sent, in hundredths of a second.
pub const COPY_RANGE: u32 = 128;
pub const QUEUE_THRESHOLD: u32 = 100;
pub const KERNEL_BUFFER: u32 = 131_072;
pub const QUEUE_TIMEOUT: u32 = 10;

/// Short packets from many sources, of the overload and the drain.
pub const SHORT_PACKETS: Scenario = Scenario { rate: None, sources: 10_000, length: 64 };

/// Receive buffer of each peer, bytes.
pub const RECEIVE_BUFFER: usize = 16 << 20;

/// Logs and drops TCP and UDP from the wire. The rule limits the bytes copied for peers that request whole packets.
pub fn rules() -> String {
    log_and_drop(GROUP, &format!("snaplen {COPY_RANGE}"))
}

/// Rate, number of sources and length of packets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Packets per second; `None` for as many as the sender can send.
    pub rate: Option<u64>,
    pub sources: u32,
    /// Length of each IP packet, bytes.
    pub length: usize,
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, sources, length } = self;
        match rate {
            Some(rate) => write!(formatter, "{} packets/s", grouped(*rate))?,
            None => write!(formatter, "saturation")?,
        }
        write!(formatter, ", {} sources, {length} bytes", grouped(u64::from(*sources)))
    }
}

/// A number with commas between its thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Frames built before the first one is sent. They share their payload, so that the sender's caches hold them.
pub struct Frames {
    headers: Vec<Vec<u8>>,
    /// The longest payload; UDP has 12 bytes more of it than TCP.
    payload: Vec<u8>,
    length: usize,
}

/// Destination ports that firewalls see most.
const PORTS: [u16; 19] = [
    80, 22, 23, 443, 445, 3389, 5060, 8080, 8443, 1433, 3306, 6379, 5432, 25, 21, 53, 123, 161,
    4444,
];

/// Length of an Ethernet header.
const ETHERNET: usize = 14;

impl Frames {
    /// At least one frame for each source, and at least one for each port of 100 sources.
    pub fn new(sources: u32, length: usize) -> Self {
        let ports = u32::try_from(PORTS.len()).unwrap();
        let count = sources.max(100 * ports);
        let headers = (0..count).map(|number| header(number % sources, number, length)).collect();
        Self { headers, payload: vec![0; length], length }
    }

    /// The frames as the kernel takes them: header and payload.
    pub fn slices(&self) -> Vec<[IoSlice<'_>; 2]> {
        let rest = |header: &[u8]| &self.payload[..self.length + ETHERNET - header.len()];
        self.headers
            .iter()
            .map(|header| [IoSlice::new(header), IoSlice::new(rest(header))])
            .collect()
    }
}

/// All headers of a packet: nine of ten are SYNs, the others are UDP.
fn header(source: u32, number: u32, length: usize) -> Vec<u8> {
    // From 1.0.0.0 to 100.255.255.255: no loopback or multicast.
    let address = (source.wrapping_mul(0x9e37_79b9) % (100 << 24) + (1 << 24)).to_be_bytes();
    let port = PORTS[number as usize / 10 % PORTS.len()];
    let ethernet = PacketBuilder::ethernet2(PEER_MAC, HOST_MAC).ipv4(address, HOST, 64);
    let mut frame = Vec::new();
    let headers = if number % 10 == 9 {
        let builder = ethernet.udp(40_000, port);
        let headers = builder.size(0);
        builder.write(&mut frame, &vec![0; length + ETHERNET - headers]).unwrap();
        headers
    } else {
        let builder = ethernet.tcp(40_000, port, 1, 64_240).syn();
        let headers = builder.size(0);
        builder.write(&mut frame, &vec![0; length + ETHERNET - headers]).unwrap();
        headers
    };
    frame.truncate(headers);
    frame
}
