//! `doctor` on firewalls with and without rules that log to the exporter's group. Needs root.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::support::{
    Namespace, Wire,
    doctor::{Report, asked, doctor, in_traffic, last_line},
    kernel_log::KernelLog,
    program::EXPORTER,
};

/// The findings for a table of nftables.
fn with_table(table: &str) -> Report {
    let wire = Wire::new();
    wire.host.nft(table);
    doctor(&wire.host, &[])
}

/// The findings for one chain of the hook input.
fn with_chain(rules: &str) -> Report {
    with_table(&format!(
        "table inet f {{\n chain c {{\n type filter hook input priority 0\n{rules}\n}}\n}}"
    ))
}

/// The findings for a chain of the hook input and a second, regular chain.
fn with_two_chains(input: &str, other: &str) -> Report {
    with_table(&format!(
        "table inet f {{\n chain b {{\n{other}\n}}\n \
         chain c {{\n type filter hook input priority 0\n{input}\n}}\n}}"
    ))
}

/// The findings for rules of iptables, given as arguments.
fn with_iptables(program: &str, rules: &[&str]) -> Report {
    let wire = Wire::new();
    for rule in rules {
        wire.host.exec(program, &rule.split(' ').collect::<Vec<_>>());
    }
    doctor(&wire.host, &[])
}

const LOG: &str = "log group 1 prefix \"x\"";

/// A source of kernel log lines needs no NFLOG group, and no rule that logs to one.
#[test]
fn rules_that_log_to_the_kernel_are_enough_for_its_log() {
    with_chain("log prefix \"x\"").failed("rules", "--kernel-log.kmsg");
    let wire = Wire::new();
    let report = doctor(&wire.host, &["--kernel-log.kmsg"]);
    report.failed("kernel_log", "no rule that packets reach logs to the kernel's log");
    wire.host
        .nft("table inet f { chain c { type filter hook input priority 0; log prefix \"x\"; }\n}");
    let report = doctor(&wire.host, &["--kernel-log.kmsg"]);
    report.ok("kernel_log", "inet f c logs to the kernel's log");
    report.ok("kmsg", "/dev/kmsg can be read");
    // The test's namespace is not the first one.
    {
        let _log = KernelLog::forbid();
        let report = doctor(&wire.host, &["--kernel-log.kmsg"]);
        report.hints("kernel_log_namespace", "nf_log_all_netns = 1");
    }
    {
        let _log = KernelLog::open();
        doctor(&wire.host, &["--kernel-log.kmsg"]).has_none("kernel_log_namespace");
    }
    report.has_none("rules");
    report.has_none("capability");
    let report = doctor(&wire.host, &["--kernel-log.file", "/no/such.log"]);
    report.hints("log_files", "no file matches /no/such.log");
    report.has_none("kmsg");
}

#[test]
fn rules_that_log_elsewhere_are_reported() {
    let report = with_chain("counter");
    report.failed("rules", "no rule that packets reach logs to group 1");
    report.hints("packets", "no packet arrived");
    with_chain("log prefix \"x\"").failed("rules", "inet f c logs to the kernel's log");
    // A rule that logs to another group takes precedence over one that logs to the kernel's log.
    let report = with_chain("log prefix \"x\"\nlog group 5 prefix \"x\"");
    report.failed("rules", "there are rules that log to group 5");
    with_iptables("iptables", &["-A INPUT -j LOG"])
        .failed("rules", "iptables filter INPUT logs to the kernel's log");
    with_iptables("iptables", &["-N ufw-x", "-A INPUT -j ufw-x", "-A ufw-x -j LOG"])
        .failed("rules", "nflog_exporter rules --for ufw");
    with_table(
        "table inet firewalld {\nchain c {\n type filter hook input priority 0\nlog prefix \"x\"\n}\n}",
    )
    .failed("rules", "nflog_exporter rules --for firewalld");
}

#[test]
fn a_number_as_prefix_is_reported() {
    let report = with_iptables("iptables", &["-A INPUT -p tcp -j NFLOG --nflog-prefix 1"]);
    let place = "iptables filter INPUT, a rule logs to group 0 with the prefix \"1\"";
    report.failed("rules_prefix", place);
    report.failed("rules", "--rules.install");
    // A numeric prefix is valid in another group.
    let report =
        with_iptables("iptables", &["-A INPUT -p tcp -j NFLOG --nflog-group 2 --nflog-prefix 443"]);
    report.did_not_fail("rules_prefix");
    report.failed("rules", "there are rules that log to group 2");
}

#[test]
fn rules_after_one_that_matches_every_packet_are_reported() {
    let report = with_chain(&format!("accept\n{LOG}"));
    report.failed("rules_order", "in inet f c, the rule with prefix \"x\" logs nothing");
    report.failed("rules_order", "an earlier rule in inet f c, `accept` (handle ");
    report.failed("rules", "no rule that packets reach");
    let late = ["-A INPUT -j ACCEPT", "-A INPUT -j NFLOG --nflog-group 1 --nflog-prefix b"];
    with_iptables("iptables", &late).failed("rules_order", "-A INPUT -j ACCEPT, matches");
    let good = ["-A INPUT -p tcp -j ACCEPT", "-A INPUT -j NFLOG --nflog-group 1 --nflog-prefix b"];
    with_iptables("iptables", &good).ok("rules", "\"b\" in iptables filter INPUT to group 1");

    // After a jump from which no packet returns.
    let end = ["-N END", "-A END -j DROP", "-A INPUT -j END", "-A INPUT -j NFLOG --nflog-group 1"];
    with_iptables("iptables", &end).failed("rules_order", "-A INPUT -j END, matches");
    let back = ["-N BACK", "-A BACK -p tcp -j RETURN", "-A BACK -j DROP", "-A INPUT -j BACK"];
    with_iptables("iptables", &[&back[..], &["-A INPUT -j NFLOG --nflog-group 1"]].concat())
        .ok("rules", "iptables filter INPUT");
    // The jump to the chain that logs.
    with_two_chains("counter accept\njump b", LOG)
        .failed("rules_order", "an earlier rule in inet f c, `accept`");
}

#[test]
fn a_chain_without_a_jump_is_reported() {
    let report = with_two_chains("tcp dport 1 accept", LOG);
    report.failed("rules_chain", "no rule jumps to the chain b");
    report.failed("rules_chain", "nft insert rule inet f c jump b");
    report.failed("rules", "the checks below");
    for jump in ["jump b", "tcp dport 80 goto b", "ip protocol vmap { tcp : jump b }"] {
        with_two_chains(jump, LOG).ok("rules", "\"x\" in inet f b");
    }
    let wire = Wire::new();
    wire.host.exec(EXPORTER, &["rules", "--for", "iptables", "--apply"]);
    doctor(&wire.host, &[]).ok("rules", "\"new\" in iptables mangle NFLOG_EXPORTER to group 1");
    wire.host.exec("iptables", &["-t", "mangle", "-D", "PREROUTING", "-j", "NFLOG_EXPORTER"]);
    let report = doctor(&wire.host, &[]);
    report.failed("rules_chain", "iptables -t mangle -I PREROUTING -j NFLOG_EXPORTER");
}

/// The findings for two tables with one rule each, in these hooks.
fn with_two_tables(one: (&str, &str), other: (&str, &str)) -> Report {
    let table = |name: &str, (hook, rule): (&str, &str)| {
        format!(
            "table inet {name} {{\n chain c {{\n type filter hook {hook} priority 0\n{rule}\n}}\n}}\n"
        )
    };
    with_table(&(table("a", one) + &table("b", other)))
}

#[test]
fn packets_logged_by_two_tables_are_reported() {
    let log = |matches: &str, group: u16| format!("{matches} log group {group} prefix \"x\"");
    let any = log("", 1);
    let twice = "a packet can be counted twice: both inet a c and inet b c log to group 1";
    let report = with_two_tables(("prerouting", &any), ("input", &log("tcp dport 22", 1)));
    report.hints("rules_twice", twice);
    assert_eq!(report.all("rules_twice", "hint").len(), 1);
    with_two_tables(("input", &any), ("input", &any)).hints("rules_twice", twice);
    with_two_tables(("input", &log("tcp dport 22", 1)), ("input", &log("tcp dport != 80", 1)))
        .hints("rules_twice", twice);
    for (one, other) in [
        // Another group, another direction, another condition.
        (("input", any.clone()), ("input", log("", 2))),
        (("input", any.clone()), ("output", any.clone())),
        (("input", any.clone()), ("forward", any.clone())),
        (("input", log("tcp dport 22", 1)), ("input", log("tcp dport 80", 1))),
        (("input", log("tcp dport 22", 1)), ("input", log("tcp dport != 22", 1))),
        (("input", log("tcp dport 22", 1)), ("input", log("udp dport 22", 1))),
        (("input", log("iifname \"wan0\"", 1)), ("prerouting", log("iifname \"lan0\"", 1))),
        (("input", any.clone()), ("input", format!("accept\n{any}"))),
    ] {
        let (one, other) = ((one.0, &*one.1), (other.0, &*other.1));
        with_two_tables(one, other).has_none("rules_twice");
    }
    // Rules of iptables; rules for different IP versions are no duplicates.
    let log = ["-A INPUT -p tcp --dport 22 -j NFLOG --nflog-group 1 --nflog-prefix b"];
    let wire = Wire::new();
    let run = |program: &str| {
        wire.host.exec(program, &log[0].split(' ').collect::<Vec<_>>());
    };
    run("iptables");
    run("ip6tables");
    doctor(&wire.host, &[]).has_none("rules_twice");
    wire.host.nft(&format!(
        "table ip t {{\n chain c {{\n type filter hook input priority 0\n{LOG}\n}}\n}}"
    ));
    let report = doctor(&wire.host, &[]);
    report.hints("rules_twice", "both iptables filter INPUT and ip t c log to group 1");
    assert_eq!(report.all("rules_twice", "hint").len(), 1);
}

#[test]
fn rules_of_this_program_are_not_duplicates() {
    let wire = Wire::new();
    wire.host
        .nft("table inet a {\n chain c {\n type filter hook input priority 0; policy drop;\n}\n}");
    for arguments in [
        ["--for", "nft", "--apply", "--log=dropped"],
        ["--for", "iptables", "--apply", "--log=new"],
    ] {
        wire.host.exec(EXPORTER, &[&["rules"], &arguments[..]].concat());
    }
    let report = doctor(&wire.host, &[]);
    report.ok("rules", ", and 2 more");
    report.has_none("rules_twice");
    // The same packets for two tools.
    wire.host.exec(EXPORTER, &["rules", "--for", "nft", "--apply", "--log=new"]);
    let twice = "both iptables mangle NFLOG_EXPORTER and inet nflog_rules inbound log to group 1";
    doctor(&wire.host, &[]).hints("rules_twice", twice);
}

#[test]
fn a_dormant_table_is_reported() {
    let wire = Wire::new();
    wire.host.nft(&format!(
        "table inet f {{\n flags dormant\n chain c {{\n type filter hook input priority 0\n{LOG}\n}}\n}}"
    ));
    let report = doctor(&wire.host, &[]);
    report.failed("rules_chain", "the table is dormant");
    report.failed("rules_chain", "nft add table inet f");
    wire.host.nft("add table inet f");
    doctor(&wire.host, &[]).ok("rules", "\"x\" in inet f c");
}

/// Rules of several tools on one host.
#[test]
fn no_tool_hides_the_rules_of_another() {
    // iptables-save lists a table of that name, but not this chain.
    with_table(&format!(
        "table ip filter {{\n chain input {{\n type filter hook input priority 0\n{LOG}\n}}\n}}"
    ))
    .ok("rules", "\"x\" in ip filter input to group 1");
    let log = ["-A INPUT -j NFLOG --nflog-group 1 --nflog-prefix old"];
    for program in ["iptables-legacy", "ip6tables-legacy"] {
        let report = with_iptables(program, &log);
        report.ok("rules", &format!("\"old\" in {program} filter INPUT to group 1 /"));
    }
    // Reported once, although nft lists it too.
    with_iptables("ip6tables", &log)
        .ok("rules", "they log \"old\" in ip6tables filter INPUT to group 1 /");
    // On a host with iptables-legacy only.
    let wire = Wire::new();
    wire.host.exec("iptables-legacy", &log[0].split(' ').collect::<Vec<_>>());
    let old = |name: &str| format!("/usr/sbin/{}", name.replace("tables", "tables-legacy"));
    let tools = tools(&["iptables-save", "ip6tables-save"].map(|name| (name, old(name))));
    doctor_with_tools(&wire.host, tools.path())
        .ok("rules", "\"old\" in iptables filter INPUT to group 1 /");
}

/// A directory of links to programs: names and targets.
fn tools(links: &[(&str, String)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, program) in links {
        symlink(program, directory.path().join(name)).unwrap();
    }
    directory
}

/// The findings with these programs as the only ones.
fn doctor_with_tools(host: &Namespace, tools: &Path) -> Report {
    Report::of(&asked(with_path(host, tools), &[]))
}

fn with_path(host: &Namespace, tools: &Path) -> std::process::Command {
    let mut command = host.command("env");
    command.arg(format!("PATH={}", tools.display())).arg(EXPORTER);
    command
}

#[test]
fn rules_that_cannot_be_listed_skip_the_check() {
    let wire = Wire::new();
    wire.host.nft(&format!(
        "table inet f {{\n chain c {{\n type filter hook input priority 0\n{LOG}\n}}\n}}"
    ));
    let none = tools(&[]);
    let report = in_traffic(&wire, || doctor_with_tools(&wire.host, none.path()));
    report.skipped("rules", "not all rules can be listed: nft was not found in PATH");
    report.ok("packets", "\"x\"");
    // The second one is that no exporter is running.
    let last = in_traffic(&wire, || last_line(with_path(&wire.host, none.path()), &[]));
    assert_eq!(last, "no check failed, 2 checks were not possible");
    let save = tools(&[("iptables-save", "/usr/sbin/iptables-save".into())]);
    doctor_with_tools(&wire.host, save.path())
        .skipped("rules", "nft was not found in PATH: install the Debian package nftables");
    wire.host.exec("iptables", &["-A", "INPUT", "-j", "NFLOG", "--nflog-group", "1"]);
    doctor_with_tools(&wire.host, save.path()).ok("rules", "iptables filter INPUT to group 1");
}

#[test]
fn rules_installed_by_the_exporter_are_found() {
    let wire = Wire::new();
    let report = doctor(&wire.host, &["--rules.install"]);
    report.ok("rules", "installs its own");
    report.skipped("packets", "no packet arrived");
    assert_eq!(report.code, Some(0), "{:#?}", report.checks);
}

#[test]
fn saved_rules_with_ulog_are_reported() {
    let host = Namespace::new("host");
    let etc = host.copy_etc("ufw");
    let ulog = "*filter\n# -j ULOG\n-A ufw-before-input -j ULOG --ulog-nlgroup 1\nCOMMIT\n";
    fs::write(etc.path("ufw/before.rules"), ulog).unwrap();
    let report = doctor(&host, &[]);
    report.failed("rules_ulog", "/etc/ufw/before.rules has rules with -j ULOG");
}
