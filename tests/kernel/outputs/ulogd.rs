//! The text formats of ulogd, byte for byte against Debian's ulogd2: both read the same packets from groups of their own.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use etherparse::PacketBuilder;
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestamp};

use super::{GROUP, config, log_and_drop, scrape_with_accounts, to_file, wait_for_rows};
use crate::support::{
    Wire, frame,
    netns::{HOST, HOST_MAC, HOST_V6, Namespace, PEER, PEER_MAC, PEER_V6},
    program::{Exporter, Program, open_to_all, wait_for},
};

const PLUGINS: &str = "/usr/lib/x86_64-linux-gnu/ulogd";

/// A format of ours, the group that ulogd reads, and its stack after NFLOG, BASE, IFINDEX and IP2STR.
const FORMATS: [(&str, u16, &str); 3] = [
    ("logemu", 1, "print:PRINTPKT,out1:LOGEMU"),
    ("gprint", 2, "out2:GPRINT"),
    ("ulogd_json", 3, "mac:HWHDR,out3:JSON"),
];

fn start_ulogd(namespace: &Namespace, directory: &Path) -> Program {
    let plugins = [
        "inppkt_NFLOG",
        "raw2packet_BASE",
        "filter_IFINDEX",
        "filter_IP2STR",
        "filter_PRINTPKT",
        "filter_HWHDR",
        "output_LOGEMU",
        "output_GPRINT",
        "output_JSON",
    ];
    let mut text = String::from("[global]\nlogfile=\"stdout\"\nloglevel=3\n");
    for plugin in plugins {
        writeln!(text, "plugin=\"{PLUGINS}/ulogd_{plugin}.so\"").unwrap();
    }
    let mut sections = String::new();
    for (format, group, rest) in FORMATS {
        writeln!(
            text,
            "stack=log{group}:NFLOG,base{group}:BASE,ifi{group}:IFINDEX,str{group}:IP2STR,{rest}"
        )
        .unwrap();
        let file = directory.join(format!("theirs-{format}"));
        write!(
            sections,
            "[log{group}]\ngroup={group}\n[out{group}]\nfile=\"{}\"\nsync=1\n",
            file.display()
        )
        .unwrap();
    }
    let file = directory.join("ulogd.conf");
    fs::write(&file, text + &sections).unwrap();
    let mut command = namespace.command("ulogd");
    command.arg("-c").arg(&file);
    let ulogd = Program::start(&mut command, directory.join("ulogd.log"));
    wait_for("ulogd", || ulogd.log().contains("entering main loop").then_some(()));
    ulogd
}

/// A frame with an IPv4 packet of any protocol. `fragment` are the flags and the offset.
fn v4(protocol: u8, tos: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut header = [&[0x45, tos][..], &length, &[0x12, 0x34], &fragment.to_be_bytes()].concat();
    header.extend([63, protocol, 0, 0]);
    header.extend(PEER);
    header.extend(HOST);
    let words = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    [&HOST_MAC[..], &PEER_MAC, &[0x08, 0], &header, payload].concat()
}

/// A frame with an IPv6 packet: its first header, and the bytes after the IPv6 header.
fn v6(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let header =
        [&[0x6a, 0xb1, 0x23, 0x45][..], &length, &[first, 63], &PEER_V6, &HOST_V6].concat();
    [&HOST_MAC[..], &PEER_MAC, &[0x86, 0xdd], &header, payload].concat()
}

/// Packets with every field that ulogd prints, and with headers that are not whole.
fn frames() -> Vec<Vec<u8>> {
    let tcp_flags = [0, 0x02, 0x12, 0x3f, 0xff, 0x20].map(|flags| {
        v4(
            6,
            0,
            0x4000,
            &[0, 1, 0, 2, 0, 0, 0, 3, 0xff, 0, 0, 4, 0x5f, flags, 1, 0, 0xab, 0xcd, 0, 77],
        )
    });
    let echo_types = [0, 3, 5, 8, 11, 12, 13];
    let icmp = echo_types.into_iter().flat_map(|kind| {
        [0, 1, 3, 4, 5, 8, 12]
            .map(|code| v4(1, 0, 0, &[kind, code, 0xab, 0xcd, 10, 9, 0, 77, 1, 2]))
    });
    let udp = [0, 53, 0, 54, 0, 12, 0xab, 0xcd, 1, 2, 3, 4];
    let fragments =
        [0x2000, 0x0001, 0x2010, 0x8000, 0xe000].map(|fragment| v4(17, 0xff, fragment, &udp));
    let others = [2, 41, 47, 50, 51, 132, 136, 255].map(|number| v4(number, 0x28, 0, &[1; 24]));
    let cut = [1, 6, 17, 132].into_iter().flat_map(|number| {
        [0, 4, 7, 8, 11, 12, 19, 20].map(|length| v4(number, 0, 0, &[7; 40][..length]))
    });
    let mut frames = vec![
        frame::udp([203, 0, 113, 5], 1000, 53, b"some payload"),
        frame::syn([203, 0, 113, 5], 1000, 22),
        frame::udp_v6(PEER_V6, 1000, 53, b"x"),
        frame::syn_v6(PEER_V6, 1000, 22),
        frame::ping(PEER),
        frame::ping_v6(PEER_V6),
    ];
    let options = PacketBuilder::ethernet2(PEER_MAC, HOST_MAC).ipv4(PEER, HOST, 64);
    let options = options.tcp(1, 2, 3, 4).ns().cwr().ece().urg(9);
    let mut frame = Vec::new();
    options.write(&mut frame, b"data").unwrap();
    frames.push(frame);
    frames.extend(tcp_flags);
    frames.extend(icmp);
    frames.extend(fragments);
    frames.extend(others);
    frames.extend(cut);
    let fragment = |offset: u16, next| {
        let [high, low] = offset.to_be_bytes();
        [&[next, 0, high, low, 1, 2, 3, 4][..], &udp].concat()
    };
    frames.push(v6(44, &fragment(1, 17)));
    frames.push(v6(44, &fragment(0x0509, 17)));
    frames.push(v6(0, &[&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp].concat()));
    frames.push(v6(60, &[&[6, 0, 1, 4, 0, 0, 0, 0][..], &[9; 20]].concat()));
    frames.push(v6(51, &[&[17, 4][..], &[0; 22], &udp].concat()));
    for (first, payload) in
        [(50, &[8; 24][..]), (59, &[]), (132, &[8; 24]), (17, &udp), (17, &udp[..7]), (6, &[8; 19])]
    {
        frames.push(v6(first, payload));
    }
    frames.push(v6(50, &[&[0xc3, 0, 1, 0][..], &[0; 36]].concat()));
    // After a later fragment.
    for (next, length) in [(51, 0), (51, 1), (51, 32), (50, 1), (50, 32), (60, 1), (0, 32), (6, 1)]
    {
        frames.push(v6(44, &[&[next, 0, 0x50, 0x21, 1, 2, 3, 4][..], &[0; 32][..length]].concat()));
    }
    // Sources that the C library writes with an IPv4 address, and others.
    for source in ["::10.1.1.1", "::ffff", "::1:0", "64:ff9b::10.1.1.1"] {
        let mut frame = v6(17, &udp);
        frame[22..38].copy_from_slice(&source.parse::<std::net::Ipv6Addr>().unwrap().octets());
        frames.push(frame);
    }
    frames
}

/// The lines of a format without the times that differ: the kernel gives no time for packets that this host sent, so that each
/// program uses its own clock.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(without_own_time).collect()
}

fn without_own_time(line: &str) -> String {
    let is_sent = ["OUT=wan0", "oob.hook=3", "\"oob.hook\": 3"].iter().any(|it| line.contains(it));
    if !is_sent {
        return line.to_owned();
    }
    if !line.contains("oob.") {
        return line[15..].to_owned();
    }
    let separator = if line.starts_with('{') { ", " } else { "," };
    let kept = line.split(separator).filter(|key| !key.contains("time"));
    kept.collect::<Vec<_>>().join(separator)
}

#[test]
fn every_line_is_that_of_ulogd() {
    let wire = Wire::new();
    log_and_drop(&wire, &[1, 2, 3, GROUP]);
    wire.host.nft(&format!(
        "table inet o {{
            chain out {{
                type filter hook output priority 0
                ip protocol udp log group 1
                ip protocol udp log group 2
                ip protocol udp log group 3
                ip protocol udp log group {GROUP}
            }}
        }}"
    ));
    // The kernel gives a packet one time, instead of one for each group, while a socket asks for times.
    let timed = wire.host.run(|| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    setsockopt(&timed, ReceiveTimestamp, &true).unwrap();
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let _ulogd = start_ulogd(&wire.host, directory.path());
    let ours = |format: &str| directory.path().join(format!("ours-{format}"));
    let outputs = FORMATS.map(|(format, ..)| to_file(format, format, &ours(format), ""));
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    // A packet with a user and a group, and the peer's answer that nothing listens there.
    let sent = wire.send(frames()) + 2;
    let mut user = wire.host.command("setpriv");
    user.args(["--reuid", "1234", "--regid", "4321", "--clear-groups", "bash", "-c"]);
    run(user.arg("echo hello > /dev/udp/198.51.100.2/53"));
    for (format, ..) in FORMATS {
        wait_for_rows(&exporter, format, sent);
        let theirs = wait_for("the lines of ulogd", || {
            let lines = lines(&directory.path().join(format!("theirs-{format}")));
            (lines.len() as u64 >= sent).then_some(lines)
        });
        let ours = lines(&ours(format));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{format}");
        }
        assert_eq!(ours.len(), theirs.len(), "{format}");
    }
    scrape_with_accounts(&exporter, &FORMATS.map(|(format, ..)| format));
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
