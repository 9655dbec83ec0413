//! Listeners: accept connections, and drain them at shutdown.

use std::{io, net, sync::Arc, time::Duration};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
};

use super::{Site, access::Peer, connection::serve_connection, server::ServerState};

/// Pause until an evicted connection has freed its descriptor and memory.
const EVICTION_PAUSE: Duration = Duration::from_millis(10);

/// Serves the site on all listeners until `shutdown` is true or its sender is dropped. Then finishes the
/// current requests, for at most [`super::Limits::drain_timeout`].
///
/// # Errors
/// A listener cannot be used. There are no errors after the start.
pub async fn serve(
    listeners: Vec<net::TcpListener>,
    site: Arc<Site>,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let server = ServerState::new(site);
    // If this future is dropped, so are the tasks.
    let mut tasks = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        tasks.spawn(listen(listener, server.clone(), shutdown.clone()));
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome?;
    }
    Ok(())
}

/// Serves the connections of one listener.
async fn listen(
    listener: TcpListener,
    server: Arc<ServerState>,
    mut shutdown: watch::Receiver<bool>,
) {
    let is_on_loopback =
        listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let graceful = GracefulShutdown::new();
    let connection_shutdown = shutdown.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An error means that the sender was dropped.
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(outcome) = connections.join_next() => {
                if let Err(error) = outcome {
                    tracing::error!(%error, "a connection panicked; this is a bug");
                }
            }
            (stream, peer, permit) = accept(&listener, &server) => {
                let peer = Peer { address: peer, is_on_loopback };
                let shutdown = connection_shutdown.clone();
                let connection =
                    serve_connection(stream, peer, server.clone(), graceful.watcher(), shutdown);
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    let drain_timeout = server.site.limits.drain_timeout;
    if tokio::time::timeout(drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("closed connections whose requests took too long to finish");
    }
    connections.shutdown().await;
}

/// Accepts the next connection, with a permit for its socket.
async fn accept(
    listener: &TcpListener,
    server: &ServerState,
) -> (TcpStream, net::IpAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = server.sockets.clone().acquire_owned().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip(), permit),
            // The client disconnected before: accept(2), "Error handling".
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // The system has no descriptor or no memory for another connection.
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed; closing an idle one");
                server.connections.evict_one();
                tokio::time::sleep(EVICTION_PAUSE).await;
            }
        }
    }
}
