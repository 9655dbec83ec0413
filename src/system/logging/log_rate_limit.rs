//! Lines that come too often: a few of each are written, the rest is counted.
//!
//! What fails ten thousand times a second must not fill a disk, nor hide what else is said.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Event, Level, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place in the program that are written in each window; more than any start needs.
const MOST: u32 = 20;

const WINDOW: Duration = Duration::from_secs(60);

static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Lines that were left out since the start.
#[must_use]
pub fn left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Lets through [`MOST`] lines a minute of each place that logs. What a developer asked to see
/// (`debug`, `trace`) is not held back.
#[derive(Debug, Default)]
pub(super) struct LogRateLimit {
    /// As many as there are places that log in the program.
    places: Mutex<HashMap<Identifier, Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
}

impl LogRateLimit {
    fn admits(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let window = places.entry(place).or_insert(Window { since: now, lines: 0 });
        if now.saturating_duration_since(window.since) >= WINDOW {
            *window = Window { since: now, lines: 0 };
        }
        window.lines = window.lines.saturating_add(1);
        window.lines <= MOST
    }
}

impl<S: Subscriber> Filter<S> for LogRateLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // A level that says more is greater.
        let admitted = *event.metadata().level() > Level::INFO
            || self.admits(event.metadata().callsite(), Instant::now());
        LEFT_OUT.fetch_add(u64::from(!admitted), Ordering::Relaxed);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use tracing::Callsite as _;
    use tracing_subscriber::{Layer, Registry, layer::SubscriberExt as _};

    use super::*;

    /// Counts the lines that come through.
    struct Count(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_flood_of_one_line_is_cut_and_counted_and_hides_no_other() {
        let count = Arc::new(AtomicUsize::new(0));
        let lines = Count(Arc::clone(&count)).with_filter(LogRateLimit::default());
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            let before = left_out();
            for number in 0..1000 {
                tracing::warn!(number, "again");
            }
            assert_eq!(count.load(Ordering::Relaxed), MOST as usize);
            assert!(left_out() >= before + 1000 - u64::from(MOST));
            tracing::error!("something else");
            assert_eq!(count.load(Ordering::Relaxed), MOST as usize + 1);
            for number in 0..100 {
                tracing::debug!(number, "asked for");
            }
            assert_eq!(count.load(Ordering::Relaxed), MOST as usize + 101);
        });
    }

    #[test]
    fn after_a_minute_it_is_logged_again() {
        let (limit, start) = (LogRateLimit::default(), Instant::now());
        let place = tracing::callsite!(name: "x", kind: tracing::metadata::Kind::EVENT, fields: a)
            .metadata()
            .callsite();
        let admitted = |at| (0..100).filter(|_| limit.admits(place.clone(), at)).count();
        assert_eq!(admitted(start), MOST as usize);
        assert_eq!(admitted(start + WINDOW / 2), 0);
        assert_eq!(admitted(start + WINDOW), MOST as usize);
    }
}
