//! Receives syslog messages over connections, on one thread. While the queue is full, nothing is read: the senders wait.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Receiver, datagrams::stream_of, framing::FrameSplitter, tls::ServerTls};
use crate::{
    source::kernel_log::{
        meter::{Input, Rejection},
        queue::Chunk,
    },
    system::lock::lock,
};

/// Maximum number of connections.
pub(in super::super) const MAX_CONNECTIONS: usize = 256;

/// Maximum number of connections of one sender.
const CONNECTIONS_OF_SENDER: usize = 32;

/// Time limit of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Time limit for the rest of a message.
const MESSAGE: Duration = Duration::from_secs(30);

/// Time limit for the first message, so that connections that send nothing do not exclude others.
const FIRST_MESSAGE: Duration = Duration::from_secs(60);

/// Time after which a connection without further messages is closed. A quiet firewall logs rarely.
const IDLE: Duration = Duration::from_secs(3600);

/// Pause while the queue is full, and after an error of accept(2).
const PAUSE: Duration = Duration::from_millis(20);

/// How often the thread checks whether it must stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of one read.
const READ: usize = 16 * 1024;

/// Receives until the queue is stopped.
pub(super) fn receive(
    listeners: Vec<(TcpListener, bool)>,
    tls: Option<&Arc<ServerTls>>,
    receiver: &Receiver,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let open = Connections::default();
        for (listener, is_tls) in listeners {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let tls = tls.filter(|_| is_tls).cloned();
            tokio::spawn(accept(listener, tls, receiver.clone(), open.clone()));
        }
        while !receiver.queue.is_stopped() {
            sleep(STOP_INTERVAL).await;
        }
        Ok(())
    })
}

async fn accept(
    listener: tokio::net::TcpListener,
    tls: Option<Arc<ServerTls>>,
    receiver: Receiver,
    open: Connections,
) {
    loop {
        let Ok((stream, sender)) = listener.accept().await else {
            // Such as a lack of descriptors.
            sleep(PAUSE).await;
            continue;
        };
        let sender = sender.ip().to_canonical();
        // A certificate is enough.
        let needs_network = !tls.as_ref().is_some_and(|tls| tls.verifies_clients());
        if (needs_network || !receiver.allow.is_empty()) && !receiver.allows(sender) {
            continue;
        }
        let Some(place) = open.take(sender) else {
            receiver.meter.reject(Rejection::TooManyConnections);
            continue;
        };
        let (tls, receiver) = (tls.clone(), receiver.clone());
        tokio::spawn(async move {
            serve(stream, sender, tls, &receiver).await;
            drop(place);
        });
    }
}

async fn serve(
    stream: TcpStream,
    sender: IpAddr,
    tls: Option<Arc<ServerTls>>,
    receiver: &Receiver,
) {
    // A sender that has disappeared does not keep its place.
    let _ = sockopt::set_socket_keepalive(&stream, true);
    let Some(tls) = tls else { return read(stream, sender, receiver).await };
    let accepting = TlsAcceptor::from(tls.current()).accept(stream);
    match timeout(HANDSHAKE, accepting).await {
        Ok(Ok(stream)) => read(stream, sender, receiver).await,
        Ok(Err(_)) | Err(_) => receiver.meter.reject(Rejection::TlsFailed),
    }
}

/// Reads messages until the end of the connection.
async fn read(mut stream: impl AsyncRead + Unpin, sender: IpAddr, receiver: &Receiver) {
    let mut splitter = FrameSplitter::new(Arc::clone(&receiver.meter));
    let mut buffer = vec![0; READ];
    // The time limit is one of the whole message, so that a sender cannot extend it byte by byte.
    let mut message_began = None;
    let mut has_sent = false;
    loop {
        let limit = match message_began {
            Some(began) => MESSAGE.saturating_sub(tokio::time::Instant::elapsed(&began)),
            None if has_sent => IDLE,
            None => FIRST_MESSAGE,
        };
        let Ok(read) = timeout(limit, stream.read(&mut buffer)).await else {
            receiver.meter.reject(Rejection::Idle);
            return;
        };
        let mut lines = Vec::new();
        let length = match read {
            Ok(0) | Err(_) => {
                splitter.end(&mut lines);
                0
            }
            Ok(length) => length,
        };
        splitter.split(&buffer[..length], &mut lines);
        has_sent |= !lines.is_empty();
        message_began = match message_began {
            _ if !splitter.is_in_message() => None,
            Some(began) if lines.is_empty() => Some(began),
            _ => Some(tokio::time::Instant::now()),
        };
        if !lines.is_empty() && !push(lines, sender, receiver).await || length == 0 {
            return;
        }
    }
}

async fn push(lines: Vec<u8>, sender: IpAddr, receiver: &Receiver) -> bool {
    let stream = stream_of(sender);
    let mut chunk =
        Chunk { lines, input: Input::Syslog, stream, sender: Some(sender), checkpoint: None };
    loop {
        match receiver.queue.try_push(chunk) {
            Ok(()) => return true,
            Err(rejected) => chunk = rejected,
        }
        if receiver.queue.is_stopped() {
            return false;
        }
        sleep(PAUSE).await;
    }
}

/// The number of connections of each sender.
#[derive(Clone, Debug, Default)]
struct Connections(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection.
struct Place {
    open: Connections,
    sender: IpAddr,
}

impl Connections {
    fn take(&self, sender: IpAddr) -> Option<Place> {
        let mut open = lock(&self.0);
        let of_sender = open.get(&sender).copied().unwrap_or(0);
        let all: usize = open.values().sum();
        if all >= MAX_CONNECTIONS || of_sender >= CONNECTIONS_OF_SENDER {
            return None;
        }
        open.insert(sender, of_sender + 1);
        Some(Place { open: self.clone(), sender })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.open.0);
        match open.get_mut(&self.sender) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.sender)),
        }
    }
}
