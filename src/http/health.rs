//! Whether the program is ready and healthy: what it waits for, and what broke it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The health of the program, shared by its parts.
///
/// Healthy until a part fails for good; ready when no part has its latch any more.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What the program waits for: a number for each latch, and its name.
    waiting: Vec<(u64, String)>,
    latches: u64,
    failure: Option<String>,
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

    /// The program is broken and will not mend; the first reason stays.
    pub fn fail(&self, reason: impl Into<String>) {
        self.lock().failure.get_or_insert(reason.into());
    }

    /// Nothing is broken.
    ///
    /// # Errors
    /// What is.
    pub fn healthy(&self) -> Result<(), String> {
        self.lock().failure.clone().map_or(Ok(()), Err)
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
    fn the_first_failure_stays() {
        let health = Health::new();
        health.fail("the socket is gone");
        health.fail("and so is the rest");
        assert_eq!(health.healthy(), Err("the socket is gone".into()));
        assert_eq!(health.ready(), Err("the socket is gone".into()));
    }
}
