//! Limits the rate of log lines from each call site; dropped lines are counted.
//!
//! An error that repeats ten thousand times a second must neither fill a disk nor hide other lines.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{Event, Level, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::layer::{Context, Filter};

use crate::system::lock::lock;

/// Maximum lines of one call site in each window; more than any start writes.
const MAX_LINES: u32 = 20;

const WINDOW: Duration = Duration::from_secs(60);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Number of lines that the rate limit dropped since the start.
#[must_use]
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Accepts [`MAX_LINES`] lines a minute from each call site. The levels `debug` and `trace` are not limited.
#[derive(Debug, Default)]
pub(super) struct LogRateLimit {
    /// Bounded by the number of call sites in the program.
    windows: Mutex<HashMap<Identifier, CallsiteWindow>>,
}

#[derive(Debug)]
struct CallsiteWindow {
    since: Instant,
    lines: u32,
}

impl LogRateLimit {
    fn admits(&self, callsite: Identifier, now: Instant) -> bool {
        let mut windows = lock(&self.windows);
        let window = windows.entry(callsite).or_insert(CallsiteWindow { since: now, lines: 0 });
        if now.saturating_duration_since(window.since) >= WINDOW {
            *window = CallsiteWindow { since: now, lines: 0 };
        }
        window.lines = window.lines.saturating_add(1);
        window.lines <= MAX_LINES
    }
}

impl<S: Subscriber> Filter<S> for LogRateLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // A more verbose level is greater.
        let admitted = *event.metadata().level() > Level::INFO
            || self.admits(event.metadata().callsite(), Instant::now());
        DROPPED.fetch_add(u64::from(!admitted), Ordering::Relaxed);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use tracing::Callsite as _;
    use tracing_subscriber::{Layer, Registry, layer::SubscriberExt as _};

    use super::*;

    /// Counts the accepted lines.
    struct LineCounter(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for LineCounter {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn repeated_lines_of_one_call_site_are_dropped_and_counted() {
        let count = Arc::new(AtomicUsize::new(0));
        let lines = LineCounter(Arc::clone(&count)).with_filter(LogRateLimit::default());
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            let before = dropped_lines();
            for number in 0..1000 {
                tracing::warn!(number, "repeated");
            }
            assert_eq!(count.load(Ordering::Relaxed), MAX_LINES as usize);
            assert!(dropped_lines() >= before + 1000 - u64::from(MAX_LINES));
            tracing::error!("another call site");
            assert_eq!(count.load(Ordering::Relaxed), MAX_LINES as usize + 1);
            for number in 0..100 {
                tracing::debug!(number, "not limited");
            }
            assert_eq!(count.load(Ordering::Relaxed), MAX_LINES as usize + 101);
        });
    }

    #[test]
    fn the_limit_is_per_minute() {
        let (limit, start) = (LogRateLimit::default(), Instant::now());
        let callsite =
            tracing::callsite!(name: "x", kind: tracing::metadata::Kind::EVENT, fields: a)
                .metadata()
                .callsite();
        let admitted = |at| (0..100).filter(|_| limit.admits(callsite.clone(), at)).count();
        assert_eq!(admitted(start), MAX_LINES as usize);
        assert_eq!(admitted(start + WINDOW / 2), 0);
        assert_eq!(admitted(start + WINDOW), MAX_LINES as usize);
    }
}
