//! Receivers: rsyslog over UDP, TCP and TLS, Unix sockets, and the journal's protocol.

use std::{
    fmt::Write as _,
    fs,
    io::Read as _,
    net::UdpSocket,
    os::unix::net::{UnixDatagram, UnixListener},
    path::Path,
    time::Duration,
};

use super::{GROUP, config, log_and_drop, metric, output, scrape_with_accounts, wait_for_rows};
use crate::support::{
    Wire, frame,
    program::{Exporter, PATIENCE, Program, open_to_all, wait_for},
    server::certificates,
};

fn packets(count: u16) -> impl Iterator<Item = Vec<u8>> + Send {
    (0..count).map(|port| frame::udp([203, 0, 113, 5], port, 53, b"x"))
}

/// The configuration of rsyslog that has one file for each input, and a line for each message: time, host, program, message
/// id, priority and text.
fn rsyslog_conf(directory: &Path, tcp: &str, inputs: &[(&str, &str, u16)]) -> String {
    let path = |name: &str| directory.join(name).display().to_string();
    let mut text = format!(
        "global(workDirectory=\"{}\" defaultNetstreamDriverCAFile=\"{}\"
            defaultNetstreamDriverCertFile=\"{}\" defaultNetstreamDriverKeyFile=\"{}\")
        module(load=\"imudp\")
        module(load=\"imtcp\"{tcp})
        template(name=\"t\" type=\"string\"
            string=\"%timestamp:::date-rfc3339%|%hostname%|%app-name%|%msgid%|%pri%|%msg%\\n\")\n",
        directory.display(),
        path("ca.pem"),
        path("server.pem"),
        path("server.key"),
    );
    for (name, module, port) in inputs {
        write!(
            text,
            "ruleset(name=\"{name}\") {{ action(type=\"omfile\" file=\"{}\" template=\"t\") }}
            input(type=\"{module}\" port=\"{port}\" ruleset=\"{name}\")\n",
            path(name)
        )
        .unwrap();
    }
    text
}

fn start_rsyslog(wire: &Wire, directory: &Path, name: &str, text: &str) -> Program {
    let file = directory.join(format!("{name}.conf"));
    fs::write(&file, text).unwrap();
    let mut command = wire.host.command("rsyslogd");
    command.arg("-n").arg("-f").arg(&file).arg("-i").arg(directory.join(format!("{name}.pid")));
    Program::start(&mut command, directory.join(format!("{name}.log")))
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn rsyslog_reads_messages_over_udp_tcp_and_tls() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    certificates(directory.path(), ",IP:127.0.0.1");
    let plain =
        rsyslog_conf(directory.path(), "", &[("udp", "imudp", 5514), ("tcp", "imtcp", 5601)]);
    let _plain = start_rsyslog(&wire, directory.path(), "plain", &plain);
    // A module has one driver for all inputs, so TLS has a process of its own.
    let driver =
        " StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\"";
    let secure = rsyslog_conf(directory.path(), driver, &[("tls", "imtcp", 6514)]);
    let _secure = start_rsyslog(&wire, directory.path(), "secure", &secure);
    let ca = format!("ca_file = '{}'", directory.path().join("ca.pem").display());
    let outputs = [
        output("udp", "syslog", "udp://127.0.0.1:5514", ""),
        output("tcp", "syslog", "tcp://127.0.0.1:5601", ""),
        output("tls", "syslog", "tls://localhost:6514", &ca),
        output("wrong-ca", "syslog", "tls://localhost:6514", &ca.replace("ca.pem", "other-ca.pem")),
    ];
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    wait_for("the receivers", || {
        let text = exporter.scrape();
        ["udp", "tcp", "tls"].iter().all(|name| metric(&text, name, "up") == 1).then_some(())
    });
    let sent = wire.send(packets(100));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for name in ["udp", "tcp", "tls"] {
        wait_for_rows(&exporter, name, sent);
        let path = directory.path().join(name);
        let lines = wait_for("all messages", || {
            let lines = lines(&path);
            (lines.len() as u64 == sent).then_some(lines)
        });
        for (port, line) in lines.iter().enumerate() {
            let fields: Vec<_> = line.splitn(6, '|').collect();
            let [time, own, app, id, priority, text] = fields[..] else { panic!("{line}") };
            assert!(
                time.contains('.') && time.len() >= "2026-11-29T06:54:32.323870".len(),
                "{line}"
            );
            assert_eq!(
                (own, app, id, priority),
                (&*host, "nflog_exporter", "packet", "134"),
                "{line}"
            );
            assert!(text.contains("drop in:  IN=wan0 OUT= MAC=02:00:00:00:00:01:"), "{line}");
            assert!(
                text.contains(&format!("PROTO=UDP SPT={port} DPT=53 LEN=9 MARK=0x2a")),
                "{line}"
            );
        }
    }
    let text = scrape_with_accounts(&exporter, &["wrong-ca"]);
    assert_eq!(
        (metric(&text, "wrong-ca", "up"), metric(&text, "wrong-ca", "queued_rows")),
        (0, sent)
    );
}

#[test]
fn unix_sockets_and_the_journal_get_rows() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name);
    let stream = UnixListener::bind(path("stream")).unwrap();
    let sockets = ["datagram", "journal"].map(|name| UnixDatagram::bind(path(name)).unwrap());
    for name in ["stream", "datagram", "journal"] {
        open_to_all(&path(name));
    }
    let udp = wire.host.run(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    let url = |scheme: &str, name: &str| format!("{scheme}://{}", path(name).display());
    let outputs = [
        output("stream", "json", &url("unix", "stream"), ""),
        output("datagram", "ecs", &url("unixgram", "datagram"), ""),
        output("journal", "json", &url("journal", "journal"), ""),
        output("udp", "json", &format!("udp://{}", udp.local_addr().unwrap()), ""),
        output("stdout", "json", "stdout:", ""),
    ];
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    let (mut stream, _) = stream.accept().unwrap();
    let sent = wire.send(packets(5));
    let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let [datagrams, journal] = sockets;
    for socket in [&datagrams, &journal] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 65_536];
    for port in 0..5 {
        let length = datagrams.recv(&mut buffer).unwrap();
        assert_eq!(parse(&buffer[..length])["source"]["port"], port);
        let length = udp.recv(&mut buffer).unwrap();
        assert_eq!(parse(&buffer[..length])["source_port"], port);
        let length = journal.recv(&mut buffer).unwrap();
        let entry = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let fields: Vec<_> = entry.lines().map(|line| line.split_once('=').unwrap()).collect();
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE"]);
        assert_eq!(parse(fields[2].1.as_bytes())["source_port"], port);
    }
    for name in ["stream", "datagram", "journal", "udp", "stdout"] {
        wait_for_rows(&exporter, name, sent);
    }
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let log = exporter.program.log();
    assert_eq!(log.lines().filter(|line| line.starts_with("{\"time\":")).count() as u64, sent);
    drop(exporter);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let ports: Vec<_> =
        text.lines().map(|line| parse(line.as_bytes())["source_port"].clone()).collect();
    assert_eq!(ports, [0, 1, 2, 3, 4]);
}
