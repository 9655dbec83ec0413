//! Floods that use the whole machine. The tests run one after another. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod crowd;
mod memory;
#[path = "../support/mod.rs"]
mod support;
