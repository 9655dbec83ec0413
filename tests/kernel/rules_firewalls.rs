//! `rules --log dropped` on typical firewalls: each dropped packet is logged once, and no accepted one. Needs root.

use std::{fs, path::Path};

use crate::support::{Wire, delivered::check_dropped_ipv4, program::EXPORTER};

/// The rules of every tool, without counters.
fn listed(wire: &Wire) -> String {
    wire.host.exec("nft", &["-s", "list", "ruleset"])
}

/// Runs a shell command in which `$0` is the program; returns its exit code and its output.
fn shell(wire: &Wire, line: &str) -> (Option<i32>, String) {
    let mut command = wire.host.command("sh");
    let output = command.args(["-c", line, EXPORTER]).output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Loads a firewall, and compares the packets that it logs with those that it drops, for each way to load rules.
fn check(name: &str, tool: &str, forwards: bool, denies: bool) {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/firewalls/{name}.sh"));
    let setup = fs::read_to_string(file).unwrap();
    let wire = Wire::new();
    wire.host.exec("sh", &["-c", &setup]);
    let before = listed(&wire);
    let run = |line: &str| {
        let line = line.replace("RULES", &format!("\"$0\" rules --for {tool} --log dropped"));
        shell(&wire, &line)
    };
    for load in ["set -e; RULES | sh", "RULES --apply"] {
        for _ in 0..2 {
            let (code, text) = run(load);
            assert_eq!(code, Some(0), "{name}: {text}");
            assert!(text.contains("verified: "), "{name}: {text}");
        }
        let (code, text) = run("RULES --verify");
        assert_eq!(code, Some(0), "{name}: {text}");
        check_dropped_ipv4(&wire, forwards, denies);
        let (code, text) = run("RULES --remove");
        assert_eq!(code, Some(0), "{name}: {text}");
        assert_eq!(without_empty_tables(&listed(&wire)), without_empty_tables(&before), "{name}");
        let (code, text) = run("RULES --verify");
        assert_eq!(code, Some(1), "{name}: {text}");
        wire.host.ip("link del lan0");
        wire.peer.ip("route del 192.0.2.0/24");
    }
}

/// Lines that iptables lists by default: chains that only accept.
fn without_empty_tables(listed: &str) -> String {
    let mut kept = String::new();
    for table in listed.split_inclusive("\n}\n") {
        let rules = table.lines().filter(|line| line.starts_with("\t\t"));
        let is_policy =
            |line: &str| line.contains(" priority ") && line.ends_with("policy accept;");
        if !rules.clone().all(is_policy) {
            kept += table;
        }
    }
    kept
}

/// An nft chain with any name, created by JSON, that drops.
fn chain_named(name: &str) -> String {
    let chain = serde_json::json!({
        "family": "ip", "table": "mine", "name": name,
        "type": "filter", "hook": "input", "prio": 0, "policy": "drop",
    });
    let table = serde_json::json!({ "family": "ip", "name": "mine" });
    let commands = [
        serde_json::json!({ "add": { "table": table } }),
        serde_json::json!({ "add": { "chain": chain } }),
    ];
    serde_json::json!({ "nftables": commands }).to_string()
}

#[test]
fn a_chain_name_with_line_breaks_runs_no_command() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("made");
    let name = format!("a\n: > {}\n#", made.display());
    let file = directory.path().join("rules.json");
    fs::write(&file, chain_named(&name)).unwrap();
    wire.host.exec("nft", &["-j", "-f", file.to_str().unwrap()]);
    let (code, text) = shell(&wire, "set -e; \"$0\" rules --for nft --log dropped | sh");
    assert!(!made.exists(), "{text}");
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_comment_with_line_breaks_adds_no_rule() {
    let wire = Wire::new();
    let comment = "x\n-A INPUT -j ACCEPT\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n";
    for arguments in [
        &["-P", "INPUT", "DROP"][..],
        &["-A", "INPUT", "-p", "tcp", "-m", "comment", "--comment", comment, "-j", "ACCEPT"],
    ] {
        wire.host.exec("iptables", arguments);
    }
    let (code, text) = shell(&wire, "set -e; \"$0\" rules --for iptables --log dropped | sh");
    assert_eq!(code, Some(0), "{text}");
    let saved = wire.host.exec("iptables-save", &[]);
    assert!(saved.contains("-A INPUT -j NFLOG_EXPORTER"), "{saved}");
}

/// The rules of a user who labels the rule for the exporter's port with the exporter's name.
const NAMED: [(&str, &str); 2] = [
    (
        "nft",
        "nft 'add table inet mine; \
         add chain inet mine input { type filter hook input priority 0; policy drop; }; \
         add rule inet mine input tcp dport 10239 accept comment \"nflog_exporter\"; \
         add rule inet mine input counter drop comment \"nflog_exporter\"'",
    ),
    (
        "iptables",
        "iptables -P INPUT DROP && \
         iptables -A INPUT -p tcp --dport 10239 -m comment --comment nflog_exporter -j ACCEPT",
    ),
];

#[test]
fn users_rules_with_our_name_are_kept() {
    for (tool, setup) in NAMED {
        let wire = Wire::new();
        wire.host.exec("sh", &["-c", setup]);
        let before = listed(&wire);
        let (code, text) =
            shell(&wire, &format!("\"$0\" rules --for {tool} --log dropped --apply"));
        assert_eq!(code, Some(0), "{text}");
        let during = listed(&wire);
        let position = |part: &str| during.find(part).unwrap_or_else(|| panic!("{part}: {during}"));
        let ours = if tool == "nft" { "iif != \"lo\"" } else { "jump NFLOG_EXPORTER" };
        assert!(position("dport 10239") < position(ours), "{tool}: {during}");
        let (code, text) = shell(&wire, &format!("\"$0\" rules --for {tool} --remove"));
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(without_empty_tables(&listed(&wire)), without_empty_tables(&before));
    }
}

macro_rules! firewalls {
    ($($name:ident: $tool:literal, forwards $forwards:literal, denies $denies:literal;)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), $tool, $forwards, $denies);
        })*
    };
}

firewalls! {
    csf: "iptables", forwards false, denies false;
    fw4: "nft", forwards true, denies false;
    goto_chain: "iptables", forwards false, denies true;
    logdrop_policy_accept: "iptables", forwards false, denies false;
    logdrop_policy_drop: "iptables", forwards false, denies false;
    nft_goto: "nft", forwards false, denies false;
    nft_limit_log_drop: "nft", forwards false, denies false;
    nft_log_counter_reject: "nft", forwards false, denies false;
    nft_log_flags_counter_drop: "nft", forwards false, denies false;
    nft_order: "nft", forwards false, denies true;
    zones: "iptables", forwards false, denies false;
}
