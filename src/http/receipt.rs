//! Receipts: a page of metrics counts as delivered when its last byte went into the socket.
//!
//! The server buffers the last piece of a body before it writes it, so the end of the body says
//! little: a client that has hung up would count. The body leaves its receipt at the counter of its
//! connection with the last piece, and the wire signs it when everything before it was written:
//! hyper flushes the wire only with its own buffer empty. A connection that breaks drops it
//! unsigned. What the kernel holds for a client that is slow to read counts as delivered.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};

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

/// A connection that signs receipts.
pub(super) struct Wire<S> {
    stream: S,
    counter: Counter,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, counter: Counter) -> Self {
        Self { stream, counter }
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
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
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
