//! The rules of `rules --for TOOL`, loaded by the tool itself into a firewall of its own making, and
//! what packets they deliver. Takes root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use support::{
    Namespace, Wire,
    delivered::check,
    program::{EXPORTER, Program, wait_for},
};
use tempfile::TempDir;

/// The text that the program prints.
fn rules(tool: &str, log: &str, further: &[&str]) -> String {
    let mut command = Command::new(EXPORTER);
    let output = command.args(["rules", "--for", tool, "--log", log]).args(further).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a program in the namespace with a text as its input; returns what it said.
fn feed(namespace: &Namespace, program: &str, arguments: &[&str], bus: &str, text: &str) -> String {
    let mut command = namespace.command(program);
    let pipes = command.args(arguments).env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    let mut child =
        pipes.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {arguments:?}: {said}\n{text}");
    said
}

/// Runs a script as `| sh` does, with an argument for `sh -s`; returns what it said.
fn script(namespace: &Namespace, text: &str, arguments: &[&str], bus: &str) -> String {
    feed(namespace, "sh", &[&["-s"], arguments].concat(), bus, text)
}

/// Runs a script that must refuse; returns why it does.
fn refused(namespace: &Namespace, text: &str, bus: &str) -> String {
    let mut command = namespace.command("sh");
    let piped = command.args(["-c", text]).env("DBUS_SYSTEM_BUS_ADDRESS", bus).output().unwrap();
    let said = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert_eq!(piped.status.code(), Some(1), "{said}");
    assert!(said.contains("Not loaded: ") && said.contains("--log new"), "{said}");
    said
}

/// A firewall of nft that lets ssh, pings, neighbours and, of loopback, scrapes in, and drops the rest
/// by what stands behind them, or by the policy.
fn nft_firewall(policy: &str, end: &str) -> String {
    let chain = |hook: &str| {
        format!(
            "chain {hook} {{
                type filter hook {hook} priority filter; policy {policy};
                iif \"lo\" tcp dport 10239 accept
                ct state established,related accept
                meta l4proto {{ icmp, ipv6-icmp }} accept
                tcp dport 22 accept
                {end}
            }}"
        )
    };
    format!("table inet filter {{\n{}\n{}\n}}", chain("input"), chain("forward"))
}

#[test]
fn nft() {
    for (log, prefix) in [("all", "inbound"), ("new", "new")] {
        let wire = Wire::new();
        wire.host.nft(&nft_firewall("drop", ""));
        let text = rules("nft", log, &[]);
        wire.host.nft(&text);
        // As often as one likes, also behind a flush in the same file.
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, &text).unwrap();
        let include = format!("include \"{}\"\n", file.path().display());
        wire.host.nft(&format!("flush ruleset\n{}\n{include}", nft_firewall("drop", "")));
        check(&wire, log, prefix, true);
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        assert_eq!(listed.matches("log prefix").count(), 1, "{listed}");
        assert_eq!(listed.matches("limit rate 10000/second burst 10000 packets").count(), 1);
        let remove = text.split("# Remove: nft ").nth(1).unwrap().lines().next().unwrap();
        wire.host.exec("nft", &remove.split(' ').collect::<Vec<_>>());
        assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("nflog"));
    }
}

#[test]
fn nft_dropped() {
    let text = rules("nft", "dropped", &[]);
    for (policy, end) in [
        ("drop", ""),
        ("accept", "counter reject with icmpx admin-prohibited comment \"the rest\""),
        ("drop", "log prefix \"end \" drop"),
    ] {
        let wire = Wire::new();
        wire.host.nft(&nft_firewall(policy, end));
        script(&wire.host, &text, &[], "");
        // Rules that came later are in front of ours when it is run again.
        let later = "add rule inet filter input tcp dport 22 counter accept";
        if end.is_empty() {
            wire.host.nft(later);
        }
        script(&wire.host, &text, &[], "");
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        assert_eq!(listed.matches("group 1").count(), 2, "{listed}");
        assert!(listed.find("group 1") > listed.find("dport 22 counter"), "{listed}");
        check(&wire, "dropped", "dropped", true);
        script(&wire.host, &text, &["remove"], "");
        assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("nflog"));
    }
}

#[test]
fn nft_calls_nothing_dropped_that_is_accepted() {
    let text = rules("nft", "dropped", &[]);
    let wire = Wire::new();
    wire.host.nft(&nft_firewall("drop", ""));
    script(&wire.host, &text, &[], "");
    // As Debian ships it; a last rule for one IP version alone; and chains of iptables.
    for end in ["", "reject with icmp port-unreachable", "tcp dport 80 drop"] {
        wire.host.nft(&format!("flush ruleset\n{}", nft_firewall("accept", end)));
        wire.host.exec("iptables", &["-P", "INPUT", "DROP"]);
        let said = refused(&wire.host, &text, "");
        assert!(said.contains("inet filter input accepts what none of its rules"), "{said}");
        assert!(said.contains("ip filter INPUT is not one of nft"), "{said}");
        assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("nflog"));
    }
    // What was open later loses our rule, and says so.
    wire.host.nft(&format!("flush ruleset\n{}", nft_firewall("drop", "")));
    script(&wire.host, &text, &[], "");
    wire.host.nft(
        "table inet filter { chain input { policy accept; }\nchain forward { policy accept; }\n}",
    );
    refused(&wire.host, &text, "");
    assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("nflog"));
}

/// What iptables filters by, with the policy and the end of each chain.
fn iptables_firewall(policy: &str, end: &str) -> String {
    let rules = |hook: &str| {
        format!(
            "-A {hook} -i lo -j ACCEPT
-A {hook} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A {hook} -p icmp -j ACCEPT
-A {hook} -p ipv6-icmp -j ACCEPT
-A {hook} -p tcp --dport 22 -j ACCEPT
{}",
            end.replace("END", &format!("-A {hook}"))
        )
    };
    format!(
        "*filter\n:INPUT {policy} [0:0]\n:FORWARD {policy} [0:0]\n{}{}COMMIT\n",
        rules("INPUT"),
        rules("FORWARD")
    )
}

/// All that iptables and ip6tables have.
fn saved(namespace: &Namespace) -> String {
    namespace.exec("iptables-save", &[]) + &namespace.exec("ip6tables-save", &[])
}

#[test]
fn iptables() {
    for (log, prefix, policy, end) in [
        ("all", "inbound", "DROP", ""),
        ("new", "new", "DROP", ""),
        ("dropped", "ab c", "DROP", ""),
        ("dropped", "dropped", "ACCEPT", "END -j REJECT\n"),
        ("dropped", "dropped", "DROP", "END -m comment --comment \"the rest\" -j DROP\n"),
    ] {
        let wire = Wire::new();
        let text = rules("iptables", log, &["--prefix", prefix]);
        for program in ["iptables-restore", "ip6tables-restore"] {
            feed(&wire.host, program, &["--noflush"], "", &iptables_firewall(policy, end));
        }
        script(&wire.host, &text, &[], "");
        if log == "dropped" && end.is_empty() {
            // Rules that came later are in front of ours when it is run again.
            wire.host
                .exec("iptables", &["-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"]);
        }
        script(&wire.host, &text, &[], "");
        check(&wire, log, prefix, true);
        // However many jumps there are.
        let hook = if log == "dropped" { ["filter", "INPUT"] } else { ["mangle", "PREROUTING"] };
        if log != "all" {
            wire.host.exec("iptables", &["-t", hook[0], "-I", hook[1], "-j", "NFLOG_EXPORTER"]);
        }
        script(&wire.host, &text, &["remove"], "");
        let saved = saved(&wire.host);
        assert!(!saved.contains("NFLOG") && saved.contains("--dport 22"), "{saved}");
    }
}

#[test]
fn iptables_calls_nothing_dropped_that_is_accepted() {
    let text = rules("iptables", "dropped", &[]);
    let wire = Wire::new();
    let firewall = iptables_firewall("ACCEPT", "END -p tcp --dport 80 -j DROP\n");
    feed(&wire.host, "iptables-restore", &["--noflush"], "", &firewall);
    let said = refused(&wire.host, &text, "");
    assert!(said.contains("iptables: INPUT accepts what none of its rules"), "{said}");
    assert!(said.contains("ip6tables: INPUT accepts what none of its rules"), "{said}");
    // Where one IP version is closed, the other is told of.
    wire.host.exec("ip6tables", &["-P", "INPUT", "DROP"]);
    let said = script(&wire.host, &text, &[], "");
    assert!(said.contains("iptables: INPUT accepts what none of its rules"), "{said}");
    assert!(!wire.host.exec("iptables-save", &[]).contains("NFLOG"));
    assert!(wire.host.exec("ip6tables-save", &[]).contains("-A INPUT -j NFLOG_EXPORTER"));
    // What was opened later loses the jump.
    wire.host.exec("ip6tables", &["-P", "INPUT", "ACCEPT"]);
    refused(&wire.host, &text, "");
    assert!(!saved(&wire.host).contains("NFLOG"));
}

#[test]
fn limits_of_iptables_are_those_that_are_told() {
    let wire = Wire::new();
    let text = rules("iptables", "new", &["--limit", "3000"]);
    assert!(text.contains("at most 2500 a second\n# (3000 were asked for"), "{text}");
    script(&wire.host, &text, &[], "");
    assert_eq!(saved(&wire.host).matches("--limit 2500/sec --limit-burst 2500").count(), 2);
}

#[test]
fn ufw() {
    for (log, prefix) in [("all", "inbound"), ("new", "new"), ("dropped", "dropped")] {
        let wire = Wire::new();
        let etc = wire.host.copy_etc("ufw");
        feed(&wire.host, "ufw", &["allow", "22/tcp"], "", "");
        feed(&wire.host, "ufw", &["--force", "enable"], "", "");
        let text = rules("ufw", log, &[]);
        for _ in 0..2 {
            // As often as one likes.
            script(&wire.host, &text, &[], "");
        }
        let file = if log == "dropped" { "ufw/after.rules" } else { "ufw/before.rules" };
        let written = fs::read_to_string(etc.path(file)).unwrap();
        assert_eq!(written.matches("nflog-group").count(), 2, "{written}");
        check(&wire, log, prefix, true);
        script(&wire.host, &text, &["remove"], "");
        let written = fs::read_to_string(etc.path(file)).unwrap();
        assert!(!written.contains("nflog"), "{written}");
        assert!(!saved(&wire.host).contains("NFLOG"));
    }
}

#[test]
fn ufw_calls_nothing_dropped_that_is_accepted() {
    let wire = Wire::new();
    let etc = wire.host.copy_etc("ufw");
    // Where it has its defaults.
    let _defaults = wire.host.copy_etc("default");
    feed(&wire.host, "ufw", &["--force", "enable"], "", "");
    feed(&wire.host, "ufw", &["default", "allow", "incoming"], "", "");
    let text = rules("ufw", "dropped", &[]);
    let said = script(&wire.host, &text, &[], "");
    assert!(said.contains("ufw: input accepts what no rule decides on"), "{said}");
    let written = fs::read_to_string(etc.path("ufw/after.rules")).unwrap();
    assert!(written.contains("-A ufw-after-forward ! -i lo "), "{written}");
    assert!(!written.contains("-A ufw-after-input ! -i lo "), "{written}");
    feed(&wire.host, "ufw", &["default", "allow", "routed"], "", "");
    refused(&wire.host, &text, "");
}

#[test]
fn firewalld() {
    for (log, prefix) in [("all", "inbound"), ("new", "new"), ("dropped", "dropped")] {
        let wire = Wire::new();
        let _etc = wire.host.copy_etc("firewalld");
        let folder = tempfile::tempdir().unwrap();
        support::program::open_to_all(folder.path());
        let (bus, _programs) = start_firewalld(&wire.host, &folder);
        let text = rules("firewalld", log, &[]);
        for _ in 0..2 {
            // As often as one likes.
            script(&wire.host, &text, &[], &bus);
        }
        check(&wire, log, prefix, log != "dropped");
        script(&wire.host, &text, &["remove"], &bus);
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        assert!(!listed.contains("log prefix") && !listed.contains("NFLOG"), "{listed}");
        if log == "dropped" {
            let target = ["--permanent", "--zone=public", "--set-target=ACCEPT"];
            feed(&wire.host, "firewall-cmd", &target, &bus, "");
            let said = refused(&wire.host, &text, &bus);
            assert!(said.contains("zone public accepts what no rule decides on"), "{said}");
        }
    }
}

/// Starts firewalld on a bus of its own; both end when dropped.
fn start_firewalld(namespace: &Namespace, folder: &TempDir) -> (String, [Program; 2]) {
    let bus = format!("unix:path={}", folder.path().join("bus").display());
    let mut command = namespace.command("dbus-daemon");
    command.args(["--system", "--nofork", "--nopidfile", "--address", &bus]);
    let daemon = Program::start(&mut command, folder.path().join("dbus.log"));
    wait_for("the bus", || folder.path().join("bus").exists().then_some(()));
    let mut command = namespace.command("firewalld");
    command.args(["--nofork", "--nopid"]).env("DBUS_SYSTEM_BUS_ADDRESS", &bus);
    let firewalld = Program::start(&mut command, folder.path().join("firewalld.log"));
    wait_for("firewalld", || {
        let mut command = namespace.command("firewall-cmd");
        let state = command.arg("--state").env("DBUS_SYSTEM_BUS_ADDRESS", &bus).output().unwrap();
        state.status.success().then_some(())
    });
    (bus, [firewalld, daemon])
}
