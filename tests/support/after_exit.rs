//! Restores the system when a test ends, also when it is killed: a shell waits for the end of this process.

use std::{
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

/// Runs a shell script once this value is dropped, or this process has ended in any way.
pub struct AfterExit(Child);

impl AfterExit {
    /// `held` stays open until the script has ended, such as a lock.
    pub fn new(script: &str, held: Option<OwnedFd>) -> Self {
        // A session of its own, so that a signal to the process group of the tests does not end it.
        let mut shell = Command::new("setsid");
        // Its standard input ends with this process.
        shell.args(["sh", "-c", &format!("cat > /dev/null\n{script}")]).stdin(Stdio::piped());
        shell.stdout(held.map_or_else(Stdio::null, Stdio::from)).stderr(Stdio::null());
        Self(shell.spawn().expect("setsid of util-linux"))
    }
}

impl Drop for AfterExit {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
