//! The `process_*` metrics, read from `/proc/self`.

use std::fmt;

use procfs::{
    WithCurrentSystemInfo as _,
    process::{LimitValue, Process},
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::exposition::MetricWriter;

/// The resource usage of this process. `None` is not exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessMetrics {
    /// User and system time, seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Virtual memory, bytes.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Maximum number of open file descriptors: the soft limit.
    pub max_fds: Option<u64>,
    /// Start time, seconds since 1970-01-01 UTC.
    pub start_time_seconds: Option<f64>,
    /// Number of threads.
    pub threads: Option<u64>,
}

/// Reads the current values. A value that cannot be read (no `/proc`, missing permission) is `None`.
#[must_use]
pub fn read() -> ProcessMetrics {
    let Ok(process) = Process::myself() else { return ProcessMetrics::default() };
    let mut metrics = ProcessMetrics {
        open_fds: process.fd_count().ok().and_then(|count| u64::try_from(count).ok()),
        max_fds: process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
            LimitValue::Value(limit) => Some(limit),
            LimitValue::Unlimited => None,
        }),
        ..ProcessMetrics::default()
    };
    if let Ok(stat) = process.stat() {
        metrics.cpu_seconds = Some(seconds(stat.utime + stat.stime));
        metrics.resident_bytes = Some(stat.rss_bytes().get());
        metrics.virtual_bytes = Some(stat.vsize);
        metrics.start_time_seconds =
            procfs::boot_time_secs().ok().map(|boot| float(boot) + seconds(stat.starttime));
        metrics.threads = u64::try_from(stat.num_threads).ok();
    }
    metrics
}

impl Collector for ProcessMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        let cpu = "Total user and system CPU time spent in seconds.";
        writer.counter("process_cpu_seconds", cpu, self.cpu_seconds)?;
        let max = "Maximum number of open file descriptors.";
        writer.gauge("process_max_fds", max, self.max_fds)?;
        writer.gauge("process_open_fds", "Number of open file descriptors.", self.open_fds)?;
        let resident = "Resident memory size in bytes.";
        writer.gauge("process_resident_memory_bytes", resident, self.resident_bytes)?;
        let start = "Start time of the process since unix epoch in seconds.";
        writer.gauge("process_start_time_seconds", start, self.start_time_seconds)?;
        writer.gauge("process_threads", "Number of threads in the process.", self.threads)?;
        let space = "Virtual memory size in bytes.";
        writer.gauge("process_virtual_memory_bytes", space, self.virtual_bytes)
    }
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
    fn every_value_of_a_running_process_is_read() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let process = read();
        assert!(process.cpu_seconds.unwrap() >= 0.0);
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap());
        assert!(process.open_fds.unwrap() >= 4, "three standard descriptors and {file:?}");
        assert!(process.threads.unwrap() >= 1);
        assert!(process.max_fds.is_none_or(|limit| limit >= process.open_fds.unwrap()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - process.start_time_seconds.unwrap();
        // The kernel truncates the boot time to a second.
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
