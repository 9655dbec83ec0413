//! `rules --log dropped` on firewalls as people have them: each packet that they drop is logged once, and
//! none that they accept. Takes root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{fs, path::Path};

use support::{Wire, delivered::check_dropped_ipv4, program::EXPORTER};

/// The rules of every tool, without counters.
fn listed(wire: &Wire) -> String {
    wire.host.exec("nft", &["-s", "list", "ruleset"])
}

/// Runs a line of shell, in which `$0` is the program; returns its exit code and what it prints.
fn shell(wire: &Wire, line: &str) -> (Option<i32>, String) {
    let mut command = wire.host.command("sh");
    let output = command.args(["-c", line, EXPORTER]).output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Makes a firewall, and holds what each way of loading our rules makes it log against what it drops.
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

/// What iptables lists without having been asked for: chains that only accept.
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
