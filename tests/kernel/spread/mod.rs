//! Packets spread over several groups by `rules --spread`, which several threads read. Requires root and two processors.

mod readers;
mod rules;

use std::path::Path;

use crate::support::{
    Namespace, frame,
    program::{EXPORTER, samples, sum, whole},
};

/// Families with a total that folds nothing, and small budgets.
const FAMILIES: &str = "
    [[family]]
    name = 'versions'
    labels = ['ip_version', 'proto']
    max_series = 100
    max_new_series_per_hour = 100
    [[family]]
    name = 'small'
    labels = ['source_port', 'port']
    max_series = 50
    max_new_series_per_hour = 10
";

/// Loads rules; returns what the command says.
#[track_caller]
fn apply(namespace: &Namespace, arguments: &[&str]) -> String {
    let mut command = namespace.command(EXPORTER);
    let output = command.args(["rules", "--apply", "--for"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// The frame with this number, of one of 400 flows, of which every second one is IPv6. No frame has the same two ports as
/// another one.
fn frame_of(number: u16) -> Vec<u8> {
    let flow = number % 400;
    let [high, low] = flow.to_be_bytes();
    let (from, to) = (1_000 + number, 2_000 + number / 400);
    if flow.is_multiple_of(2) {
        frame::udp([203, 0, high + 1, low], from, to, b"x")
    } else {
        let mut source = [0x20, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        source[6..8].copy_from_slice(&flow.to_be_bytes());
        frame::udp_v6(source, from, to, b"x")
    }
}

/// A configuration with these groups and a mirror in the directory.
fn config(groups: &[u16], directory: &Path) -> String {
    format!(
        "[nflog]\ngroups = {groups:?}\nqueue_timeout = '10ms'\n[mirror]\nurl = 'sqlite:{0}/rows.db'\nretention = '0s'\n\
         spool.directory = '{0}/spool'\n{FAMILIES}",
        directory.display()
    )
}

fn received(text: &str) -> u64 {
    sum(text, "nflog_exporter_received_packets_total")
}

/// Checks that every family has every packet.
#[track_caller]
fn assert_totals(text: &str) {
    let all = received(text);
    for (family, metric) in [
        ("traffic", "nflog_packets_total"),
        ("network", "nflog_network_packets_total"),
        ("country", "nflog_country_packets_total"),
        ("versions", "nflog_versions_packets_total"),
        ("small", "nflog_small_packets_total"),
    ] {
        let of = |metric: &str| {
            let all = samples(text, metric);
            let ours = all.iter().filter(|(labels, _)| labels["family"] == family);
            whole(ours.map(|(_, count)| count).sum())
        };
        let held =
            of("nflog_exporter_retired_packets_total") + of("nflog_exporter_pending_packets");
        assert_eq!(sum(text, metric) + held, all, "{family}");
    }
}

#[test]
fn tools_without_a_hash_are_named() {
    let namespace = Namespace::new("spread");
    for tool in ["ufw", "firewalld"] {
        let mut command = namespace.command(EXPORTER);
        let output = command.args(["rules", "--for", tool, "--spread", "2"]).output().unwrap();
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{why}");
        assert!(
            why.contains(
                "cannot spread packets over groups 1 to 2: --spread is for nft and iptables"
            ),
            "{why}"
        );
    }
    let mut command = namespace.command(EXPORTER);
    let arguments = ["rules", "--for", "nft", "--spread", "2", "--nflog.group", "65535"];
    let why = command.args(arguments).output().unwrap();
    let why = String::from_utf8(why.stderr).unwrap();
    assert!(why.contains("the last group is 65535"), "{why}");
}
