//! `doctor` beside an exporter that runs: what that says of itself, and who is taken for it. Takes root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, thread, time::Duration};

use nix::sys::signal::Signal;
use support::{
    Namespace, Wire,
    doctor::{Said, asked, doctor, doctor_with, in_traffic, last_line},
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
fn one_that_is_well() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "", &[]);
    let said = doctor(&wire.host, &[]);
    let pid = format!("(pid {})", exporter.program.pid());
    said.ok("exporter", &format!("one runs {pid} and answers at 127.0.0.1:10239"));
    said.ok("group", "group 1 is read by nflog_exporter");
    said.ok("port", "an exporter that runs");
    said.ok("reload", "");
    said.ok("rights", "the user nobody can");
    said.hints("prometheus", "none has scraped");
    said.hints("packets", "has got none of group 1 since its start");
    assert_eq!(said.code, Some(0), "{:?}", said.checks);

    scrape_as_prometheus(&wire.host);
    let said = in_traffic(&wire, || doctor(&wire.host, &[]));
    assert_eq!(said.code, Some(0), "{:?}", said.checks);
    said.ok("prometheus", "it scraped");
    said.ok("packets", "more of group 1");
    said.ok("loss", "0 of ");
    // When all is quiet, that is no failure. The kernel may have held the last packet back.
    wait_for("quiet", || {
        let said = doctor(&wire.host, &[]);
        said.did_not_fail("packets");
        said.all("packets", "ok")[0].contains("none of group 1 in the last 2s, ").then_some(())
    });
    assert_eq!(last_line(wire.host.command(EXPORTER), &[]), "all checks passed");
    // An hour later.
    let mut command = wire.host.command("faketime");
    command.args(["-f", "+1h", EXPORTER]);
    Said::of(&asked(command, &[])).failed("prometheus", "the last scrape was 3");
    // From where its process cannot be seen.
    let mut command = wire.host.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", EXPORTER]);
    let said = Said::of(&asked(command, &[]));
    said.ok("exporter", "one runs and answers at");
    said.ok("group", "group 1 is read by the exporter that answers at");
}

#[test]
fn each_group_counts_for_itself() {
    let wire = with_rules();
    let config = "[nflog]\ngroups = [1, 2]\n";
    let _exporter = Exporter::start(&wire.host, config, &[]);
    let said = in_traffic(&wire, || doctor_with(&wire.host, config));
    said.hints("packets", "has got none of group 2");
    assert!(said.all("packets", "ok")[0].contains("of group 1"), "{:?}", said.checks);
}

#[test]
fn one_with_another_configuration() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "[nflog]\ngroups = [5]\n", &[]);
    let said = doctor(&wire.host, &[]);
    said.failed("exporter", "does not read group 1");
    said.failed("exporter", "--config.file");
    let said =
        doctor(&wire.host, &["--nflog.group", "5", "--mirror.url", "sqlite:/nowhere/rows.db"]);
    said.failed("mirror", "writes no rows");
    drop(exporter);

    // Another instance has the group.
    let arguments = ["--web.listen-address", "127.0.0.1:10240"];
    let other = Exporter::spawn(&wire.host, "", &arguments);
    wait_for("the other instance", || get(&wire.host, 10240, "/-/ready"));
    let said = doctor(&wire.host, &[]);
    let name = format!("another instance, nflog_exporter (pid {}", other.program.pid());
    said.failed("group", &name);
    said.failed("group", "which serves port 10240");
    said.skipped("packets", "is held by");
    doctor(&wire.host, &arguments).ok("group", "");
}

#[test]
fn one_in_another_network_namespace() {
    let wire = with_rules();
    let arguments = ["--web.listen-address", "198.51.100.2:10239"];
    let _other = Exporter::spawn(&wire.peer, "", &arguments);
    wait_for("the other to serve", || {
        let mut command = wire.host.command("curl");
        command.args(["--silent", "--fail", "http://198.51.100.2:10239/-/ready"]);
        command.output().unwrap().status.success().then_some(())
    });
    let said = doctor(&wire.host, &arguments);
    said.failed("group", "nobody reads group 1 here");
}

#[test]
fn one_that_installed_its_rules() {
    let wire = Wire::new();
    let _exporter = Exporter::start(&wire.host, "", &["--rules.install"]);
    doctor(&wire.host, &["--rules.install"]).ok("rules", "in inet nflog_exporter inbound");
}

/// Files for a web configuration, which everybody may read.
fn web_config(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    certificates(folder.path(), ",IP:127.0.0.1");
    fs::write(folder.path().join("web.yml"), text).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o644)).unwrap();
    }
    folder
}

#[test]
fn one_that_cannot_be_asked() {
    let wire = with_rules();
    let users = "basic_auth_users:\n  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n";
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    for (text, why) in [(users, "it asks for a password"), (tls, "it asks for TLS")] {
        let folder = web_config(text);
        let file = folder.path().join("web.yml");
        let arguments = ["--web.config.file", file.to_str().unwrap()];
        let exporter = Exporter::spawn(&wire.host, "", &arguments);
        let said = wait_for("it to serve", || {
            let said = doctor(&wire.host, &arguments);
            (!said.all("exporter", "ok").is_empty()).then_some(said)
        });
        said.ok("exporter", why);
        said.ok("group", &format!("(pid {}", exporter.program.pid()));
        said.ok("port", "an exporter that runs");
        said.skipped("packets", why);
        said.skipped("packets", RECEIVED);
        said.skipped("prometheus", "cannot be asked");
        let last = last_line(wire.host.command(EXPORTER), &arguments);
        assert_eq!(last, "no check failed, 1 check could not be made");
        // Nor can its process be seen, from elsewhere.
        let mut command = wire.host.command("unshare");
        command.args(["--pid", "--fork", "--mount-proc", EXPORTER]);
        let said = Said::of(&asked(command, &arguments));
        said.skipped("group", "perhaps by the exporter");
        said.skipped("packets", why);
    }
}

#[test]
fn one_with_a_socket_of_systemd() {
    let wire = with_rules();
    let folder = tempfile::tempdir().unwrap();
    let mut command = wire.host.command("systemd-socket-activate");
    command.args(["--listen", "127.0.0.1:10241", EXPORTER, "--web.systemd-socket"]);
    let _program = Program::start(&mut command, folder.path().join("activated.log"));
    wait_for("it to serve", || get(&wire.host, 10241, "/-/ready"));
    let said = doctor(&wire.host, &["--web.systemd-socket"]);
    said.ok("exporter", "answers at 127.0.0.1:10241");
    said.ok("group", "is read by nflog_exporter");
}

#[test]
fn one_with_a_port_of_the_systems_choice() {
    let wire = with_rules();
    let arguments = ["--web.listen-address", "127.0.0.1:0"];
    let _exporter = Exporter::spawn(&wire.host, "", &arguments);
    let said = wait_for("it to serve", || {
        let said = doctor(&wire.host, &arguments);
        (!said.all("exporter", "ok").is_empty()).then_some(said)
    });
    said.ok("exporter", "answers at 127.0.0.1:");
    said.ok("group", "is read by nflog_exporter");
}

#[test]
fn one_that_could_not_reload() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "", &[]);
    exporter.configure("nonsense");
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the reload to fail", || {
        let failed = sum(&exporter.scrape(), "nflog_exporter_config_last_reload_successful") == 0;
        failed.then_some(())
    });
    doctor(&wire.host, &[]).failed("reload", "goes on with the old one");
}

/// As root, the doctor can write where the exporter cannot.
#[test]
fn one_whose_rows_are_not_written() {
    let wire = with_rules();
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    let rows = folder.path().join("rows");
    fs::create_dir(&rows).unwrap();
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}/rows.db'\nspool.directory = '{}/spool'\n",
        rows.display(),
        folder.path().display()
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let said = doctor_with(&wire.host, &config);
    said.failed("mirror", "nflog_exporter_mirror_up is 0");
    said.failed("rights", &format!("cannot write to {}", rows.display()));
    open_to_all(&rows);
    wait_for("the mirror", || {
        (sum(&exporter.scrape(), "nflog_exporter_mirror_up") == 1).then_some(())
    });
    let said = doctor_with(&wire.host, &config);
    said.ok("mirror", "answers");
    said.ok("rights", "can read and write");
}

#[test]
fn one_that_loses_packets() {
    let wire = with_rules();
    let exporter = Exporter::start(&wire.host, "[nflog]\nreceive_buffer = 4096\n", &[]);
    let said = thread::scope(|scope| {
        let asked = scope.spawn(|| doctor(&wire.host, &[]));
        while !asked.is_finished() {
            wire.send(frame::spoofed(20_000, 80));
            thread::sleep(Duration::from_millis(20));
        }
        asked.join().unwrap()
    });
    assert!(!samples(&exporter.scrape(), RECEIVED).is_empty());
    said.failed("loss", "packets were lost while we looked");
}
