//! A model of the kernel's writer of log lines: it writes the line of a packet, as `nf_log_syslog.c` does.

use std::{fmt::Write as _, net::Ipv6Addr};

use nflog_exporter::{
    event::HardwareAddress,
    packet::{Addresses, DecodeIssue, Direction, Headers, Transport, protocol},
    source::log::packet_line::LoggedPacket,
};

/// One packet, and the options of the rule that logs it.
#[derive(Clone, Debug)]
pub struct Line {
    pub prefix: String,
    pub in_device: String,
    pub out_device: String,
    pub ports: [Option<String>; 2],
    /// Address of the receiver, of the sender.
    pub mac: Option<[[u8; 6]; 2]>,
    pub vlan: Option<u16>,
    pub mac_decode: bool,
    pub ip: Ip,
    pub upper: Upper,
    pub fragment: u16,
    pub ip_options: Vec<u8>,
    pub sequence: bool,
    pub tcp_options: Vec<u8>,
    pub owner: Option<[u32; 2]>,
    pub mark: u32,
    /// Written by ulogd, which omits a field.
    pub is_ulogd: bool,
}

#[derive(Clone, Debug)]
pub struct Ip {
    pub addresses: Addresses,
    pub length: u16,
    pub traffic_class: u8,
    pub hop_limit: u8,
    pub id: u16,
    /// CE, DF, MF.
    pub flags: [bool; 3],
}

#[derive(Clone, Debug)]
pub enum Upper {
    Tcp {
        ports: [u16; 2],
        flags: u8,
        has_ae: bool,
        numbers: [u32; 2],
        window: u16,
        urgent: u16,
    },
    Udp {
        lite: bool,
        ports: [u16; 2],
        length: u16,
    },
    Icmp {
        kind: u8,
        code: u8,
        number: u16,
        inner: Option<Box<(Ip, Upper)>>,
    },
    /// A header that is too short.
    Short {
        protocol: u8,
        bytes: u8,
    },
    Esp(u32),
    Other(u8),
}

const FLAGS: [&str; 8] = ["CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN"];

impl Line {
    /// The line, as the kernel hands it to its readers.
    pub fn written(&self) -> Vec<u8> {
        let mut text = format!("{}IN={} OUT={} ", self.prefix, self.in_device, self.out_device);
        for (name, port) in ["PHYSIN", "PHYSOUT"].iter().zip(&self.ports) {
            if let Some(port) = port {
                write!(text, "{name}={port} ").unwrap();
            }
        }
        if !self.in_device.is_empty() {
            self.write_mac(&mut text);
        }
        self.write_packet(&mut text, &self.ip, &self.upper, true);
        text.into_bytes()
    }

    fn ether_type(&self) -> u16 {
        if self.is_v6() { 0x86dd } else { 0x0800 }
    }

    fn is_v6(&self) -> bool {
        matches!(self.ip.addresses, Addresses::V6 { .. })
    }

    fn write_mac(&self, text: &mut String) {
        let Some([receiver, sender]) = self.mac else { return text.push_str("MAC= ") };
        if self.mac_decode {
            write!(text, "MACSRC={} MACDST={} ", colons(&sender), colons(&receiver)).unwrap();
            if let Some(vlan) = self.vlan {
                write!(text, "VPROTO=8100 VID={vlan} ").unwrap();
            }
            write!(text, "MACPROTO={:04x} ", self.ether_type()).unwrap();
        } else {
            let header = [&receiver[..], &sender, &self.ether_type().to_be_bytes()].concat();
            write!(text, "MAC={} ", colons(&header)).unwrap();
        }
    }

    fn write_packet(&self, text: &mut String, ip: &Ip, upper: &Upper, is_outer: bool) {
        let fragment = if is_outer { self.fragment } else { 0 };
        let is_later = write_ip(text, ip, fragment, if is_outer { &self.ip_options } else { &[] });
        let is_continued = self.write_upper(text, ip, upper, is_later, is_outer);
        if !is_outer || !is_continued {
            return;
        }
        if let Some([user, group]) = self.owner {
            write!(text, "UID={user} GID={group} ").unwrap();
        }
        if self.mark != 0 {
            write!(text, "MARK=0x{:x} ", self.mark).unwrap();
        }
    }

    /// Returns whether the writer continues with the fields after the transport header.
    fn write_upper(
        &self,
        text: &mut String,
        ip: &Ip,
        upper: &Upper,
        is_later: bool,
        is_outer: bool,
    ) -> bool {
        let name = protocol_name(upper.protocol(ip));
        match upper {
            Upper::Esp(_) if is_later && matches!(ip.addresses, Addresses::V6 { .. }) => {
                return false;
            }
            _ => write!(text, "PROTO={name} ").unwrap(),
        }
        if is_later {
            return true;
        }
        match upper {
            Upper::Tcp { .. } => self.write_tcp(text, upper),
            Upper::Udp { ports: [source, destination], length, .. } => {
                write!(text, "SPT={source} DPT={destination} LEN={length} ").unwrap();
            }
            Upper::Icmp { kind, code, number, inner } => {
                write!(text, "TYPE={kind} CODE={code} ").unwrap();
                match inner {
                    Some(inner) if is_outer => {
                        text.push('[');
                        self.write_packet(text, &inner.0, &inner.1, false);
                        text.push_str("] ");
                        if number % 2 == 0 {
                            write!(text, "MTU={number} ").unwrap();
                        }
                    }
                    _ if upper.is_echo(ip) => write!(text, "ID={number} SEQ={number} ").unwrap(),
                    _ => {}
                }
            }
            Upper::Short { protocol, bytes } => {
                write!(text, "INCOMPLETE [{bytes} bytes] ").unwrap();
                return *protocol == protocol::ICMP;
            }
            Upper::Esp(number) => write!(text, "SPI=0x{number:x} ").unwrap(),
            Upper::Other(_) => {}
        }
        true
    }

    fn write_tcp(&self, text: &mut String, upper: &Upper) {
        let Upper::Tcp { ports, flags, has_ae, numbers, window, urgent } = upper else { return };
        write!(text, "SPT={} DPT={} ", ports[0], ports[1]).unwrap();
        if self.sequence {
            write!(text, "SEQ={} ACK={} ", numbers[0], numbers[1]).unwrap();
        }
        write!(text, "WINDOW={window} ").unwrap();
        if !self.is_ulogd {
            text.push_str("RES=0x00 ");
        }
        if *has_ae {
            text.push_str("AE ");
        }
        for (bit, flag) in FLAGS.iter().enumerate() {
            if flags & (0x80 >> bit) != 0 {
                write!(text, "{flag} ").unwrap();
            }
        }
        write!(text, "URGP={urgent} ").unwrap();
        if !self.tcp_options.is_empty() {
            write!(text, "OPT ({}) ", digits(&self.tcp_options)).unwrap();
        }
    }

    /// The packet that the line describes.
    pub fn packet(&self) -> LoggedPacket<'_> {
        let is_later = self.fragment > 0;
        let sender = match self.mac {
            Some([_, sender]) if !self.in_device.is_empty() => HardwareAddress::new(&sender),
            _ => HardwareAddress::default(),
        };
        let continues = is_later
            || !matches!(self.upper, Upper::Short { protocol, .. } if protocol != protocol::ICMP);
        LoggedPacket {
            prefix: self.prefix.as_bytes(),
            in_device: shown_device(&self.in_device, self.ports[0].as_ref()),
            out_device: shown_device(&self.out_device, self.ports[1].as_ref()),
            direction: match (self.in_device.is_empty(), self.out_device.is_empty()) {
                (true, true) => None,
                (false, true) => Some(Direction::In),
                (true, false) => Some(Direction::Out),
                (false, false) => Some(Direction::Forward),
            },
            ether_type: Some(self.ether_type()),
            hardware_address: sender,
            mark: if continues { self.mark } else { 0 },
            uid: self.owner.filter(|_| continues).map(|owner| owner[0]),
            headers: self.headers(),
        }
    }

    fn headers(&self) -> Headers {
        let is_later = self.fragment > 0;
        let is_short = !is_later && matches!(self.upper, Upper::Short { .. });
        Headers {
            addresses: Some(self.ip.addresses),
            protocol: Some(self.upper.protocol(&self.ip)),
            length: self.ip.length.into(),
            ttl: Some(self.ip.hop_limit),
            transport: match self.upper {
                _ if is_later => Transport::None,
                Upper::Tcp { ports: [source, destination], flags, .. } => {
                    Transport::Tcp { source, destination, flags }
                }
                Upper::Udp { ports: [source, destination], .. } => {
                    Transport::Ports { source, destination }
                }
                Upper::Icmp { kind, code, .. } => Transport::Icmp { kind, code },
                _ => Transport::None,
            },
            issue: is_short.then_some(DecodeIssue::Truncated),
        }
    }
}

fn shown_device<'a>(name: &'a str, port: Option<&'a String>) -> &'a str {
    if name.is_empty() { port.map_or("", String::as_str) } else { name }
}

impl Upper {
    fn protocol(&self, ip: &Ip) -> u8 {
        match self {
            Self::Tcp { .. } => protocol::TCP,
            Self::Udp { lite: false, .. } => protocol::UDP,
            Self::Udp { lite: true, .. } => protocol::UDPLITE,
            Self::Icmp { .. } if matches!(ip.addresses, Addresses::V6 { .. }) => protocol::ICMPV6,
            Self::Icmp { .. } => protocol::ICMP,
            Self::Short { protocol, .. } | Self::Other(protocol) => *protocol,
            Self::Esp(_) => protocol::ESP,
        }
    }

    fn is_echo(&self, ip: &Ip) -> bool {
        let Self::Icmp { kind, .. } = self else { return false };
        match ip.addresses {
            Addresses::V4 { .. } => [0, 8].contains(kind),
            Addresses::V6 { .. } => [128, 129].contains(kind),
        }
    }
}

/// Writes the fields of the IP header. Returns whether the packet is a later fragment.
fn write_ip(text: &mut String, ip: &Ip, fragment: u16, options: &[u8]) -> bool {
    match ip.addresses {
        Addresses::V4 { source, destination } => {
            write!(text, "SRC={source} DST={destination} LEN={} ", ip.length).unwrap();
            let (tos, precedence) = (ip.traffic_class & 0x1e, ip.traffic_class & 0xe0);
            write!(
                text,
                "TOS=0x{tos:02X} PREC=0x{precedence:02X} TTL={} ID={} ",
                ip.hop_limit, ip.id
            )
            .unwrap();
            for (flag, is_set) in ["CE", "DF", "MF"].iter().zip(ip.flags) {
                if is_set {
                    write!(text, "{flag} ").unwrap();
                }
            }
            if fragment > 0 {
                write!(text, "FRAG:{fragment} ").unwrap();
            }
            if !options.is_empty() {
                write!(text, "OPT ({}) ", digits(options)).unwrap();
            }
        }
        Addresses::V6 { source, destination } => {
            write!(text, "SRC={} DST={} LEN={} ", full(source), full(destination), ip.length)
                .unwrap();
            write!(text, "TC={} HOPLIMIT={} FLOWLBL={} ", ip.traffic_class, ip.hop_limit, ip.id)
                .unwrap();
            let is_fragment = fragment > 0 || ip.flags[2];
            let (open, close) = if options.is_empty() { ("", "") } else { ("OPT ( ", ") ") };
            if is_fragment {
                let more = if ip.flags[2] { "INCOMPLETE " } else { "" };
                write!(text, "{open}FRAG:{} {more}ID:{:08x} {close}", fragment, ip.id).unwrap();
            } else {
                write!(text, "{open}{close}").unwrap();
            }
        }
    }
    fragment > 0
}

/// All digits of an address, as the kernel writes them.
fn full(address: Ipv6Addr) -> String {
    address.segments().map(|segment| format!("{segment:04x}")).join(":")
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat()
}

fn protocol_name(number: u8) -> String {
    match number {
        protocol::TCP => "TCP".into(),
        protocol::UDP => "UDP".into(),
        protocol::UDPLITE => "UDPLITE".into(),
        protocol::ICMP => "ICMP".into(),
        protocol::ICMPV6 => "ICMPv6".into(),
        protocol::ESP => "ESP".into(),
        number => number.to_string(),
    }
}
