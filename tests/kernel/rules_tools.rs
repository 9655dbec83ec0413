//! Loads the rules of `rules --for TOOL` with each tool, and checks which packets are logged. Needs root.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{
    Etc, Namespace, Wire,
    delivered::check,
    netns::HOST,
    program::{EXPORTER, Exporter, Program, samples, wait_for, whole},
};

/// Runs the program in the namespace.
fn run(namespace: &Namespace, arguments: &[&str], bus: &str) -> Output {
    let mut command = namespace.command(EXPORTER);
    command.args(arguments).env("DBUS_SYSTEM_BUS_ADDRESS", bus).output().unwrap()
}

/// Runs the program in the namespace; returns its output. Panics if it fails.
#[track_caller]
fn rules(namespace: &Namespace, arguments: &[&str], bus: &str) -> String {
    let output = run(namespace, &[&["rules", "--for"], arguments].concat(), bus);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail; returns the error. A pipe of its output into a shell must fail too.
#[track_caller]
fn rejected(namespace: &Namespace, arguments: &[&str], bus: &str) -> String {
    let output = run(namespace, &[&["rules", "--for"], arguments].concat(), bus);
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {why}");
    if arguments.iter().any(|it| ["--apply", "--verify"].contains(it)) {
        return why;
    }
    let mut piped = namespace.command("sh");
    piped.args(["-c", "\"$0\" rules --for \"$@\" | sh", EXPORTER]).args(arguments);
    let piped = piped.env("DBUS_SYSTEM_BUS_ADDRESS", bus).output().unwrap();
    assert_eq!(piped.status.code(), Some(1), "{piped:?}");
    why
}

/// Runs a program in the namespace with a text as its input; returns its output.
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

/// Prints a script and runs it like `| sh`.
#[track_caller]
fn script(namespace: &Namespace, arguments: &[&str], bus: &str) {
    let text = rules(namespace, arguments, bus);
    let said = feed(namespace, "sh", &[], bus, &text);
    assert!(said.contains("verified: "), "{said}");
}

/// An nft firewall that accepts ssh, pings, neighbour discovery and scrapes on loopback, and drops other packets
/// by its last rules or by the policy.
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
fn nft_loads_verifies_and_removes_the_rules() {
    for (log, prefix) in [("all", "inbound"), ("new", "new")] {
        let wire = Wire::new();
        wire.host.nft(&nft_firewall("drop", ""));
        let arguments = ["nft", "--log", log];
        let text = rules(&wire.host, &arguments, "");
        wire.host.nft(&text);
        // Loading is repeatable, also after a flush in the same file.
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, &text).unwrap();
        let include = format!("include \"{}\"\n", file.path().display());
        wire.host.nft(&format!("flush ruleset\n{}\n{include}", nft_firewall("drop", "")));
        rules(&wire.host, &[&arguments[..], &["--verify"]].concat(), "");
        rules(&wire.host, &[&arguments[..], &["--apply"]].concat(), "");
        check(&wire, log, prefix, true);
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        assert_eq!(listed.matches("log prefix").count(), 1, "{listed}");
        assert_eq!(listed.matches("limit rate 10000/second burst 10000 packets").count(), 1);
        let remove = text.split("# Remove: nft ").nth(1).unwrap().lines().next().unwrap();
        wire.host.exec("nft", &remove.split(' ').collect::<Vec<_>>());
        assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("nflog"));
        rejected(&wire.host, &[&arguments[..], &["--verify"]].concat(), "");
    }
}

#[test]
fn nft_logs_each_dropped_packet_once() {
    for (policy, end) in [
        ("drop", ""),
        ("accept", "counter reject with icmpx admin-prohibited comment \"the rest\""),
        ("drop", "log prefix \"end \" drop"),
    ] {
        let wire = Wire::new();
        wire.host.nft(&nft_firewall(policy, end));
        let before = wire.host.exec("nft", &["list", "ruleset"]);
        let arguments = ["nft", "--log", "dropped"];
        script(&wire.host, &arguments, "");
        rules(&wire.host, &["nft", "--remove"], "");
        assert_eq!(wire.host.exec("nft", &["list", "ruleset"]), before);
        script(&wire.host, &arguments, "");
        // Applying again moves our rules after rules that were added meanwhile.
        if end.is_empty() {
            wire.host.nft("add rule inet filter input tcp dport 22 counter accept");
            let why = rejected(&wire.host, &["nft", "--log", "dropped", "--verify"], "");
            assert!(why.contains("not loaded as planned"), "{why}");
        }
        rules(&wire.host, &["nft", "--log", "dropped", "--apply"], "");
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        assert_eq!(listed.matches("group 1").count(), 2, "{listed}");
        assert!(listed.find("group 1") > listed.find("dport 22 counter"), "{listed}");
        script(&wire.host, &arguments, "");
        check(&wire, "dropped", "dropped", true);
        rules(&wire.host, &["nft", "--remove"], "");
        assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("nflog"));
    }
}

#[test]
fn nft_logs_no_accepted_packets_as_dropped() {
    let arguments = ["nft", "--log", "dropped"];
    let wire = Wire::new();
    // Debian's default; a last rule for only one IP version; and chains of iptables.
    for end in ["", "reject with icmp port-unreachable", "tcp dport 80 drop"] {
        wire.host.nft(&format!("flush ruleset\n{}", nft_firewall("accept", end)));
        wire.host.exec("iptables", &["-P", "INPUT", "DROP"]);
        let why = rejected(&wire.host, &arguments, "");
        assert!(why.contains("inet filter input: policy accept"), "{why}");
        assert!(why.contains("ip filter belongs to another tool"), "{why}");
        assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("nflog"));
    }
    // The rule that accepts is named.
    wire.host.nft(&format!("flush ruleset\n{}", nft_firewall("drop", "counter accept")));
    let why = rejected(&wire.host, &arguments, "");
    assert!(why.contains("inet filter input: `accept` (handle "), "{why}");
    // The verification fails after the firewall is opened.
    wire.host.nft(&format!("flush ruleset\n{}", nft_firewall("drop", "")));
    script(&wire.host, &arguments, "");
    wire.host.nft(
        "table inet filter { chain input { policy accept; }\nchain forward { policy accept; }\n}",
    );
    rejected(&wire.host, &["nft", "--log", "dropped", "--verify"], "");
}

/// A firewall of iptables with this policy and this end of each chain.
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

/// A listing without counters and comments.
fn uncounted(namespace: &Namespace) -> Vec<String> {
    let text = saved(namespace);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut lines: Vec<String> =
        lines.map(|line| line.split(" [").next().unwrap().to_owned()).collect();
    // A table that was never used is not listed.
    let is_built_in = |line: &String| line == "COMMIT" || line.starts_with([':', '*']);
    lines.retain(|line| !is_built_in(line) || line.ends_with(" -"));
    lines
}

/// All rules of iptables and ip6tables.
fn saved(namespace: &Namespace) -> String {
    namespace.exec("iptables-save", &[]) + &namespace.exec("ip6tables-save", &[])
}

#[test]
fn iptables_loads_verifies_and_removes_the_rules() {
    for (log, prefix, policy, end) in [
        ("all", "inbound", "DROP", ""),
        ("new", "new", "DROP", ""),
        ("dropped", "ab c", "DROP", ""),
        ("dropped", "dropped", "ACCEPT", "END -j REJECT\n"),
        ("dropped", "dropped", "DROP", "END -m comment --comment \"the rest\" -j DROP\n"),
    ] {
        let wire = Wire::new();
        let arguments = ["iptables", "--log", log, "--prefix", prefix];
        for program in ["iptables-restore", "ip6tables-restore"] {
            feed(&wire.host, program, &["--noflush"], "", &iptables_firewall(policy, end));
        }
        let before = uncounted(&wire.host);
        script(&wire.host, &arguments, "");
        rules(&wire.host, &["iptables", "--remove"], "");
        assert_eq!(uncounted(&wire.host), before);
        script(&wire.host, &arguments, "");
        if log == "dropped" && end.is_empty() {
            // Applying again moves our rules after rules that were added meanwhile.
            wire.host
                .exec("iptables", &["-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"]);
        }
        rules(&wire.host, &[&arguments[..], &["--apply"]].concat(), "");
        script(&wire.host, &arguments, "");
        check(&wire, log, prefix, true);
        // For any number of jumps.
        let hook = if log == "dropped" { ["filter", "INPUT"] } else { ["mangle", "PREROUTING"] };
        if log != "all" {
            wire.host.exec("iptables", &["-t", hook[0], "-I", hook[1], "-j", "NFLOG_EXPORTER"]);
            let why = rejected(&wire.host, &[&arguments[..], &["--verify"]].concat(), "");
            assert!(why.contains("packets count twice"), "{why}");
        }
        rules(&wire.host, &["iptables", "--remove"], "");
        let saved = saved(&wire.host);
        assert!(!saved.contains("NFLOG") && saved.contains("--dport 22"), "{saved}");
    }
}

#[test]
fn iptables_logs_no_accepted_packets_as_dropped() {
    let arguments = ["iptables", "--log", "dropped"];
    let wire = Wire::new();
    let firewall = iptables_firewall("ACCEPT", "END -p tcp --dport 80 -j DROP\n");
    feed(&wire.host, "iptables-restore", &["--noflush"], "", &firewall);
    let why = rejected(&wire.host, &arguments, "");
    assert!(why.contains("nothing is logged in iptables filter INPUT: policy accept"), "{why}");
    assert!(why.contains("nothing is logged in ip6tables filter"), "{why}");
    assert!(!saved(&wire.host).contains("NFLOG"));
    // The rule that accepts is named.
    wire.host.exec("iptables", &["-P", "INPUT", "DROP"]);
    wire.host.exec("iptables", &["-A", "INPUT", "-j", "ACCEPT"]);
    let why = rejected(&wire.host, &arguments, "");
    assert!(why.contains("iptables filter INPUT: -A INPUT -j ACCEPT accepts every"), "{why}");
    // If one IP version drops packets, there is a warning about the other.
    wire.host.exec("ip6tables", &["-P", "INPUT", "DROP"]);
    let output =
        run(&wire.host, &["rules", "--for", "iptables", "--log", "dropped", "--apply"], "");
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{warned}");
    assert!(warned.contains("nothing is logged in iptables filter INPUT"), "{warned}");
    assert!(!wire.host.exec("iptables-save", &[]).contains("NFLOG"));
    assert!(wire.host.exec("ip6tables-save", &[]).contains("-A INPUT -j NFLOG_EXPORTER"));
    // After the firewall is opened, applying and verifying fail.
    wire.host.exec("ip6tables", &["-P", "INPUT", "ACCEPT"]);
    rejected(&wire.host, &arguments, "");
    rejected(&wire.host, &["iptables", "--log", "dropped", "--verify"], "");
}

#[test]
fn iptables_has_the_printed_limits() {
    let wire = Wire::new();
    let text = rules(&wire.host, &["iptables", "--limit", "3000"], "");
    assert!(text.contains("at most 2500 per second\n# (requested: 3000"), "{text}");
    script(&wire.host, &["iptables", "--limit", "3000"], "");
    assert_eq!(saved(&wire.host).matches("--limit 2500/sec --limit-burst 2500").count(), 2);
}

/// An active ufw that accepts ssh, with its own files and defaults.
fn ufw_host() -> (Wire, [Etc; 2]) {
    let wire = Wire::new();
    let etc = [wire.host.copy_etc("ufw"), wire.host.copy_etc("default")];
    feed(&wire.host, "ufw", &["allow", "22/tcp"], "", "");
    feed(&wire.host, "ufw", &["--force", "enable"], "", "");
    (wire, etc)
}

#[test]
fn ufw_loads_verifies_and_removes_the_rules() {
    for (log, prefix) in [("all", "inbound"), ("new", "new"), ("dropped", "dropped")] {
        let (wire, [etc, _defaults]) = ufw_host();
        let file = etc.path(if log == "dropped" { "ufw/after.rules" } else { "ufw/before.rules" });
        // The program must not depend on the comment in older files.
        let shipped = fs::read_to_string(&file).unwrap();
        let shipped = shipped.replace("# End required lines\n", "");
        fs::write(&file, &shipped).unwrap();
        // If a reload does not load the lines, the next one does.
        script(&wire.host, &["ufw", "--log", log], "");
        rules(&wire.host, &["ufw", "--log", log, "--apply"], "");
        let written = fs::read_to_string(&file).unwrap();
        assert_eq!(written.matches("nflog-group").count(), 2, "{written}");
        check(&wire, log, prefix, true);
        rules(&wire.host, &["ufw", "--remove"], "");
        assert_eq!(fs::read_to_string(&file).unwrap(), shipped);
        assert!(!saved(&wire.host).contains("NFLOG"));
        rejected(&wire.host, &["ufw", "--log", log, "--verify"], "");
    }
}

#[test]
fn ufw_logs_no_accepted_packets_as_dropped() {
    let (wire, [etc, _defaults]) = ufw_host();
    feed(&wire.host, "ufw", &["default", "allow", "incoming"], "", "");
    script(&wire.host, &["ufw", "--log", "dropped"], "");
    let written = fs::read_to_string(etc.path("ufw/after.rules")).unwrap();
    assert!(written.contains("-A ufw-after-forward ! -i lo "), "{written}");
    assert!(!written.contains("-A ufw-after-input ! -i lo "), "{written}");
    feed(&wire.host, "ufw", &["default", "allow", "routed"], "", "");
    let why = rejected(&wire.host, &["ufw", "--log", "dropped"], "");
    assert!(why.contains("iptables filter ufw-after-input: policy accept"), "{why}");
}

#[test]
fn ufw_logs_after_rules_of_the_users_that_accept() {
    let (wire, [etc, _defaults]) = ufw_host();
    let file = etc.path("ufw/after.rules");
    let accept = "-A ufw-after-input -p icmp -j ACCEPT\n";
    let shipped = fs::read_to_string(&file).unwrap();
    fs::write(&file, shipped.replacen("\nCOMMIT\n", &format!("\n{accept}COMMIT\n"), 1)).unwrap();
    feed(&wire.host, "ufw", &["reload"], "", "");
    script(&wire.host, &["ufw", "--log", "dropped"], "");
    let written = fs::read_to_string(&file).unwrap();
    let ours = written.find("-A ufw-after-input ! -i lo");
    assert!(ours > written.find(accept), "{written}");
    check(&wire, "dropped", "dropped", true);
}

#[test]
fn an_inactive_ufw_is_rejected() {
    let (wire, [etc, _defaults]) = ufw_host();
    // A file of the user's that the tool does not load.
    let file = etc.path("ufw/before.rules");
    let shipped = fs::read_to_string(&file).unwrap();
    let broken = shipped.replacen("*filter\n", "*filter\n-A no-such-chain -j DROP\n", 1);
    fs::write(&file, &broken).unwrap();
    rejected(&wire.host, &["ufw", "--apply"], "");
    assert_eq!(fs::read_to_string(&file).unwrap(), broken);
    fs::write(&file, shipped.replace(":ufw-before-forward - [0:0]\n", "")).unwrap();
    let why = rejected(&wire.host, &["ufw"], "");
    assert!(why.contains("does not declare the chain ufw-before-forward"), "{why}");
    fs::write(&file, &shipped).unwrap();
    feed(&wire.host, "ufw", &["reload"], "", "");
    feed(&wire.host, "ufw", &["disable"], "", "");
    let why = rejected(&wire.host, &["ufw"], "");
    assert!(why.contains("ufw is not active; start it: ufw enable"), "{why}");
    rules(&wire.host, &["ufw", "--remove"], "");
}

#[test]
fn ufw_files_whose_block_has_no_end_are_unchanged() {
    let (wire, [etc, _defaults]) = ufw_host();
    let file = etc.path("ufw/after.rules");
    let shipped = fs::read_to_string(&file).unwrap();
    let begin = "# begin nflog_exporter\n";
    let accept = "-A ufw-after-input -p icmp -j ACCEPT\n";
    let block = format!("{begin}{accept}# end nflog_exporter\n");
    for part in [format!("{begin}{accept}"), format!("{begin}{accept}{block}")] {
        let open = shipped.replacen("\nCOMMIT\n", &format!("\n{part}COMMIT\n"), 1);
        fs::write(&file, &open).unwrap();
        let apply = ["ufw", "--log", "dropped", "--apply"];
        for arguments in [&apply[..], &["ufw", "--remove"]] {
            let output = run(&wire.host, &[&["rules", "--for"], arguments].concat(), "");
            let why = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {why}");
            assert!(why.contains("no line `# end nflog_exporter` follows"), "{why}");
            assert_eq!(fs::read_to_string(&file).unwrap(), open);
        }
    }
}

#[test]
fn ufw_files_with_comments_in_other_encodings_keep_them() {
    let (wire, [etc, _defaults]) = ufw_host();
    let file = etc.path("ufw/after.rules");
    let mut shipped = b"# caf\xe9, \xff\xfe\n".to_vec();
    shipped.extend(fs::read(&file).unwrap());
    // ufw itself accepts such a file.
    fs::write(&file, &shipped).unwrap();
    feed(&wire.host, "ufw", &["reload"], "", "");
    script(&wire.host, &["ufw", "--log", "dropped"], "");
    assert!(fs::read(&file).unwrap().starts_with(b"# caf\xe9, \xff\xfe\n"));
    rules(&wire.host, &["ufw", "--remove"], "");
    assert_eq!(fs::read(&file).unwrap(), shipped);
}

#[test]
fn a_users_table_or_chain_with_our_name_is_unchanged() {
    let wire = Wire::new();
    wire.host.nft("table inet nflog_rules {\nchain inbound {\ntcp dport 22 log group 7\n}\n}\n");
    for program in ["iptables", "ip6tables"] {
        wire.host.exec(program, &["-t", "mangle", "-N", "NFLOG_EXPORTER"]);
        wire.host
            .exec(program, &["-t", "mangle", "-A", "NFLOG_EXPORTER", "-p", "tcp", "-j", "LOG"]);
        wire.host.exec(program, &["-t", "mangle", "-A", "PREROUTING", "-j", "NFLOG_EXPORTER"]);
    }
    let before = wire.host.exec("nft", &["-s", "list", "ruleset"]);
    for (tool, what) in [
        ("nft", "the nftables table inet nflog_rules was not created by this program"),
        ("iptables", "the chain NFLOG_EXPORTER of iptables mangle was not created by this program"),
    ] {
        for action in ["--apply", "--verify", "--remove"] {
            let output = run(&wire.host, &["rules", "--for", tool, action], "");
            let why = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{tool} {action}: {why}");
            assert!(why.contains(what), "{tool} {action}: {why}");
        }
        let output = run(&wire.host, &["rules", "--for", tool], "");
        assert!(tool == "iptables" || !output.status.success(), "{output:?}");
        assert_eq!(wire.host.exec("nft", &["-s", "list", "ruleset"]), before, "{tool}");
    }
}

/// Applies rules with a program instead of one of the tools; returns the error.
fn apply_with(host: &Namespace, tool: &str, program: &str, instead: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(program);
    fs::write(&path, instead).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = host.command("env");
    command.arg(format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", directory.path().display()));
    command.args([EXPORTER, "rules", "--for", tool, "--log", "dropped", "--apply"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A program that changes the firewall immediately after our rules are loaded.
const CHANGES: &str = "#!/bin/sh\n/usr/sbin/nft \"$@\" || exit\ncase \"$*\" in *-f*)\n\
    /usr/sbin/nft add rule inet filter input tcp dport 23 accept;; esac\n";

#[test]
fn rules_of_a_failed_load_are_removed_or_named() {
    let wire = Wire::new();
    wire.host.nft(&nft_firewall("drop", ""));
    let why = apply_with(&wire.host, "nft", "nft", CHANGES);
    assert!(why.contains("not loaded as planned") && why.contains("were removed again"), "{why}");
    assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("group 1"));
    // A program that performs the first load, and fails the removal.
    wire.host.nft(&format!("flush ruleset\n{}", nft_firewall("drop", "")));
    let once = CHANGES.replacen(
        "/usr/sbin/nft",
        "case \"$*\" in *-f*) mkdir \"$0.once\" || exit 1;; esac\n/usr/sbin/nft",
        1,
    );
    let why = apply_with(&wire.host, "nft", "nft", &once);
    assert!(why.contains("Remaining: in inet filter input, "), "{why}");
    assert!(why.contains("Remove them: nflog_exporter rules --for nft --remove"), "{why}");
    assert_eq!(wire.host.exec("nft", &["list", "ruleset"]).matches("group 1").count(), 2);
    rules(&wire.host, &["nft", "--remove"], "");
    assert!(!wire.host.exec("nft", &["list", "ruleset"]).contains("group 1"));
}

#[test]
fn rules_of_one_ip_version_are_removed_if_the_other_fails() {
    let wire = Wire::new();
    for program in ["iptables-restore", "ip6tables-restore"] {
        feed(&wire.host, program, &["--noflush"], "", &iptables_firewall("DROP", ""));
    }
    let before = uncounted(&wire.host);
    let why = apply_with(&wire.host, "iptables", "ip6tables-restore", "#!/bin/sh\nexit 1\n");
    assert!(why.contains("ip6tables-restore") && why.contains("were removed again"), "{why}");
    assert_eq!(uncounted(&wire.host), before);
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let host = Namespace::new("host");
    let empty = tempfile::tempdir().unwrap();
    let without_tools = |arguments: &str, input: &str| {
        let mut command = host.command("env");
        command.arg(format!("PATH={}", empty.path().display()));
        let output = command.args(["/bin/sh", "-c", arguments, EXPORTER, input]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (tool, program, package) in [
        ("nft", "nft", "nftables"),
        ("iptables", "iptables-save", "iptables"),
        ("ufw", "ufw", "ufw"),
        ("firewalld", "firewall-cmd", "firewalld"),
    ] {
        let missing =
            format!("{program} was not found in PATH: install the Debian package {package}");
        for action in ["", "--apply", "--verify", "--remove"] {
            let command = format!("\"$0\" rules --for {tool} --log dropped {action}");
            let (code, why) = without_tools(&command, "");
            assert_eq!(code, Some(1), "{tool} {action}: {why}");
            // ufw lists and loads by iptables.
            assert!(why.contains(&missing) || tool == "ufw" && why.contains("iptables"), "{why}");
            let (code, why) = without_tools(&format!("{command} | /bin/sh"), "");
            assert!(code == Some(1) || !action.is_empty(), "{tool} {action}: {why}");
        }
    }
    // A script that was printed on another host.
    let text = rules(&host, &["iptables"], "");
    let (code, why) = without_tools("echo \"$1\" | /bin/sh", &text);
    assert!(code == Some(1) && why.contains("install the Debian package iptables"), "{why}");
}

#[test]
fn a_failed_print_fails_in_sh_and_nft() {
    let host = Namespace::new("host");
    let pipe = |what: &str| {
        let mut command = host.command("sh");
        let output = command.args(["-c", what, EXPORTER]).output().unwrap();
        output.status.code()
    };
    for wrong in ["--config.file /none", "--limit 10001", "--for ufw --for nft"] {
        assert_ne!(pipe(&format!("\"$0\" rules --for nft {wrong} | sh")), Some(0), "{wrong}");
        assert_ne!(pipe(&format!("\"$0\" rules --for nft {wrong} | nft -f -")), Some(0), "{wrong}");
    }
    assert_ne!(pipe("\"$0\" rules --for nft --log dropped | nft -f -"), Some(0));
    // A file that the next boot may load stays valid.
    let file = tempfile::NamedTempFile::new().unwrap();
    let name = file.path().display();
    assert_ne!(pipe(&format!("\"$0\" rules --for nft --config.file /none > {name}")), Some(0));
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "");
}

#[test]
fn users_without_the_right_to_list_rules_load_none() {
    let host = Namespace::new("host");
    for tool in ["nft", "iptables"] {
        let mut command = host.command("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "sh", "-c"]);
        command.args(["\"$0\" rules --for \"$1\" --log dropped | sh", EXPORTER, tool]);
        let output = command.output().unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{why}");
        assert!(why.contains("must be root"), "{why}");
    }
}

#[test]
fn firewalld_loads_verifies_and_removes_the_rules() {
    for (log, prefix) in [("all", "inbound"), ("new", "new"), ("dropped", "dropped")] {
        let wire = Wire::new();
        let _etc = wire.host.copy_etc("firewalld");
        let directory = tempfile::tempdir().unwrap();
        crate::support::program::open_to_all(directory.path());
        let (bus, _programs) = start_firewalld(&wire.host, &directory);
        let arguments = ["firewalld", "--log", log];
        let why = rejected(&wire.host, &[&arguments[..], &["--verify"]].concat(), &bus);
        assert!(why.contains("not loaded as planned"), "{why}");
        let text = rules(&wire.host, &arguments, &bus);
        feed(&wire.host, "sh", &[], &bus, &text);
        // Loading is repeatable.
        rules(&wire.host, &[&arguments[..], &["--apply"]].concat(), &bus);
        check(&wire, log, prefix, log != "dropped");
        rules(&wire.host, &["firewalld", "--remove"], &bus);
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        assert!(!listed.contains("log prefix") && !listed.contains("NFLOG"), "{listed}");
        if log == "dropped" {
            let target = ["--permanent", "--zone=public", "--set-target=ACCEPT"];
            feed(&wire.host, "firewall-cmd", &target, &bus, "");
            let why = rejected(&wire.host, &arguments, &bus);
            assert!(why.contains("the zone public: its target ACCEPT"), "{why}");
        }
    }
    let why = rejected(&Namespace::new("host"), &["firewalld"], "unix:path=/nonexistent");
    assert!(why.contains("firewall-cmd --state"), "{why}");
}

/// The examples of handwritten rules in `docs`, run in a shell.
#[test]
fn handwritten_rules_of_the_documents_log_packets() {
    let page = include_str!("../../docs/firewall-rules.md");
    let section = page.split("## Write rules by hand\n").nth(1).unwrap();
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).take(2).collect();
    for (block, tool) in blocks.iter().zip(["nft", "iptables"]) {
        let commands = block.split("```").next().unwrap();
        assert!(commands.starts_with(tool), "{commands}");
        let wire = Wire::new();
        wire.host.exec("sh", &["-e", "-c", commands]);
        let exporter = Exporter::start(&wire.host, "", &[]);
        let ssh = SocketAddr::new(HOST.into(), 22);
        wire.peer.run(|| TcpStream::connect_timeout(&ssh, Duration::from_secs(10))).unwrap_err();
        wait_for("the packet", || {
            let metrics = exporter.scrape();
            let all = samples(&metrics, "nflog_packets_total");
            let ssh = all.iter().filter(|(labels, _)| labels["prefix"] == "ssh");
            (ssh.map(|(_, value)| whole(*value)).sum::<u64>() == 1).then_some(())
        });
    }
}

/// firewalld on a separate bus; both end when it is dropped.
fn start_firewalld(namespace: &Namespace, directory: &TempDir) -> (String, [Program; 2]) {
    let bus = format!("unix:path={}", directory.path().join("bus").display());
    let mut command = namespace.command("dbus-daemon");
    command.args(["--system", "--nofork", "--nopidfile", "--address", &bus]);
    let daemon = Program::start(&mut command, directory.path().join("dbus.log"));
    wait_for("the bus", || directory.path().join("bus").exists().then_some(()));
    let mut command = namespace.command("firewalld");
    command.args(["--nofork", "--nopid"]).env("DBUS_SYSTEM_BUS_ADDRESS", &bus);
    let firewalld = Program::start(&mut command, directory.path().join("firewalld.log"));
    wait_for("firewalld", || {
        let mut command = namespace.command("firewall-cmd");
        let state = command.arg("--state").env("DBUS_SYSTEM_BUS_ADDRESS", &bus).output().unwrap();
        state.status.success().then_some(())
    });
    (bus, [firewalld, daemon])
}

/// A script is written to files and shown in terminals, so it must not contain a password.
#[test]
fn scripts_contain_no_password() {
    let url = "mysql://mirror:hunter2@127.0.0.1/packets";
    let joined = format!("--mirror.url={url}");
    for flag in [vec!["--mirror.url", url], vec![joined.as_str()]] {
        let namespace = Namespace::new("password");
        let script = rules(&namespace, &[&["iptables"], flag.as_slice()].concat(), "");
        assert!(script.contains("rules --for iptables"), "{script}");
        assert!(!script.contains("hunter2") && !script.contains("mirror.url"), "{script}");
    }
}
