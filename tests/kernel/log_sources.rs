//! `/dev/kmsg` and NFLOG beside each other: the same packets give the same counts.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    Wire, frame,
    kernel_log::KernelLog,
    program::{Exporter, Samples, open_to_all, samples, sum, wait_for, whole},
    server::run,
};

/// Every dimension that both kinds of logging have: the kernel's lines do not show the hook.
const FAMILY: &str = "
    [[family]]
    name = 'both'
    labels = ['prefix', 'proto', 'country', 'port', 'source_port', 'direction', 'ip_version', 'network']
    max_series = 20000
    max_new_series_per_hour = 20000
    [[family]]
    name = 'other_labels'
    labels = ['prefix', 'proto', 'in_interface', 'out_interface', 'mark', 'icmp_type', 'tcp_flags', 'continent']
    max_series = 20000
    max_new_series_per_hour = 20000
    [kernel_log]
    kmsg = true
";

/// Samples without those at zero, of the prefixes that begin with a text, without that text.
fn of_prefix(samples: Samples, start: &str) -> BTreeMap<BTreeMap<String, String>, u64> {
    samples
        .into_iter()
        .filter(|(_, value)| *value > 0.0)
        .filter_map(|(mut labels, value)| {
            let prefix = labels["prefix"].strip_prefix(start)?.to_owned();
            labels.insert("prefix".into(), prefix);
            Some((labels, whole(value)))
        })
        .collect()
}

fn packets(samples: Samples, start: &str) -> u64 {
    of_prefix(samples, start).values().sum()
}

/// Packets of both IP versions: TCP, UDP and ICMP, from several countries.
fn traffic() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in 0..600_u16 {
        let host = u8::try_from(number % 200).unwrap() + 1;
        let source =
            [[133, 11, 1, host], [193, 0, 2, host], [18, 7, 3, host]][usize::from(number % 3)];
        let v6 = [0x20, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
        let (from, to) = (40_000 + number % 7, 20 + number % 5);
        frames.push(match number / 3 % 6 {
            0 => frame::syn(source, from, to),
            1 => frame::udp(source, from, 53, b"query"),
            2 => frame::ping(source),
            3 => frame::syn_v6(v6, from, to),
            4 => frame::udp_v6(v6, from, 53, b"query"),
            _ => frame::ping_v6(v6),
        });
    }
    frames
}

#[test]
fn the_same_packets_give_the_same_counts_series_by_series() {
    // Its setting lets the kernel log packets of the namespace.
    let _log = KernelLog::open();
    let wire = Wire::new();
    let id = std::process::id();
    // Unique, because the log is that of the whole system.
    let (nflog, kernel) = (format!("nf{id}:"), format!("kl{id}:"));
    wire.host.nft(&format!(
        "table inet t {{
            chain in {{
                type filter hook prerouting priority -100;
                iifname != wan0 return
                meta mark set 0x2a
                tcp dport 20-24 log prefix \"{nflog}tcp\" group 1
                tcp dport 20-24 log prefix \"{kernel}tcp \" level debug
                meta l4proto != tcp log prefix \"{nflog}other\" group 1
                meta l4proto != tcp log prefix \"{kernel}other \" level debug
                drop
            }}
        }}"
    ));
    let config = format!("[nflog]\ngroups = [1]\n{FAMILY}");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let frames = traffic();
    let mut sent = 0;
    // In parts that fit the ring buffer of the kernel.
    for part in frames.chunks(100) {
        sent += wire.send(part.iter().cloned());
        wait_for("the packets of both", || {
            let text = exporter.scrape();
            let both = |start: &str| packets(samples(&text, "nflog_both_packets_total"), start);
            (both(&nflog) >= sent && both(&kernel) >= sent).then_some(())
        });
    }
    // The kernel can see more packets than were sent. Their lines come later than their messages.
    let text = wait_for("the last line", || {
        let text = exporter.scrape();
        let both = |start: &str| packets(samples(&text, "nflog_both_packets_total"), start);
        (both(&nflog) == both(&kernel)).then_some(text)
    });
    for (metric, series) in [
        ("nflog_both_packets_total", 50),
        ("nflog_both_bytes_total", 50),
        ("nflog_other_labels_packets_total", 3),
        ("nflog_other_labels_bytes_total", 3),
    ] {
        let by_nflog = of_prefix(samples(&text, metric), &nflog);
        assert!(by_nflog.len() > series, "{by_nflog:#?}");
        assert_eq!(of_prefix(samples(&text, metric), &kernel), by_nflog);
    }
    assert_eq!(sum(&text, "nflog_exporter_lost_packets_total"), 0);
    let lines = samples(&text, "nflog_exporter_kernel_log_lines_total");
    let kmsg = lines.iter().find(|(labels, _)| labels["source"] == "kmsg").unwrap();
    assert!(whole(kmsg.1) >= sent, "{lines:?}");
}

/// Records of programs have another facility, and records before the start are not read.
#[test]
fn records_of_programs_are_not_read() {
    let wire = Wire::new();
    let exporter = Exporter::start(&wire.host, FAMILY, &[]);
    let forged = format!(
        "<4>forged{}: IN=a OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=ICMP TYPE=8",
        std::process::id()
    );
    fs::write("/dev/kmsg", &forged).unwrap();
    let _log = KernelLog::open();
    let prefix = format!("own{}:", std::process::id());
    wire.host.nft(&format!(
        "table inet t {{ chain in {{ type filter hook prerouting priority -100; iifname wan0 log prefix \"{prefix} \" level debug; }}\n}}"
    ));
    wire.send([frame::ping([193, 0, 2, 1])]);
    let text = wait_for("a packet", || {
        let text = exporter.scrape();
        (packets(samples(&text, "nflog_both_packets_total"), &prefix) == 1).then_some(text)
    });
    assert!(!text.contains("forged"), "{text}");
    assert!(exporter.program.log().contains("groups=[]"));
}

/// Started as root, the exporter joins the group of a log that others cannot read, also after its rotation, and also if only
/// another file has it.
#[test]
fn a_log_of_the_group_adm_is_followed_without_root() {
    for is_later in [false, true] {
        check_log_of_adm(is_later);
    }
}

fn check_log_of_adm(is_later: bool) {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let file = directory.path().join("kern.log");
    let create = |file: &Path| {
        fs::write(file, "").unwrap();
        run(Command::new("chown").arg("root:adm").arg(file));
        run(Command::new("chmod").arg("640").arg(file));
    };
    create(&if is_later { directory.path().join("auth.log") } else { file.clone() });
    let (shown, state) = (file.display(), directory.path().join("state/positions"));
    let config = format!("[kernel_log]\nfiles = ['{shown}']\nstate_file = '{}'\n", state.display());
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let append = |expect: u64| {
        let mut log = OpenOptions::new().append(true).open(&file).unwrap();
        writeln!(
            log,
            "kernel: [{expect}.5] x: IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=ICMP TYPE=8"
        )
        .unwrap();
        wait_for("a line", || {
            let received = sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
            (received == expect).then_some(())
        });
    };
    if is_later {
        create(&file);
    }
    wait_for("the file", || exporter.program.log().contains("following a log file").then_some(()));
    append(1);
    fs::rename(&file, directory.path().join("kern.log.1")).unwrap();
    create(&file);
    append(2);
}

/// A killed test drops nothing. This test starts itself, as the one that is killed.
#[test]
fn a_killed_test_restores_the_system() {
    const SETTING: &str = "/proc/sys/net/netfilter/nf_log_all_netns";
    const CHILD: &str = "NFLOG_EXPORTER_TEST_KILLED";
    if std::env::var_os(CHILD).is_some() {
        let _log = KernelLog::open();
        let wire = Wire::new();
        println!("namespace {}", wire.host.name());
        loop {
            std::thread::park();
        }
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--nocapture", "log_sources::a_killed_test_restores_the_system"])
        .env(CHILD, "1")
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let name = loop {
        let mut line = String::new();
        assert_ne!(std::io::BufRead::read_line(&mut output, &mut line).unwrap(), 0, "no namespace");
        if let Some((_, name)) = line.split_once("namespace ") {
            break name.trim().to_owned();
        }
    };
    let exists = || Path::new("/run/netns").join(&name).exists();
    assert!(exists());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the namespace to be removed", || (!exists()).then_some(()));
    // The lock is free again once the setting is restored.
    drop(KernelLog::forbid());
    assert_eq!(fs::read_to_string(SETTING).unwrap().trim(), "0");
}
