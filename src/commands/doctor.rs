//! `doctor`: prints the findings of the checks.

use std::time::Duration;

use super::{check, print};
use crate::{
    config::Flags,
    doctor::{Status, examine, to_json, to_text},
};

/// A check failed. The printed findings say which.
#[derive(Debug, thiserror::Error)]
#[error("a check failed")]
pub(super) struct ChecksFailed;

/// Runs the checks and prints their findings as text or JSON.
///
/// # Errors
/// A check failed.
pub(super) fn doctor(flags: &Flags, wait: Duration, json: bool) -> anyhow::Result<()> {
    let findings = examine(flags, check::invalid_files, wait);
    print(&if json { to_json(&findings) } else { to_text(&findings) })?;
    if findings.iter().any(|finding| finding.status == Status::Failed) {
        return Err(ChecksFailed.into());
    }
    Ok(())
}
