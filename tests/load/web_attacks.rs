//! Attacks by clients without credentials: floods of passwords, handshakes and invalid records.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tempfile::TempDir;

use crate::{
    exclusive,
    flood::{Client, Flood, SERVER},
    response_times::{MAX_RATIO, MinimalServer, ResponseTimes},
    support::{
        Wire,
        netns::HOST,
        program::{Exporter, open_to_all, wait_for},
        server::run,
    },
};

/// A web configuration and its files, readable by all users.
struct Files(TempDir);

impl Files {
    fn new(content: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        open_to_all(files.0.path());
        files.write("web.yml", content);
        files
    }

    /// With a certificate whose key has the most expensive signature in common use.
    fn with_certificate() -> Self {
        let files = Self::new("tls_server_config: {cert_file: server.pem, key_file: server.key}");
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:4096", "-nodes", "-subj", "/CN=rsa"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", &files.path("server.key"), "-out", &files.path("server.pem")]));
        let for_all = fs::Permissions::from_mode(0o644);
        fs::set_permissions(files.path("server.key"), for_all).unwrap();
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// A running exporter that listens on all addresses.
    fn start<'w>(&self, wire: &'w Wire) -> Exporter<'w> {
        let config = format!("[web]\nconfig_file = '{}'\n", self.path("web.yml"));
        let everywhere = ["--web.listen-address", "0.0.0.0:10239"];
        let exporter = Exporter::spawn(&wire.host, &config, &everywhere);
        wait_for("the server", || exporter.program.log().contains("serving").then_some(()));
        wait_for("a response", || wire.host.run(|| TcpStream::connect(SERVER).ok()));
        exporter
    }

    /// A client that trusts the certificate.
    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("server.pem")).unwrap()).unwrap();
        let provider = rustls::crypto::ring::default_provider().into();
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

#[test]
fn a_flood_of_wrong_passwords_does_not_delay_scrapes() {
    let _exclusive = exclusive();
    let wire = Wire::new();
    let hash = bcrypt::hash("right", 12).unwrap();
    let users = format!("basic_auth_users:\n  alice: {hash}\n");
    let files = Files::new(&users);
    let _exporter = files.start(&wire);
    let ask = |address, user: &str| {
        let mut stream = TcpStream::connect(SocketAddr::from((address, 10239))).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let user = BASE64_STANDARD.encode(user);
        write!(stream, "GET /-/healthy HTTP/1.0\r\nAuthorization: Basic {user}\r\n\r\n").ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        response.split(' ').nth(1)?.parse::<u16>().ok()
    };
    wait_for("the server", || wire.host.run(|| ask([127, 0, 0, 1], "mallory:x")));
    let minimal = MinimalServer::start(&wire.host);
    let scrape = || {
        let status = wire.host.run(|| ask([127, 0, 0, 1], "alice:right"));
        assert_eq!(status, Some(200));
    };
    // The password is cached from here on, also for later configurations.
    scrape();
    let without_load = ResponseTimes::of(20, &minimal, scrape);
    let (flood, rejected) = (&Flood::default(), AtomicU64::new(0));
    let client = || {
        flood.repeat(|| {
            let status = ask(HOST, "mallory:x");
            rejected.fetch_add(u64::from(status == Some(503)), SeqCst);
            thread::sleep(Duration::from_millis(10));
        });
    };
    let clients = (0..100).map(|_| Box::new(client) as Client<'_>).collect();
    let times = flood.during(&wire.peer, clients, || {
        wait_for("the flood", || (rejected.load(SeqCst) > 200).then_some(()));
        let start = Instant::now();
        let mut written = 0;
        let more = || {
            let seconds = start.elapsed().as_secs();
            // A new configuration every two seconds.
            if seconds / 2 >= written {
                files.write("web.yml", &format!("{users}# {written}\n"));
                written += 1;
            }
            seconds < 12
        };
        ResponseTimes::measure(&minimal, more, scrape)
    });
    let ratio = times.ratio(&without_load);
    println!("{times}; without load {without_load}; ratio {ratio:.1}");
    assert!(ratio < MAX_RATIO, "{ratio}: {times}; without load {without_load}");
}

/// Many clients request the most expensive handshakes. Requests on an open connection are not delayed, and
/// a new connection succeeds.
#[test]
fn a_flood_of_handshakes_does_not_delay_scrapes() {
    let _exclusive = exclusive();
    let wire = Wire::new();
    let files = Files::with_certificate();
    let _exporter = files.start(&wire);
    let client = files.client();
    let connection = || ClientConnection::new(client.clone(), "127.0.0.1".try_into().unwrap());
    let mut hello = Vec::new();
    connection().unwrap().write_tls(&mut hello).unwrap();
    let connect = || {
        let stream = wire.host.run(|| TcpStream::connect(SERVER)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        StreamOwned::new(connection().unwrap(), stream)
    };
    let mut scraper = connect();
    let request = |scraper: &mut StreamOwned<_, _>| {
        scraper.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut response = [0; 4096];
        let length = scraper.read(&mut response).unwrap();
        assert!(response[..length].starts_with(b"HTTP/1.1 200"));
    };
    let minimal = MinimalServer::start(&wire.host);
    let mut times = || ResponseTimes::of(50, &minimal, || request(&mut scraper));
    let without_load = times();

    let (flood, sent) = (&Flood::default(), AtomicU64::new(0));
    let client = || {
        flood.repeat(|| {
            let Ok(mut stream) = TcpStream::connect(SERVER) else { return };
            let _ = stream.write_all(&hello);
            sent.fetch_add(1, SeqCst);
            let _ = stream.read(&mut [0]);
        });
    };
    let clients = (0..200).map(|_| Box::new(client) as Client<'_>).collect();
    let times = flood.during(&wire.host, clients, || {
        wait_for("the flood", || (sent.load(SeqCst) > 200).then_some(()));
        let times = times();
        // A new connection waits for its own handshake at most as long as its read timeout.
        request(&mut connect());
        times
    });
    let ratio = times.ratio(&without_load);
    println!(
        "{times}; without load {without_load}; ratio {ratio:.1}; {} handshakes",
        sent.load(SeqCst)
    );
    assert!(ratio < MAX_RATIO, "{ratio}: {times}; without load {without_load}");
}

#[test]
fn invalid_tls_records_are_not_logged() {
    let _exclusive = exclusive();
    let wire = Wire::new();
    let exporter = Files::with_certificate().start(&wire);
    let warnings = || {
        let log = exporter.program.log();
        let is_warning = |line: &&str| line.contains("level=warn") || line.contains("level=error");
        log.lines().filter(is_warning).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = warnings();
    let mut records: Vec<Vec<u8>> = Vec::new();
    // Handshake messages and alerts of each type (RFC 8446, 5.1).
    records.extend((0..=255).map(|kind| [&[0x16, 3, 1, 0, 8, kind][..], b"\0\0\x04abcd"].concat()));
    records.extend((0..=255).map(|alert| vec![0x15, 3, 3, 0, 2, 1, alert]));
    wire.host.run(|| {
        for record in &records {
            let mut stream = TcpStream::connect(SERVER).unwrap();
            stream.write_all(record).unwrap();
            let _ = stream.shutdown(Shutdown::Write);
            // The server sends an alert, or closes the connection.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    assert_eq!(warnings(), before);
}
