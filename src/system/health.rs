//! Readiness and health of the program: the parts that have not started, and the parts that failed.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::lock::lock;

/// Maximum time without a heartbeat.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// The health of the program, shared by its parts.
///
/// Healthy until a part fails permanently, and while every heartbeat is recent;
/// ready when every latch is released.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Number and name of each latch that is not released.
    waiting: Vec<(u64, String)>,
    latches: u64,
    failure: Option<String>,
    heartbeats: Vec<WatchedPart>,
}

/// A part with a heartbeat.
#[derive(Debug)]
struct WatchedPart {
    what: String,
    start: Instant,
    /// Milliseconds from the start to the latest heartbeat; dropped with the part.
    latest: Weak<AtomicU64>,
}

/// The heartbeat of a part. The part is watched until this is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    start: Instant,
    latest: Arc<AtomicU64>,
}

/// The program is not ready until this is released.
///
/// If it is dropped instead, by a part that panicked, the program never becomes ready.
#[derive(Debug)]
#[must_use = "the program is not ready before it is released"]
pub struct Latch {
    health: Health,
    number: u64,
}

impl Health {
    /// A healthy and ready program.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the program unready until the latch is released. `what` names the part in messages: `NFLOG group 1`.
    pub fn latch(&self, what: impl Into<String>) -> Latch {
        let mut state = self.lock();
        let number = state.latches;
        state.latches += 1;
        state.waiting.push((number, what.into()));
        Latch { health: self.clone(), number }
    }

    /// Watches the heartbeat of `what`, which is first recorded now.
    pub fn heartbeat(&self, what: impl Into<String>) -> Heartbeat {
        let (what, start, latest) = (what.into(), Instant::now(), Arc::default());
        let watched = WatchedPart { what, start, latest: Arc::downgrade(&latest) };
        self.lock().heartbeats.push(watched);
        Heartbeat { start, latest }
    }

    /// Marks the program as permanently failed; the first reason stays.
    pub fn fail(&self, reason: impl Into<String>) {
        self.lock().failure.get_or_insert(reason.into());
    }

    /// Checks that nothing failed and every heartbeat is recent.
    ///
    /// # Errors
    /// The failure, or the part that makes no progress.
    pub fn healthy(&self) -> Result<(), String> {
        self.healthy_at(Instant::now())
    }

    fn healthy_at(&self, now: Instant) -> Result<(), String> {
        let state = self.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.heartbeats.iter().try_for_each(|part| {
            let Some(latest) = part.latest.upgrade() else { return Ok(()) };
            let latest = part.start + Duration::from_millis(latest.load(Relaxed));
            match now.saturating_duration_since(latest) {
                silence if silence > MAX_SILENCE => {
                    Err(format!("{} has made no progress for {} s", part.what, silence.as_secs()))
                }
                _ => Ok(()),
            }
        })
    }

    /// Checks that the program is healthy and every part has started.
    ///
    /// # Errors
    /// The failure, or the parts that have not started yet.
    pub fn ready(&self) -> Result<(), String> {
        self.healthy()?;
        let state = self.lock();
        if state.waiting.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = state.waiting.iter().map(|(_, name)| name.as_str()).collect();
        Err(format!("waiting for {}", names.join(", ")))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one step, so the state is consistent after a panic.
        lock(&self.0)
    }
}

impl Heartbeat {
    /// Records a heartbeat.
    pub fn record(&self) {
        // Does not overflow in 500 million years.
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.latest.store(now, Relaxed);
    }

    /// Milliseconds from the first heartbeat to the latest.
    #[cfg(test)]
    pub(crate) fn latest(&self) -> u64 {
        self.latest.load(Relaxed)
    }
}

impl Latch {
    /// Reports that the part has started.
    pub fn release(self) {
        self.health.lock().waiting.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_latch_is_released() {
        let health = Health::new();
        assert_eq!(health.ready(), Ok(()));
        let first = health.latch("NFLOG group 1");
        let second = health.latch("NFLOG group 1");
        assert_eq!(health.ready(), Err("waiting for NFLOG group 1, NFLOG group 1".into()));
        first.release();
        assert_eq!(health.ready(), Err("waiting for NFLOG group 1".into()));
        assert_eq!(health.healthy(), Ok(()));
        second.release();
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_part_that_panicked_is_never_ready() {
        let health = Health::new();
        drop(health.latch("GeoIP database"));
        assert_eq!(health.ready(), Err("waiting for GeoIP database".into()));
    }

    #[test]
    fn a_part_without_progress_is_unhealthy_until_its_next_heartbeat() {
        let health = Health::new();
        let heartbeat = health.heartbeat("the reader");
        let later = Instant::now() + MAX_SILENCE + Duration::from_secs(5);
        assert_eq!(health.healthy(), Ok(()));
        assert_eq!(
            health.healthy_at(later),
            Err("the reader has made no progress for 15 s".into())
        );
        heartbeat.latest.store(4000, Relaxed);
        assert!(health.healthy_at(later).is_err());
        heartbeat.latest.store(6000, Relaxed);
        assert_eq!(health.healthy_at(later), Ok(()));
        heartbeat.record();
        assert!(heartbeat.latest() < 6000);
        drop(heartbeat);
        assert_eq!(health.healthy_at(later), Ok(()));
    }

    #[test]
    fn the_first_failure_stays() {
        let health = Health::new();
        health.fail("the socket is gone");
        health.fail("and so is the rest");
        assert_eq!(health.healthy(), Err("the socket is gone".into()));
        assert_eq!(health.ready(), Err("the socket is gone".into()));
    }
}
