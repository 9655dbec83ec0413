//! Catches panics in the mirror's threads: a panic ends the current piece of work only. It is counted and
//! logged, and the thread continues.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::queue::Queue;
use crate::system::panics;

/// The result of `work`; `None` when it panicked. The state that `work` changes must be consistent after a
/// panic, or be dropped.
pub(super) fn caught<T>(queue: &Queue, what: &str, work: impl FnOnce() -> T) -> Option<T> {
    panics::caught(work).map_err(|panic| report(queue, what, &panic)).ok()
}

/// The same for a future, which is dropped when it panics.
pub(super) async fn caught_future<F: Future>(
    queue: &Queue,
    what: &str,
    work: F,
) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = panics::caught(|| work.as_mut().poll(context));
        polled.map_or_else(
            |panic| {
                report(queue, what, &panic);
                Poll::Ready(None)
            },
            |polled| polled.map(Some),
        )
    })
    .await
}

fn report(queue: &Queue, what: &str, panic: &str) {
    queue.count_panic();
    tracing::error!(panic, "mirror: {what} panicked, which is a bug; retrying");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CurrentNames, Names};

    #[tokio::test]
    async fn a_panic_is_counted_and_ends_nothing_else() {
        let queue = Queue::new(0, CurrentNames::new(Names::default()));
        assert_eq!(caught(&queue, "work", || 1), Some(1));
        assert_eq!(caught(&queue, "work", || -> u8 { panic!("asked to") }), None);
        assert_eq!(caught_future(&queue, "work", async { 2 }).await, Some(2));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("{}", "asked to")
        };
        let outcome: Option<()> = caught_future(&queue, "work", panics).await;
        assert_eq!(outcome, None);
        assert_eq!(queue.status().panics, 2);
    }
}
