//! The queue of responses that are rendered on blocking threads, a few at a time.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinError};

/// Why there is no response.
#[derive(Debug)]
pub(super) enum RenderError {
    /// The queue is full.
    Busy,
    /// Rendering panicked.
    Panicked(JoinError),
}

/// A bounded queue.
pub(super) struct RenderQueue {
    running: Arc<Semaphore>,
    /// Running or waiting.
    queued: Semaphore,
}

impl RenderQueue {
    pub(super) fn new(running: usize, waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running)),
            queued: Semaphore::new(running + waiting),
        }
    }

    /// Waits for its turn, and runs `work` on a blocking thread.
    pub(super) async fn render<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RenderError> {
        // The semaphores are never closed.
        let _queued = self.queued.try_acquire().map_err(|_| RenderError::Busy)?;
        let permit = self.running.clone().acquire_owned().await.map_err(|_| RenderError::Busy)?;
        let rendered = tokio::task::spawn_blocking(move || {
            // Held by the work itself, which continues if the client disconnects.
            let _permit = permit;
            work()
        });
        rendered.await.map_err(RenderError::Panicked)
    }
}

/// Logs that rendering panicked.
pub(super) fn log_panic(error: &JoinError) {
    tracing::error!(%error, "rendering a response panicked; this is a bug");
}
