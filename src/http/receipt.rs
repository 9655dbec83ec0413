//! Receipts: a page of metrics counts as delivered when its last byte went into the socket.
//!
//! The server buffers the last piece of a body before it writes it, so the end of the body says
//! little: a client that has hung up would count. The body leaves its receipt at the counter of its
//! connection with the last piece, and the wire signs it when everything before it was written:
//! hyper flushes the wire only with its own buffer empty. A connection that breaks drops it
//! unsigned. What the kernel holds for a client that is slow to read counts as delivered.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::Sleep;

use super::{Client, MetricsPage};

/// Promises to tell that a page was delivered.
pub(super) struct Receipt {
    pub(super) metrics: Arc<dyn MetricsPage>,
    pub(super) generation: u64,
    pub(super) client: Client,
}

/// Where a connection keeps the receipt of the answer that is under way: HTTP/1 has one at a time.
#[derive(Clone, Default)]
pub(super) struct Counter(Arc<Mutex<Option<Receipt>>>);

impl Counter {
    /// Leaves a receipt, to be signed at the next flush.
    pub(super) fn leave(&self, receipt: Receipt) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(receipt);
    }

    fn sign(&self) {
        let receipt = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Receipt { metrics, generation, client }) = receipt {
            metrics.delivered(generation, client);
        }
    }
}

/// A connection that signs receipts, and gives up on a client that takes nothing for too long.
pub(super) struct Wire<S> {
    stream: S,
    counter: Counter,
    stall_time: Duration,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, counter: Counter, stall_time: Duration) -> Self {
        Self { stream, counter, stall_time, stall: None }
    }

    /// Passes the outcome of a write on, or an error when the client has stalled.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.stall = None;
            return outcome;
        }
        let stall_time = self.stall_time;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_time)));
        stall.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: Read + Unpin> Read for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.counter.sign();
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
