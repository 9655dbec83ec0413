//! Floods of packets and requests that use the whole machine. The tests run one after another. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod crowd;
mod flood;
mod memory;
mod response_times;
#[path = "../support/mod.rs"]
mod support;
mod web_attacks;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps the other tests of this binary waiting until the guard is dropped: the test harness runs tests in parallel.
fn exclusive() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
