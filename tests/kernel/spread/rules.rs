//! The rules: what they log to which group, and what the doctor says.

use std::{collections::BTreeSet, fs};

use nix::sys::signal::Signal;
use rusqlite::Connection;

use super::{apply, assert_totals, config, frame_of, received};
use crate::support::{
    Namespace, Wire,
    delivered::check_groups,
    doctor::doctor,
    program::{EXPORTER, Exporter, open_to_all, wait_for},
};

/// A firewall that drops everything but the kernel's own messages between neighbours.
const FIREWALL: &str = "table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        iif \"lo\" accept
        meta l4proto ipv6-icmp accept
    }
}";

/// The same firewall of iptables.
fn load_iptables(namespace: &Namespace) {
    for program in ["iptables", "ip6tables"] {
        namespace.exec(program, &["-A", "INPUT", "-i", "lo", "-j", "ACCEPT"]);
        namespace.exec(program, &["-A", "INPUT", "-p", "ipv6-icmp", "-j", "ACCEPT"]);
        namespace.exec(program, &["-P", "INPUT", "DROP"]);
    }
}

/// The names of the threads of an exporter that read packets.
fn readers(exporter: &Exporter<'_>) -> BTreeSet<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", exporter.program.pid())).unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("reader")).collect()
}

/// Each kind of rules: all flows of both versions of IP are spread, each has one group, and each packet becomes one row and
/// one count, by threads that read at the same time.
#[test]
fn flows_are_spread_over_the_groups_and_each_packet_counts_once() {
    const PACKETS: u16 = 8_000;
    for (tool, log) in [
        ("nft", "new"),
        ("nft", "all"),
        ("nft", "dropped"),
        ("iptables", "new"),
        ("iptables", "all"),
        ("iptables", "dropped"),
    ] {
        let wire = Wire::new();
        if tool == "nft" {
            wire.host.nft(FIREWALL);
        } else {
            load_iptables(&wire.host);
        }
        let rules = [tool, "--log", log, "--limit", "0", "--spread", "3"];
        let said = apply(&wire.host, &rules);
        assert!(
            said.contains("does not read group 2: add it, [nflog] groups = [1, 2, 3]"),
            "{said}"
        );
        let files = tempfile::tempdir().unwrap();
        open_to_all(files.path());
        let config = config(&[1, 2, 3], files.path());
        let mut exporter = Exporter::start(&wire.host, &config, &[]);
        let names = readers(&exporter);
        assert!(names.len() > 1 && names.contains("reader-2"), "{names:?}: one processor?");
        let sent = wire.send((0..PACKETS).map(frame_of));
        let text = wait_for("the packets", || {
            Some(exporter.scrape()).filter(|text| received(text) >= sent)
        });
        assert_totals(&text);
        exporter.program.signal(Signal::SIGTERM);
        assert!(exporter.program.wait().success());

        let rows = Connection::open(files.path().join("rows.db")).unwrap();
        let ours = "FROM packets WHERE destination_port >= 2000";
        let number = |query: String| {
            rows.query_row(&query, [], |row| row.get::<_, u32>(0)).map(u64::from).unwrap()
        };
        assert_eq!(number(format!("SELECT count(*) {ours}")), sent, "{tool} {log}");
        let ports = "SELECT DISTINCT source_port, destination_port";
        assert_eq!(number(format!("SELECT count(*) FROM ({ports} {ours})")), sent);
        // A flow is in one group.
        let flows = "SELECT DISTINCT source, nflog_group";
        assert_eq!(number(format!("SELECT count(*) FROM ({flows} {ours})")), 400);
        for version in [4, 6] {
            for group in 1..=3 {
                let flows = number(format!(
                    "SELECT count(DISTINCT source) {ours} AND ip_version = {version} AND nflog_group = {group}"
                ));
                // 66.7 are expected, with a standard deviation of 6.7.
                assert!(
                    (30..110).contains(&flows),
                    "{tool} {log}: {flows} flows of IPv{version} in {group}"
                );
            }
        }
    }
}

#[test]
fn spread_rules_log_what_one_rule_logs_and_the_doctor_reports_unread_groups() {
    for (tool, log, prefix) in [
        ("nft", "new", "new"),
        ("nft", "dropped", "dropped"),
        ("iptables", "all", "inbound"),
        ("iptables", "dropped", "dropped"),
    ] {
        let wire = Wire::new();
        let accepted = "tcp dport 22 accept\nct state established,related accept";
        if tool == "nft" {
            let input = FIREWALL.replace(
                "meta l4proto ipv6-icmp",
                &format!("{accepted}\nmeta l4proto {{ icmp, ipv6-icmp }}"),
            );
            wire.host.nft(&input);
            wire.host.nft(&input.replace("input", "forward"));
        } else {
            for program in ["iptables", "ip6tables"] {
                for chain in ["INPUT", "FORWARD"] {
                    let rule = |words: &str| {
                        let words: Vec<_> =
                            ["-A", chain].into_iter().chain(words.split(' ')).collect();
                        wire.host.exec(program, &words);
                    };
                    rule("-p tcp --dport 22 -j ACCEPT");
                    rule("-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT");
                    rule("-p icmp -j ACCEPT");
                    wire.host.exec(program, &["-P", chain, "DROP"]);
                }
            }
            load_iptables(&wire.host);
        }
        let before = wire.host.exec("nft", &["list", "ruleset"]);
        let rules =
            [tool, "--log", log, "--spread", "2", "--nflog.group", "7", "--nflog.group", "8"];
        assert_eq!(apply(&wire.host, &rules), "", "{tool} {log}");
        // Applying again replaces them.
        apply(&wire.host, &rules);
        let run = |arguments: &[&str]| {
            let mut command = wire.host.command(EXPORTER);
            let output = command.args(["rules", "--for"]).args(arguments).output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        let (code, text) = run(&rules);
        assert_eq!(code, Some(0));
        assert!(text.contains("# Read all of them: --nflog.group 7 --nflog.group 8\n"), "{text}");
        assert!(text.contains("[nflog] groups = [7, 8]\n"), "{text}");
        // Other numbers of groups are not verified.
        let (code, _) = run(&[&rules[..], &["--verify", "--spread", "3"]].concat());
        assert_ne!(code, Some(0));

        let said = doctor(&wire.host, &["--nflog.group", "7"]);
        said.hints("rules_unread", "to group 8, which this configuration does not read");
        check_groups(&wire, log, prefix, true, &[7, 8]);
        assert_eq!(run(&[tool, "--remove"]).0, Some(0));
        let after = wire.host.exec("nft", &["list", "ruleset"]);
        assert!(!after.contains("nflog"), "{after}");
        if tool == "nft" {
            assert_eq!(after, before);
        }
    }
}
