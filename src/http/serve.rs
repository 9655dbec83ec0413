//! Listeners, connections and the end of them: accept, serve, drain.

use std::{
    convert::Infallible,
    error::Error as _,
    io,
    net::{self, IpAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{
    Refusal, Site, admit,
    line::{Line, Pace},
    places::{Place, Places},
    receipt::{Counter, Wire},
    renders::{MetricsPages, Renders},
};

/// Most bytes of a request's head, and of an answer that hyper buffers besides one piece.
const BUFFER: usize = 16 * 1024;

/// Most header lines of a request.
const MAX_HEADERS: usize = 64;

/// Connections that may still be closing when others have got their places.
const CLOSING: usize = 16;

/// Signatures of TLS handshakes at a time.
const SIGNING: usize = 1;

/// Descriptors for everything but connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// Connections where there are hardly any descriptors.
const FEW: usize = 8;

/// How long to wait when the system has no memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait for the descriptor of a connection that was told to leave.
const LEAVE_PAUSE: Duration = Duration::from_millis(10);

/// What all connections share.
pub(super) struct Server {
    pub(super) site: Arc<Site>,
    /// All pages but those of metrics.
    pub(super) renders: Renders,
    pub(super) metrics: Arc<MetricsPages>,
    /// Answers in memory, by their bytes, until the client has taken them.
    pub(super) answers: Arc<Places>,
    connections: Arc<Places>,
    sockets: Arc<Semaphore>,
    /// Signatures of TLS handshakes under way.
    signing: Arc<Semaphore>,
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
    let limits = site.limits;
    let connections = limits.connections.min(affordable());
    let answers = Places::new(limits.answers);
    let server = Arc::new(Server {
        renders: Renders::new(limits.renders, limits.waiting_renders),
        metrics: MetricsPages::new(site.metrics.clone(), answers.clone(), limits.renders),
        answers,
        connections: Places::new(connections),
        sockets: Arc::new(Semaphore::new(connections + CLOSING)),
        signing: Arc::new(Semaphore::new(SIGNING)),
        site,
    });
    // Dropped with this future, and what runs in it too.
    let mut tasks = JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        tasks.spawn(listen(listener, server.clone(), shutdown.clone()));
    }
    let mut watching = JoinSet::new();
    watching.spawn(server.site.guard.clone().watch());
    while let Some(outcome) = tasks.join_next().await {
        outcome?;
    }
    Ok(())
}

/// Serves the connections of one listener.
async fn listen(listener: TcpListener, server: Arc<Server>, mut shutdown: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let ending = shutdown.clone();
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
            (stream, peer, permit) = accept(&listener, &server) => {
                let conversation =
                    converse(stream, peer, server.clone(), graceful.watcher(), ending.clone());
                connections.spawn(async move {
                    conversation.await;
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(server.site.limits.drain_time, graceful.shutdown()).await.is_err() {
        tracing::warn!("closed connections whose requests took too long to finish");
    }
    connections.shutdown().await;
}

/// The next connection, with its right to a socket.
async fn accept(
    listener: &TcpListener,
    server: &Server,
) -> (TcpStream, IpAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = server.sockets.clone().acquire_owned().await else {
            // Nobody closes the semaphore.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip(), permit),
            // The client left while it waited: accept(2), "Error handling".
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if is_out_of_descriptors(&error) => {
                tracing::warn!(%error, "accepting a connection failed; closing another for it");
                server.connections.thin();
                tokio::time::sleep(LEAVE_PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Connections that the limit on descriptors leaves room for.
fn affordable() -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    let rest = usize::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX);
    rest.max(FEW)
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// Serves one connection to its end, or until another needs its place.
async fn converse(
    stream: TcpStream,
    peer: IpAddr,
    server: Arc<Server>,
    watcher: Watcher,
    mut shutdown: watch::Receiver<bool>,
) {
    // Answers go out in one piece or in large ones; without it, their tail waits for an
    // acknowledgement. A connection where it fails is slower, no more.
    let _ = stream.set_nodelay(true);
    let refusals = server.site.refusals.clone();
    let Some(place) = server.connections.take(1).map(Arc::new) else {
        // All the others are being worked for.
        return refusals.count(Refusal::Crowded);
    };
    let notice = Arc::new(Notify::new());
    let owner = place.own(notice.clone());
    let client = Client { peer, place, notice: notice.clone(), pace: Pace::default() };
    let limits = server.site.limits;
    let stream = Line::new(stream, client.pace.clone(), limits.stall_time);
    let conversation = async {
        let Some(config) = server.site.guard.gate().tls() else {
            return talk(TokioIo::new(stream), server, client, watcher).await;
        };
        let handshake = timeout(limits.header_time, shake_hands(stream, config, &server.signing));
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            _ = shutdown.wait_for(|stop| *stop) => return,
        };
        match outcome {
            Ok(Ok(stream)) => talk(TokioIo::new(stream), server, client, watcher).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                server.site.refusals.count(of_handshake(&error));
            }
            Err(_) => server.site.refusals.count(Refusal::TooSlow),
        }
    };
    tokio::select! {
        () = conversation => {}
        () = notice.notified() => refusals.count(Refusal::Crowded),
    }
    drop(owner);
}

/// Takes up a TLS connection. The server's signature, which is nearly all of the work, is made apart
/// from the threads that serve the others, and in order.
async fn shake_hands(
    stream: Line<TcpStream>,
    config: Arc<ServerConfig>,
    signing: &Arc<Semaphore>,
) -> io::Result<TlsStream<Line<TcpStream>>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let permit = signing.clone().acquire_owned().await.map_err(io::Error::other)?;
    let signed = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        start.into_stream(config)
    });
    let mut stream = signed.await?.await?;
    // A record: what the client does not read stays in the answer, which is counted.
    stream.get_mut().1.set_buffer_limit(Some(BUFFER));
    Ok(stream)
}

/// What is known of a connection below its requests.
struct Client {
    peer: IpAddr,
    place: Arc<Place>,
    /// Where it is told to leave.
    notice: Arc<Notify>,
    pace: Pace,
}

/// Answers the requests of one connection.
async fn talk<S>(stream: S, server: Arc<Server>, client: Client, watcher: Watcher)
where
    S: Read + Write + Unpin + Send + 'static,
{
    let limits = server.site.limits;
    let counter = Counter::default();
    let wire = Wire::new(stream, counter.clone());
    let asked = AtomicBool::new(false);
    let client = Arc::new(client);
    let service = service_fn(|request| {
        asked.store(true, Relaxed);
        let (server, counter, client) = (server.clone(), counter.clone(), client.clone());
        async move {
            client.place.work();
            let (mut answer, was_let_in) =
                admit::answer(&server, client.peer, counter, request).await;
            client.place.rest(was_let_in);
            answer.body_mut().hold(&server.answers, client.notice.clone());
            client.pace.start(limits.time(answer.body().len()));
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(BUFFER)
        .max_headers(MAX_HEADERS)
        .serve_connection(wire, service);
    if let Err(error) = watcher.watch(connection).await {
        // Clients hang up as they like, and let connections lie that they have used.
        tracing::debug!(%error, "a connection failed");
        match of_connection(&error) {
            Some(Refusal::TooSlow) if error.is_timeout() && asked.load(Relaxed) => {}
            Some(refusal) => server.site.refusals.count(refusal),
            None => {}
        }
    }
}

/// Why a handshake was refused.
fn of_handshake(error: &io::Error) -> Refusal {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Refusal::Certificate
        }
        _ => Refusal::Tls,
    }
}

/// Why a connection was cut; `None` when the client has left.
fn of_connection(error: &hyper::Error) -> Option<Refusal> {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if error.is_timeout() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut) {
        Some(Refusal::TooSlow)
    } else if error.is_parse() {
        Some(Refusal::BadRequest)
    } else {
        None
    }
}
