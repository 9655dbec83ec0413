//! Standard output, and connections over TCP, TLS and Unix sockets.

use std::io::{self, Write as _};

use super::{Sink, WriteProgress, connection::Connection, connection::StreamTarget, write_most};
use crate::output::records::Records;

/// Bytes that are sent over TLS before their rows count as written: those of one record (RFC 8446, 5.1).
const TLS_RECORD: usize = 16 * 1024;

/// A connection that is opened again after an error.
pub(in crate::output) struct StreamSink {
    target: StreamTarget,
    /// Written first on each connection.
    header: Vec<u8>,
    /// Bytes of the header that standard output has accepted.
    header_done: usize,
    connection: Option<Connection>,
}

impl StreamSink {
    /// A connection to a target, which begins with `header`.
    pub(in crate::output) fn new(target: StreamTarget, header: Vec<u8>) -> Self {
        Self { target, header, header_done: 0, connection: None }
    }

    fn connect(&mut self) -> io::Result<Connection> {
        let mut connection = Connection::open(&self.target)?;
        let done = if matches!(connection, Connection::Stdout) { self.header_done } else { 0 };
        let (written, failure) = write_most(&mut connection, &self.header[done..]);
        self.header_done = done + written;
        failure.map_or(Ok(connection), Err)
    }

    /// Writes the rows of one record of TLS, and more if one row is longer. The session buffers what it has accepted, so an
    /// error leaves unknown how many of them were sent: they are sent again.
    fn write_encrypted(connection: &mut Connection, records: &Records) -> WriteProgress {
        let next = records.iter().next().map_or(0, <[u8]>::len);
        let (rows, length) = records.whole(TLS_RECORD.max(next));
        let bytes = &records.bytes()[..length];
        match connection.write_all(bytes).and_then(|()| connection.flush()) {
            Ok(()) => WriteProgress { written: rows, ..WriteProgress::default() },
            Err(error) => WriteProgress::failed(0, error),
        }
    }
}

impl Sink for StreamSink {
    fn open(&mut self) -> io::Result<()> {
        if self.connection.as_mut().is_some_and(|connection| connection.end().is_some()) {
            self.connection = None;
        }
        if self.connection.is_none() {
            self.connection = Some(self.connect()?);
        }
        Ok(())
    }

    fn write(&mut self, records: &Records) -> WriteProgress {
        if let Err(error) = self.open() {
            return WriteProgress::failed(0, error);
        }
        let Some(connection) = &mut self.connection else { return WriteProgress::default() };
        let progress = match connection {
            Connection::Tls(_) => Self::write_encrypted(connection, records),
            Connection::Stdout => write_plain(connection, true, records),
            _ => write_plain(connection, false, records),
        };
        if progress.failure.is_some() && !matches!(connection, Connection::Stdout) {
            self.connection = None;
        }
        progress
    }
}

/// Writes all rows. `keeps`: what the target has accepted of a row cannot be taken back, so that the rest comes next.
fn write_plain(target: &mut dyn io::Write, keeps: bool, records: &Records) -> WriteProgress {
    let (written, failure) = write_most(target, records.bytes());
    let (rows, length) = records.whole(written);
    let partial = if keeps { written - length } else { 0 };
    WriteProgress { written: rows, partial, failure, is_too_long: false }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        io::Read,
        net::{TcpListener, TcpStream},
        sync::{Arc, mpsc},
        thread,
    };

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::{
        ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    };

    use super::{super::connection::StreamTarget, *};

    fn rows(count: usize) -> Records {
        let mut records = Records::default();
        for number in 0..count {
            records.push(|bytes| writeln!(bytes, "row {number} of a test").is_ok());
        }
        records
    }

    /// Accepts a number of bytes with each call, and then fails.
    struct Full {
        accepted: Vec<u8>,
        room: usize,
    }

    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= length;
            self.accepted.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writing_continues_within_a_row() {
        let mut records = rows(10);
        let expect = records.bytes().to_vec();
        let mut target = Full { accepted: Vec::new(), room: 0 };
        for _ in 0..100 {
            target.room = 7;
            let progress = write_plain(&mut target, true, &records);
            records.finish(progress.written);
            records.begin_next(progress.partial);
        }
        assert_eq!(String::from_utf8(target.accepted), String::from_utf8(expect));
    }

    /// The configurations of a server that needs a certificate of the client or not, and of a client without one.
    fn tls(needs_client: bool) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority: CertificateDer<'static> = params.self_signed(&key).unwrap().into();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().into();
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let roots = Arc::new(roots);
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_safe_default_protocol_versions().unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let server = if needs_client {
            server.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            server.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_safe_default_protocol_versions().unwrap();
        (
            Arc::new(server.with_single_cert(vec![certificate], key).unwrap()),
            Arc::new(client.with_root_certificates(roots).with_no_client_auth()),
        )
    }

    /// Serves connections one after the other, on a port; ends with the test.
    fn serve(mut each: impl FnMut(TcpStream) + Send + 'static) -> u16 {
        let listener = TcpListener::bind("localhost:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(&mut each));
        port
    }

    #[test]
    fn a_receiver_that_rejects_the_connection_is_down() {
        let port = serve(drop);
        let mut sink = StreamSink::new(StreamTarget::Tcp("localhost".into(), port), Vec::new());
        let error = sink.open().unwrap_err().to_string();
        assert!(error.contains("closed the connection"), "{error}");
        let (server, client) = tls(true);
        let port = serve(move |mut stream| {
            let mut session = ServerConnection::new(Arc::clone(&server)).unwrap();
            while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
        });
        let target = StreamTarget::Tls("localhost".into(), port, Some(client));
        let error = StreamSink::new(target, Vec::new()).open().unwrap_err().to_string();
        assert!(error.contains("CertificateRequired"), "{error}");
    }

    /// Each connection makes progress, although all of them break.
    #[test]
    fn a_receiver_that_closes_each_connection_gets_every_row() {
        const ROWS: usize = 40_000;
        let (server, client) = tls(false);
        let (sender, received) = mpsc::channel();
        let port = serve(move |stream| {
            let session = ServerConnection::new(Arc::clone(&server)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let mut bytes = vec![0; 200_000];
            let mut length = 0;
            while length < bytes.len() {
                match stream.read(&mut bytes[length..]) {
                    Ok(0) | Err(_) => break,
                    Ok(more) => length += more,
                }
            }
            bytes.truncate(length);
            let _ = sender.send(bytes);
        });
        let target = StreamTarget::Tls("localhost".into(), port, Some(client));
        let mut sink = StreamSink::new(target, Vec::new());
        let mut records = rows(ROWS);
        let mut failures = 0;
        while records.len() > 0 {
            let progress = sink.write(&records);
            records.finish(progress.written);
            failures += u32::from(progress.failure.is_some());
            assert!(failures < 100, "{:?}", progress.failure);
        }
        drop(sink);
        let (mut lines, mut distinct) = (0, BTreeSet::new());
        while let Ok(bytes) = received.recv_timeout(std::time::Duration::from_secs(5)) {
            for line in String::from_utf8(bytes).unwrap().split_inclusive('\n') {
                lines += 1;
                distinct.insert(line.to_owned());
            }
            if distinct.contains(&format!("row {} of a test\n", ROWS - 1)) {
                break;
            }
        }
        // What was on its way when a connection ended is lost, or is sent again.
        assert!(lines < ROWS + ROWS / 4, "{lines}");
        assert!(distinct.len() > ROWS / 10, "{}", distinct.len());
    }
}
