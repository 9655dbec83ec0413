//! Counts the instructions of a stage: this program runs below valgrind's callgrind, with and without the batches.

use std::{fs, path::Path, process::Command};

use crate::stages::Stage;

/// Instructions of one packet of a stage.
///
/// Two processes do the same but for the measured batches, so the difference of their counts is that of the batches.
/// Nothing marks where they begin: the optimized code has no place for it.
pub fn instructions_per_packet(stage: &Stage, packets: usize) -> Result<f64, String> {
    let without = instructions(stage, 0)?;
    let with = instructions(stage, stage.batches)?;
    let packets = f64::from(stage.batches) * packets as f64;
    let difference =
        with.checked_sub(without).ok_or_else(|| format!("{}: fewer with batches", stage.name))?;
    Ok(difference as f64 / packets)
}

/// Instructions of a process that prepares the stage and runs this many batches.
fn instructions(stage: &Stage, batches: u32) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let name = stage.name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{name}.{batches}"));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--vgdb=no"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(program).args(["stage", stage.name, &batches.to_string()]);
    // The environment changes the counts: the time zone, and the settings of the allocator.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TZ", "UTC");
    let output = command.output().map_err(|error| {
        format!("cannot run valgrind: {error}; install it, or run tests/run, which does")
    })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: valgrind: {}: {text}", stage.name, output.status));
    }
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    total(&text).ok_or_else(|| format!("{}: no line with the totals", out.display()))
}

/// The number of all instructions in a file of callgrind.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
