//! The counts of the last 30 days, for the page: slices of growing length, kept across restarts.
//!
//! The recent packets (`recent`) have the last ten minutes. Each of their slices is stored here when its time is over, on a
//! thread of its own or when a page asks: the reader does nothing for it.

mod config;
mod files;
mod metrics;
mod range;
mod stored_slice;
mod tiers;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub use config::HistoryConfig;
pub use files::is_history_file;
pub use metrics::HistoryStatus;
pub use range::Range;

use crate::{
    event::{CurrentNames, Interner, Names},
    pipeline::{Clock, Route},
    recent::{Count, LIVE_SLICE, SharedRecent, Slice, Span},
    system::{clock::unix_seconds, lock::lock, panics},
};
use files::{HistoryFiles, Loaded};
use range::TIERS;
use stored_slice::encode;
use tiers::{Numbered, Parts, Tiers};

/// Interval at which finished slices are stored.
const INTERVAL: Duration = Duration::from_secs(5);

/// Maximum number of slices that wait for the disk. The file has all kept slices again when it is next replaced.
const MAX_WAITING: usize = 1000;

/// The history of a running exporter, shared by its thread and the page.
#[derive(Clone, Debug)]
pub struct SharedHistory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    recent: SharedRecent,
    names: CurrentNames,
    clock: Clock,
    state: Mutex<State>,
    /// The last result of [`SharedHistory::before`] for each range, with its end: it is the same until the next part begins.
    previous: Mutex<[Option<(u64, View)>; Range::ALL.len()]>,
    counters: Counters,
}

/// The newest packets of a moment.
struct Newest {
    /// Those whose slice is not over.
    running: Option<Arc<Slice>>,
    /// The names of the slice.
    names: Names,
    /// The sum of the last whole seconds.
    rate: Count,
}

#[derive(Debug)]
struct State {
    tiers: Tiers,
    /// The last slice of the recent packets that is stored.
    taken: Option<u64>,
    /// Slices that are not in the files yet, with their tiers. Empty without files.
    waiting: Vec<(usize, Numbered)>,
    has_files: bool,
    /// The time of the first counts, seconds since 1970.
    since: u64,
}

/// Losses since the start.
#[derive(Debug, Default)]
struct Counters {
    damaged_files: AtomicU64,
    write_errors: AtomicU64,
}

/// The slices of a range of time.
#[derive(Clone, Debug)]
pub struct View {
    /// The parts of the range.
    pub span: Span,
    /// The names of the span.
    pub names: Names,
}

/// The thread that stores slices and writes them to files.
#[derive(Debug)]
pub struct HistoryThread {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl SharedHistory {
    fn new(route: &Route, loaded: Loaded, has_files: bool) -> Self {
        let (recent, names, clock) = (route.recent(), route.current_names(), route.clock());
        let now = now();
        let tiers = Tiers::of(loaded.slices);
        let since = tiers.first().map_or(now, |first| first.min(now));
        let counters = Counters { damaged_files: loaded.damaged.into(), ..Counters::default() };
        let state = State { tiers, taken: None, waiting: Vec::new(), has_files, since };
        let (state, previous) = (Mutex::new(state), Mutex::default());
        Self(Arc::new(Shared { recent, names, clock, state, previous, counters }))
    }

    /// The history of the packets of a route, kept in the files of a directory, and the thread that writes them. Without a
    /// directory, and if it cannot be used, it is kept in memory only.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        route: &Route,
        directory: Option<&Path>,
    ) -> std::io::Result<(Self, HistoryThread)> {
        let mut files = None;
        let mut loaded = Loaded::default();
        if let Some(directory) = directory {
            match HistoryFiles::open(directory) {
                Ok((opened, found)) => (files, loaded) = (Some(opened), found),
                Err(error) => tracing::warn!(
                    directory = %directory.display(), %error,
                    "the history is kept in memory only, until the next start"
                ),
            }
        }
        let history = Self::new(route, loaded, files.is_some());
        let thread = HistoryThread::start(history.clone(), files)?;
        Ok((history, thread))
    }

    /// Its size, and what it lost.
    #[must_use]
    pub fn status(&self) -> HistoryStatus {
        let Shared { state, counters, .. } = &*self.0;
        let state = lock(state);
        HistoryStatus {
            size: state.tiers.size() as u64,
            removed_slices: state.tiers.removed(),
            damaged_files: counters.damaged_files.load(Relaxed),
            write_errors: counters.write_errors.load(Relaxed),
        }
    }

    /// The time of the first counts, seconds since 1970.
    #[must_use]
    pub fn since(&self) -> u64 {
        lock(&self.0.state).since
    }

    /// The parts of a range that ends now, also with the packets of this moment.
    #[must_use]
    pub fn view(&self, range: Range) -> View {
        self.view_at(range, now(), self.0.clock.now())
    }

    /// `now` by the host's clock, and `clock` by that of the packets.
    fn view_at(&self, range: Range, now: u64, clock: Duration) -> View {
        let (start, end) = bounds(range, now);
        let mut state = lock(&self.0.state);
        let Newest { running, names, rate } = self.take_finished(&mut state, now, clock);
        let mut parts = state.tiers.parts(range, start, end);
        drop(state);
        if let Some(running) = running {
            parts.push(((now - start) / range.part_seconds(), encode(&running, &names)));
        }
        let part = Duration::from_secs(range.part_seconds());
        let running = Duration::from_secs(now + range.part_seconds() - end);
        span_of(parts, range.parts(), part, running, rate)
    }

    /// The previous range of the same length, in one part; `None` if it began before the first counts.
    #[must_use]
    pub fn before(&self, range: Range) -> Option<View> {
        self.before_at(range, now())
    }

    fn before_at(&self, range: Range, now: u64) -> Option<View> {
        let (end, _) = bounds(range, now);
        let start = end.checked_sub(range.seconds())?;
        let mut previous = lock(&self.0.previous);
        let kept = &mut previous[range as usize];
        if let Some((_, view)) = kept.as_ref().filter(|(of, _)| *of == end) {
            return Some(view.clone());
        }
        let state = lock(&self.0.state);
        if state.since > start {
            return None;
        }
        let parts = state.tiers.parts(range, start, end);
        drop(state);
        let parts = parts.into_iter().map(|(_, bytes)| (0, bytes)).collect();
        let whole = Duration::from_secs(range.seconds());
        let view = span_of(parts, 1, whole, whole, Count::default());
        *kept = Some((end, view.clone()));
        Some(view)
    }

    /// Stores the slices of the recent packets whose time is over. Returns what is newer.
    fn take_finished(&self, state: &mut State, now: u64, clock: Duration) -> Newest {
        let recent = self.0.recent.lock();
        let finished = recent.finished(state.taken, clock);
        // Under the same lock, so that no slice is in neither, and with the names of the slices.
        let (running, rate) = (recent.running(clock), recent.rate(clock));
        let names = self.0.names.get();
        drop(recent);
        let mut new = Vec::new();
        for (number, slice) in finished {
            state.taken = Some(number);
            let start = LIVE_SLICE * u32::try_from(number).unwrap_or(u32::MAX);
            let ago = clock.saturating_sub(start).as_secs();
            new.extend(state.tiers.push(now.saturating_sub(ago), start, &slice, &names));
        }
        // A slice that is not over yet began at most its length ago.
        new.extend(state.tiers.sum_up(now.saturating_sub(LIVE_SLICE.as_secs()), clock));
        if state.has_files {
            state.waiting.extend(new);
            let excess = state.waiting.len().saturating_sub(MAX_WAITING);
            state.waiting.drain(..excess);
            self.0.counters.write_errors.fetch_add(excess as u64, Relaxed);
        }
        Newest { running, names, rate }
    }

    /// Stores the slices that are over, at the end of the program also the one that is not.
    fn store(&self, ends: bool) {
        let mut state = lock(&self.0.state);
        let clock = self.0.clock.now();
        let newest = self.take_finished(&mut state, now(), clock);
        if ends {
            state.take_running(now(), clock, newest);
        }
    }

    /// Writes the waiting slices.
    fn write(&self, files: &mut HistoryFiles, reported: &mut bool) {
        let mut state = lock(&self.0.state);
        let waiting = std::mem::take(&mut state.waiting);
        // Copied, so that no page waits for the disk, and under the same lock: they include the waiting ones.
        let kept: [Vec<_>; TIERS] =
            std::array::from_fn(|tier| state.tiers.slices(tier).cloned().collect());
        drop(state);
        let mut replaced = [false; TIERS];
        for (tier, slice) in waiting {
            if replaced[tier] {
                continue;
            }
            match files.add(tier, &slice, kept[tier].iter()) {
                Ok(is_replaced) => (replaced[tier], *reported) = (is_replaced, false),
                Err(error) => {
                    self.0.counters.write_errors.fetch_add(1, Relaxed);
                    if !std::mem::replace(reported, true) {
                        tracing::warn!(%error, "cannot write the history; it is kept in memory");
                    }
                }
            }
        }
    }
}

impl State {
    /// Stores the slice that is not over yet: at the end of the program.
    fn take_running(&mut self, now: u64, clock: Duration, newest: Newest) {
        if let Some(running) = newest.running {
            let new = self.tiers.push(now, clock, &running, &newest.names);
            self.waiting.extend(new.into_iter().filter(|_| self.has_files));
        }
    }
}

impl HistoryThread {
    fn start(history: SharedHistory, mut files: Option<HistoryFiles>) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("history".into()).spawn(move || {
            let mut reported = false;
            loop {
                let ends = stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
                let stored = panics::caught(|| {
                    history.store(ends);
                    if let Some(files) = &mut files {
                        history.write(files, &mut reported);
                    }
                });
                if let Err(panic) = stored {
                    history.0.counters.write_errors.fetch_add(1, Relaxed);
                    tracing::error!(
                        panic,
                        "the history panicked, which is a bug; it goes on with later counts"
                    );
                }
                if ends {
                    return;
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Stores and writes what was counted until now, and ends the thread. Blocks while the disk writes.
    pub fn end(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the history panicked");
        }
    }
}

/// Seconds since 1970.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since 1970")]
fn now() -> u64 {
    unix_seconds() as u64
}

/// The start of a range, and the end of the part in which it ends, seconds since 1970.
fn bounds(range: Range, now: u64) -> (u64, u64) {
    let part = range.part_seconds();
    let end = (now / part + 1) * part;
    (end.saturating_sub(range.seconds()), end)
}

/// The span of stored slices, each with the number of its part.
fn span_of(stored: Parts, length: u64, width: Duration, running: Duration, rate: Count) -> View {
    let mut interner = Interner::new(Names::default());
    let mut parts: BTreeMap<u64, Vec<Arc<[u8]>>> = BTreeMap::new();
    for (part, bytes) in stored {
        parts.entry(part.min(length - 1)).or_default().push(bytes);
    }
    let slices = parts.into_iter().map(|(part, stored)| {
        let slice: Arc<Slice> = Arc::new(tiers::sum(stored.iter(), &mut interner));
        // A range has some ten parts.
        (usize::try_from(part).unwrap_or(usize::MAX), slice)
    });
    let slices = slices.collect();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let span = Span::of_live(width, length, running, slices, rate);
    View { span, names: interner.names() }
}

#[cfg(test)]
mod tests;
