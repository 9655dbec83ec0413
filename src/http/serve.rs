//! Listeners, connections and the end of them: accept, serve, drain.

use std::{convert::Infallible, io, net, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use super::{
    Site,
    receipt::{Counter, Wire},
    routes,
};

/// Most bytes of a request's head, and of an answer that hyper buffers besides one piece.
const BUFFER: usize = 16 * 1024;

/// Most header lines of a request.
const MAX_HEADERS: usize = 64;

/// How long to wait when the system has no descriptor or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What all connections share.
pub(super) struct Server {
    pub(super) site: Arc<Site>,
    pub(super) renders: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// Serves the site on all listeners until `shutdown` turns true or its sender is gone; then
/// finishes the requests under way, [`super::Limits::drain_time`] at most.
///
/// # Errors
/// A listener that cannot be used; once it serves, nothing stops it.
pub async fn serve(
    listeners: Vec<net::TcpListener>,
    site: Arc<Site>,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let server = Arc::new(Server {
        renders: Arc::new(Semaphore::new(site.limits.renders)),
        connections: Arc::new(Semaphore::new(site.limits.connections)),
        site,
    });
    // Dropped with this future, and the connections with it.
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
async fn listen(listener: TcpListener, server: Arc<Server>, mut shutdown: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An error is a sender that is gone.
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(outcome) = connections.join_next() => {
                if let Err(error) = outcome {
                    tracing::error!(%error, "a connection ended in a panic; this is a bug");
                }
            }
            (stream, permit) = accept(&listener, &server) => {
                connections.spawn(converse(stream, permit, server.clone(), graceful.watcher()));
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(server.site.limits.drain_time, graceful.shutdown()).await.is_err() {
        tracing::warn!("closed connections whose requests took too long to finish");
    }
    connections.shutdown().await;
}

/// The next connection, with its place among the connections allowed.
async fn accept(listener: &TcpListener, server: &Server) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = server.connections.clone().acquire_owned().await else {
            // Nobody closes the semaphore.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            // The client left while it waited: accept(2), "Error handling".
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn converse(
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
    server: Arc<Server>,
    watcher: Watcher,
) {
    let limits = server.site.limits;
    // Answers go out in one piece or in large ones; without it, their tail waits for an
    // acknowledgement. A connection where it fails is slower, no more.
    let _ = stream.set_nodelay(true);
    let counter = Counter::default();
    let wire = Wire::new(TokioIo::new(stream), counter.clone(), limits.stall_time);
    let service = service_fn(move |request| {
        let (server, counter) = (server.clone(), counter.clone());
        async move { Ok::<_, Infallible>(routes::answer(&server, counter, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(BUFFER)
        .max_headers(MAX_HEADERS)
        .serve_connection(wire, service);
    if let Err(error) = watcher.watch(connection).await {
        // Clients hang up as they like.
        tracing::debug!(%error, "a connection failed");
    }
}
