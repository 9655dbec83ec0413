//! The body of a response: whole in memory, and passed to the connection in pieces.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::Notify;

use super::{
    Limits,
    delivery::{Delivery, ResponseProgress},
    shared_metrics::SharedPage,
    slot_pool::{Holder, Slot, SlotPool},
};

/// Maximum bytes of a piece: small enough that most of the body stays here while the client does not read,
/// and large enough that system calls cost little.
const PIECE: usize = 64 * 1024;

/// A body of known length.
pub(super) struct ResponseBody {
    rest: Bytes,
    /// Reported when the last byte is in the socket.
    delivery: Option<Delivery>,
    progress: Option<ResponseProgress>,
    /// In the pool of responses in memory, if it has one already.
    slot: Option<Arc<Slot>>,
}

/// Bytes with their slot, which is held as long as any piece of them exists, also in hyper's buffer.
struct HeldBytes {
    bytes: Bytes,
    _holder: Holder,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBody {
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        Self { rest: text.into(), delivery: None, progress: None, slot: None }
    }

    /// A page of metrics, whose delivery is reported.
    pub(super) fn metrics(page: SharedPage, delivery: Delivery) -> Self {
        let slot = Some(page.slot);
        Self { rest: page.body, delivery: Some(delivery), progress: None, slot }
    }

    /// Starts the response. It holds a slot in `responses` until its last byte is written; `eviction` is
    /// notified when the slot is evicted.
    pub(super) fn start(
        &mut self,
        responses: &Arc<SlotPool>,
        eviction: Arc<Notify>,
        progress: ResponseProgress,
        limits: &Limits,
    ) {
        progress.start(limits.response_timeout(self.rest.len()));
        if self.rest.is_empty() {
            progress.take_last_piece(None);
            return;
        }
        self.progress = Some(progress);
        let slot = self.slot.take();
        let slot = slot.unwrap_or_else(|| Arc::new(responses.acquire_always(self.rest.len())));
        let bytes = mem::take(&mut self.rest);
        self.rest = Bytes::from_owner(HeldBytes { bytes, _holder: slot.hold(eviction) });
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        if self.rest.is_empty()
            && let Some(progress) = self.progress.take()
        {
            progress.take_last_piece(self.delivery.take());
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // A usize fits into 64 bits.
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
