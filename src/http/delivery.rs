//! The response that a connection sends: its time limit, and whether it was delivered.
//!
//! A response is delivered when its last byte is in the socket. hyper takes the body before it writes it, so the end
//! of the body is too early: a client that has closed the connection would count. hyper drops the bytes when the
//! stream has accepted all of them, and then flushes the stream, which empties the buffer of TLS. So the first flush
//! without the bytes is the moment. What the kernel buffers for a slow client counts as delivered.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, Weak},
    task::{Context, Poll},
};

use http_body_util::Full;
use hyper::body::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    Limits, Rejection,
    response::{DeliveryReport, ResponseBody},
    slot_pool::{Slot, SlotPool},
};
use crate::system::lock::lock;

/// The response that a connection sends, if any; shared by its requests and its stream.
#[derive(Clone)]
pub(super) struct CurrentResponse {
    pending: Arc<Mutex<Option<PendingResponse>>>,
    turn: Arc<Semaphore>,
}

struct PendingResponse {
    deadline: Pin<Box<Sleep>>,
    eviction: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Exists until hyper has written the body, or does not need it.
    body: Weak<()>,
    report: Option<DeliveryReport>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The bytes of a response, which occupy their slot as long as they exist, also in hyper's buffer.
struct PooledBytes {
    bytes: Bytes,
    _slot: Arc<Slot>,
    _pending: Arc<()>,
}

impl AsRef<[u8]> for PooledBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for CurrentResponse {
    fn default() -> Self {
        Self { pending: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl CurrentResponse {
    /// Waits until the previous response is in the socket. A client can send its next request before that.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.turn.clone().acquire_owned().await.ok()
    }

    /// Starts a response, and returns the body for hyper. It has a slot in `pool` until its last byte is written, and
    /// ends early at its deadline or if the slot is evicted.
    pub(super) fn start(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        body: ResponseBody,
        pool: &Arc<SlotPool>,
        limits: &Limits,
    ) -> Full<Bytes> {
        let ResponseBody { bytes, slot, report } = body;
        let slot = slot.unwrap_or_else(|| Arc::new(pool.acquire_always(bytes.len())));
        let pending = Arc::new(());
        *self.pending() = Some(PendingResponse {
            deadline: Box::pin(sleep(limits.response_timeout(bytes.len()))),
            eviction: Box::pin(slot.eviction().clone().cancelled_owned()),
            body: Arc::downgrade(&pending),
            report,
            _permit: permit,
        });
        Full::new(Bytes::from_owner(PooledBytes { bytes, _slot: slot, _pending: pending }))
    }

    /// Nothing is left in the buffers of hyper and TLS.
    pub(super) fn set_flushed(&self) {
        let done = self.pending().take_if(|response| response.body.strong_count() == 0);
        if let Some(report) = done.and_then(|response| response.report) {
            report.metrics.delivered(report.generation, report.client);
        }
    }

    /// Ready when the response must end early.
    pub(super) fn poll_limit(&self, context: &mut Context<'_>) -> Poll<Rejection> {
        let mut pending = self.pending();
        let Some(response) = &mut *pending else { return Poll::Pending };
        if response.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Rejection::TooSlow);
        }
        response.eviction.as_mut().poll(context).map(|()| Rejection::Crowded)
    }

    fn pending(&self) -> MutexGuard<'_, Option<PendingResponse>> {
        lock(&self.pending)
    }
}
