//! Which core runs what, with `--pin`: the sender has the first core, the peer the second one.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::support::Namespace;

static PINNED: AtomicBool = AtomicBool::new(false);

/// Pins the sender and the peers that start from now on, if there are two cores.
pub fn pin() {
    PINNED.store(std::thread::available_parallelism().unwrap().get() >= 2, Relaxed);
}

/// Whether sender and peer have a core each.
pub fn are_pinned() -> bool {
    PINNED.load(Relaxed)
}

/// Pins the calling thread to the sender's core.
pub fn use_sender_core() {
    if are_pinned() {
        let mut cores = CpuSet::new();
        cores.set(0);
        sched_setaffinity(None, &cores).unwrap();
    }
}

/// A command in a namespace, on the peers' core.
pub fn peer_command(namespace: &Namespace, program: &str) -> Command {
    if are_pinned() {
        let mut command = namespace.command("taskset");
        command.args(["--cpu-list", "1", program]);
        command
    } else {
        namespace.command(program)
    }
}
