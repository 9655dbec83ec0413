//! The thread that reads packets, and its outcome.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    pipeline::{self, Route},
    source::Source,
    system::Health,
};

type Ended = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// The reader thread, and its outcome after its end.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    ended: Ended,
    outcome: Option<anyhow::Result<()>>,
}

impl Reader {
    /// Starts the thread.
    pub(super) fn start(
        mut source: Box<dyn Source>,
        mut route: Route,
        health: &Health,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let starting = health.latch("the reader thread");
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("reader".into())
            .spawn(move || {
                starting.release();
                // There is no receiver after the time limit of the shutdown.
                let _ = end.send(pipeline::read(&mut *source, &mut route, &stopping));
            })
            .context("cannot start the reader thread")?;
        let ended = Box::pin(async {
            ended.await.unwrap_or_else(|_| Err(anyhow!("the reader thread panicked")))
        });
        Ok(Self { stop, ended, outcome: None })
    }

    /// Waits for the end of the thread, and returns whether it failed. A second call never completes.
    pub(super) async fn end(&mut self) -> bool {
        if self.outcome.is_some() {
            std::future::pending::<()>().await;
        }
        let outcome = (&mut self.ended).await;
        let failed = outcome.is_err();
        self.outcome = Some(outcome);
        failed
    }

    /// Stops the thread, which first reads the packets that the kernel still holds, for at most `limit`.
    ///
    /// # Errors
    /// The source failed.
    pub(super) async fn stop(self, limit: Duration) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.outcome {
            Some(outcome) => outcome,
            None => timeout(limit, self.ended).await.unwrap_or(Ok(())),
        }
    }
}
