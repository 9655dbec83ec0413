//! Converts rules of each tool, with what looks like LOG and is not.

use super::*;

#[track_caller]
fn converted(text: &str) -> MigratedRules {
    rules(text.as_bytes(), 7).unwrap()
}

#[track_caller]
fn check_iptables(rule: &str, expect: &str) {
    let around =
        |rule: &str| format!("*filter\n:INPUT DROP [0:0]\n:LOGGING - [0:0]\n{rule}\nCOMMIT\n");
    let converted = converted(&around(rule));
    assert_eq!(str::from_utf8(&converted.text).unwrap(), around(expect));
    assert_eq!(converted.changed, usize::from(rule != expect), "{:?}", converted.notes);
}

#[track_caller]
fn check_nft(rule: &str, expect: &str) {
    let around = |rule: &str| format!("table inet t {{\n\tchain c {{\n\t\t{rule}\n\t}}\n}}\n");
    let converted = converted(&around(rule));
    assert_eq!(str::from_utf8(&converted.text).unwrap(), around(expect));
    assert_eq!(converted.changed, usize::from(rule != expect), "{:?}", converted.notes);
}

#[test]
fn iptables_log() {
    for (rule, expect) in [
        ("-A INPUT -j LOG", "-A INPUT -j NFLOG --nflog-group 7"),
        (
            "-A INPUT -m limit --limit 3/min -j LOG --log-prefix \"[UFW \\\"BLOCK] \" --log-level 7 --log-uid",
            "-A INPUT -m limit --limit 3/min -j NFLOG --nflog-group 7 --nflog-prefix \"[UFW \\\"BLOCK] \"",
        ),
        (
            "[3:180] -A INPUT ! -i lo  -j LOG --log-tcp-sequence  --log-prefix a --log-ip-options",
            "[3:180] -A INPUT ! -i lo  -j NFLOG --nflog-group 7  --nflog-prefix a",
        ),
        (
            "-A INPUT -jLOG --log-pre=\"a b\" -i lo",
            "-A INPUT -jNFLOG --nflog-group 7 --nflog-prefix=\"a b\" -i lo",
        ),
        ("-A INPUT --jump=LOG --log-level=4", "-A INPUT --jump=NFLOG --nflog-group 7"),
        ("-A INPUT --ju \"LOG\" --log-prefix \"\"", "-A INPUT --ju NFLOG --nflog-group 7"),
        (
            "-A INPUT -j LOG --log-prefix --log-level --log-level 4 -m comment --comment --log-uid",
            "-A INPUT -j NFLOG --nflog-group 7 --nflog-prefix --log-level -m comment --comment --log-uid",
        ),
        (
            "-A INPUT -m comment --comment \"-j LOG\" -j LOG",
            "-A INPUT -m comment --comment \"-j LOG\" -j NFLOG --nflog-group 7",
        ),
    ] {
        check_iptables(rule, expect);
    }
}

#[test]
fn iptables_ulog() {
    for (rule, expect) in [
        ("-A INPUT -j ULOG", "-A INPUT -j NFLOG --nflog-group 1"),
        (
            "-A INPUT -j ULOG --ulog-nlgroup 32 --ulog-prefix \"a b\" --ulog-cprange 48 --ulog-qthreshold 50",
            "-A INPUT -j NFLOG --nflog-group 32 --nflog-prefix \"a b\" --nflog-size 48 --nflog-threshold 50",
        ),
        (
            "-A INPUT -j ULOG --ulog-prefix x --ulog-cprange 0 --ulog-nlgroup=0x2",
            "-A INPUT -j NFLOG --nflog-group 2 --nflog-prefix x",
        ),
    ] {
        check_iptables(rule, expect);
    }
    for value in ["0", "33", "-1", "x", ""] {
        let text = format!("*filter\n\n-A INPUT -j ULOG --ulog-nlgroup {value}\nCOMMIT\n");
        let error = rules(text.as_bytes(), 1).unwrap_err().to_string();
        assert_eq!(error, format!("line 3: --ulog-nlgroup {value}: expected 1 to 32"));
    }
}

#[test]
fn iptables_rules_without_log_stay() {
    for rule in [
        "-A INPUT -j LOGGING",
        "-A INPUT -j LOGDROP",
        "-A INPUT -g LOG",
        "# -A INPUT -j LOG",
        "-A INPUT -m comment --comment \"x -j LOG\" -j DROP",
        "-A INPUT -m comment --comment -j -j LOGDROP",
        "-A INPUT -m string --string \"-j LOG --log-prefix\" --algo bm -j ACCEPT",
        "-A INPUT -j NFLOG --nflog-prefix \"-j LOG\" --nflog-group 3",
        "-A INPUT -p tcp -m tcp --dport 22",
        ":LOG - [0:0]\n-A INPUT -j LOG",
        "-N LOG\n-A INPUT -j LOG",
    ] {
        check_iptables(rule, rule);
    }
    // A chain of another table is no chain of this one.
    let text = "*nat\n:LOG - [0:0]\nCOMMIT\n*filter\n-A INPUT -j LOG\nCOMMIT\n";
    assert_eq!(converted(text).changed, 1);
}

#[test]
fn bytes_of_any_encoding_stay() {
    let text = b"*filter\r\n-A INPUT -j LOG --log-prefix \"\xff\xe4 \" \r\nCOMMIT";
    let expect =
        b"*filter\r\n-A INPUT -j NFLOG --nflog-group 7 --nflog-prefix \"\xff\xe4 \" \r\nCOMMIT";
    assert_eq!(rules(text, 7).unwrap().text, expect);
    let long = format!("*filter\n-A INPUT -j LOG --log-prefix {}\n", "x".repeat(64));
    assert!(converted(&long).notes[1].contains("at most 63 bytes"));
}

#[test]
fn nft_log() {
    for (rule, expect) in [
        ("log", "log group 7"),
        (
            "log snaplen 64 prefix \"a\" queue-threshold 5",
            "log snaplen 64 prefix \"a\" group 7 queue-threshold 5",
        ),
        ("log prefix \"a \" accept", "log prefix \"a \" group 7 accept"),
        (
            "limit rate 10/second burst 20 packets log prefix \"D: \" flags all counter packets 5 bytes 3 drop",
            "limit rate 10/second burst 20 packets log prefix \"D: \" group 7 counter packets 5 bytes 3 drop",
        ),
        ("log level info flags tcp sequence,options tcp dport 22", "log group 7 tcp dport 22"),
        (
            "log flags ip options flags skuid prefix $name level \"warn\"",
            "log prefix $name group 7",
        ),
        ("log flags tcp options flags ether ip saddr 192.0.2.1", "log group 7 ip saddr 192.0.2.1"),
        (
            "log \\\n  prefix \\\n \"log level\" # log",
            "log \\\n  prefix \\\n \"log level\" group 7 # log",
        ),
        ("tcp dport { 22, 80 } log; drop", "tcp dport { 22, 80 } log group 7; drop"),
        ("ether type ip log prefix \"x\"", "ether type ip log prefix \"x\" group 7"),
        (
            "ct state vmap { new : jump log, invalid : drop } log",
            "ct state vmap { new : jump log, invalid : drop } log group 7",
        ),
    ] {
        check_nft(rule, expect);
    }
}

#[test]
fn nft_rules_without_log_stay() {
    for rule in [
        "log prefix \"log\" group 3 snaplen 64",
        "log group 0",
        "log level audit",
        "jump log",
        "goto log-drop",
        "jump my.log",
        "# log prefix \"x\"",
        "tcp dport 22 accept comment \"log prefix\"",
        "iifname \"log\" accept",
        "iifname log* accept",
        "ip saddr @log accept",
        "xt target \"LOG\"",
    ] {
        check_nft(rule, rule);
    }
}

#[test]
fn changes_are_noted() {
    let text = "*filter\n-A INPUT -j LOG --log-level debug --log-macdecode\n-A INPUT -j ULOG --ulog-nlgroup 3\n";
    let MigratedRules { notes, groups, .. } = converted(text);
    assert_eq!(
        notes,
        [
            "line 2: LOG became NFLOG, group 7",
            "line 2: Not migrated: --log-level debug: NFLOG has no level; use another prefix or group",
            "line 2: Not migrated: --log-macdecode: NFLOG always sends the hardware address",
            "line 3: ULOG became NFLOG, group 3",
        ]
    );
    assert_eq!(groups, BTreeSet::from([3, 7]));
    let text = "#!/usr/sbin/nft -f\nflush ruleset\ninclude \"x.nft\"\n\
                add rule t c log \\\n level err flags all\nadd rule t c xt target \"LOG\"\n";
    assert_eq!(
        converted(text).notes,
        [
            "line 3: Not migrated: the included files: convert each of them",
            "line 4: log became NFLOG, group 7",
            "line 4: Not migrated: level err: NFLOG has no level; use another prefix or group",
            "line 4: Not migrated: flags all: NFLOG sends headers, hardware address and user id themselves",
            "line 6: an iptables rule that nft cannot load: convert the output of iptables-save instead",
        ]
    );
}

#[test]
fn other_formats_are_errors() {
    for text in [
        "",
        "\n# x\n",
        "[global]\n",
        "Chain INPUT (policy ACCEPT)\n",
        "iptables -A INPUT -j LOG\n",
        "*\n",
    ] {
        assert_eq!(rules(text.as_bytes(), 1).unwrap_err(), RulesError::Unknown, "{text:?}");
    }
    assert_eq!(rules(b"{\"nftables\": []}", 1).unwrap_err(), RulesError::Json);
}

/// Cuts and joins of valid texts: no panic, and a text without `log` in any case stays.
#[test]
fn any_bytes_are_converted() {
    let seeds = [
        "*filter\n:LOG - [0:0]\n-A INPUT --jump=LOG --log-prefix=\"a\\\"\" --ulog-nlgroup\n-A I -j ULOG --ulog-cprange\n",
        "table t {\nchain c { log flags tcp sequence, prefix \"x\nlog level \"audit\" # \\\n log group",
    ];
    for seed in seeds {
        for end in 0..seed.len() {
            for start in 0..end.min(40) {
                let start = if start < 8 { 0 } else { start };
                let _ = rules(
                    [&seed.as_bytes()[..8], &seed.as_bytes()[start..end]].concat().as_slice(),
                    1,
                );
            }
        }
    }
}
