//! A control group that limits the CPU time of a process.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A period of the limit, µs. A process that used its part waits for the next period.
const PERIOD: u32 = 10_000;

/// A control group of the first or second version. It is removed when it is dropped, after its processes ended.
pub struct CpuQuota(PathBuf);

impl CpuQuota {
    /// A group that can use so many percent of one core.
    pub fn new(percent: u32) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("nflog-peers-{}", std::process::id());
        let quota = PERIOD * percent / 100;
        let write = |file: PathBuf, value: &str| {
            fs::write(&file, value).unwrap_or_else(|error| {
                panic!("cannot limit the CPU time: {}: {error}", file.display())
            });
        };
        if root.join("cgroup.controllers").exists() {
            write(root.join("cgroup.subtree_control"), "+cpu");
            let group = Self(root.join(name));
            fs::create_dir(&group.0).unwrap();
            write(group.0.join("cpu.max"), &format!("{quota} {PERIOD}"));
            group
        } else {
            let group = Self(root.join("cpu").join(name));
            fs::create_dir(&group.0).unwrap();
            write(group.0.join("cpu.cfs_period_us"), &PERIOD.to_string());
            write(group.0.join("cpu.cfs_quota_us"), &quota.to_string());
            group
        }
    }

    /// Limits a process with all its threads.
    pub fn limit(&self, id: u32) {
        fs::write(self.0.join("cgroup.procs"), id.to_string()).unwrap();
    }
}

impl Drop for CpuQuota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
