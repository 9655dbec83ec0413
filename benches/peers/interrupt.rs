//! Ctrl-C and SIGTERM: the benchmark unwinds, so that namespaces, programs and files are removed.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Handles the signals from now on.
pub fn handle() {
    let (ready, handled) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).unwrap();
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            ready.send(()).unwrap();
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        INTERRUPTED.store(true, Relaxed);
    });
    handled.recv().unwrap();
}

/// Panics after a signal.
pub fn check() {
    assert!(!INTERRUPTED.load(Relaxed), "interrupted");
}
