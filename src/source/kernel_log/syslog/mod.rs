//! Receives syslog messages: over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425).

mod address;
mod datagrams;
mod framing;
mod streams;
mod tls;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
};

use rustix::net::sockopt;

pub use address::{SenderNetwork, SyslogAddress, SyslogAddressError, Transport};
pub use tls::{SyslogTlsConfig, check_tls};

pub(super) use self::streams::MAX_CONNECTIONS;
use self::tls::ServerTls;
use super::{
    meter::{LineMeter, Rejection},
    queue::ChunkQueue,
};
use crate::system::{listen, lock::lock, logging::LogThrottle};

/// Receive buffer of a UDP socket, bytes: a few seconds of a flood.
const RECEIVE_BUFFER: usize = 16 << 20;

/// The listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SyslogError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {cause}; {}", advice(cause))]
    Bind {
        /// The address.
        address: SyslogAddress,
        /// The system's error.
        cause: io::Error,
    },
    /// The certificates cannot be used.
    #[error("{0}")]
    Tls(String),
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses it, such as a syslog daemon: stop it, or set another address with --kernel-log.syslog"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it, or set another port with \
             --kernel-log.syslog"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this host does not have the address: set another with --kernel-log.syslog"
        }
        _ => "set another address with --kernel-log.syslog",
    }
}

/// The open sockets.
#[derive(Debug)]
pub(super) struct SyslogSockets {
    datagrams: Vec<UdpSocket>,
    streams: Vec<(TcpListener, bool)>,
    tls: Option<Arc<ServerTls>>,
    allow: Vec<SenderNetwork>,
}

/// The work of a thread, until the queue is stopped.
type Work = Box<dyn FnOnce(&ChunkQueue) -> io::Result<()> + Send>;

/// What all connections use.
#[derive(Clone, Debug)]
struct Receiver {
    queue: Arc<ChunkQueue>,
    meter: Arc<LineMeter>,
    allow: Arc<[SenderNetwork]>,
    rejections: Arc<Mutex<LogThrottle>>,
}

impl Receiver {
    /// Whether a sender is allowed. Without networks, only this host is.
    fn allows(&self, sender: IpAddr) -> bool {
        let sender = sender.to_canonical();
        let is_allowed = sender.is_loopback() && self.allow.is_empty()
            || self.allow.iter().any(|network| network.contains(sender));
        if !is_allowed {
            self.meter.reject(Rejection::NotAllowed);
            if lock(&self.rejections).allows() {
                tracing::warn!(
                    %sender,
                    "rejected a syslog sender that is not allowed: if it should send, add its network to kernel_log.allow"
                );
            }
        }
        is_allowed
    }
}

impl SyslogSockets {
    /// Binds the addresses.
    pub fn open(
        addresses: &[SyslogAddress],
        allow: &[SenderNetwork],
        tls: &SyslogTlsConfig,
    ) -> Result<Self, SyslogError> {
        let mut sockets =
            Self { datagrams: Vec::new(), streams: Vec::new(), tls: None, allow: allow.to_vec() };
        for address in addresses {
            let failed = |cause| SyslogError::Bind { address: *address, cause };
            if address.transport == Transport::Udp {
                sockets.datagrams.push(bind_udp(address.address).map_err(failed)?);
                continue;
            }
            let is_tls = address.transport == Transport::Tls;
            if is_tls && sockets.tls.is_none() {
                let tls = ServerTls::open(tls.clone()).map_err(SyslogError::Tls)?;
                sockets.tls = Some(Arc::new(tls));
            }
            let (host, port) = (address.address.ip().to_string(), address.address.port());
            sockets.streams.push((listen::bind(&host, port).map_err(failed)?, is_tls));
        }
        Ok(sockets)
    }

    /// Logs the addresses, with the ports that the system chose.
    pub fn log(&self) {
        let datagrams = self.datagrams.iter().map(|socket| (Transport::Udp, socket.local_addr()));
        let streams = self.streams.iter().map(|(listener, is_tls)| {
            (if *is_tls { Transport::Tls } else { Transport::Tcp }, listener.local_addr())
        });
        for (transport, address) in datagrams.chain(streams) {
            if let Ok(address) = address {
                tracing::info!(address = %SyslogAddress { transport, address }, "receiving syslog messages");
            }
        }
    }

    /// The work of the threads: one for each UDP socket, and one for all connections.
    pub fn threads(self, queue: &Arc<ChunkQueue>, meter: &Arc<LineMeter>) -> Vec<Work> {
        let receiver = Receiver {
            queue: Arc::clone(queue),
            meter: Arc::clone(meter),
            allow: self.allow.into(),
            rejections: Arc::default(),
        };
        let mut threads: Vec<Work> = Vec::new();
        for socket in self.datagrams {
            let receiver = receiver.clone();
            threads.push(Box::new(move |_| datagrams::receive(&socket, &receiver)));
        }
        if !self.streams.is_empty() {
            let (streams, tls) = (self.streams, self.tls);
            threads.push(Box::new(move |_| streams::receive(streams, tls.as_ref(), &receiver)));
        }
        threads
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // Beyond net.core.rmem_max with the capability CAP_NET_ADMIN.
    if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
    }
    Ok(socket)
}
