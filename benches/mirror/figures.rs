//! Measurements of a run: time, and processor time of the writer and of the server.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::support::mariadb::MariaDb;

/// Measurements for some rows.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub rows: u64,
    pub time: Duration,
    /// Processor time, user and system, of the writing process.
    pub client: Duration,
    /// Processor time of the server.
    pub server: Duration,
}

/// Runs `work` and measures it; `client` returns its writer's processor time so far.
pub fn measured(
    server: &MariaDb,
    rows: u64,
    client: impl Fn() -> Duration,
    work: impl FnOnce(),
) -> Figures {
    let pid = server.pid();
    let (spent, answered, began) = (client(), cpu(pid), Instant::now());
    work();
    let time = began.elapsed();
    Figures {
        rows,
        time,
        client: client().saturating_sub(spent),
        server: cpu(pid).saturating_sub(answered),
    }
}

/// Processor time of a process so far, all its threads.
pub fn cpu(pid: u32) -> Duration {
    ticks(pid, 14)
}

/// Processor time of children that ended and were waited for.
pub fn children() -> Duration {
    ticks(std::process::id(), 16)
}

/// The sum of a field and the next of `/proc/PID/stat`, user and system time in hundredths of a second.
fn ticks(pid: u32, field: usize) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, field 2, may contain anything.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields = rest.split_whitespace().skip(field - 3).take(2);
    Duration::from_millis(10 * fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
}

/// The median of an odd number of values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
