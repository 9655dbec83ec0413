//! Sends packets of each kind to a host with a firewall, and counts those that its rules logged.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::{
    Namespace, Wire,
    doctor::{doctor, doctor_with},
    frame,
    netns::{HOST, HOST_V6, PEER},
    program::{Exporter, samples, wait_for, whole},
};

/// Number of packets logged with a prefix.
struct Delivered {
    /// Packets to the open port.
    open: u64,
    /// Packets to the closed port; one was sent to each address of the host.
    closed: u64,
    /// Pings; one was sent.
    pings: u64,
    /// Packets from the host to itself.
    loopback: u64,
    /// Packets to be forwarded by the host.
    forwarded: u64,
    /// Packets to the port that some firewalls deny with a rule of the user.
    denied: u64,
}

const OPEN: u16 = 22;
const CLOSED: u16 = 23;
const LOOPBACK: u16 = 24;
const FORWARDED: u16 = 25;
const LAST: u16 = 26;
const DENIED: u16 = 80;

/// The destination addresses.
fn addresses(has_ipv6: bool) -> Vec<IpAddr> {
    if has_ipv6 { vec![HOST.into(), HOST_V6.into()] } else { vec![HOST.into()] }
}

/// Sends a packet of each kind, and returns the logged ones. For a firewall of IPv4, the packets
/// are IPv4 too, and pings have no reply.
fn deliver(wire: &Wire, exporter: &Exporter<'_>, prefix: &str, has_ipv6: bool) -> Delivered {
    wire.host.sysctl("ipv4/ip_forward", "1");
    wire.host.ip("link add lan0 type veth peer name lan1");
    wire.host.ip("addr add 192.0.2.1/24 dev lan0");
    wire.host.ip("link set lan0 up");
    wire.host.ip("link set lan1 up");
    wire.peer.ip("route add 192.0.2.0/24 via 198.51.100.1");
    let addresses = addresses(has_ipv6);
    let at = |port| addresses.iter().map(move |address| SocketAddr::new(*address, port));
    // The packet is dropped or rejected.
    let knock = |address| {
        let rejected = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        assert!(rejected.is_err(), "{address}");
    };
    let listeners = wire
        .host
        .run(|| at(OPEN).map(|address| TcpListener::bind(address).unwrap()).collect::<Vec<_>>());
    wire.host.run(|| knock(SocketAddr::new([127, 0, 0, 1].into(), LOOPBACK)));
    wire.peer.run(|| {
        for address in at(OPEN) {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
            stream.write_all(b"hello").unwrap();
        }
        at(CLOSED).chain(at(DENIED)).for_each(knock);
        knock(SocketAddr::new([192, 0, 2, 9].into(), FORWARDED));
    });
    drop(listeners);
    wire.send([frame::ping(PEER)]);
    if has_ipv6 {
        wait_for("the answer to the ping", || (answered_pings(&wire.peer) == 1).then_some(()));
    }
    wire.peer.run(|| at(LAST).for_each(knock));
    let logged = |metrics: &str, labels: &[(&str, &str)]| {
        let all = samples(metrics, "nflog_packets_total");
        let ours = all.iter().filter(|(of, _)| {
            let has = |(name, value): &(&str, &str)| of.get(*name).is_some_and(|it| it == value);
            has(&("prefix", prefix)) && labels.iter().all(has)
        });
        whole(ours.map(|(_, value)| value).sum())
    };
    let to = |metrics: &str, port: u16| {
        logged(metrics, &[("proto", "tcp"), ("port", &port.to_string())])
    };
    // These packets are the last ones.
    wait_for("the packets", || {
        let metrics = exporter.scrape();
        (to(&metrics, LAST) >= addresses.len() as u64).then(|| Delivered {
            open: to(&metrics, OPEN),
            closed: to(&metrics, CLOSED),
            pings: logged(&metrics, &[("proto", "icmp")]),
            loopback: to(&metrics, LOOPBACK),
            forwarded: to(&metrics, FORWARDED),
            denied: to(&metrics, DENIED),
        })
    })
}

/// Number of replies to pings that a namespace received.
fn answered_pings(namespace: &Namespace) -> u64 {
    let counters = namespace.exec("cat", &["/proc/net/snmp"]);
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "InEchoReps").unwrap();
    values.split(' ').nth(place).unwrap().parse().unwrap()
}

/// Checks that the requested packets were logged once each, and that the doctor reports the rules.
pub fn check(wire: &Wire, log: &str, prefix: &str, forwards: bool) {
    check_groups(wire, log, prefix, forwards, &[1]);
}

/// As [`check`], with rules that log to several groups.
pub fn check_groups(wire: &Wire, log: &str, prefix: &str, forwards: bool, groups: &[u16]) {
    let config = format!("[nflog]\ngroups = {groups:?}\n");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let said = doctor_with(&wire.host, &config);
    said.ok("rules", &format!("they log {prefix:?} in "));
    for mistake in ["rules_order", "rules_chain", "rules_prefix"] {
        said.did_not_fail(mistake);
    }
    said.has_none("rules_unread");
    if groups.len() > 1 {
        said.has_none("rules_twice");
    }
    let delivered = deliver(wire, &exporter, prefix, true);
    let Delivered { open, closed, pings, loopback, forwarded, .. } = delivered;
    match log {
        "all" => assert!(open > 4, "{open}"),
        "new" => assert_eq!(open, 2),
        // Accepted packets were not logged as dropped.
        _ => assert_eq!((open, pings), (0, 0)),
    }
    assert_eq!((closed, loopback, forwarded), (2, 0, u64::from(forwards)), "{log}");
}

/// Checks that a firewall of IPv4 logs each packet that it drops once,
/// except those that a rule of the user denies.
pub fn check_dropped_ipv4(wire: &Wire, forwards: bool, denies: bool) {
    let exporter = Exporter::start(&wire.host, "", &[]);
    let said = doctor(&wire.host, &[]);
    said.ok("rules", "they log \"dropped\" in ");
    for mistake in ["rules_order", "rules_chain", "rules_prefix", "rules_twice"] {
        said.has_none(mistake);
    }
    let delivered = deliver(wire, &exporter, "dropped", false);
    let Delivered { open, closed, pings, loopback, forwarded, denied } = delivered;
    assert_eq!((open, closed, pings, loopback), (0, 1, 1, 0));
    assert_eq!((forwarded, denied), (u64::from(forwards), u64::from(!denies)));
}
