//! The response that a connection sends: its time limit, and whether it was delivered.
//!
//! hyper buffers a body before it writes it, so the end of the body is too early for a delivery: a client that has
//! closed the connection would count. hyper flushes the stream only while its own buffer is empty, so the first flush
//! after it has buffered the body is the moment when the last byte is in the socket. What the kernel buffers for a
//! slow client counts as delivered.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Client, MetricsPage, Rejection};

/// Reports that a page of metrics was delivered. Dropped unreported if the connection breaks.
pub(super) struct Delivery {
    pub(super) metrics: Arc<dyn MetricsPage>,
    pub(super) generation: u64,
    pub(super) client: Client,
}

/// The response that a connection sends, if any; shared by its body and its stream.
#[derive(Clone)]
pub(super) struct CurrentResponse {
    response: Arc<Mutex<Option<Response>>>,
    turn: Arc<Semaphore>,
}

struct Response {
    deadline: Pin<Box<Sleep>>,
    eviction: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whether hyper needs nothing more of the body.
    is_buffered: bool,
    delivery: Option<Delivery>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for CurrentResponse {
    fn default() -> Self {
        Self { response: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl CurrentResponse {
    /// Waits until the previous response is in the socket. A client can send its next request before that.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.turn.clone().acquire_owned().await.ok()
    }

    /// A response begins, which must be in the socket in this time and before an eviction.
    pub(super) fn start(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        time: Duration,
        eviction: CancellationToken,
    ) {
        *self.response() = Some(Response {
            deadline: Box::pin(sleep(time)),
            eviction: Box::pin(eviction.cancelled_owned()),
            is_buffered: false,
            delivery: None,
            _permit: permit,
        });
    }

    /// hyper has buffered the body, so the next flush means that the whole response is in the socket.
    pub(super) fn set_buffered(&self, delivery: Option<Delivery>) {
        if let Some(response) = &mut *self.response() {
            response.is_buffered = true;
            response.delivery = delivery;
        }
    }

    /// Nothing is left in the buffers of hyper and TLS.
    pub(super) fn set_flushed(&self) {
        let flushed = self.response().take_if(|response| response.is_buffered);
        if let Some(Delivery { metrics, generation, client }) =
            flushed.and_then(|response| response.delivery)
        {
            metrics.delivered(generation, client);
        }
    }

    /// Ready when the response must end early.
    pub(super) fn poll_limit(&self, context: &mut Context<'_>) -> Poll<Rejection> {
        let mut response = self.response();
        let Some(response) = &mut *response else { return Poll::Pending };
        if response.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Rejection::TooSlow);
        }
        response.eviction.as_mut().poll(context).map(|()| Rejection::Crowded)
    }

    fn response(&self) -> MutexGuard<'_, Option<Response>> {
        self.response.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
