//! The queue of responses that are rendered on blocking threads, a few at a time.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Why there is no response.
#[derive(Debug)]
pub(super) enum RenderError {
    /// The queue is full.
    Busy,
    /// Rendering panicked, which is logged.
    Panicked,
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
        let render = move || {
            // Held by the work itself, which continues if the client disconnects.
            let _permit = permit;
            work()
        };
        run_blocking(render).await.ok_or(RenderError::Panicked)
    }
}

/// Runs work on a blocking thread; `None` if it panicked, which is logged.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome
        .inspect_err(
            |error| tracing::error!(%error, "rendering a response panicked; this is a bug"),
        )
        .ok()
}
