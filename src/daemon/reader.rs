//! The threads that read packets, and their outcomes.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{self, Poll},
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    pipeline::{self, Route},
    source::Source,
    system::Latch,
};

/// The reader threads, and their outcomes after their ends.
#[derive(Debug, Default)]
pub(super) struct Readers {
    stop: Arc<AtomicBool>,
    started: usize,
    /// Those whose outcome is not known yet.
    running: Vec<oneshot::Receiver<anyhow::Result<()>>>,
    /// The error of the first thread that failed.
    failure: Option<anyhow::Error>,
    /// Whether [`Self::end`] has completed.
    has_ended: bool,
}

impl Readers {
    /// The name of the next thread in messages.
    pub(super) fn next_name(&self) -> String {
        match self.started {
            0 => "the reader thread".into(),
            before => format!("the reader thread {}", before + 1),
        }
    }

    /// Starts a thread.
    pub(super) fn start(
        &mut self,
        mut source: Box<dyn Source>,
        mut route: Route,
        starting: Latch,
    ) -> anyhow::Result<()> {
        let name = self.next_name();
        self.started += 1;
        let of_thread = match self.started {
            1 => "reader".into(),
            number => format!("reader-{number}"),
        };
        let stopping = Arc::clone(&self.stop);
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name(of_thread)
            .spawn(move || {
                starting.release();
                // There is no receiver after the time limit of the shutdown.
                let _ = end.send(pipeline::read(&mut *source, &mut route, &stopping));
            })
            .with_context(|| format!("cannot start {name}"))?;
        self.running.push(ended);
        Ok(())
    }

    /// Waits until a thread fails, or all have ended. Returns whether one failed. A second call never completes.
    pub(super) async fn end(&mut self) -> bool {
        if self.has_ended {
            std::future::pending::<()>().await;
        }
        poll_fn(|context| match self.poll_all(context) {
            Poll::Pending if self.failure.is_none() => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
        self.has_ended = true;
        self.failure.is_some()
    }

    /// Stops the threads, which first read the packets that the kernel still holds, for at most `limit`.
    ///
    /// # Errors
    /// The source of a thread failed.
    pub(super) async fn stop(mut self, limit: Duration) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        // After the limit, the rest is not read.
        let _ = timeout(limit, poll_fn(|context| self.poll_all(context))).await;
        self.failure.map_or(Ok(()), Err)
    }

    /// Takes the outcomes of the threads that have ended. Ready when all have.
    fn poll_all(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        let failure = &mut self.failure;
        self.running.retain_mut(|ended| match Pin::new(ended).poll(context) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                let panicked = |_| Err(anyhow!("a reader thread panicked"));
                if let Err(error) = outcome.unwrap_or_else(panicked) {
                    failure.get_or_insert(error);
                }
                false
            }
        });
        if self.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        geoip::GeoIp,
        metrics::{Aggregate, SharedAggregate},
        pipeline::Clock,
        source::{ReadOutcome, Record},
        system::Health,
    };

    /// A source that does this at each read, and ends when it is closed.
    struct Scripted(fn() -> anyhow::Result<ReadOutcome>, bool);

    impl Source for Scripted {
        fn fill(
            &mut self,
            _: Duration,
            _: &mut dyn FnMut(&Record<'_>),
        ) -> anyhow::Result<ReadOutcome> {
            if self.1 { Ok(ReadOutcome::End) } else { self.0() }
        }

        fn close(&mut self) {
            self.1 = true;
        }
    }

    fn start(sources: &[fn() -> anyhow::Result<ReadOutcome>]) -> Readers {
        let mut readers = Readers::default();
        let health = Health::new();
        let geoip = GeoIp::open(&[]).unwrap();
        for source in sources {
            let aggregate = SharedAggregate::new(Aggregate::new(&[], &[], 1, Duration::ZERO));
            let route = Route::new(geoip.locator(), aggregate, Clock::running());
            let name = readers.next_name();
            readers.start(Box::new(Scripted(*source, false)), route, health.latch(name)).unwrap();
        }
        readers
    }

    const IDLE: fn() -> anyhow::Result<ReadOutcome> = || {
        thread::yield_now();
        Ok(ReadOutcome::Idle)
    };

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn one_failure_ends_all_and_is_the_outcome() {
        let fails: fn() -> _ = || Err(anyhow!("the socket is gone"));
        let panics: fn() -> _ = || panic!("a bug");
        for (second, why) in [(fails, "the socket is gone"), (panics, "a reader thread panicked")] {
            let mut readers = start(&[IDLE, second]);
            assert!(timeout(LIMIT, readers.end()).await.unwrap());
            // The other one still runs, until it is stopped.
            assert_eq!(readers.running.len(), 1);
            let again = timeout(Duration::from_millis(1), readers.end()).await;
            assert!(again.is_err());
            assert_eq!(readers.stop(LIMIT).await.unwrap_err().to_string(), why);
        }
    }

    #[tokio::test]
    async fn the_end_is_that_of_the_last_thread() {
        let ends: fn() -> _ = || Ok(ReadOutcome::End);
        let mut readers = start(&[ends, IDLE]);
        assert_eq!(readers.next_name(), "the reader thread 3");
        while readers.running.len() > 1 {
            assert!(timeout(Duration::from_millis(1), readers.end()).await.is_err());
        }
        readers.stop(LIMIT).await.unwrap();
        let mut readers = start(&[ends, ends]);
        assert!(!timeout(LIMIT, readers.end()).await.unwrap());
        readers.stop(LIMIT).await.unwrap();
    }
}
