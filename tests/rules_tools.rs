//! The rules of `rules --for TOOL`, loaded by the tool itself into a firewall of its own making, and
//! what packets they deliver. Takes root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use support::{
    Namespace, Wire,
    netns::{HOST, HOST_V6},
    program::{EXPORTER, Exporter, Program, samples, wait_for, whole},
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

/// Makes two connections, one for each IP version, to a port that is open and to one that is not;
/// returns how many packets of each were logged under the prefix.
fn deliver(wire: &Wire, exporter: &Exporter<'_>, prefix: &str) -> (u64, u64) {
    let addresses = [IpAddr::from(HOST), IpAddr::from(HOST_V6)];
    let open = |port| addresses.map(|address| SocketAddr::new(address, port));
    let listeners = wire.host.run(|| open(22).map(|address| TcpListener::bind(address).unwrap()));
    wire.peer.run(|| {
        for address in open(22) {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
            stream.write_all(b"hello").unwrap();
        }
        for address in open(23) {
            // Dropped or rejected: no matter.
            let refused = TcpStream::connect_timeout(&address, Duration::from_millis(300));
            assert!(refused.is_err());
        }
    });
    drop(listeners);
    let count = |metrics: &str, port: &str| {
        let all = samples(metrics, "nflog_packets_total");
        let expected = [("prefix", prefix), ("port", port), ("proto", "tcp")];
        let of_port = all.iter().filter(|(labels, _)| {
            expected.iter().all(|(name, value)| labels.get(*name).is_some_and(|has| has == value))
        });
        whole(of_port.map(|(_, value)| value).sum())
    };
    // Behind the last packet to the closed port come none to the open one.
    wait_for("the packets", || {
        let metrics = exporter.scrape();
        let closed = count(&metrics, "23");
        (closed >= 2).then(|| (count(&metrics, "22"), closed))
    })
}

/// Holds what was delivered against what was wanted.
fn check(wire: &Wire, log: &str, prefix: &str) {
    let exporter = Exporter::start(&wire.host, "", &[]);
    let (open, closed) = deliver(wire, &exporter, prefix);
    match log {
        "all" => assert!(open > 4, "{open} and {closed}"),
        "new" => assert_eq!(open, 2, "and {closed}"),
        _ => assert_eq!(open, 0, "and {closed}"),
    }
}

const NFT: &str = "table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        iif \"lo\" accept
        ct state established,related accept
        meta l4proto ipv6-icmp accept
        tcp dport 22 accept
    }
}";

#[test]
fn nft() {
    for (log, prefix) in [("all", "inbound"), ("new", "new"), ("dropped", "dropped")] {
        let wire = Wire::new();
        wire.host.nft(NFT);
        let text = rules("nft", log, &[]);
        wire.host.nft(&text);
        if log != "dropped" {
            // As often as one likes.
            wire.host.nft(&text);
        }
        check(&wire, log, prefix);
        let listed = wire.host.exec("nft", &["list", "ruleset"]);
        assert_eq!(listed.matches("log prefix").count(), 1, "{listed}");
        assert_eq!(listed.matches("limit rate 10000/second burst 10000 packets").count(), 1);
    }
}

const IPTABLES: &str = "*filter
:INPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
-A INPUT -p tcp --dport 22 -j ACCEPT
COMMIT
";

#[test]
fn iptables() {
    for (log, prefix) in [("all", "inbound"), ("new", "new"), ("dropped", "ab c")] {
        let wire = Wire::new();
        let text = rules("iptables", log, &["--prefix", prefix]);
        for program in ["iptables-restore", "ip6tables-restore"] {
            feed(&wire.host, program, &["--noflush"], "", IPTABLES);
            feed(&wire.host, program, &["--noflush"], "", &text);
        }
        check(&wire, log, prefix);
    }
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
            feed(&wire.host, "sh", &[], "", &text);
        }
        let file = if log == "dropped" { "ufw/after.rules" } else { "ufw/before.rules" };
        let written = fs::read_to_string(etc.path(file)).unwrap();
        assert_eq!(written.matches("nflog-group").count(), 2, "{written}");
        check(&wire, log, prefix);
        let remove = text.split("# Remove: ").nth(1).unwrap().split("\n# Not").next().unwrap();
        feed(&wire.host, "sh", &[], "", &remove.replace("\\\n#", ""));
        let written = fs::read_to_string(etc.path(file)).unwrap();
        assert!(!written.contains("nflog"), "{written}");
    }
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
        feed(&wire.host, "sh", &[], &bus, &text);
        check(&wire, log, prefix);
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
