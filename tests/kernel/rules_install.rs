//! The table of `--rules.install` in a real kernel, in network namespaces. Requires root.

use nflog_exporter::{
    firewall::{InstallPlan, RulesError, install},
    source::nflog::Nflog,
};

use crate::support::{
    Namespace, Wire, frame,
    netns::{PEER_V6, lacking_net_admin},
    plan, read_packets,
};

fn rules() -> InstallPlan {
    InstallPlan {
        group: 7,
        prefix: "inbound".into(),
        interfaces: Vec::new(),
        spare_tcp_ports: vec![10239, 443],
        copy_range: 128,
        queue_threshold: 64,
    }
}

fn ruleset(namespace: &Namespace) -> String {
    namespace.exec("nft", &["-n", "list", "ruleset"])
}

/// Installs the plan and compares the listing of nft, without the comment about the owner.
fn check(plan: &InstallPlan, expect: &str) {
    let host = Namespace::new("host");
    let installed = host.run(|| install(plan)).unwrap();
    let listed = ruleset(&host);
    let lines = |text: &str| -> Vec<String> {
        let text = text.lines().map(|line| line.split(" # progname").next().unwrap().trim());
        text.filter(|line| !line.is_empty()).map(Into::into).collect()
    };
    assert_eq!(lines(&listed), lines(expect), "{listed}");
    host.release(installed);
    assert_eq!(ruleset(&host), "");
}

#[test]
fn nft_lists_the_planned_rules() {
    check(
        &rules(),
        "table inet nflog_exporter {
            flags owner
            chain inbound {
                type filter hook prerouting priority -310; policy accept;
                meta iiftype 772 return
                tcp dport 10239 return
                tcp dport 443 return
                log prefix \"inbound\" group 7 snaplen 128 queue-threshold 64
            }
        }",
    );
}

#[test]
fn nft_lists_the_planned_rules_with_interfaces_and_without_ports() {
    let interfaces = vec!["wan0".into(), "fifteen-letters".into()];
    check(
        &InstallPlan { interfaces, spare_tcp_ports: vec![], ..rules() },
        "table inet nflog_exporter {
            flags owner
            chain inbound {
                type filter hook prerouting priority -310; policy accept;
                iifname \"wan0\" log prefix \"inbound\" group 7 snaplen 128 queue-threshold 64
                iifname \"fifteen-letters\" log prefix \"inbound\" group 7 snaplen 128 queue-threshold 64
            }
        }",
    );
}

#[test]
fn all_packets_arrive_except_excluded_ones() {
    let wire = Wire::new();
    // Packets that are dropped in raw are logged too.
    wire.host
        .nft("table inet t { chain pre { type filter hook prerouting priority raw; drop; }; }");
    let mut source = wire.host.run(|| Nflog::open(&plan(&[7]))).unwrap();
    let _installed = wire.host.run(|| install(&rules())).unwrap();
    wire.host.run(|| {
        let local = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        local.send_to(b"x", "127.0.0.1:9").unwrap();
    });
    wire.send([
        frame::syn([203, 0, 113, 1], 4000, 10239),
        frame::syn_v6(PEER_V6, 4000, 443),
        frame::udp([203, 0, 113, 2], 4000, 443, b"x"),
        frame::syn([203, 0, 113, 3], 4000, 22),
        frame::syn_v6(PEER_V6, 4000, 22),
    ]);
    // The kernels send their own ICMPv6 at any time, with or without a hop-by-hop header.
    let chatter = [libc::IPPROTO_ICMPV6, libc::IPPROTO_HOPOPTS];
    let mut facts = Vec::new();
    while facts.len() < 3 {
        for packet in read_packets(&mut source, 1) {
            let version = packet.payload[0] >> 4;
            let protocol = packet.payload[if version == 4 { 9 } else { 6 }];
            if version == 6 && chatter.contains(&protocol.into()) {
                continue;
            }
            assert_eq!((&*packet.prefix, &*packet.in_device), ("inbound", "wan0"));
            let source =
                if version == 4 { &packet.payload[12..16] } else { &packet.payload[8..24] };
            facts.push((protocol, source.to_vec()));
        }
    }
    let (tcp, udp) = (6, 17);
    let expect: [(u8, &[u8]); 3] =
        [(udp, &[203, 0, 113, 2]), (tcp, &[203, 0, 113, 3]), (tcp, &PEER_V6)];
    assert_eq!(facts, expect.map(|(protocol, source)| (protocol, source.to_vec())));
}

#[test]
fn only_named_interfaces_are_logged() {
    let wire = Wire::new();
    let mut source = wire.host.run(|| Nflog::open(&plan(&[7]))).unwrap();
    let interfaces = vec!["lo".into()];
    let _installed = wire.host.run(|| install(&InstallPlan { interfaces, ..rules() })).unwrap();
    wire.send(frame::spoofed(3, 9));
    wire.host.run(|| {
        let local = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        local.send_to(b"x", local.local_addr().unwrap()).unwrap();
    });
    let logged = read_packets(&mut source, 1);
    assert_eq!((logged.len(), logged[0].in_device.as_str()), (1, "lo"));
}

#[test]
fn an_existing_table_with_that_name_is_unchanged() {
    let host = Namespace::new("host");
    let first = host.run(|| install(&rules())).unwrap();
    let before = ruleset(&host);
    let error = host.run(|| install(&rules())).err().unwrap();
    assert!(matches!(error, RulesError::Exists), "{error}");
    assert_eq!(ruleset(&host), before);
    host.release(first);

    host.nft("table inet nflog_exporter { }");
    let error = host.run(|| install(&rules())).err().unwrap();
    assert!(matches!(error, RulesError::Exists), "{error}");
}

#[test]
fn the_error_names_the_missing_capability() {
    let host = Namespace::new("host");
    let error = host.run(|| lacking_net_admin(|| install(&rules()))).err().unwrap();
    assert!(matches!(error, RulesError::NotPermitted), "{error}");
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
}
