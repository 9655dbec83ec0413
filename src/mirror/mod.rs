//! Writes each packet as a row to a database, through a spool on disk, without loss or duplicates.
//!
//! ```text
//! reader ─offer▶ Queue ─▶ Spooler: select, build, anonymise ─append▶ Spool ─▶ Delivery ─▶ Store
//! ```
//!
//! Spooler and delivery run on threads of their own, so that a slow disk or database never delays the reader or
//! a scrape. [`account`] counts the rows in each state.

pub mod account;
pub mod anonymize;
mod clock_guard;
pub mod config;
pub mod day;
mod deadline;
mod delivery;
mod drilldown;
mod failover;
pub mod import;
mod in_flight;
pub mod inspect;
mod kind;
mod metrics;
mod per_name;
pub mod queue;
pub mod row;
pub mod row_builder;
mod row_selection;
pub mod rows_query;
pub mod schema;
pub mod select;
mod shared_spool;
pub mod spool;
mod spooler;
mod status;
pub mod store;
mod stored_rows;
mod supervise;
pub mod target;
pub mod time_text;
mod transaction_size;

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

pub use drilldown::{Drilldown, DrilldownError};
pub use queue::{Queue, QueueObserver};
pub use row_selection::RowSelection;
pub use spool::RowMark;
pub use status::MirrorStatus;
pub use stored_rows::read_rows;
pub use target::Target;

use self::{
    config::ResolvedConfig,
    delivery::Delivery,
    failover::Failover,
    row_builder::RowBuilder,
    select::{SelectionError, Selector},
    shared_spool::SharedSpool,
    spool::{Spool, SpoolInUse},
    spooler::Spooler,
    store::AnyStore,
};
use crate::{event::CurrentNames, networks::LocationLookup, system::logging::ConditionLog};

/// Why the mirror cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Another exporter uses the spool.
    #[error(transparent)]
    Spool(#[from] SpoolInUse),
    /// The selection is invalid.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The system provides no thread or runtime.
    #[error("cannot start the mirror: {0}")]
    Start(#[from] std::io::Error),
}

/// A running mirror.
#[derive(Debug)]
pub struct Mirror {
    queue: Queue,
    spooler: JoinHandle<()>,
    delivery: JoinHandle<()>,
    spool: SharedSpool,
    drilldown: Drilldown,
    ending: watch::Sender<bool>,
    /// Dropping it ends the delivery at once.
    abort: watch::Sender<()>,
}

impl Mirror {
    /// Opens the spool and starts the threads. `names` are those of the events that will be offered. An
    /// unreachable database is no error: rows wait.
    ///
    /// # Errors
    /// Another exporter uses the spool, or a thread cannot be started.
    pub fn start(
        resolved: ResolvedConfig,
        names: &CurrentNames,
        locations: LocationLookup,
    ) -> Result<Self, MirrorError> {
        let (selection, spool) = (resolved.selection(), resolved.spool());
        let maintenance = resolved.maintenance();
        let drilldown = Drilldown::new(resolved.servers.clone(), spool.host.clone());
        let ResolvedConfig { servers, anonymizer, config } = resolved;
        let queue = Queue::new(spool.max_size, names.clone());
        queue.set_servers(servers.iter().map(Target::address).collect());
        let shared = SharedSpool::new(Spool::open(spool)?, queue.clone());
        let spool = shared.clone();
        let appended = Arc::new(Notify::new());
        let (ending, ending_receiver) = watch::channel(false);
        let (abort, aborted) = watch::channel(());

        let spooler = Spooler {
            queue: queue.clone(),
            selector: Selector::new(&selection, names.get())?,
            row_builder: RowBuilder::new(names.get(), locations),
            anonymizer,
            spool: spool.clone(),
            appended: Arc::clone(&appended),
            spool_log: ConditionLog::new("mirror, spool"),
            synced: Instant::now(),
        };
        let failover = Failover::new(servers, config.server_order);
        let delivery = Delivery::new(
            (queue.clone(), spool, appended),
            (failover, maintenance),
            ending_receiver,
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let deliver = delivery.run::<AnyStore>();
        let spooler =
            thread::Builder::new().name("mirror-spooler".into()).spawn(|| spooler.run())?;
        let delivery = thread::Builder::new().name("mirror".into()).spawn(move || {
            runtime.block_on(until_aborted(deliver, aborted));
        })?;
        Ok(Self { queue, spool: shared, drilldown, spooler, delivery, ending, abort })
    }

    /// The handle that accepts events and reports the mirror's state.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Reads the rows of the database.
    #[must_use]
    pub fn drilldown(&self) -> Drilldown {
        self.drilldown.clone()
    }

    /// Whether an earlier run is known to have spooled all rows before this point.
    #[must_use]
    pub fn has_spooled(&self, mark: RowMark) -> bool {
        self.spool.with(|spool| spool.has_appended(mark))
    }

    /// Spools what was offered, then waits at most `grace` for the database to accept the spooled rows, if it
    /// accepts any; the rest stays in the spool for the next start.
    pub async fn end(self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.queue.close();
        while !self.spooler.is_finished() && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        self.ending.send_replace(true);
        while !self.delivery.is_finished() && Instant::now() < deadline && self.queue.status().up {
            sleep(Duration::from_millis(5)).await;
        }
        drop(self.abort);
        let account = self.queue.status().account;
        tracing::info!(
            written = account.written,
            left_in_spool = account.spooled,
            dropped = account.dropped.iter().sum::<u64>(),
            "mirror ended"
        );
    }
}

/// Runs until done, or until the other end of the channel is dropped.
async fn until_aborted(work: impl Future<Output = ()>, mut aborted: watch::Receiver<()>) {
    tokio::select! {
        () = work => {}
        _ = aborted.changed() => {}
    }
}
