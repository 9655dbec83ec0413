//! One connection: TLS handshake, requests and responses, until it ends or is evicted.

use std::{
    convert::Infallible,
    error::Error as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};
use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tokio_util::either::Either;

use super::{
    Rejection, access::Peer, auth, delivery::CurrentResponse, server::ServerState, slot_pool::Slot,
    tracked_stream::TrackedStream,
};

/// Maximum bytes of a request's head, and of hyper's write buffer besides the body.
const BUFFER: usize = 16 * 1024;

/// Maximum header lines of a request.
const MAX_HEADERS: usize = 64;

/// The state of a connection that its requests share.
struct Connection {
    server: Arc<ServerState>,
    peer: Peer,
    slot: Slot,
    response: CurrentResponse,
    has_requested: AtomicBool,
}

impl Connection {
    async fn respond<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        self.has_requested.store(true, Relaxed);
        let permit = self.response.permit().await;
        self.slot.set_busy();
        let (response, was_accepted) = auth::respond(&self.server, self.peer, request).await;
        self.slot.set_idle(was_accepted);
        let ServerState { responses, site, .. } = &*self.server;
        response.map(|body| self.response.start(permit, body, responses, &site.limits))
    }
}

/// Serves a connection until it ends, is evicted, or the client is too slow.
pub(super) async fn serve_connection(
    stream: TcpStream,
    peer: Peer,
    server: Arc<ServerState>,
    watcher: Watcher,
    shutdown: watch::Receiver<bool>,
) {
    // Otherwise the last segment of a response waits for an acknowledgement. A failure costs only speed.
    let _ = stream.set_nodelay(true);
    let Some(slot) = server.connections.acquire(1) else {
        // All connections are busy.
        return server.site.rejections.count(Rejection::Crowded);
    };
    let eviction = slot.eviction().clone();
    let (response, has_requested) = (CurrentResponse::default(), AtomicBool::new(false));
    let connection = Arc::new(Connection { server, peer, slot, response, has_requested });
    let requests = connect(&connection, stream, watcher, shutdown);
    let ended = eviction.run_until_cancelled(requests).await;
    if let Err(rejection) = ended.unwrap_or(Err(Rejection::Crowded)) {
        connection.server.site.rejections.count(rejection);
    }
}

/// Does the TLS handshake if TLS is configured, and serves the requests.
async fn connect(
    connection: &Arc<Connection>,
    stream: TcpStream,
    watcher: Watcher,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), Rejection> {
    let site = &connection.server.site;
    let Some(config) = site.web_config.current().tls() else {
        return serve_requests(connection, Either::Left(stream), watcher).await;
    };
    let handshake = handshake(stream, config, &connection.server.signing);
    let outcome = tokio::select! {
        outcome = timeout(site.limits.header_timeout, handshake) => outcome,
        _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
    };
    match outcome {
        Ok(Ok(stream)) => serve_requests(connection, Either::Right(stream), watcher).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            Err(handshake_rejection(&error))
        }
        Err(_) => Err(Rejection::TooSlow),
    }
}

/// Accepts a TLS connection. Its most expensive part, the server's signature, is made on a blocking thread,
/// one at a time, so that a flood of handshakes does not delay open connections.
async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    signing: &Arc<Semaphore>,
) -> io::Result<TlsStream<TcpStream>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let permit = signing.clone().acquire_owned().await.map_err(io::Error::other)?;
    let signed = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        start.into_stream(config)
    });
    let mut stream = signed.await?.await?;
    // One record. Data that the client does not read stays in the response, whose bytes are counted.
    stream.get_mut().1.set_buffer_limit(Some(BUFFER));
    Ok(stream)
}

async fn serve_requests(
    connection: &Arc<Connection>,
    stream: Either<TcpStream, TlsStream<TcpStream>>,
    watcher: Watcher,
) -> Result<(), Rejection> {
    let limits = connection.server.site.limits;
    let stream =
        TrackedStream::new(TokioIo::new(stream), connection.response.clone(), limits.stall_timeout);
    let service = service_fn(|request| {
        let connection = connection.clone();
        async move { Ok::<_, Infallible>(connection.respond(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(BUFFER)
        .max_headers(MAX_HEADERS)
        .serve_connection(stream, service);
    let Err(error) = watcher.watch(served).await else { return Ok(()) };
    tracing::debug!(%error, "connection failed");
    match rejection(&error) {
        // An idle connection after a request is normal.
        Some(Rejection::TooSlow)
            if error.is_timeout() && connection.has_requested.load(Relaxed) =>
        {
            Ok(())
        }
        Some(rejection) => Err(rejection),
        None => Ok(()),
    }
}

/// Why a handshake failed.
fn handshake_rejection(error: &io::Error) -> Rejection {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Rejection::Certificate
        }
        _ => Rejection::Tls,
    }
}

/// Why a connection ended; `None` if the client disconnected.
fn rejection(error: &hyper::Error) -> Option<Rejection> {
    if error.is_timeout() {
        return Some(Rejection::TooSlow);
    }
    if error.is_parse() {
        return Some(Rejection::BadRequest);
    }
    // An error of the stream.
    let error = error.source()?.downcast_ref::<io::Error>()?;
    error.get_ref()?.downcast_ref().copied()
}
