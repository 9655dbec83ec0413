//! Signals to programs.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::program::wait_for;

/// Sends a signal to a running process. After SIGSTOP, waits until all of its threads have stopped: the kernel only tells
/// them to, and on a busy machine they can still answer for a while.
pub fn send(process: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(process).unwrap()), signal).unwrap();
    wait_if_stopping(process, signal);
}

/// The wait of [`send`], after a signal to this process.
pub fn wait_if_stopping(process: u32, signal: Signal) {
    if signal == Signal::SIGSTOP {
        wait_for("all threads to stop", || is_stopped(process).then_some(()));
    }
}

/// Sends a signal to a process, if it still runs. Does not panic.
pub fn try_send(process: u32, signal: Signal) {
    if let Ok(id) = i32::try_from(process) {
        let _ = kill(Pid::from_raw(id), signal);
    }
}

fn is_stopped(process: u32) -> bool {
    // A process that has ended has no directory any more.
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        // A thread that has ended has no file any more.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { return true };
        // proc_pid_stat(5): the state is the field after the name, which is in parentheses and can contain any character.
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['T', 'Z', 'X']))
    })
}
