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
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Receiver, datagrams::stream_of, framing::FrameSplitter, tls::ServerTls};
use crate::{
    source::kernel_log::{
        meter::{Input, Rejection},
        queue::Chunk,
    },
    system::{host_network, lock::lock},
};

/// Maximum number of connections.
pub(in super::super) const MAX_CONNECTIONS: usize = 256;

/// Maximum number of connections of one sender: of an IPv4 address, or of an IPv6 network of 64 bits.
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

/// Time limit for what the connections have received when the queue is stopped.
const LAST: Duration = Duration::from_secs(1);

/// Time without a byte after which a connection is closed when the queue is stopped.
const LAST_BYTE: Duration = Duration::from_millis(100);

/// Receives until the queue is stopped, and then what is in the receive buffers.
pub(super) fn receive(
    listeners: Vec<(TcpListener, bool)>,
    tls: Option<&Arc<ServerTls>>,
    receiver: &Receiver,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (stop, stopping) = watch::channel(false);
        let mut acceptors = JoinSet::new();
        let open = Connections::default();
        for (listener, is_tls) in listeners {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let acceptor = Acceptor {
                tls: tls.filter(|_| is_tls).cloned(),
                receiver: receiver.clone(),
                open: open.clone(),
                stopping: stopping.clone(),
                connections: JoinSet::new(),
            };
            acceptors.spawn(acceptor.run(listener));
        }
        while !receiver.queue.is_stopped() {
            sleep(STOP_INTERVAL).await;
        }
        stop.send_replace(true);
        // The connections that still send are closed after the time limit.
        let _ = timeout(LAST, acceptors.join_all()).await;
        Ok(())
    })
}

/// Accepts the connections of one listener.
struct Acceptor {
    tls: Option<Arc<ServerTls>>,
    receiver: Receiver,
    open: Connections,
    stopping: watch::Receiver<bool>,
    connections: JoinSet<()>,
}

impl Acceptor {
    async fn run(mut self, listener: tokio::net::TcpListener) {
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                Some(_) = self.connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, sender)) => self.take(stream, sender.ip().to_canonical()),
                // Such as a lack of descriptors.
                Err(_) => sleep(PAUSE).await,
            }
        }
        // Those that the kernel has accepted.
        while let Ok(Ok((stream, sender))) = timeout(Duration::ZERO, listener.accept()).await {
            self.take(stream, sender.ip().to_canonical());
        }
        self.connections.join_all().await;
    }

    fn take(&mut self, stream: TcpStream, sender: IpAddr) {
        let (tls, receiver) = (self.tls.clone(), self.receiver.clone());
        // A certificate is enough.
        let needs_network = !tls.as_ref().is_some_and(|tls| tls.verifies_clients());
        if (needs_network || !receiver.allow.is_empty()) && !receiver.allows(sender) {
            return;
        }
        let Some(place) = self.open.take(sender) else {
            receiver.meter.reject(Rejection::TooManyConnections);
            return;
        };
        let stopping = self.stopping.clone();
        self.connections.spawn(async move {
            serve(stream, (sender, stopping), tls, &receiver).await;
            drop(place);
        });
    }
}

async fn serve(
    stream: TcpStream,
    (sender, stopping): (IpAddr, watch::Receiver<bool>),
    tls: Option<Arc<ServerTls>>,
    receiver: &Receiver,
) {
    // A sender that has disappeared does not keep its place.
    let _ = sockopt::set_socket_keepalive(&stream, true);
    let Some(tls) = tls else { return read(stream, (sender, stopping), receiver).await };
    let accepting = TlsAcceptor::from(tls.current()).accept(stream);
    match timeout(HANDSHAKE, accepting).await {
        Ok(Ok(stream)) => read(stream, (sender, stopping), receiver).await,
        Ok(Err(_)) | Err(_) => receiver.meter.reject(Rejection::TlsFailed),
    }
}

/// Reads messages until the end of the connection.
async fn read(
    mut stream: impl AsyncRead + Unpin,
    (sender, mut stopping): (IpAddr, watch::Receiver<bool>),
    receiver: &Receiver,
) {
    let mut splitter = FrameSplitter::new(Arc::clone(&receiver.meter));
    let mut buffer = vec![0; READ];
    // The time limit is one of the whole message, so that a sender cannot extend it byte by byte.
    let mut message_began = None;
    let mut has_sent = false;
    loop {
        let is_stopping = *stopping.borrow();
        let limit = match message_began {
            _ if is_stopping => LAST_BYTE,
            Some(began) => MESSAGE.saturating_sub(tokio::time::Instant::elapsed(&began)),
            None if has_sent => IDLE,
            None => FIRST_MESSAGE,
        };
        let read = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => continue,
            read = timeout(limit, stream.read(&mut buffer)) => read,
        };
        let read = match read {
            Ok(read) => read,
            Err(_) if is_stopping => Ok(0),
            Err(_) => {
                receiver.meter.reject(Rejection::Idle);
                return;
            }
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
        if receiver.queue.is_over() {
            receiver.queue.lose(chunk);
            return false;
        }
        sleep(PAUSE).await;
    }
}

/// The number of connections of each sender, by [`host_network`].
#[derive(Clone, Debug, Default)]
struct Connections(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection.
struct Place {
    open: Connections,
    network: IpAddr,
}

impl Connections {
    fn take(&self, sender: IpAddr) -> Option<Place> {
        let network = host_network(sender);
        let mut open = lock(&self.0);
        let of_sender = open.get(&network).copied().unwrap_or(0);
        let all: usize = open.values().sum();
        if all >= MAX_CONNECTIONS || of_sender >= CONNECTIONS_OF_SENDER {
            return None;
        }
        open.insert(network, of_sender + 1);
        Some(Place { open: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.open.0);
        match open.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host can use every address of its IPv6 network.
    #[test]
    fn no_network_takes_all_places() {
        let open = Connections::default();
        let take = |address: String| open.take(address.parse().unwrap());
        let mut places: Vec<_> =
            (0..200).filter_map(|it| take(format!("2001:db8::{it:x}"))).collect();
        assert_eq!(places.len(), CONNECTIONS_OF_SENDER);
        places.extend((0..200).filter_map(|_| take("192.0.2.1".into())));
        assert_eq!(places.len(), 2 * CONNECTIONS_OF_SENDER);
        places.extend((0..200).filter_map(|it| take(format!("2001:db8:0:{:x}::1", it + 1))));
        assert_eq!(places.len(), MAX_CONNECTIONS);
        drop(places);
        assert!(open.0.lock().unwrap().is_empty());
    }
}
