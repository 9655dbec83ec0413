//! The body of a response: whole in memory until its last byte is in the socket.
//!
//! hyper gets it in one piece, which it does not copy, because TCP and TLS streams write several buffers at once
//! (`is_write_vectored`).

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Limits,
    delivery::{CurrentResponse, Delivery},
    shared_metrics::SharedPage,
    slot_pool::{Slot, SlotPool},
};

/// A body of known length.
pub(super) struct ResponseBody {
    bytes: Bytes,
    /// In the pool of responses in memory, if it has one already.
    slot: Option<Arc<Slot>>,
    /// Reported when the last byte is in the socket.
    delivery: Option<Delivery>,
    /// The response that it belongs to, once it has started.
    response: Option<CurrentResponse>,
}

/// Bytes with their slot, which is occupied as long as they exist, also in hyper's buffer.
struct PooledBytes {
    bytes: Bytes,
    _slot: Arc<Slot>,
}

impl AsRef<[u8]> for PooledBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBody {
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        Self { bytes: text.into(), slot: None, delivery: None, response: None }
    }

    /// A page of metrics, whose delivery is reported.
    pub(super) fn metrics(page: SharedPage, delivery: Delivery) -> Self {
        let (slot, delivery) = (Some(page.slot), Some(delivery));
        Self { bytes: page.body, slot, delivery, response: None }
    }

    /// Starts the response. It has a slot in `pool` until its last byte is written, and ends early if the slot
    /// is evicted.
    pub(super) fn start(
        &mut self,
        response: CurrentResponse,
        permit: Option<OwnedSemaphorePermit>,
        pool: &Arc<SlotPool>,
        limits: &Limits,
    ) {
        let length = self.bytes.len();
        let slot = self.slot.take().unwrap_or_else(|| Arc::new(pool.acquire_always(length)));
        response.start(permit, limits.response_timeout(length), slot.eviction().clone());
        self.response = Some(response);
        let bytes = mem::take(&mut self.bytes);
        self.bytes = Bytes::from_owner(PooledBytes { bytes, _slot: slot });
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body that hyper does not send, because it is empty or the request was a HEAD.
        if let Some(response) = self.response.take() {
            response.set_buffered(None);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(response) = self.response.take() else { return Poll::Ready(None) };
        response.set_buffered(self.delivery.take());
        Poll::Ready(Some(Ok(Frame::data(mem::take(&mut self.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // A usize fits into 64 bits.
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
