//! The NFLOG source with a real kernel, in network namespaces. Requires root.

use std::{
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nflog_exporter::{
    event::{Connection, ConnectionState, Hook},
    packet::{self, Direction},
    source::{
        ReadOutcome, Source,
        nflog::{Nflog, NflogConfig, NflogError},
    },
};

use crate::support::{
    Logged, Namespace, Wire, frame,
    logged::DEADLINE,
    netns::{HOST, PEER, PEER_MAC, PEER_V6},
    plan, read_packets, read_to_end,
};

fn open(namespace: &Namespace, plan: &NflogConfig) -> Nflog {
    namespace.run(|| Nflog::open(plan)).unwrap()
}

/// The only packet with this prefix.
fn the<'a>(logged: &'a [Logged], prefix: &str) -> &'a Logged {
    let mut found = logged.iter().filter(|packet| packet.prefix == prefix);
    let packet = found.next().unwrap_or_else(|| panic!("no {prefix:?} in {logged:#?}"));
    assert!(found.next().is_none(), "more than one {prefix:?} in {logged:#?}");
    packet
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

#[test]
fn every_field_of_an_incoming_packet_is_read() {
    let wire = Wire::new();
    let long = "p".repeat(127);
    wire.host.nft(&format!(
        "table inet t {{
            chain pre {{ type filter hook prerouting priority raw
                meta mark set 0xfeed0001
                udp dport 9 log prefix \"pre\" group 7 snaplen 32
                udp dport 9 log prefix \"{long}\" group 7
                udp dport 9 log group 7
            }}
            chain in {{ type filter hook input priority 0; udp dport 9 log prefix \"in\" group 7; }}
        }}"
    ));
    let mut source = open(&wire.host, &plan(&[7]));
    let before = now();
    let frame = frame::udp([203, 0, 113, 5], 4000, 9, b"some payload");
    wire.send([frame.clone()]);
    let logged = read_packets(&mut source, 4);
    let expect = Logged {
        group: 7,
        prefix: "in".into(),
        hook: Some(Hook::Input),
        direction: Some(Direction::In),
        ether_type: Some(0x0800),
        mark: 0xfeed_0001,
        in_device: "wan0".into(),
        out_device: String::new(),
        hardware_address: PEER_MAC.into(),
        uid: None,
        connection: None,
        time: the(&logged, "in").time,
        payload: frame[14..].into(),
    };
    assert_eq!(*the(&logged, "in"), expect);
    if let Some(time) = expect.time {
        assert!((before..=now()).contains(&time), "{before} {time}");
    }
    let pre = Logged {
        prefix: "pre".into(),
        hook: Some(Hook::Prerouting),
        time: the(&logged, "pre").time,
        payload: frame[14..14 + 32].into(),
        ..expect.clone()
    };
    assert_eq!(*the(&logged, "pre"), pre);
    the(&logged, &long);
    the(&logged, "");
}

#[test]
fn every_hook_has_a_direction() {
    let wire = Wire::new();
    wire.host.sysctl("ipv4/ip_forward", "1");
    wire.host.ip("neigh add 198.51.100.77 lladdr 02:00:00:00:00:77 dev wan0");
    wire.host.nft(
        "table netdev n {
            chain in { type filter hook ingress device wan0 priority 0
                udp dport 9 log prefix \"netdev in\" group 7; }
            chain out { type filter hook egress device wan0 priority 0
                udp dport 9 log prefix \"netdev out\" group 7; }
        }
        table inet t {
            chain ingress { type filter hook ingress device wan0 priority 0
                udp dport 9 log prefix \"inet in\" group 7; }
            chain forward { type filter hook forward priority 0
                udp dport 9 log prefix \"forward\" group 7; }
            chain output { type filter hook output priority 0
                udp dport 9 log prefix \"output\" group 7; }
            chain post { type filter hook postrouting priority 0
                udp dport 9 log prefix \"post\" group 7; }
        }",
    );
    let mut source = open(&wire.host, &plan(&[7]));
    let check = |packet: &Logged, hook, direction, devices: (&str, &str)| {
        assert_eq!((packet.hook, packet.direction), (Some(hook), Some(direction)), "{packet:?}");
        assert_eq!((&*packet.in_device, &*packet.out_device), devices, "{packet:?}");
        assert_eq!(packet.payload[0], 0x45, "begins at the IP header: {packet:?}");
        assert_eq!(packet.ether_type, Some(0x0800), "{packet:?}");
    };

    wire.send([frame::udp_to([198, 51, 100, 77], [203, 0, 113, 5], 4000, 9, b"x")]);
    let forwarded = read_packets(&mut source, 5);
    check(the(&forwarded, "netdev in"), Hook::Ingress, Direction::In, ("wan0", ""));
    check(the(&forwarded, "inet in"), Hook::Ingress, Direction::In, ("wan0", ""));
    check(the(&forwarded, "forward"), Hook::Forward, Direction::Forward, ("wan0", "wan0"));
    check(the(&forwarded, "post"), Hook::Postrouting, Direction::Forward, ("wan0", "wan0"));
    check(the(&forwarded, "netdev out"), Hook::Egress, Direction::Out, ("", "wan0"));
    assert_eq!(the(&forwarded, "forward").uid, None);

    let as_user = ["--reuid=12345", "--regid=12345", "--clear-groups", "bash", "-c"];
    wire.host.exec("setpriv", &[&as_user[..], &["echo >/dev/udp/198.51.100.2/9"]].concat());
    let sent = read_packets(&mut source, 3);
    check(the(&sent, "output"), Hook::Output, Direction::Out, ("", "wan0"));
    check(the(&sent, "post"), Hook::Postrouting, Direction::Out, ("", "wan0"));
    check(the(&sent, "netdev out"), Hook::Egress, Direction::Out, ("", "wan0"));
    assert_eq!(the(&sent, "output").uid, Some(12345));
    assert_eq!(the(&sent, "output").payload[12..20], [HOST, PEER].concat());
}

/// Headers between Ethernet and IP, each with a name for messages.
const HEADERS: [(&str, &[u8]); 13] = [
    ("none", &[8, 0]),
    ("802.1Q", &[0x81, 0, 0, 7, 8, 0]),
    ("802.1ad and 802.1Q", &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0]),
    ("stacked 802.1Q", &[0x81, 0, 0, 7, 0x81, 0, 0, 8, 8, 0]),
    ("0x9100", &[0x91, 0, 0, 7, 0x81, 0, 0, 8, 8, 0]),
    ("0x9200", &[0x92, 0, 0, 7, 8, 0]),
    (
        "five tags",
        &[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 0x81, 0, 0, 4, 0x81, 0, 0, 5, 8, 0],
    ),
    ("PPPoE", &[0x88, 0x64, 0x11, 0, 0, 1, 0, 31, 0, 0x21]),
    ("802.1Q and PPPoE", &[0x81, 0, 0, 7, 0x88, 0x64, 0x11, 0, 0, 1, 0, 31, 0, 0x21]),
    (
        "802.1ad, 802.1Q and PPPoE",
        &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 0x88, 0x64, 0x11, 0, 0, 1, 0, 31, 0, 0x21],
    ),
    ("MPLS", &[0x88, 0x47, 0, 1, 0, 0x40, 0, 2, 1, 0x40]),
    ("802.1Q and MPLS", &[0x81, 0, 0, 7, 0x88, 0x47, 0, 2, 1, 0x40]),
    ("SNAP", &[0, 37, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
];

/// One frame for each of [`HEADERS`], identified by its source port.
fn encapsulated() -> Vec<Vec<u8>> {
    let frame =
        |(number, (_, headers)): (u16, &(&str, &[u8]))| frame::encapsulated(headers, number);
    (0..).zip(&HEADERS).map(frame).collect()
}

/// Checks that a rule with this prefix logged each of [`HEADERS`], and that each is decoded up to its
/// ports.
fn check_encapsulated(logged: &[Logged], prefix: &str) {
    let of_rule: Vec<_> = logged.iter().filter(|packet| packet.prefix == prefix).collect();
    assert_eq!(of_rule.len(), HEADERS.len(), "{prefix}: {logged:#?}");
    for (number, (name, _)) in (0..).zip(HEADERS) {
        let ports = Some((number, 9));
        let is_read = |packet: &&&Logged| {
            let length = packet.payload.len().try_into().unwrap();
            let headers = packet::decode(&packet.payload, packet.ether_type, length);
            headers.issue.is_none() && headers.transport.ports() == ports
        };
        assert_eq!(of_rule.iter().filter(is_read).count(), 1, "{prefix}: {name}: {of_rule:#?}");
    }
}

/// At ingress and egress of a device, the kernel copies all headers before the IP header, except
/// the Ethernet header at ingress and a VLAN tag that it stores separately.
#[test]
fn headers_before_ip_are_decoded_in_the_family_netdev() {
    let wire = Wire::new();
    let rule = |prefix| format!("ether saddr 02:00:00:00:00:0a log prefix \"{prefix}\" group 7");
    wire.host.nft(&format!(
        "table netdev n {{
            chain in {{ type filter hook ingress device wan0 priority 0; {}; }}
            chain out {{ type filter hook egress device wan0 priority 0; {}; }}
        }}",
        rule("ingress"),
        rule("egress")
    ));
    let mut source = open(&wire.host, &plan(&[7]));
    wire.send(encapsulated());
    check_encapsulated(&read_packets(&mut source, HEADERS.len()), "ingress");
    wire.host.send("wan0", encapsulated());
    check_encapsulated(&read_packets(&mut source, HEADERS.len()), "egress");
}

/// The device of a tunnel has no Ethernet header; this source address equals an EtherType.
#[test]
fn packets_at_the_egress_of_a_tunnel_have_no_header_before_ip() {
    let host = Namespace::new("host");
    host.ip("tuntap add tun0 mode tun");
    host.ip("addr add 8.0.69.1/24 dev tun0");
    host.ip("link set tun0 up");
    host.nft(
        "table netdev n { chain out { type filter hook egress device tun0 priority 0
            udp dport 9 log prefix \"egress\" group 7; }; }",
    );
    let mut source = open(&host, &plan(&[7]));
    host.exec("bash", &["-c", "echo >/dev/udp/8.0.69.2/9"]);
    let logged = read_packets(&mut source, 1);
    let packet = the(&logged, "egress");
    assert_eq!(packet.payload[12..20], [8, 0, 69, 1, 8, 0, 69, 2], "{packet:?}");
}

#[test]
fn headers_before_ip_are_decoded_in_the_family_bridge() {
    let wire = Wire::new();
    wire.host.ip("link add br0 type bridge mcast_snooping 0");
    wire.host.ip("link add port1 type veth peer name end1");
    for (device, state) in [("wan0", "master br0"), ("port1", "master br0")] {
        wire.host.ip(&format!("link set {device} {state}"));
    }
    for device in ["end1", "port1", "br0"] {
        wire.host.ip(&format!("link set {device} up"));
    }
    let hooks = ["prerouting", "input", "forward", "postrouting"];
    let chains = hooks.map(|hook| {
        format!(
            "chain {hook} {{ type filter hook {hook} priority 0;
                ether saddr 02:00:00:00:00:0a log prefix \"{hook}\" group 7; }}"
        )
    });
    wire.host.nft(&format!("table bridge b {{ {}; }}", chains.join(";")));
    let mut source = open(&wire.host, &plan(&[7]));
    wait_until_forwarding(&wire);
    wire.send(encapsulated());
    let logged = read_packets(&mut source, hooks.len() * HEADERS.len());
    for hook in hooks {
        check_encapsulated(&logged, hook);
    }
}

/// Waits until both ports of the bridge forward.
fn wait_until_forwarding(wire: &Wire) {
    let deadline = Instant::now() + DEADLINE;
    while wire.host.ip("-d link show master br0").matches("state forwarding").count() < 2 {
        assert!(Instant::now() < deadline, "timeout: the ports of the bridge do not forward");
        std::thread::yield_now();
    }
}

#[test]
fn the_copy_range_truncates_and_0_copies_all() {
    let wire = Wire::new();
    wire.host.nft(
        "table inet t { chain pre { type filter hook prerouting priority 0
            udp dport 9 log prefix \"six\" group 7; }; }",
    );
    let frame = frame::udp_v6(PEER_V6, 4000, 9, &[0xa5; 1000]);
    for (copy_range, expect) in [(0, 14..frame.len()), (1, 14..15), (128, 14..14 + 128)] {
        let mut source = open(&wire.host, &NflogConfig { copy_range, ..plan(&[7]) });
        wire.send([frame.clone()]);
        let logged = read_packets(&mut source, 1);
        assert_eq!(logged[0].payload, frame[expect]);
        assert_eq!(logged[0].ether_type, Some(0x86dd));
        wire.host.release(source);
    }
}

#[test]
fn prefixes_of_iptables_are_read_unchanged() {
    let wire = Wire::new();
    let long = "x".repeat(63);
    for prefix in ["say \"hi\" \\ ", &long] {
        let rule = "-I INPUT -p udp --dport 9 -j NFLOG --nflog-group 65535 --nflog-prefix";
        let arguments: Vec<_> = rule.split(' ').chain([prefix]).collect();
        wire.host.exec("iptables", &arguments);
    }
    let mut source = open(&wire.host, &plan(&[65535]));
    wire.send(frame::spoofed(1, 9));
    let logged = read_packets(&mut source, 2);
    assert_eq!(the(&logged, "say \"hi\" \\ ").hook, Some(Hook::Input));
    assert_eq!(the(&logged, &long).group, 65535);
}

#[test]
fn a_flooded_group_does_not_starve_another() {
    let wire = Wire::new();
    wire.host.nft(
        "table inet t { chain pre { type filter hook prerouting priority 0
            udp dport 1 log prefix \"flood\" group 1 queue-threshold 10 drop
            udp dport 2 log prefix \"quiet\" group 2 queue-threshold 1 drop; }; }",
    );
    let mut source = open(&wire.host, &plan(&[1, 2]));
    wire.send(frame::spoofed(5_000, 1));
    wire.send(frame::spoofed(2, 2));
    let mut read = |count: usize| {
        let mut groups = Vec::new();
        for _ in 0..count {
            let mut seen = None;
            source.fill(Duration::ZERO, &mut |record| seen = Some(record.group)).unwrap();
            groups.extend(seen);
        }
        groups
    };
    assert_eq!(read(5), [1, 2, 1, 2, 1]);
    source.close();
    assert_eq!(read_to_end(&mut source), 5_000 - 3 * 10);
    for meter in source.meters() {
        assert_eq!(meter.lost_packets.load(Relaxed), 0);
        assert_eq!(meter.malformed_messages.load(Relaxed), 0);
    }
}

const COUNTED: &str = "table inet t {
    counter truth { }
    chain pre { type filter hook prerouting priority 0
        udp dport 9 counter name truth log prefix \"loss\" group 7 drop; }; }";

#[test]
fn every_lost_packet_is_counted() {
    let wire = Wire::new();
    wire.host.nft(COUNTED);
    let small = NflogConfig { receive_buffer: 4096, ..plan(&[7]) };
    let mut source = open(&wire.host, &small);
    let meter = source.meters().remove(0);
    assert_eq!(meter.receive_buffer_bytes.load(Relaxed), 4096);
    wire.send(frame::spoofed(100_000, 9));
    // A loss is visible only when another packet of the group arrives.
    let mut received = 0;
    while source.fill(Duration::from_millis(200), &mut |_| received += 1).unwrap()
        == ReadOutcome::Batch
    {}
    wire.send(frame::spoofed(1, 9));
    source.close();
    received += read_to_end(&mut source);
    let lost = meter.lost_packets.load(Relaxed);
    assert_eq!(wire.host.counter("truth"), 100_001);
    assert_eq!(received + lost, 100_001, "received {received}, lost {lost}");
    assert!(lost > 50_000, "{lost}");
    assert!(meter.socket_drops.load(Relaxed) > 500, "{meter:?}");
    assert_eq!(meter.malformed_messages.load(Relaxed), 0);
    assert_eq!(meter.truncated_datagrams.load(Relaxed), 0);
}

#[test]
fn no_packet_is_lost_with_a_large_buffer() {
    let wire = Wire::new();
    wire.host.nft(COUNTED);
    let mut source = open(&wire.host, &plan(&[7]));
    wire.send(frame::spoofed(20_000, 9));
    source.close();
    assert_eq!(read_to_end(&mut source), 20_000);
    assert_eq!(source.fill(Duration::ZERO, &mut |_| {}).unwrap(), ReadOutcome::End);
    assert_eq!(source.meters()[0].lost_packets.load(Relaxed), 0);
    // The group is free before its reader is dropped.
    open(&wire.host, &plan(&[7]));
}

#[test]
fn datagrams_of_the_maximum_length_are_read() {
    let wire = Wire::new();
    wire.host.nft(COUNTED);
    let slow = NflogConfig {
        queue_threshold: 100_000,
        queue_timeout: Duration::from_secs(5),
        ..plan(&[7])
    };
    let mut source = open(&wire.host, &slow);
    wire.send(frame::spoofed(20_000, 9));
    source.close();
    assert_eq!(read_to_end(&mut source), 20_000);
    assert_eq!(source.meters()[0].truncated_datagrams.load(Relaxed), 0);
}

#[test]
fn closing_without_privileges_reads_the_packets_held_by_the_kernel() {
    let wire = Wire::new();
    wire.host.nft(COUNTED);
    let slow = NflogConfig { queue_timeout: Duration::from_millis(500), ..plan(&[7]) };
    let mut source = open(&wire.host, &slow);
    wire.send(frame::spoofed(20_050, 9));
    let received = crate::support::lacking_net_admin(|| {
        source.close();
        read_to_end(&mut source)
    });
    assert_eq!(received, 20_050);
    assert_eq!(source.meters()[0].lost_packets.load(Relaxed), 0);
}

#[test]
fn the_error_of_a_second_reader_names_the_holder_of_the_group() {
    let host = Namespace::new("host");
    let first = open(&host, &plan(&[7, 8]));
    let error = host.run(|| Nflog::open(&plan(&[8]))).err().unwrap();
    let NflogError::Held { group: 8, holder } = &error else { panic!("{error}") };
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(holder.program, Some((std::process::id(), comm.trim_end().into())));
    let message = error.to_string();
    assert!(message.starts_with("NFLOG group 8 is held by "), "{message}");
    assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
    host.release(first);
    open(&host, &plan(&[8]));
}

#[test]
fn a_group_can_be_bound_only_once_by_one_process() {
    let host = Namespace::new("host");
    let error = host.run(|| Nflog::open(&plan(&[7, 7]))).err().unwrap();
    assert!(matches!(error, NflogError::Held { group: 7, .. }), "{error}");
}

#[test]
fn the_error_names_the_missing_capability() {
    let host = Namespace::new("host");
    let held = open(&host, &plan(&[8]));
    for group in [7, 8] {
        let error = host
            .run(|| crate::support::lacking_net_admin(|| Nflog::open(&plan(&[group]))))
            .err()
            .unwrap();
        assert!(matches!(error, NflogError::NotPermitted { .. }), "{error}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    }
    drop(held);
}

#[test]
fn plans_that_the_kernel_rejects_are_errors() {
    let host = Namespace::new("host");
    let error = host.run(|| Nflog::open(&plan(&[]))).err().unwrap();
    assert!(matches!(error, NflogError::NoGroup), "{error}");
    let large = NflogConfig { kernel_buffer: 131_073, ..plan(&[7]) };
    let error = host.run(|| Nflog::open(&large)).err().unwrap();
    assert!(error.to_string().contains("at most 131072 (nlbufsiz)"), "{error}");
}

/// Logs packets of a TCP connection, of an ICMP error, of an untracked packet and of connections in zones. A kernel without
/// the option for it rejects the request, and the error says why.
#[test]
fn connections_have_their_state_and_zone() {
    let wire = Wire::new();
    let with_connections = NflogConfig { conntrack: true, ..plan(&[7]) };
    let mut source = match wire.host.run(|| Nflog::open(&with_connections)) {
        Ok(source) => source,
        Err(error) => {
            assert!(matches!(error, NflogError::NoConntrack { group: 7 }), "{error}");
            assert!(!has_connection_option(), "{error}");
            return;
        }
    };
    wire.host.nft(
        "table inet t {
            chain raw { type filter hook prerouting priority raw
                udp dport 11 ct zone set 5
                udp dport 12 ct original zone set 6
                udp dport 13 notrack
                udp dport 9 log prefix \"raw\" group 7
            }
            chain in { type filter hook input priority 0
                meta l4proto tcp log prefix \"tcp\" group 7
                icmp type destination-unreachable log prefix \"error\" group 7
                udp dport { 9, 11, 12, 13 } log prefix \"udp\" group 7
            }
        }",
    );
    let listener = wire.host.run(|| TcpListener::bind("198.51.100.1:80")).unwrap();
    let connection = |logged: &Logged| {
        let connection = logged.connection.unwrap_or_else(|| panic!("{logged:?}"));
        (connection.state, connection.zone)
    };
    let (new, established) = (Some(ConnectionState::New), Some(ConnectionState::Established));

    let client = wire.peer.run(|| TcpStream::connect("198.51.100.1:80")).unwrap();
    let logged = read_packets(&mut source, 2);
    assert_eq!(connection(&logged[0]), (new, 0));
    assert_eq!(connection(&logged[1]), (established, 0));
    drop((client, listener));

    // The peer answers with an ICMP error: its port is closed.
    let send = |space: &Namespace, to: &str| {
        space.run(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", to).unwrap());
    };
    send(&wire.host, "198.51.100.2:9");
    let is_error = |packet: &Logged| packet.prefix == "error";
    let mut logged = read_packets(&mut source, 1);
    while !logged.iter().any(is_error) {
        logged.extend(read_packets(&mut source, 1));
    }
    let error = logged.iter().find(|packet| is_error(packet)).unwrap();
    assert_eq!(connection(error), (Some(ConnectionState::Related), 0));

    for (port, zone) in [(11, 5), (12, 6)] {
        send(&wire.peer, &format!("198.51.100.1:{port}"));
        assert_eq!(connection(&read_packets(&mut source, 1)[0]), (new, zone), "{port}");
    }
    // Logged before it is tracked, and after.
    send(&wire.peer, "198.51.100.1:9");
    let logged = read_packets(&mut source, 2);
    assert_eq!(the(&logged, "raw").connection, None);
    assert_eq!(the(&logged, "udp").connection, Some(Connection { state: new, zone: 0 }));
    send(&wire.peer, "198.51.100.1:13");
    assert_eq!(read_packets(&mut source, 1)[0].connection, None);
}

/// Whether this kernel is built with the option for connections in its log, as far as it shows its options.
fn has_connection_option() -> bool {
    let options = Command::new("zcat").arg("/proc/config.gz").output().unwrap();
    String::from_utf8_lossy(&options.stdout).contains("CONFIG_NETFILTER_NETLINK_GLUE_CT=y")
}

#[test]
fn a_renamed_device_has_its_new_name() {
    let wire = Wire::new();
    wire.host.nft(COUNTED);
    let mut source = open(&wire.host, &plan(&[7]));
    wire.send(frame::spoofed(1, 9));
    assert_eq!(read_packets(&mut source, 1)[0].in_device, "wan0");
    wire.host.ip("link set wan0 name uplink7");
    wire.send(frame::spoofed(1, 9));
    assert_eq!(read_packets(&mut source, 1)[0].in_device, "uplink7");
}
