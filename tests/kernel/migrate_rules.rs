//! `migrate --rules`: real tools load the converted rules, and packets arrive through NFLOG with their prefix.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use nflog_exporter::source::nflog::Nflog;

use crate::support::{
    Namespace, Wire, frame,
    netns::{PEER, PEER_V6},
    plan,
    program::EXPORTER,
    read_packets,
};

/// Runs a command with a text on its standard input.
fn run(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Converts rules; returns them and the notes.
fn migrate(rules: &str, arguments: &[&str]) -> (String, String) {
    let output =
        run(Command::new(EXPORTER).args(["migrate", "--rules", "-"]).args(arguments), rules);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{notes}");
    (String::from_utf8(output.stdout).unwrap(), notes)
}

/// Loads rules with a tool.
#[track_caller]
fn load(namespace: &Namespace, tool: &[&str], rules: &str) {
    let output = run(namespace.command(tool[0]).args(&tool[1..]), rules);
    assert!(
        output.status.success(),
        "{tool:?}: {}\n{rules}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The text without the parts of log statements that the conversion changes.
fn without_log(rules: &str) -> String {
    let mut kept = String::new();
    for line in rules.lines().filter(|line| !line.starts_with('#')) {
        let line = match line.find("LOG --").or_else(|| line.find("log ")) {
            Some(at) => line[..at].trim_end_matches("NF"),
            None => line,
        };
        // Counters of chains.
        kept += line.split(" [").next().unwrap_or_default();
        kept.push('\n');
    }
    kept
}

/// Checks that a packet to a closed port arrives with this prefix.
#[track_caller]
fn check_packet(wire: &Wire, group: u16, packet: Vec<u8>, prefix: &str) {
    let mut source = wire.host.run(|| Nflog::open(&plan(&[group])).unwrap());
    wire.send([packet]);
    let packets = read_packets(&mut source, 1);
    assert_eq!((packets[0].group, packets[0].prefix.as_str()), (group, prefix));
    wire.host.release(source);
}

/// A real firewall: the rules of its tool, converted, replace it.
fn check_firewall(name: &str, prefix: &str) {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/firewalls/{name}.sh"));
    let wire = Wire::new();
    wire.host.exec("sh", &["-c", &fs::read_to_string(file).unwrap()]);
    let (list, check, restore) = if name.starts_with("nft") {
        (&["nft", "list", "ruleset"][..], &["nft", "-c", "-f", "-"][..], &["nft", "-f", "-"][..])
    } else {
        (
            &["iptables-save", "-c"][..],
            &["iptables-restore", "--test"][..],
            &["iptables-restore"][..],
        )
    };
    let listed = wire.host.exec(list[0], &list[1..]);
    let (converted, notes) = migrate(&listed, &["--group", "7"]);
    assert!(notes.contains("-: rules changed: 1; set nflog.groups = [7]"), "{notes}");
    load(&wire.host, check, &converted);
    let converted = match restore[0] {
        "nft" => format!("flush ruleset\n{converted}"),
        _ => converted,
    };
    load(&wire.host, restore, &converted);
    let loaded = wire.host.exec(list[0], &list[1..]);
    assert_eq!(without_log(&loaded), without_log(&listed));
    check_packet(&wire, 7, frame::syn(PEER, 50_000, 81), prefix);
}

macro_rules! firewalls {
    ($($name:ident: $prefix:literal;)*) => {
        $(#[test]
        fn $name() {
            check_firewall(stringify!($name), $prefix);
        })*
    };
}

firewalls! {
    csf: "Firewall: *TCP_IN Blocked* ";
    logdrop_policy_accept: "Dropped: ";
    logdrop_policy_drop: "Dropped: ";
    nft_goto: "denied: ";
    nft_limit_log_drop: "DROP_IN: ";
    nft_log_counter_reject: "drop ";
    nft_log_flags_counter_drop: "[nftables] Inbound Denied: ";
    nft_order: "in ";
}

/// The files that ufw loads, with a user's own LOG rules, and those that it wrote for its logging.
#[test]
fn files_of_ufw() {
    let wire = Wire::new();
    let etc = [wire.host.copy_etc("ufw"), wire.host.copy_etc("default")];
    load(&wire.host, &["ufw", "allow", "22/tcp"], "");
    load(&wire.host, &["ufw", "logging", "high"], "");
    load(&wire.host, &["ufw", "--force", "enable"], "");
    let cases = [
        ("before.rules", "ufw-before-input -p tcp --dport 81", "[own \\\"before\\\"] "),
        ("before6.rules", "ufw6-before-input -p tcp --dport 81", "[own before6] "),
        ("after.rules", "ufw-after-input -p tcp --dport 82", "[own after] "),
    ];
    for (file, rule, prefix) in cases {
        let path = etc[0].path(&format!("ufw/{file}"));
        let shipped = fs::read_to_string(&path).unwrap();
        let rule = format!(
            "-A {rule} -m limit --limit 3/min -j LOG --log-prefix \"{prefix}\" --log-level 4"
        );
        // Before all other rules of the file.
        let (head, rest) = shipped.split_once("\n-A ").unwrap();
        let own = format!("{head}\n{rule}\n-A {rest}");
        let (converted, notes) = migrate(&own, &[]);
        let expect = rule.replace("LOG --log-prefix", "NFLOG --nflog-group 1 --nflog-prefix");
        assert_eq!(converted, own.replace(&rule, expect.trim_end_matches(" --log-level 4")));
        assert!(notes.contains("Not migrated: --log-level 4"), "{notes}");
        fs::write(&path, converted).unwrap();
    }
    load(&wire.host, &["ufw", "reload"], "");
    check_packet(&wire, 1, frame::syn(PEER, 50_000, 81), "[own \"before\"] ");
    check_packet(&wire, 1, frame::syn_v6(PEER_V6, 50_000, 81), "[own before6] ");
    check_packet(&wire, 1, frame::syn(PEER, 50_000, 82), "[own after] ");
    for (save, restore) in
        [("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore")]
    {
        let saved = wire.host.exec(save, &[]);
        let count = saved.matches("-j LOG ").count();
        assert!(count > 5, "{saved}");
        let (converted, notes) = migrate(&saved, &["--group", "3"]);
        assert!(notes.contains(&format!("rules changed: {count}; ")), "{notes}");
        load(&wire.host, &[restore], &converted);
        assert!(!wire.host.exec(save, &[]).contains("-j LOG "));
    }
    // ufw logs a packet at high level before it decides.
    check_packet(&wire, 3, frame::syn(PEER, 50_001, 83), "[UFW AUDIT] ");
}

/// Kernels since 3.17 lack ULOG; NFLOG in its place loads.
#[test]
fn rules_with_ulog() {
    let wire = Wire::new();
    let rules = "*filter\n:INPUT ACCEPT [0:0]\n:ULOGD - [0:0]\n\
        -A INPUT -i lo -j ACCEPT\n\
        -A INPUT -p tcp -m tcp --dport 81 -m limit --limit 10/sec -j ULOG --ulog-nlgroup 32 --ulog-prefix \"a \\\"b\\\" \" \
        --ulog-cprange 60 --ulog-qthreshold 50\n\
        -A INPUT -j ULOG --ulog-prefix \"\" --ulog-cprange 0\n-A INPUT -j ULOGD\nCOMMIT\n";
    let output = run(wire.host.command("iptables-restore").arg("--test"), rules);
    assert!(!output.status.success(), "this kernel has ULOG");
    let (converted, notes) = migrate(rules, &["--group", "9"]);
    assert!(notes.contains("rules changed: 2; set nflog.groups = [1, 32]"), "{notes}");
    for restore in ["iptables-restore", "iptables-legacy-restore", "ip6tables-restore"] {
        load(&wire.host, &[restore, "--test"], &converted);
    }
    load(&wire.host, &["iptables-restore"], &converted);
    check_packet(&wire, 32, frame::syn(PEER, 50_000, 81), "a \"b\" ");
    check_packet(&wire, 1, frame::syn(PEER, 50_000, 82), "");
}

/// Statements of nft in every form that nft itself accepts.
#[test]
fn statements_of_nft() {
    let wire = Wire::new();
    let statements = [
        "log",
        "log accept",
        "log level info accept",
        "log level \"debug\" prefix \"x\"",
        "log flags tcp sequence,options flags skuid prefix \"log prefix \"",
        "log flags tcp options flags ip options flags ether counter",
        "log prefix \\\n \"y\" # log",
        "log flags all tcp dport 22 log group 5 snaplen 9 queue-threshold 3",
        "log level audit",
        "log snaplen 64",
        "limit rate over 5/second log prefix \"$name\" drop comment \"log level info\"",
        "iifname \"log\" jump log-in",
        "ip saddr @logged log prefix \"z\" level warn",
        "ct state vmap { invalid : jump log-in, new : accept } log",
        "tcp dport { 22, 23 } log prefix \"a\"; accept",
    ];
    let file = |statements: &[&str]| {
        format!(
            "#!/usr/sbin/nft -f\n# log\ndefine name = \"log \"\nflush ruleset\ntable inet t {{\n\
             set logged {{ type ipv4_addr; elements = {{ 192.0.2.1 }} }}\nchain log-in {{ }}\nchain c {{\n{}\n}}\n}}\n",
            statements.join("\n")
        )
    };
    for statement in statements {
        let text = file(&[statement]);
        load(&wire.host, &["nft", "-c", "-f", "-"], &text);
        let (converted, _) = migrate(&text, &["--group", "65535"]);
        load(&wire.host, &["nft", "-f", "-"], &converted);
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        let is_kept = statement.contains("audit");
        assert!(!listed.contains("level ") || is_kept || listed.contains("comment"), "{listed}");
        assert!(!listed.contains("flags "), "{listed}");
        // What nft lists is converted, too.
        let again = migrate(&listed, &[]).0;
        assert_eq!(again, listed);
    }
    let text =
        file(&statements).replace("chain c {", "chain c { type filter hook input priority 0; ");
    load(&wire.host, &["nft", "-f", "-"], &migrate(&text, &["--group", "4"]).0);
    check_packet(&wire, 4, frame::syn(PEER, 50_000, 81), "");
}

/// Nothing is loaded, and an error prints no rules.
#[test]
fn errors_print_no_rules() {
    let namespace = Namespace::new("migrate");
    let run =
        |rules: &str| run(namespace.command(EXPORTER).args(["migrate", "--rules", "-"]), rules);
    for (rules, why) in [
        ("[global]\nstack=x\n", "-: neither rules of iptables nor of nft; use the output of"),
        (
            "*filter\n-A INPUT -j ULOG --ulog-nlgroup 33\n",
            "-: line 2: --ulog-nlgroup 33: expected 1 to 32",
        ),
    ] {
        let output = run(rules);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert!(run("*filter\n-A INPUT -j LOG\nCOMMIT\n").status.success());
    assert_eq!(namespace.exec("nft", &["list", "ruleset"]), "");
}
