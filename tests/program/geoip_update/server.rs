//! An HTTPS server and a proxy that respond as a test says, and record what they received.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;

/// A name that only the proxy resolves.
pub const NAME: &str = "geoip.test";

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query, or the host and port of CONNECT.
    pub target: String,
    head: String,
}

impl Request {
    fn of(head: String) -> Self {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        Self { target, head }
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(given, _)| given.to_lowercase() == name).map(|(_, value)| value.to_owned())
    }
}

/// What the server sends.
#[derive(Clone)]
pub struct Reply {
    head: String,
    body: Vec<u8>,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    Close,
    Hang,
    Repeat,
}

impl Reply {
    /// A complete response. `headers` are lines.
    pub fn new(status: &str, headers: &[String], body: &[u8]) -> Self {
        let length = format!("Content-Length: {}", body.len());
        let lines = [&[format!("HTTP/1.1 {status}"), length], headers].concat();
        Self { head: lines.join("\r\n") + "\r\n\r\n", body: body.to_vec(), then: Then::Close }
    }

    /// A response with the status 200.
    pub fn ok(body: &[u8]) -> Self {
        Self::new("200 OK", &[], body)
    }

    /// A redirect.
    pub fn redirect(location: &str) -> Self {
        Self::new("302 Found", &[format!("Location: {location}")], b"")
    }

    /// The connection is closed before the end of the body.
    pub fn cut(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    /// Nothing follows the first half of the body.
    pub fn hang(self) -> Self {
        Self { then: Then::Hang, ..self.cut() }
    }

    /// A body without end and without a length.
    pub fn endless(body: &[u8]) -> Self {
        let head = "HTTP/1.1 200 OK\r\n\r\n".into();
        Self { head, body: body.to_vec(), then: Then::Repeat }
    }
}

type Respond = dyn Fn(&Request) -> Reply + Send + Sync;

/// Connections are accepted until the value is dropped.
struct Listener {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    closing: Arc<AtomicBool>,
}

impl Listener {
    /// Each connection gets a thread, which ends with its client.
    fn start(
        serve: impl Fn(TcpStream, &Mutex<Vec<Request>>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, closing) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let this = Self { address, requests: Arc::clone(&requests), closing: Arc::clone(&closing) };
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if closing.load(Relaxed) {
                    return;
                }
                let (serve, requests) = (Arc::clone(&serve), Arc::clone(&requests));
                // A client that rejects the certificate or a response closes the connection.
                thread::spawn(move || drop(serve(stream, &requests)));
            }
        });
        this
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closing.store(true, Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

/// The server, with an authority of its own.
pub struct Server {
    listener: Listener,
    directory: TempDir,
}

impl Server {
    pub fn start(respond: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::signed_by(&Authority::new(), respond)
    }

    /// Starts a server with a certificate of this authority.
    pub fn signed_by(
        authority: &Authority,
        respond: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), &authority.certificate).unwrap();
        let config = Arc::new(authority.server_config());
        let respond: Arc<Respond> = Arc::new(respond);
        let listener = Listener::start(move |stream, requests| {
            let connection =
                ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            let request = Request::of(read_head(&mut stream)?);
            requests.lock().unwrap().push(request.clone());
            send(&mut stream, &respond(&request))?;
            stream.conn.send_close_notify();
            stream.flush()
        });
        Self { listener, directory }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.listener.address.port())
    }

    /// The file with the certificate of its authority.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The requests so far, which are forgotten.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.listener.requests.lock().unwrap())
    }
}

fn send(stream: &mut (impl Read + Write), reply: &Reply) -> io::Result<()> {
    stream.write_all(reply.head.as_bytes())?;
    stream.write_all(&reply.body)?;
    stream.flush()?;
    match reply.then {
        Then::Close => Ok(()),
        // Until the client closes the connection.
        Then::Hang => stream.read_to_end(&mut Vec::new()).map(drop),
        Then::Repeat => loop {
            stream.write_all(&reply.body)?;
        },
    }
}

/// Reads the head of a request.
fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// An authority and its certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn write(&self, file: &Path) {
        fs::write(file, &self.certificate).unwrap();
    }

    fn server_config(&self) -> ServerConfig {
        let names = ["localhost".to_owned(), NAME.to_owned()];
        let params = CertificateParams::new(names.to_vec()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap()
    }
}

/// A proxy, which connects every name to one server.
pub struct Proxy {
    listener: Listener,
}

impl Proxy {
    /// Responds to CONNECT with this status; connects only with 200.
    pub fn start(server: &Server, status: &'static str) -> Self {
        let server = server.listener.address;
        let listener = Listener::start(move |mut client, requests| {
            let request = Request::of(read_head(&mut client)?);
            requests.lock().unwrap().push(request);
            write!(client, "HTTP/1.1 {status}\r\n\r\n")?;
            if !status.starts_with("200") {
                return Ok(());
            }
            let server = TcpStream::connect(server)?;
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            let requests = thread::spawn(move || {
                // The other direction ends with an error too.
                let _ = io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(std::net::Shutdown::Write);
            });
            let (mut from_server, mut to_client) = (server, client);
            io::copy(&mut from_server, &mut to_client)?;
            to_client.shutdown(std::net::Shutdown::Write)?;
            requests.join().map_err(|_| io::Error::other("panic"))
        });
        Self { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// The requests so far, which are forgotten.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.listener.requests.lock().unwrap())
    }
}
