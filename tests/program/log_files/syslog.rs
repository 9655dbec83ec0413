//! The syslog listener: framing, TLS, and hostile senders.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use rustix::net::{self, AddressFamily, SocketType, bind, socket};

use super::{Exporter, Logs};
use crate::support::{
    program::{PATIENCE, samples, sum, wait_for, whole},
    server::certificates,
    signal::send,
};

/// A message of another host. The listeners of the tests are on loopback, whose own name is not shown.
fn message(host: &str, port: u16) -> String {
    format!(
        "<4>Nov 28 10:00:00 {host} kernel: [1.5] DROP IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=40 TOS=0x00 \
         PREC=0x00 TTL=64 ID=3 PROTO=UDP SPT=7 DPT={port} LEN=20"
    )
}

fn config(listener: &str, more: &str) -> String {
    format!(
        "[web]\nlisten_addresses = ['127.0.0.1:0']\n[[family]]\nname = 'host'\nlabels = ['host', 'port']\n\
         [kernel_log]\nsyslog = ['{listener}']\n{more}"
    )
}

/// The address that the system chose.
fn address(exporter: &Exporter) -> SocketAddr {
    let log = exporter.log();
    let (_, rest) = log.split_once("receiving syslog messages").unwrap_or_else(|| panic!("{log}"));
    let (_, address) = rest.split_once("://").unwrap();
    let end = address.find(|c: char| !(c.is_ascii_digit() || ".:[]".contains(c)));
    address[..end.unwrap_or(address.len())].parse().unwrap()
}

fn rejected(exporter: &Exporter, reason: &str) -> u64 {
    let text = exporter.scrape();
    let samples = samples(&text, "nflog_exporter_kernel_log_rejected_senders_total");
    let found = samples.iter().find(|(labels, _)| labels["reason"] == reason);
    whole(found.unwrap().1)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn datagrams_are_counted_by_host() {
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &config("udp://127.0.0.1:0", ""));
    let start = "log_files=[] syslog=\"[\\\"udp://127.0.0.1:0\\\"]\"";
    assert!(exporter.log().contains(start), "{}", exporter.log());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |text: &str| socket.send_to(text.as_bytes(), address(&exporter)).unwrap();
    for host in ["router1", "router1", "router2"] {
        send(&message(host, 53));
    }
    let packet = message("x", 53);
    let (_, packet) = packet.split_once("kernel: ").unwrap();
    send(&format!("<4>1 2026-11-28T10:00:00Z router3 kernel - - - {packet}\n"));
    send("");
    send("<4>Nov 28 10:00:00 router1 dhcpd: lease");
    // A line break does not begin another message.
    send(&format!("<4>Nov 28 10:00:00 router1 dhcpd: lease\n{}", message("forged", 53)));
    exporter.wait_for_packets(4);
    let text = wait_for("the lines", || {
        let text = exporter.scrape();
        (sum(&text, "nflog_exporter_kernel_log_lines_total") == 6).then_some(text)
    });
    for (host, packets) in [("router1", 2), ("router2", 1), ("router3", 1)] {
        let series = format!("nflog_host_packets_total{{host=\"{host}\",port=\"53\"}} {packets}");
        wait_for(&series, || exporter.scrape().contains(&series).then_some(()));
    }
    assert!(!text.contains("forged"));
}

#[test]
fn connections_have_both_kinds_of_frames() {
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &config("tcp://127.0.0.1:0", ""));
    let text = message("router", 22);
    let mut stream = connect(address(&exporter));
    write!(stream, "{text}\n{} {text}{} {text}{text}\n", text.len(), text.len()).unwrap();
    exporter.wait_for_packets(4);
    // The last message has no end.
    write!(stream, "{text}").unwrap();
    drop(stream);
    exporter.wait_for_packets(5);
    // Byte by byte.
    let mut stream = connect(address(&exporter));
    stream.set_nodelay(true).unwrap();
    for byte in format!("{text}\n").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    exporter.wait_for_packets(6);
}

#[test]
fn an_endless_line_and_wrong_counts_do_not_hide_later_messages() {
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &config("tcp://127.0.0.1:0", ""));
    let text = message("router", 22);
    let mut stream = connect(address(&exporter));
    let part = vec![b'x'; 1 << 20];
    for _ in 0..32 {
        stream.write_all(&part).unwrap();
    }
    write!(stream, "\n{text}\n").unwrap();
    exporter.wait_for_packets(1);
    let text_metrics = exporter.scrape();
    assert!(text_metrics.contains("skipped_lines_total{reason=\"too_long\"} 1"), "{text_metrics}");
    // Too small, and too large.
    write!(stream, "9 {text}\n{} {text}\n\n{text}\n{text}\n", text.len() + 1).unwrap();
    wait_for("messages after wrong counts", || {
        (sum(&exporter.scrape(), "nflog_exporter_received_packets_total") >= 4).then_some(())
    });
    // Endless digits are a line.
    stream.write_all(&vec![b'1'; 1 << 20]).unwrap();
    drop(stream);
    wait_for("the end of the digits", || exporter.scrape().contains("too_long\"} 2").then_some(()));
}

/// Others than the allowed senders get no connection, and cannot take the places of the allowed ones.
#[test]
fn senders_that_are_not_allowed_are_rejected() {
    let logs = Logs::new();
    let more = "allow = ['127.0.0.2/32']\n";
    for listener in ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"] {
        let exporter = Exporter::start(&logs, &config(listener, more));
        let to = address(&exporter);
        if listener.starts_with("udp") {
            // The message of the second rejected datagram is held back.
            for from in ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.2:0"] {
                let socket = UdpSocket::bind(from).unwrap();
                socket.send_to(message("router", 22).as_bytes(), to).unwrap();
            }
        } else {
            let mut closed = connect(to);
            assert_eq!(closed.read(&mut [0]).unwrap_or(0), 0);
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            bind(&socket, &SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
            net::connect(&socket, &to).unwrap();
            writeln!(TcpStream::from(socket), "{}", message("router", 22)).unwrap();
        }
        exporter.wait_for_packets(1);
        let expect = if listener.starts_with("udp") { 2 } else { 1 };
        assert_eq!(rejected(&exporter, "not_allowed"), expect);
        let log = wait_for("the log line", || {
            let log = exporter.log();
            log.contains("kernel_log.allow").then_some(log)
        });
        let lines: Vec<_> = log.lines().filter(|line| line.contains("rejected a sys")).collect();
        assert!(
            lines.len() == 1 && lines[0].contains("127.0.0.1") && lines[0].contains("level=warn"),
            "{log}"
        );
        exporter.stop();
    }
}

#[test]
fn thousands_of_connections_leave_the_open_ones_and_the_memory_alone() {
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &config("tcp://127.0.0.1:0", ""));
    let to = address(&exporter);
    let mut first = connect(to);
    writeln!(first, "{}", message("router", 22)).unwrap();
    exporter.wait_for_packets(1);
    let mut kept = Vec::new();
    for _ in 0..3000 {
        let stream = connect(to);
        if kept.len() < 500 {
            kept.push(stream);
        }
    }
    wait_for("rejections", || (rejected(&exporter, "too_many_connections") >= 2900).then_some(()));
    writeln!(first, "{}", message("router", 22)).unwrap();
    exporter.wait_for_packets(2);
    // The places are free again.
    drop(kept);
    wait_for("a place", || {
        let mut stream = connect(to);
        writeln!(stream, "{}", message("router", 23)).unwrap();
        drop(stream);
        let received = sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
        (received > 2).then_some(())
    });
}

#[test]
fn tls_needs_a_certificate_that_the_authority_signed() {
    let logs = Logs::new();
    let directory = logs.path("");
    certificates(&directory, ",IP:127.0.0.1");
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    let file = |name: &str| logs.path(name).display().to_string();
    let more = format!(
        "[kernel_log.tls]\ncert_file = '{}'\nkey_file = '{}'\nclient_ca_file = '{}'\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let exporter = Exporter::start(&logs, &config("tls://127.0.0.1:0", &more));
    let to = address(&exporter).to_string();
    let send = |arguments: &[&str]| {
        let mut client = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-no_ign_eof",
                "-connect",
                &to,
                "-CAfile",
                &file("ca.pem"),
            ])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = client.stdin.take().unwrap();
        let _ = writeln!(input, "{}", message("router", 22));
        (client, input)
    };
    let (mut client, input) = send(&["-cert", &file("server.pem"), "-key", &file("server.key")]);
    exporter.wait_for_packets(1);
    drop(input);
    client.wait().unwrap();
    // Without a certificate, and without TLS.
    let (mut client, input) = send(&[]);
    wait_for("a rejected client", || (rejected(&exporter, "tls_failed") == 1).then_some(()));
    drop(input);
    client.wait().unwrap();
    let mut plain = connect(to.parse().unwrap());
    writeln!(plain, "{}", message("router", 22)).unwrap();
    wait_for("a rejected client", || (rejected(&exporter, "tls_failed") == 2).then_some(()));
    exporter.wait_for_packets(1);
}

/// What the kernel and the queue hold when a signal stops the program.
#[test]
fn lines_that_were_received_before_the_end_are_counted() {
    const LINES: u64 = 3000;
    let logs = Logs::new();
    for listener in ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"] {
        let mut exporter = Exporter::start(&logs, &config(listener, ""));
        let to = address(&exporter);
        let pid = exporter.child.id();
        let signal = |signal| send(pid, signal);
        signal(nix::sys::signal::Signal::SIGSTOP);
        let text = message("router", 22);
        let stream = if listener.starts_with("udp") {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..LINES {
                socket.send_to(text.as_bytes(), to).unwrap();
            }
            None
        } else {
            // The kernel accepts the connection.
            let mut stream = connect(to);
            for _ in 0..LINES {
                writeln!(stream, "{text}").unwrap();
            }
            Some(stream)
        };
        signal(nix::sys::signal::Signal::SIGTERM);
        signal(nix::sys::signal::Signal::SIGCONT);
        let status = wait_for("the exporter to end", || exporter.child.try_wait().unwrap());
        let log = exporter.log();
        assert!(status.success() && log.contains(&format!("received={LINES}")), "{log}");
        drop(stream);
    }
}

/// Each line of one sender is as much work as 10,000 lines of another.
#[test]
fn lines_that_repeat_a_packet_do_not_hold_up_other_senders() {
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &config("udp://127.0.0.1:0", "allow = ['127.0.0.0/8']"));
    let to = address(&exporter);
    let packet = message("x", 53);
    let (_, packet) = packet.split_once("kernel: ").unwrap();
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    let text =
        format!("<4>Nov 28 10:00:00 flood kernel: message repeated 10000 times: [ {packet}]");
    for _ in 0..1000 {
        flood.send_to(text.as_bytes(), to).unwrap();
    }
    // Some of these have another lane than the flood.
    for last in 2..40_u8 {
        let other = UdpSocket::bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        other.send_to(message("other", u16::from(last)).as_bytes(), to).unwrap();
    }
    let text = wait_for("a packet of another sender", || {
        let text = exporter.scrape();
        text.contains("host=\"other\"").then_some(text)
    });
    let received = sum(&text, "nflog_exporter_received_packets_total");
    assert!(received < 5_000_000, "{received} packets were counted before");
}

#[test]
fn a_wrong_clock_of_a_sender_is_counted() {
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &config("udp://127.0.0.1:0", ""));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_, packet) =
        message("x", 53).split_once("kernel: ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for time in ["1970-01-01T00:00:09Z", "2998-01-01T00:00:00Z"] {
        let text = format!("<4>1 {time} router3 kernel - - - {packet}");
        socket.send_to(text.as_bytes(), address(&exporter)).unwrap();
    }
    exporter.wait_for_packets(2);
    let text = exporter.scrape();
    assert_eq!(sum(&text, "nflog_exporter_kernel_log_wrong_time_lines_total"), 2);
}
