//! Targets that fail: a full disk, a receiver that does not read, and one that restarts.

use std::{io::Read, net::TcpListener, path::Path, process::Command, sync::Arc};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::Value;

use super::{
    GROUP, config, json_lines, log_and_drop, metric, output, scrape_with_accounts, to_file,
    wait_for_rows,
};
use crate::support::{
    Wire, frame,
    program::{Exporter, open_to_all, wait_for},
    server::certificates,
    tmpfs::Tmpfs,
};

fn packets(count: u16) -> impl Iterator<Item = Vec<u8>> + Send {
    (0..count).map(|port| frame::udp([203, 0, 113, 5], port, 53, b"x"))
}

#[test]
fn a_full_disk_costs_only_rows_of_its_output() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let [disk, captures] = [(); 2].map(|()| Tmpfs::mount(256 * 1024));
    open_to_all(disk.directory.path());
    open_to_all(captures.directory.path());
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let (full, other) =
        (disk.directory.path().join("full.json"), directory.path().join("other.json"));
    let capture = captures.directory.path().join("full.pcap");
    let outputs = [
        to_file("full", "json", &full, "queue_size = '1MiB'"),
        to_file("other", "json", &other, ""),
        to_file("capture", "pcap", &capture, "queue_size = '1MiB'"),
    ];
    let names = ["full", "other", "capture"];
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    let mut sent = wire.send(packets(100));
    wait_for_rows(&exporter, "full", sent);
    wait_for_rows(&exporter, "capture", sent);
    disk.fill();
    captures.fill();
    // More than the queues hold.
    for _ in 0..4 {
        sent += wire.send(packets(10_000));
    }
    let text = wait_for("rows to be dropped", || {
        let text = scrape_with_accounts(&exporter, &names);
        let is_dropped = |name| metric(&text, name, "dropped_rows_total") > 0;
        (is_dropped("full") && is_dropped("capture")).then_some(text)
    });
    assert_eq!((metric(&text, "full", "up"), metric(&text, "capture", "up")), (0, 0));
    assert!(
        exporter.program.log().contains("No space left on device"),
        "{}",
        exporter.program.log()
    );
    let text = wait_for_rows(&exporter, "other", sent);
    assert_eq!(
        (metric(&text, "other", "up"), metric(&text, "other", "dropped_rows_total")),
        (1, 0)
    );
    // Whole rows only.
    json_lines(&full);
    disk.free();
    captures.free();
    // The disks are as small as before, so that they get full again; the rows between are whole.
    wait_for("further rows", || {
        let text = scrape_with_accounts(&exporter, &names);
        let is_written = |name| metric(&text, name, "written_rows_total") > 200;
        (is_written("full") && is_written("capture")).then_some(())
    });
    let tcpdump = Command::new("tcpdump").args(["-n", "-r"]).arg(&capture).output().unwrap();
    assert!(tcpdump.status.success(), "{tcpdump:?}");
    assert!(json_lines(&full).len() > 200);
    assert_eq!(json_lines(&other).len() as u64, sent);
}

#[test]
fn a_receiver_that_does_not_read_costs_only_rows_of_its_output() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let file = directory.path().join("file.json");
    let listener = wire.host.run(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let outputs = [
        output("stopped", "json", &target, "queue_size = '1MiB'"),
        to_file("file", "json", &file, ""),
    ];
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    let (_stopped, _) = listener.accept().unwrap();
    let mut sent = 0;
    let text = wait_for("rows to be dropped", || {
        sent += wire.send(packets(10_000));
        let text = scrape_with_accounts(&exporter, &["stopped", "file"]);
        (metric(&text, "stopped", "dropped_rows_total") > 0).then_some(text)
    });
    assert!(metric(&text, "stopped", "queued_rows") > 0);
    let text = wait_for_rows(&exporter, "file", sent);
    assert_eq!(metric(&text, "file", "dropped_rows_total"), 0);
    // The file has every row, although the other output waits.
    assert_eq!(json_lines(&file).len() as u64, sent);
}

/// A connection of the exporter, over TLS if there is a configuration.
fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>) -> Box<dyn Read> {
    let (mut stream, _) = listener.accept().unwrap();
    let Some(tls) = tls else { return Box::new(stream) };
    let mut session = ServerConnection::new(Arc::clone(tls)).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream).unwrap();
    }
    Box::new(StreamOwned::new(session, stream))
}

fn server_tls(directory: &Path) -> Arc<ServerConfig> {
    certificates(directory, ",IP:127.0.0.1");
    let chain = CertificateDer::pem_file_iter(directory.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(builder.with_single_cert(chain.map(Result::unwrap).collect(), key).unwrap())
}

#[test]
fn a_receiver_that_restarts_gets_the_rows_that_waited() {
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let tls = server_tls(directory.path());
    for (scheme, tls) in [("tcp", None), ("tls", Some(&tls))] {
        let wire = Wire::new();
        log_and_drop(&wire, &[GROUP]);
        let listen = |port: u16| wire.host.run(|| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let listener = listen(0);
        let port = listener.local_addr().unwrap().port();
        let ca = format!("ca_file = '{}'", directory.path().join("ca.pem").display());
        let output = output("out", "json", &format!("{scheme}://127.0.0.1:{port}"), &ca);
        let exporter = Exporter::spawn(&wire.host, &config(&output), &[]);
        drop((accept(&listener, tls), listener));
        wait_for("the output to be down", || {
            let (_, text) = exporter.get("/metrics")?;
            (metric(&text, "out", "up") == 0).then_some(())
        });
        let sent = wire.send(packets(100));
        let listener = listen(port);
        let mut stream = accept(&listener, tls);
        wait_for_rows(&exporter, "out", sent);
        drop(exporter);
        let mut text = Vec::new();
        // A process that was killed does not end its session of TLS.
        let _ = stream.read_to_end(&mut text);
        let ports: Vec<_> = String::from_utf8(text)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["source_port"].clone())
            .collect();
        assert_eq!(ports, (0..100).collect::<Vec<_>>(), "{scheme}");
    }
}

/// The end of the exporter writes what waits in the queues.
#[test]
fn the_last_rows_are_written() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = directory.path().join("rows.json");
    let mut exporter =
        Exporter::start(&wire.host, &config(&to_file("file", "json", &path, "")), &[]);
    let sent = wire.send(packets(5_000));
    exporter.program.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(exporter.program.wait().success());
    assert_eq!(json_lines(&path).len() as u64, sent);
}
