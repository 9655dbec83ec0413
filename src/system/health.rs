//! Whether the program is ready and healthy: what it waits for, and what broke it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long a part may be without a sign of life.
const STANDSTILL: Duration = Duration::from_secs(10);

/// The health of the program, shared by its parts.
///
/// Healthy until a part fails for good, and while none of those that give signs of life stands still;
/// ready when no part has its latch any more.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What the program waits for: a number for each latch, and its name.
    waiting: Vec<(u64, String)>,
    latches: u64,
    failure: Option<String>,
    pulses: Vec<Watched>,
}

/// A part that gives signs of life.
#[derive(Debug)]
struct Watched {
    what: String,
    start: Instant,
    /// Milliseconds from the start to the latest sign; gone with the part.
    latest: Weak<AtomicU64>,
}

/// Gives the signs of life of a part. Dropped, the part has ended, and none is waited for.
#[derive(Debug)]
pub struct Heartbeat {
    start: Instant,
    latest: Arc<AtomicU64>,
}

/// Keeps the program from being ready until it is released.
///
/// One that is dropped instead, by a part that died, keeps it so for ever.
#[derive(Debug)]
#[must_use = "the program is not ready before it is released"]
pub struct Latch {
    health: Health,
    number: u64,
}

impl Health {
    /// A healthy program that waits for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for `what`, which is shown: `NFLOG group 1`.
    pub fn latch(&self, what: impl Into<String>) -> Latch {
        let mut state = self.lock();
        let number = state.latches;
        state.latches += 1;
        state.waiting.push((number, what.into()));
        Latch { health: self.clone(), number }
    }

    /// Waits for signs of life of `what`, the first of which this is: a part that never stands still while
    /// it is well.
    pub fn pulse(&self, what: impl Into<String>) -> Heartbeat {
        let (what, start, latest) = (what.into(), Instant::now(), Arc::default());
        let watched = Watched { what, start, latest: Arc::downgrade(&latest) };
        self.lock().pulses.push(watched);
        Heartbeat { start, latest }
    }

    /// The program is broken and will not mend; the first reason stays.
    pub fn fail(&self, reason: impl Into<String>) {
        self.lock().failure.get_or_insert(reason.into());
    }

    /// Nothing is broken, and nothing stands still.
    ///
    /// # Errors
    /// What is or does.
    pub fn healthy(&self) -> Result<(), String> {
        self.healthy_at(Instant::now())
    }

    fn healthy_at(&self, now: Instant) -> Result<(), String> {
        let state = self.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.pulses.iter().try_for_each(|part| {
            let Some(latest) = part.latest.upgrade() else { return Ok(()) };
            let latest = part.start + Duration::from_millis(latest.load(Relaxed));
            match now.saturating_duration_since(latest) {
                still if still > STANDSTILL => {
                    Err(format!("{} has stood still for {} s", part.what, still.as_secs()))
                }
                _ => Ok(()),
            }
        })
    }

    /// Nothing is broken, and everything has started.
    ///
    /// # Errors
    /// What is broken, or what has not started yet.
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
        // Each change is one step, so a panic elsewhere left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// A sign of life.
    pub fn beat(&self) {
        // Milliseconds of more years than there will be.
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.latest.store(now, Relaxed);
    }

    /// Milliseconds from the first sign to the latest.
    #[cfg(test)]
    pub(crate) fn latest(&self) -> u64 {
        self.latest.load(Relaxed)
    }
}

impl Latch {
    /// What it waited for is there.
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
    fn a_part_that_died_is_never_ready() {
        let health = Health::new();
        drop(health.latch("GeoIP database"));
        assert_eq!(health.ready(), Err("waiting for GeoIP database".into()));
    }

    #[test]
    fn a_part_that_stands_still_is_not_well_until_it_goes_on() {
        let health = Health::new();
        let pulse = health.pulse("the reader");
        let later = Instant::now() + STANDSTILL + Duration::from_secs(5);
        assert_eq!(health.healthy(), Ok(()));
        assert_eq!(health.healthy_at(later), Err("the reader has stood still for 15 s".into()));
        pulse.latest.store(4000, Relaxed);
        assert!(health.healthy_at(later).is_err());
        pulse.latest.store(6000, Relaxed);
        assert_eq!(health.healthy_at(later), Ok(()));
        pulse.beat();
        assert!(pulse.latest() < 6000);
        drop(pulse);
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
