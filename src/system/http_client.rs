//! Connections of HTTP clients, of one type, so that the code of the protocol exists once in the program.

use http_body_util::Full;
use hyper::{
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

/// A connection, with or without TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Sends the requests of one connection.
pub type RequestSender = SendRequest<Full<Bytes>>;

/// Starts HTTP on a connection. The task moves its bytes until the sender and the last response were dropped.
///
/// # Errors
/// The connection is closed.
pub async fn start_http(stream: Box<dyn Stream>) -> hyper::Result<(RequestSender, JoinHandle<()>)> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    let task = tokio::spawn(async move {
        // Requests that wait for a response receive this error too, and report it.
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "the HTTP connection ended");
        }
    });
    Ok((sender, task))
}
