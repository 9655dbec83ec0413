//! Generated packets with the statistics of Internet background noise, as a firewall on one public address logs it.
//!
//! Senders come and go: nine of ten send a few packets, most of the others scan for days, and a few for weeks. Most
//! scanners walk over all ports, some over a list of ports, some over one port.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a generator of random numbers"
)]

use std::{cmp::Reverse, collections::BinaryHeap, net::Ipv4Addr};

use fastrand::Rng;
use nflog_exporter::packet::protocol;

const DAY: f64 = 86_400.0;

/// Senders before the first packet, so that the first day is like the others.
const WARM_UP: f64 = 10.0 * DAY;

/// New senders per packet.
const SENDERS: f64 = 0.032;

const POPULAR_PORTS: [u16; 24] = [
    80, 23, 22, 8118, 3389, 443, 8728, 8080, 623, 5060, 1433, 7547, 445, 5555, 21, 25, 53, 123,
    161, 1900, 3306, 5900, 6379, 27017,
];

/// One packet to the firewall's address.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Seconds since the start.
    pub time: f64,
    pub source: Ipv4Addr,
    pub protocol: u8,
    pub port: u16,
}

/// The noise of some days at about `rate` packets per second, in the order of time.
pub fn noise(rate: f64, days: f64, seed: u64) -> Vec<Packet> {
    let mut rng = Rng::with_seed(seed);
    let end = days * DAY;
    let mut senders = Vec::new();
    let mut next = BinaryHeap::new();
    let mut start = -WARM_UP;
    loop {
        start += exponential(&mut rng, 1.0 / (SENDERS * rate));
        if start >= end {
            break;
        }
        let sender = Sender::new(&mut rng, start);
        if sender.end >= 0.0 {
            let first = if start >= 0.0 { start } else { exponential(&mut rng, sender.gap) };
            next.push(Reverse((nanos(first), senders.len())));
            senders.push(sender);
        }
    }
    let mut packets = Vec::new();
    while let Some(Reverse((at, index))) = next.pop() {
        let time = at as f64 * 1e-9;
        if time >= end {
            break;
        }
        let sender = &senders[index];
        packets.push(sender.packet(&mut rng, time));
        let following = time + exponential(&mut rng, sender.gap);
        if following < sender.end {
            next.push(Reverse((nanos(following), index)));
        }
    }
    packets
}

/// One packet to each port from one source, in ten minutes.
pub fn port_scan(start: f64, seed: u64) -> Vec<Packet> {
    let mut ports: Vec<u16> = (1..=u16::MAX).collect();
    Rng::with_seed(seed).shuffle(&mut ports);
    let source = Ipv4Addr::new(185, 20, 30, 40);
    let step = 600.0 / ports.len() as f64;
    (ports.into_iter().enumerate())
        .map(|(index, port)| Packet {
            time: start + index as f64 * step,
            source,
            protocol: protocol::TCP,
            port,
        })
        .collect()
}

/// 100,000 packets from random sources to random ports, in ten seconds.
pub fn spoofed_flood(start: f64, seed: u64) -> Vec<Packet> {
    let mut rng = Rng::with_seed(seed);
    (0..100_000)
        .map(|index| Packet {
            time: start + f64::from(index) * 1e-4,
            source: public(&mut rng),
            protocol: protocol::TCP,
            port: rng.u16(1..),
        })
        .collect()
}

/// One source and port that sends `rate` packets per second from `start` to `end`.
pub fn talker(start: f64, end: f64, rate: f64, port: u16) -> Vec<Packet> {
    let packets = ((end - start) * rate) as u64;
    (0..packets)
        .map(|index| Packet {
            time: start + index as f64 / rate,
            source: Ipv4Addr::new(91, 92, 93, 94),
            protocol: protocol::UDP,
            port,
        })
        .collect()
}

/// Puts all packets in the order of time.
pub fn merge(parts: Vec<Vec<Packet>>) -> Vec<Packet> {
    let mut packets: Vec<_> = parts.into_iter().flatten().collect();
    packets.sort_by(|one, other| one.time.total_cmp(&other.time));
    packets
}

struct Sender {
    source: Ipv4Addr,
    /// Whether it sends from all addresses of its /24.
    is_network: bool,
    protocol: u8,
    /// Empty for all ports.
    ports: Vec<u16>,
    /// Mean seconds between two packets.
    gap: f64,
    end: f64,
}

impl Sender {
    fn new(rng: &mut Rng, start: f64) -> Self {
        let kind = rng.f64();
        let is_brief = kind < 0.90;
        let (life, gap) = if is_brief {
            (exponential(rng, 3600.0), exponential(rng, 2400.0) + 1.0)
        } else if kind < 0.99 {
            (exponential(rng, 3.0 * DAY), exponential(rng, 30_000.0) + 3000.0)
        } else {
            (exponential(rng, 14.0 * DAY), pareto(rng, 1.1) * 250.0)
        };
        let style = rng.f64();
        let (one_port, some_ports) = if is_brief { (0.40, 0.70) } else { (0.015, 0.06) };
        let ports = if style < one_port {
            vec![POPULAR_PORTS[(pareto(rng, 0.7) as usize - 1).min(POPULAR_PORTS.len() - 1)]]
        } else if style < some_ports {
            let ports = rng.usize(2..40);
            (0..ports).map(|_| if rng.f64() < 0.6 { popular(rng) } else { rng.u16(1..) }).collect()
        } else {
            Vec::new()
        };
        Self {
            source: public(rng),
            is_network: rng.f64() < if is_brief { 0.1 } else { 0.5 },
            protocol: if rng.f64() < 0.04 { protocol::UDP } else { protocol::TCP },
            ports,
            gap,
            end: start + life,
        }
    }

    fn packet(&self, rng: &mut Rng, time: f64) -> Packet {
        let [a, b, c, d] = self.source.octets();
        let host = if self.is_network { rng.u8(1..255) } else { d };
        let port = match self.ports.len() {
            0 => rng.u16(1..),
            ports => self.ports[rng.usize(..ports)],
        };
        Packet { time, source: Ipv4Addr::new(a, b, c, host), protocol: self.protocol, port }
    }
}

fn popular(rng: &mut Rng) -> u16 {
    POPULAR_PORTS[rng.usize(..POPULAR_PORTS.len())]
}

/// A random public address.
fn public(rng: &mut Rng) -> Ipv4Addr {
    loop {
        let source = Ipv4Addr::from_bits(rng.u32(..));
        let first = source.octets()[0];
        if !source.is_private() && !matches!(first, 0 | 127 | 224..) {
            return source;
        }
    }
}

fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.f64()).ln()
}

fn pareto(rng: &mut Rng, shape: f64) -> f64 {
    (1.0 - rng.f64()).powf(-1.0 / shape)
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
