//! The async runtime of the commands that serve or read for a long time.

use std::future::Future;

use anyhow::Context as _;

use crate::system::{allocator, logging, signals::Signals};

/// Runs `main` on a new runtime. The signals are received from before it begins, and a thread writes the log.
pub(super) fn block_on<F, T>(main: impl FnOnce(Signals) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    allocator::bound();
    logging::start_thread().context("cannot start the thread that writes the log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Enough for scrapes.
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let result = runtime.block_on(async {
        let signals = Signals::new().context("cannot install the signal handlers")?;
        main(signals).await
    });
    // Does not wait for blocking threads: one may wait for a file system that hangs.
    runtime.shutdown_background();
    result
}
