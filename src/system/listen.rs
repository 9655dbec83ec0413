//! Listening TCP sockets: bound by this process, or passed by systemd.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// Maximum number of connections that wait to be accepted. The kernel may allow fewer
/// (`net.core.somaxconn`); it drops further attempts.
const BACKLOG: i32 = 1024;

/// The sockets that systemd passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketError {
    /// No socket was passed.
    #[error("systemd passed no socket; start the socket unit, not this program")]
    None,
    /// A socket of another kind.
    #[error(
        "a passed socket is not a TCP socket: {0}; set ListenStream= in the socket unit to a port"
    )]
    NotTcp(#[source] io::Error),
    /// A socket that is a connection.
    #[error("a passed socket is a connection, not a listener; set Accept=no in the socket unit")]
    NotListening,
    /// The kind of a socket cannot be determined.
    #[error("cannot determine whether a passed socket listens: {0}")]
    Unknown(#[source] io::Error),
}

/// Binds a TCP socket and listens. An empty host means all addresses: one socket for both IP versions, or IPv4 only
/// on a host without IPv6.
///
/// # Errors
/// The host cannot be resolved, or the address cannot be bound.
pub fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let listener = if host.is_empty() {
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?
    } else {
        TcpListener::bind((host, port))?
    };
    raise_backlog(&listener)?;
    Ok(listener)
}

/// The sockets that systemd passed to this process: `sd_listen_fds(3)`.
///
/// # Errors
/// There is none, or one is not a listening TCP socket.
pub fn passed_sockets() -> Result<Vec<TcpListener>, PassedSocketError> {
    let mut sockets = ListenFd::from_env();
    let found = (0..sockets.len()).filter_map(|index| sockets.take_tcp_listener(index).transpose());
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(PassedSocketError::NotTcp)?;
    if found.is_empty() {
        return Err(PassedSocketError::None);
    }
    for socket in &found {
        // SO_ACCEPTCONN, socket(7).
        let listens = socket_acceptconn(socket);
        if !listens.map_err(|error| PassedSocketError::Unknown(error.into()))? {
            return Err(PassedSocketError::NotListening);
        }
        raise_backlog(socket).map_err(PassedSocketError::Unknown)?;
    }
    Ok(found)
}

/// A second listen(2) changes the backlog. The standard library's is 128.
fn raise_backlog(listener: &TcpListener) -> io::Result<()> {
    Ok(rustix::net::listen(listener, BACKLOG)?)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn an_empty_host_accepts_both_ip_versions() {
        let listener = bind("", 0).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if listener.local_addr().unwrap().is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_port_has_one_listener() {
        let listener = bind("127.0.0.1", 0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = bind("127.0.0.1", port).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    /// More connections than the standard library's backlog of 128 complete without `accept`.
    #[test]
    fn more_than_128_connections_wait() {
        let listener = bind("127.0.0.1", 0).unwrap();
        let address = listener.local_addr().unwrap();
        let timeout = std::time::Duration::from_secs(10);
        let waiting: Vec<_> =
            (0..200).map(|_| TcpStream::connect_timeout(&address, timeout).unwrap()).collect();
        listener.set_nonblocking(true).unwrap();
        assert_eq!((0..waiting.len()).filter(|_| listener.accept().is_ok()).count(), 200);
    }
}
