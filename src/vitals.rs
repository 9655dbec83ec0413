//! What this program uses, out of `/proc/self`: the `process_*` metrics.

use procfs::{
    WithCurrentSystemInfo as _,
    process::{LimitValue, Process},
};

use crate::exposition::Vitals;

/// Reads them now. What cannot be read (no `/proc`, a hidden file) is `None`, never an error.
#[must_use]
pub fn read() -> Vitals {
    let Ok(process) = Process::myself() else { return Vitals::default() };
    let mut vitals = Vitals {
        open_fds: process.fd_count().ok().and_then(|count| u64::try_from(count).ok()),
        max_fds: process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
            LimitValue::Value(most) => Some(most),
            LimitValue::Unlimited => None,
        }),
        ..Vitals::default()
    };
    if let Ok(stat) = process.stat() {
        vitals.cpu_seconds = Some(seconds(stat.utime + stat.stime));
        vitals.resident_bytes = Some(stat.rss_bytes().get());
        vitals.virtual_bytes = Some(stat.vsize);
        vitals.start_time_seconds =
            procfs::boot_time_secs().ok().map(|boot| float(boot) + seconds(stat.starttime));
        vitals.threads = u64::try_from(stat.num_threads).ok();
    }
    vitals
}

/// Clock ticks, the kernel's unit in `/proc/self/stat`, as seconds.
fn seconds(ticks: u64) -> f64 {
    float(ticks) / float(procfs::ticks_per_second())
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far beyond any date or time")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_running_program_has_every_vital() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let vitals = read();
        assert!(vitals.cpu_seconds.unwrap() >= 0.0);
        assert!(vitals.resident_bytes.unwrap() > 100_000);
        assert!(vitals.virtual_bytes.unwrap() >= vitals.resident_bytes.unwrap());
        assert!(vitals.open_fds.unwrap() >= 4, "three standard ones and {file:?}");
        assert!(vitals.threads.unwrap() >= 1);
        assert!(vitals.max_fds.is_none_or(|most| most >= vitals.open_fds.unwrap()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - vitals.start_time_seconds.unwrap();
        // The kernel cuts the boot time to a second.
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = read().cpu_seconds.unwrap();
        let mut sum = 0_u64;
        while read().cpu_seconds.unwrap() <= before {
            for number in 0..1_000_000_u64 {
                sum = std::hint::black_box(sum.wrapping_add(number));
            }
        }
    }
}
