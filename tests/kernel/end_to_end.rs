//! From packets on a wire to series in a real Prometheus, in network namespaces. Requires root.

use std::{collections::BTreeMap, fs};

use nix::sys::signal::Signal;

use crate::support::{
    Namespace, Wire, frame,
    program::{EXPORTER, Exporter, Prometheus, Samples, samples, sum, wait_for, whole},
};

/// Budgets wide enough that nothing folds.
const WIDE: &str = "
    [nflog]
    groups = [1, 2]
    [[family]]
    name = 'traffic'
    max_series = 20000
    max_new_series_per_hour = 20000
    [[family]]
    name = 'network'
    max_series = 20000
    max_new_series_per_hour = 20000
    [[family]]
    name = 'country'
    max_series = 20000
    max_new_series_per_hour = 20000
";

/// Three kinds of packets, rules of two tools, two groups, and counters of the rules.
const RULES: &str = "
    table inet t {
        counter c_tcp {}
        counter c_udp {}
        counter c_icmp {}
        counter c_late {}
        chain in {
            type filter hook prerouting priority -100;
            iifname != wan0 return
            tcp dport != 9 counter name c_tcp log prefix \"tcp in\" group 1 drop
            meta l4proto udp counter name c_udp
            meta l4proto icmp counter name c_icmp log prefix \"ping: \" group 2 drop
            icmpv6 type echo-request counter name c_icmp log prefix \"ping: \" group 2 drop
            tcp dport 9 counter name c_late log prefix \"tcp in\" group 1 drop
        }
    }
";

const UDP_BY_IPTABLES: [&str; 13] = [
    "-t",
    "mangle",
    "-A",
    "INPUT",
    "-p",
    "udp",
    "-j",
    "NFLOG",
    "--nflog-group",
    "1",
    "--nflog-prefix",
    "udp in",
    "-w",
];

/// Public networks, each with its country in the embedded database. The first five send
/// most of the packets, the others a single packet each.
const SOURCES_V4: [([u8; 2], &str); 12] = [
    ([133, 11], "JP"),
    ([200, 160], "BR"),
    ([193, 0], "NL"),
    ([130, 75], "DE"),
    ([18, 7], "US"),
    ([196, 43], "ZA"),
    ([139, 80], "NZ"),
    ([130, 225], "DK"),
    ([129, 240], "NO"),
    ([130, 208], "IS"),
    ([193, 166], "FI"),
    ([158, 193], "SK"),
];
const BUSY: usize = 5;

/// Label values of a series: prefix, proto, country, port.
type Series = (String, String, String, String);

/// Number of packets sent, by the series that must count them.
#[derive(Default)]
struct Sent {
    frames: Vec<Vec<u8>>,
    series: BTreeMap<Series, u64>,
    networks: BTreeMap<(String, String), u64>,
}

impl Sent {
    fn add(
        &mut self,
        frame: Vec<u8>,
        prefix: &str,
        proto: &str,
        country: &str,
        port: &str,
        network: String,
    ) {
        self.frames.push(frame);
        let series = [prefix, proto, country, port].map(str::to_owned).into();
        *self.series.entry(series).or_default() += 1;
        *self.networks.entry((prefix.into(), network)).or_default() += 1;
    }

    fn v4(&mut self, number: usize, source: [u8; 4], country: &str) {
        let network = format!("{}.{}.{}.0/24", source[0], source[1], source[2]);
        let port = [22, 80, 443, 3389][number / 3 % 4];
        match number % 3 {
            0 => {
                let frame = frame::syn(source, 40_000, port);
                self.add(frame, "tcp in", "tcp", country, &port.to_string(), network);
            }
            1 => {
                let frame = frame::udp(source, 40_000, 53, b"x");
                self.add(frame, "udp in", "udp", country, "53", network);
            }
            _ => self.add(frame::ping(source), "ping:", "icmp", country, "", network),
        }
    }

    fn total(&self) -> u64 {
        self.frames.len() as u64
    }
}

/// 210,000 packets of more than 6,000 sources.
fn traffic() -> Sent {
    let mut sent = Sent::default();
    for number in 0..180_000_usize {
        let ([first, second], country) = SOURCES_V4[number % BUSY];
        // 5,000 sources in 20 networks of each country.
        let host = u8::try_from(number / BUSY % 50).unwrap() + 1;
        let network = u8::try_from(number / 250 % 20).unwrap();
        sent.v4(number, [first, second, network, host], country);
    }
    for (number, ([first, second], country)) in SOURCES_V4.iter().enumerate().skip(BUSY) {
        sent.v4(number, [*first, *second, 1, 1], country);
    }
    for number in 0..30_000_u16 {
        // 2001:200::/32 is JP (WIDE), 2001:638::/32 DE (DFN).
        let (second, country) = [([2, 0], "JP"), ([6, 0x38], "DE")][usize::from(number % 2)];
        let mut source = [0x20, 1, second[0], second[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        source[14] = u8::try_from(number / 2 % 250).unwrap();
        let network = format!("2001:{:x}::/48", u16::from_be_bytes(second));
        match number / 2 % 3 {
            0 => {
                let frame = frame::syn_v6(source, 40_000, 22);
                sent.add(frame, "tcp in", "tcp", country, "22", network);
            }
            1 => {
                let frame = frame::udp_v6(source, 40_000, 53, b"x");
                sent.add(frame, "udp in", "udp", country, "53", network);
            }
            _ => sent.add(frame::ping_v6(source), "ping:", "icmpv6", country, "", network),
        }
    }
    sent
}

fn rules(host: &Namespace) {
    host.nft(RULES);
    host.exec("iptables", &UDP_BY_IPTABLES);
    host.exec("ip6tables", &UDP_BY_IPTABLES);
}

fn counted(host: &Namespace) -> u64 {
    ["c_tcp", "c_udp", "c_icmp", "c_late"].iter().map(|name| host.counter(name)).sum()
}

/// Samples as series of the family `traffic`, without those at zero.
fn by_series(samples: Samples) -> BTreeMap<Series, u64> {
    samples
        .into_iter()
        .filter(|(_, value)| *value > 0.0)
        .map(|(mut labels, value)| {
            let mut label = |name| labels.remove(name).unwrap_or_default();
            ((label("prefix"), label("proto"), label("country"), label("port")), whole(value))
        })
        .collect()
}

/// The equation that holds for every family at every scrape.
fn check_conservation(text: &str) {
    let received = sum(text, "nflog_exporter_received_packets_total");
    for (family, metric) in [
        ("traffic", "nflog_packets_total"),
        ("network", "nflog_network_packets_total"),
        ("country", "nflog_country_packets_total"),
    ] {
        let of_family = |metric: &str| {
            let samples = samples(text, metric);
            whole(samples.iter().find(|(labels, _)| labels["family"] == family).unwrap().1)
        };
        let retired = of_family("nflog_exporter_retired_packets_total");
        let pending = of_family("nflog_exporter_pending_packets");
        assert_eq!(sum(text, metric) + retired + pending, received, "{family}");
    }
}

#[test]
fn prometheus_has_exactly_the_packets_sent() {
    let wire = Wire::new();
    rules(&wire.host);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    let prometheus = Prometheus::start(&wire.host);
    let sent = traffic();
    // In parts that fit the receive buffer, so that no packet is lost on a busy machine.
    let mut total = 0;
    for part in sent.frames.chunks(15_000) {
        total += wire.send(part.iter().cloned());
        wait_for("the part to be received", || {
            let received = sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
            (received >= total).then_some(())
        });
    }
    wait_for("the rules to see every packet", || {
        (counted(&wire.host) == sent.total()).then_some(())
    });

    let text = wait_for("every packet to be counted", || {
        let text = exporter.scrape();
        check_conservation(&text);
        let lost = sum(&text, "nflog_exporter_lost_packets_total");
        let received = sum(&text, "nflog_exporter_received_packets_total");
        (received + lost == sent.total()
            && sum(&text, "nflog_packets_total") == received
            && sum(&text, "nflog_network_packets_total") == received
            && sum(&text, "nflog_country_packets_total") == received)
            .then_some(text)
    });
    assert_eq!(sum(&text, "nflog_exporter_lost_packets_total"), 0);
    assert_eq!(by_series(samples(&text, "nflog_packets_total")), sent.series);
    let networks: BTreeMap<_, _> = samples(&text, "nflog_network_packets_total")
        .into_iter()
        .filter(|(_, value)| *value > 0.0)
        .map(|(labels, value)| {
            ((labels["prefix"].clone(), labels["network"].clone()), whole(value))
        })
        .collect();
    assert_eq!(networks, sent.networks);
    assert_eq!(sum(&text, "nflog_exporter_folded_packets_total"), 0);
    assert_eq!(sum(&text, "nflog_exporter_undecoded_packets_total"), 0);
    // Every IPv4 source sends every kind of packet; 2.3 % is the standard error.
    for (labels, estimate) in samples(&text, "nflog_source_addresses") {
        assert!((4500.0..6500.0).contains(&estimate), "{labels:?}: {estimate}");
    }

    // Including the countries with a single packet.
    let growth = wait_for("all packets in Prometheus", || {
        let growth = prometheus.growth("nflog_packets_total[30m]");
        let total: f64 = growth.iter().map(|(_, value)| value).sum();
        (whole(total) >= sent.total()).then_some(growth)
    });
    assert_eq!(by_series(growth), sent.series);
}

/// A new series stays at zero until both servers have scraped the zero, so that both count its first packets.
#[test]
fn each_of_two_prometheus_servers_counts_every_packet() {
    let wire = Wire::new();
    rules(&wire.host);
    let exporter = Exporter::start(&wire.host, WIDE, &["--web.listen-address=:10239"]);
    let servers = [Prometheus::start(&wire.host), Prometheus::start_slower(&wire.host)];
    let mut sent = 0;
    for round in 0..3 {
        let ports = (0..40).map(|port| 1_000 + 100 * round + port);
        sent += wire
            .send(ports.flat_map(|port| (0..3).map(move |_| frame::syn([133, 11, 0, 1], 1, port))));
        wait_for("the series of the round to leave zero", || {
            let text = exporter.scrape();
            let shown = sum(&text, "nflog_packets_total");
            (shown == sent && sum(&text, "nflog_exporter_pending_packets") == 0).then_some(())
        });
    }
    for server in &servers {
        wait_for("a server to have every packet", || {
            let growth = server.growth("nflog_packets_total[30m]");
            let total: f64 = growth.iter().map(|(_, value)| value).sum();
            (whole(total) == sent).then_some(())
        });
    }
}

#[test]
fn every_lost_packet_is_counted_if_the_buffer_is_too_small() {
    let wire = Wire::new();
    rules(&wire.host);
    let config = "
        [nflog]
        groups = [1, 2]
        receive_buffer = 4096
        kernel_buffer = 4096
    ";
    let exporter = Exporter::start(&wire.host, config, &[]);
    let sent = traffic();
    exporter.program.signal(Signal::SIGSTOP);
    wire.send(sent.frames[..100_000].iter().cloned());
    exporter.program.signal(Signal::SIGCONT);
    // A loss is visible at the next packet of its group.
    let text = wait_for("received + lost to be what the rules logged", || {
        wire.send([frame::syn([133, 11, 0, 1], 1, 9), frame::ping([133, 11, 0, 1])]);
        let logged = counted(&wire.host);
        let text = exporter.scrape();
        check_conservation(&text);
        let lost = sum(&text, "nflog_exporter_lost_packets_total");
        (sum(&text, "nflog_exporter_received_packets_total") + lost == logged).then_some(text)
    });
    assert!(sum(&text, "nflog_exporter_lost_packets_total") > 1000);
    assert!(sum(&text, "nflog_exporter_socket_drops_total") > 0);
}

#[test]
fn installed_rules_log_packets_and_end_with_the_process() {
    let wire = Wire::new();
    let mut exporter = Exporter::start(&wire.host, "", &["--rules.install"]);
    let tables = || wire.host.exec("nft", &["list", "tables"]);
    assert_eq!(tables().trim(), "table inet nflog_exporter");
    wire.send((0..500).map(|number| frame::syn([133, 11, 0, 1], 1000 + number, 22)));
    wire.send([frame::syn([133, 11, 0, 1], 1, 10239)]);
    wait_for("the packets to be counted", || {
        let samples = by_series(samples(&exporter.scrape(), "nflog_packets_total"));
        let series = ["inbound", "tcp", "JP", "22"].map(str::to_owned).into();
        (samples.get(&series) == Some(&500)).then_some(())
    });
    assert!(
        !exporter.scrape().contains("port=\"10239\""),
        "packets to the exporter's port are not logged"
    );
    exporter.program.signal(Signal::SIGKILL);
    exporter.program.wait();
    wait_for("the removal of the table", || tables().is_empty().then_some(()));
}

#[test]
fn the_error_of_a_second_instance_names_the_holder_of_the_group() {
    let host = Namespace::new("host");
    let first = Exporter::start(&host, "", &[]);
    let mut second = Exporter::spawn(&host, "", &["--web.listen-address=127.0.0.1:10240"]);
    assert_eq!(second.program.wait().code(), Some(1));
    let log = second.program.log();
    let pid = first.program.pid().to_string();
    assert!(
        log.contains("group 1") && log.contains(&pid) && log.contains("--nflog.group"),
        "{log}"
    );
}

#[test]
fn a_valid_reload_is_applied_and_an_invalid_one_rejected() {
    let host = Namespace::new("host");
    let mut exporter = Exporter::start(&host, "", &[]);
    let successful = |exporter: &Exporter<'_>| {
        sum(&exporter.scrape(), "nflog_exporter_config_last_reload_successful")
    };
    assert_eq!(successful(&exporter), 1);

    exporter.configure("[[family]]\nname = 'asn'\nlabels = ['asn']\nmax_series = 7\n");
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the new family", || {
        exporter.scrape().contains("nflog_exporter_series_limit{family=\"asn\"} 7").then_some(())
    });

    exporter.configure("[[family]]\nname = 'asn'\nlabels = ['as']\n");
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the reload to fail", || (successful(&exporter) == 0).then_some(()));
    let text = exporter.scrape();
    assert!(
        text.contains("nflog_exporter_series_limit{family=\"asn\"} 7"),
        "the previous configuration stays active"
    );
    assert!(exporter.program.log().contains("asn"), "the log names the invalid key");

    exporter.configure("");
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the reload to succeed", || (successful(&exporter) == 1).then_some(()));

    exporter.program.signal(Signal::SIGTERM);
    assert_eq!(exporter.program.wait().code(), Some(0));
}

#[test]
fn packets_held_by_the_kernel_are_read_before_the_end() {
    let wire = Wire::new();
    wire.host.nft(
        "table inet t {
            counter c_all {}
            chain in {
                type filter hook prerouting priority 0
                iifname wan0 tcp dport 22 counter name c_all log prefix \"p\" group 1 queue-threshold 100 drop
            }
        }",
    );
    // With a timeout of three seconds, the kernel still holds the packets at SIGTERM.
    let config = "[nflog]\nqueue_timeout = '3s'\n[log]\nlevel = 'debug'";
    let mut exporter = Exporter::start(&wire.host, config, &[]);
    wire.send((0..7).map(|number| frame::syn([133, 11, 0, 1], 1000 + number, 22)));
    wait_for("the rule to log them", || (wire.host.counter("c_all") == 7).then_some(()));
    exporter.program.signal(Signal::SIGTERM);
    assert_eq!(exporter.program.wait().code(), Some(0));
    let log = exporter.program.log();
    assert!(log.contains("received=7"), "{log}");
}

#[test]
fn a_replaced_database_is_used_while_running() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let data = |name| format!("{}/tests/data/geoip/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = directory.path().join("used.mmdb");
    fs::copy(data("GeoLite2-ASN-Test.mmdb"), &file).unwrap();
    let arguments = ["--rules.install", "--geoip.database", file.to_str().unwrap()];
    let family = "[[family]]\nname = 'asn'\nlabels = ['asn']";
    let exporter = Exporter::start(&wire.host, family, &arguments);
    wire.send([frame::syn([1, 128, 0, 1], 1, 22), frame::syn([133, 11, 0, 1], 1, 22)]);
    let named = |asn: &str| format!("nflog_asn_info{{asn=\"{asn}\",name=\"");
    let known = named("1221") + "Telstra Pty Ltd\"} 1";
    wait_for("the name of the autonomous system", || {
        exporter.scrape().contains(&known).then_some(())
    });
    assert!(!exporter.scrape().contains(&named("unknown")));
    // An ASN database has no country for 89.160.20.112, so the embedded one is used; the
    // replacement contains it, and 81.2.69.142 too.
    let replacement = directory.path().join("new.mmdb");
    fs::copy(data("GeoIP2-City-Test.mmdb"), &replacement).unwrap();
    fs::rename(&replacement, &file).unwrap();
    let reloads = |result: &str| {
        let samples = samples(&exporter.scrape(), "nflog_exporter_geoip_reloads_total");
        let reloads = |(labels, value): &(BTreeMap<String, String>, f64)| {
            (labels["result"] == result).then_some(*value)
        };
        whole(samples.iter().filter_map(reloads).sum())
    };
    wait_for("the replacement to be used", || (reloads("success") == 1).then_some(()));
    // No database has AS numbers any more.
    let text = exporter.scrape();
    assert!(text.contains("nflog_asn_packets_total{asn=\"1221\"} 1"), "{text}");
    assert!(!text.contains("nflog_asn_info"), "{text}");
    // In the test database 2.125.160.216 is GB.
    wire.send([frame::syn([2, 125, 160, 216], 1, 22)]);
    wait_for("the packet", || exporter.scrape().contains("country=\"GB\"").then_some(()));

    fs::write(directory.path().join("broken.mmdb"), b"no database").unwrap();
    fs::rename(directory.path().join("broken.mmdb"), &file).unwrap();
    wait_for("the invalid file to be rejected", || (reloads("failure") == 1).then_some(()));
    wire.send([frame::syn([2, 125, 160, 216], 1, 22)]);
    wait_for("the previous database to stay in use", || {
        let text = exporter.scrape();
        let from_gb = samples(&text, "nflog_packets_total")
            .into_iter()
            .filter(|(labels, _)| labels["country"] == "GB")
            .map(|(_, value)| value)
            .sum::<f64>();
        (whole(from_gb) == 2).then_some(())
    });
}

#[test]
fn the_error_names_a_missing_capability() {
    let host = Namespace::new("host");
    let output = host
        .command("setpriv")
        .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin", EXPORTER])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("CAP_NET_ADMIN"), "{message}");
}
