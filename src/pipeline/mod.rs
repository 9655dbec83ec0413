//! The path of a packet from a source to the aggregate, the recent minutes and the mirror, and the reader's loop.

mod clock;
mod route;
mod sink;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub use clock::{Clock, PacketClock};
pub use route::Route;
pub use sink::EventSink;

use crate::source::{ReadOutcome, Source};

/// How long the reader waits for packets before it checks whether to stop.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// Reads a source until it ends or `stop` is set. After `stop`, packets that the kernel still holds are read too.
///
/// # Errors
/// Errors of the source.
pub fn read(source: &mut dyn Source, route: &mut Route, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut closed = false;
    loop {
        let filled = source.fill(POLL_TIMEOUT, &mut |record| route.take(record));
        // Also for an empty batch, so that the aggregate's clock advances, and before an error is
        // returned, so that packets read before the error are counted.
        source.handing_over();
        route.hand_over();
        source.handed_over();
        if filled? == ReadOutcome::End {
            route.end_clock();
            return Ok(());
        }
        if !closed && stop.load(Ordering::Relaxed) {
            source.close();
            closed = true;
        }
    }
}
