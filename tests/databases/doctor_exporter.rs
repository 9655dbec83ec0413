//! `doctor` with a running exporter: which process it finds, and its checks of the metrics. Needs root.

use std::{fs, net::UdpSocket, os::unix::fs::PermissionsExt as _, thread, time::Duration};

use nix::sys::signal::Signal;

use crate::support::{
    Namespace, Wire,
    doctor::{Report, asked, doctor, doctor_with, in_traffic, last_line},
    frame,
    program::{EXPORTER, Exporter, Program, get, open_to_all, samples, sum, wait_for},
    server::certificates,
};

const RULES: &str = "table inet filter {
    chain input {
        type filter hook input priority 0
        iifname wan0 udp dport 80 log prefix \"web\" group 1
    }
}";

const RECEIVED: &str = "nflog_exporter_received_packets_total";

fn with_rules() -> Wire {
    let wire = Wire::new();
    wire.host.nft(RULES);
    wire
}

fn scrape_as_prometheus(host: &Namespace) {
    let mut command = host.command("curl");
    command.args(["--silent", "--fail", "--output", "/dev/null"]);
    command.args(["--header", "X-Prometheus-Scrape-Timeout-Seconds: 10"]);
    assert!(command.arg("http://127.0.0.1:10239/metrics").status().unwrap().success());
}

#[test]
fn a_healthy_exporter_passes_all_checks() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "", &[]);
    let report = doctor(&wire.host, &[]);
    let pid = format!("(pid {})", exporter.program.pid());
    report.ok("exporter", &format!("running {pid}, answers at 127.0.0.1:10239"));
    report.ok("group", "group 1 is read by nflog_exporter");
    report.ok("port", "a running exporter");
    report.ok("reload", "");
    report.ok("rights", "the user nobody can");
    report.hints("prometheus", "no Prometheus scraped");
    report.hints("packets", "received no packet of group 1 since its start");
    assert_eq!(report.code, Some(0), "{:?}", report.checks);

    scrape_as_prometheus(&wire.host);
    let report = in_traffic(&wire, || doctor(&wire.host, &[]));
    assert_eq!(report.code, Some(0), "{:?}", report.checks);
    report.ok("prometheus", "the last scrape was");
    report.ok("packets", "packets of group 1");
    report.ok("loss", "0 of ");
    // An idle host is healthy. The kernel may have held the last packet back.
    wait_for("an idle host", || {
        let report = doctor(&wire.host, &[]);
        report.did_not_fail("packets");
        report.all("packets", "ok")[0]
            .contains("no packet of group 1 in the last 2s, ")
            .then_some(())
    });
    assert_eq!(last_line(wire.host.command(EXPORTER), &[]), "all checks passed");
    // An hour later.
    let mut command = wire.host.command("faketime");
    command.args(["-f", "+1h", EXPORTER]);
    Report::of(&asked(command, &[])).failed("prometheus", "the last scrape was 3");
    // From another PID namespace, where its process is invisible.
    let mut command = wire.host.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", EXPORTER]);
    let report = Report::of(&asked(command, &[]));
    report.ok("exporter", "running, answers at");
    report.ok("group", "group 1 is read by the exporter that answers at");
}

#[test]
fn an_exporter_that_does_not_respond_is_reported() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "", &[]);
    exporter.program.signal(Signal::SIGSTOP);
    doctor(&wire.host, &[]).failed("exporter", "127.0.0.1:10239: it does not respond");
    exporter.program.signal(Signal::SIGCONT);
    doctor(&wire.host, &[]).ok("exporter", "answers at");
}

#[test]
fn each_group_is_checked() {
    let wire = with_rules();
    let config = "[nflog]\ngroups = [1, 2]\n";
    let _exporter = Exporter::start(&wire.host, config, &[]);
    let report = in_traffic(&wire, || doctor_with(&wire.host, config));
    report.hints("packets", "received no packet of group 2");
    assert!(report.all("packets", "ok")[0].contains("of group 1"), "{:?}", report.checks);
}

#[test]
fn an_exporter_with_another_configuration_is_reported() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "[nflog]\ngroups = [5]\n", &[]);
    let report = doctor(&wire.host, &[]);
    report.failed("exporter", "does not read group 1");
    report.failed("exporter", "--config.file");
    let report =
        doctor(&wire.host, &["--nflog.group", "5", "--mirror.url", "sqlite:/nowhere/rows.db"]);
    report.failed("mirror", "writes no rows");
    drop(exporter);

    // Another instance holds the group.
    let arguments = ["--web.listen-address", "127.0.0.1:10240"];
    let other = Exporter::spawn(&wire.host, "", &arguments);
    wait_for("the other instance", || get(&wire.host, 10240, "/-/ready"));
    let report = doctor(&wire.host, &[]);
    let name = format!("another instance, nflog_exporter (pid {}", other.program.pid());
    report.failed("group", &name);
    report.failed("group", "which serves port 10240");
    report.skipped("packets", "is held by");
    doctor(&wire.host, &arguments).ok("group", "");
}

#[test]
fn an_exporter_in_another_network_namespace_is_reported() {
    let wire = with_rules();
    let arguments = ["--web.listen-address", "198.51.100.2:10239"];
    let _other = Exporter::spawn(&wire.peer, "", &arguments);
    wait_for("the other exporter", || {
        let mut command = wire.host.command("curl");
        command.args(["--silent", "--fail", "http://198.51.100.2:10239/-/ready"]);
        command.output().unwrap().status.success().then_some(())
    });
    let report = doctor(&wire.host, &arguments);
    report.failed("group", "no process reads group 1 in this network namespace");
}

#[test]
fn rules_of_a_running_exporter_are_found() {
    let wire = Wire::new();
    let _exporter = Exporter::start(&wire.host, "", &["--rules.install"]);
    doctor(&wire.host, &["--rules.install"]).ok("rules", "in inet nflog_exporter inbound");
}

/// Files of a web configuration, readable by all users.
fn web_config(text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    certificates(directory.path(), ",IP:127.0.0.1");
    fs::write(directory.path().join("web.yml"), text).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o644)).unwrap();
    }
    directory
}

#[test]
fn unreadable_metrics_skip_the_checks_that_need_them() {
    let wire = with_rules();
    let users = "basic_auth_users:\n  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n";
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    for (text, why) in [(users, "it requires a password"), (tls, "it requires TLS")] {
        let directory = web_config(text);
        let file = directory.path().join("web.yml");
        let arguments = ["--web.config.file", file.to_str().unwrap()];
        let exporter = Exporter::spawn(&wire.host, "", &arguments);
        let report = wait_for("the exporter", || {
            let report = doctor(&wire.host, &arguments);
            (!report.all("exporter", "ok").is_empty()).then_some(report)
        });
        report.ok("exporter", why);
        report.ok("group", &format!("(pid {}", exporter.program.pid()));
        report.ok("port", "a running exporter");
        report.skipped("packets", why);
        report.skipped("packets", RECEIVED);
        report.skipped("prometheus", "metrics cannot be read");
        let last = last_line(wire.host.command(EXPORTER), &arguments);
        assert_eq!(last, "no check failed, 1 check was not possible");
        // The same from another PID namespace, where its process is invisible too.
        let mut command = wire.host.command("unshare");
        command.args(["--pid", "--fork", "--mount-proc", EXPORTER]);
        let report = Report::of(&asked(command, &arguments));
        report.skipped("group", "perhaps by the exporter");
        report.skipped("packets", why);
    }
}

#[test]
fn an_exporter_with_a_socket_of_systemd_is_found() {
    let wire = with_rules();
    let directory = tempfile::tempdir().unwrap();
    let mut command = wire.host.command("systemd-socket-activate");
    command.args(["--listen", "127.0.0.1:10241", EXPORTER, "--web.systemd-socket"]);
    let _program = Program::start(&mut command, directory.path().join("activated.log"));
    wait_for("the exporter", || get(&wire.host, 10241, "/-/ready"));
    let report = doctor(&wire.host, &["--web.systemd-socket"]);
    report.ok("exporter", "answers at 127.0.0.1:10241");
    report.ok("group", "is read by nflog_exporter");
}

#[test]
fn an_exporter_with_a_port_chosen_by_the_kernel_is_found() {
    let wire = with_rules();
    let arguments = ["--web.listen-address", "127.0.0.1:0"];
    let _exporter = Exporter::spawn(&wire.host, "", &arguments);
    let report = wait_for("the exporter", || {
        let report = doctor(&wire.host, &arguments);
        (!report.all("exporter", "ok").is_empty()).then_some(report)
    });
    report.ok("exporter", "answers at 127.0.0.1:");
    report.ok("group", "is read by nflog_exporter");
}

#[test]
fn a_failed_reload_is_reported() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "", &[]);
    exporter.configure("nonsense");
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the reload to fail", || {
        let failed = sum(&exporter.scrape(), "nflog_exporter_config_last_reload_successful") == 0;
        failed.then_some(())
    });
    doctor(&wire.host, &[]).failed("reload", "the previous configuration is active");
}

/// The doctor, as root, can write to a directory to which the exporter cannot.
#[test]
fn a_mirror_that_cannot_write_is_reported() {
    let wire = with_rules();
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let rows = directory.path().join("rows");
    fs::create_dir(&rows).unwrap();
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}/rows.db'\nspool.directory = '{}/spool'\n",
        rows.display(),
        directory.path().display()
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let report = doctor_with(&wire.host, &config);
    report.failed("mirror", "nflog_exporter_mirror_up is 0");
    report.failed("rights", &format!("cannot write to {}", rows.display()));
    open_to_all(&rows);
    wait_for("the mirror", || {
        (sum(&exporter.scrape(), "nflog_exporter_mirror_up") == 1).then_some(())
    });
    let report = doctor_with(&wire.host, &config);
    report.ok("mirror", "answers");
    report.ok("rights", "can access all files");
}

#[test]
fn lost_packets_are_reported() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "[nflog]\nreceive_buffer = 4096\n", &[]);
    let report = thread::scope(|scope| {
        let asked = scope.spawn(|| doctor(&wire.host, &[]));
        while !asked.is_finished() {
            wire.send(frame::spoofed(20_000, 80));
            thread::sleep(Duration::from_millis(20));
        }
        asked.join().unwrap()
    });
    assert!(!samples(&exporter.scrape(), RECEIVED).is_empty());
    report.failed("loss", "packets lost during this check");
}

#[test]
fn rejected_syslog_senders_are_reported() {
    let host = Namespace::new("host");
    let config = "[kernel_log]\nsyslog = ['udp://127.0.0.1:5514']\nallow = ['192.0.2.0/24']\n";
    let exporter = Exporter::start(&host, config, &[]);
    let report = doctor_with(&host, config);
    report.ok("kernel_log", "other hosts send their lines by syslog");
    report.hints("packets", "kernel_log.allow has the senders");
    assert!(!report.all("packets", "hint")[0].contains("nc -vz"), "{:?}", report.checks);
    report.has_none("kernel_log_senders");
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    let send = || socket.send_to(b"<4>kernel: x", "127.0.0.1:5514").unwrap();
    let report = thread::scope(|scope| {
        let asked = scope.spawn(|| doctor_with(&host, config));
        while !asked.is_finished() {
            send();
            thread::sleep(Duration::from_millis(20));
        }
        asked.join().unwrap()
    });
    report.failed("kernel_log_senders", "kernel_log.allow");
    // Anyone can send: later it is only a hint.
    doctor_with(&host, config).hints("kernel_log_senders", "0 of them during this check");
    assert!(exporter.program.log().contains("127.0.0.1"));
}

/// Lines of other hosts arrive in a file, without a rule on this host.
#[test]
fn files_with_lines_of_other_hosts_need_no_rule() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let file = directory.path().join("routers.log");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let config = format!(
        "[kernel_log]\nfiles = ['{}']\nstate_file = '{}/positions'\n",
        file.display(),
        directory.path().display()
    );
    let report = doctor_with(&host, &config);
    report.hints("kernel_log", "the files can only have lines of other hosts");
    report.has_none("kernel_log_namespace");
    let exporter = Exporter::start(&host, &config, &[]);
    wait_for("the file", || exporter.program.log().contains("following a log file").then_some(()));
    let line = "Nov 28 10:00:00 router kernel: [1.5] x: IN=a OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=ICMP TYPE=8\n";
    fs::write(&file, line).unwrap();
    wait_for("the packet", || (sum(&exporter.scrape(), RECEIVED) == 1).then_some(()));
    // Although the rule of this namespace writes no line.
    doctor_with(&host, &config).ok("kernel_log", "received 1 packets in lines");
    host.nft("table inet f { chain c { type filter hook input priority 0; log prefix \"x\"; }\n}");
    let report = doctor_with(&host, &config);
    report.ok("kernel_log", "inet f c logs to the kernel's log");
    report.has_none("kernel_log_namespace");
}
