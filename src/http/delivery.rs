//! Tracks a response down to the socket: metrics count as delivered, and the write timeout ends, when the
//! last byte is in the socket.
//!
//! hyper buffers the last piece of a body before it writes it, so the end of the body is too early: a client
//! that has closed the connection would count. hyper flushes the stream only while its own buffer is empty,
//! so the first flush after the last piece is the moment. What the kernel buffers for a slow client
//! counts as delivered.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::{Client, MetricsPage, write_timeout::WriteTimeout};
use crate::system::lock::lock;

/// Reports that a page of metrics was delivered. Dropped unreported if the connection breaks.
pub(super) struct Delivery {
    pub(super) metrics: Arc<dyn MetricsPage>,
    pub(super) generation: u64,
    pub(super) client: Client,
}

/// The progress of the current response of a connection, shared by its body and its stream.
#[derive(Clone)]
pub(super) struct ResponseProgress(Arc<Shared>);

struct Shared {
    write_timeout: WriteTimeout,
    last_piece: Mutex<LastPiece>,
}

/// Whether hyper has the last piece of the body.
enum LastPiece {
    NotYet,
    Taken(Option<Delivery>),
}

impl ResponseProgress {
    pub(super) fn new(stall_timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            write_timeout: WriteTimeout::new(stall_timeout),
            // Between responses, a flush ends every timeout.
            last_piece: Mutex::new(LastPiece::Taken(None)),
        }))
    }

    /// A response begins, which must be written in this time.
    pub(super) fn start(&self, time: Duration) {
        *self.last_piece() = LastPiece::NotYet;
        self.0.write_timeout.start(time);
    }

    /// The next flush means that the whole response is in the socket.
    pub(super) fn take_last_piece(&self, delivery: Option<Delivery>) {
        *self.last_piece() = LastPiece::Taken(delivery);
    }

    /// Completes when the client reads too slowly.
    pub(super) async fn timed_out(&self) {
        self.0.write_timeout.expired().await;
    }

    fn flushed(&self) {
        let LastPiece::Taken(delivery) = &mut *self.last_piece() else { return };
        let delivery = delivery.take();
        self.0.write_timeout.finish();
        if let Some(Delivery { metrics, generation, client }) = delivery {
            metrics.delivered(generation, client);
        }
    }

    fn last_piece(&self) -> MutexGuard<'_, LastPiece> {
        lock(&self.0.last_piece)
    }
}

/// A stream that reports what it writes.
pub(super) struct TrackedStream<S> {
    stream: S,
    progress: ResponseProgress,
}

impl<S> TrackedStream<S> {
    pub(super) fn new(stream: S, progress: ResponseProgress) -> Self {
        Self { stream, progress }
    }

    fn track<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Pending => self.progress.0.write_timeout.blocked(),
            Poll::Ready(_) => self.progress.0.write_timeout.progress(),
        }
        outcome
    }
}

impl<S: Read + Unpin> Read for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.track(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.track(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        match outcome {
            // TLS has a buffer of its own, which a flush empties.
            Poll::Pending => self.progress.0.write_timeout.blocked(),
            Poll::Ready(Ok(())) => self.progress.flushed(),
            Poll::Ready(Err(_)) => {}
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        if outcome.is_pending() {
            self.progress.0.write_timeout.blocked();
        }
        outcome
    }
}
