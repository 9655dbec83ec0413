//! `doctor`: prints the findings of the checks.

use std::time::Duration;

use anyhow::anyhow;

use super::{check, print};
use crate::{
    config::Flags,
    doctor::{Status, examine, to_json, to_text},
};

/// Runs the checks and prints their findings as text or JSON.
///
/// # Errors
/// A check failed.
pub(super) fn doctor(flags: &Flags, wait: Duration, json: bool) -> anyhow::Result<()> {
    let findings = examine(flags, check::invalid_files, wait);
    print(&if json { to_json(&findings) } else { to_text(&findings) })?;
    match findings.iter().filter(|finding| finding.status == Status::Failed).count() {
        0 => Ok(()),
        1 => Err(anyhow!("1 check failed")),
        failed => Err(anyhow!("{failed} checks failed")),
    }
}
