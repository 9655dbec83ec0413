//! Raw rows: each packet mirrored to a database, through a spool on disk, without loss or duplicate.
//!
//! ```text
//!  reader ─offer▶ Queue ─▶ Spooler: pick, write down, anonymise ─append▶ Spool ─▶ Delivery ─▶ Store
//! ```
//!
//! Spooler and delivery each have a thread of their own, so that nothing here is in the way of the
//! reader or of a scrape, whatever a disk or a database does. [`account`] has what became of each row.

pub mod account;
pub mod anonymize;
mod clock_guard;
pub mod day;
mod delivery;
pub mod inspect;
mod metrics;
mod per_name;
pub mod queue;
pub mod row;
pub mod row_builder;
pub mod schema;
pub mod select;
mod shared;
pub mod spool;
mod spooler;
pub mod store;
mod supervise;
pub mod target;
mod tell;
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

pub use queue::{Figures, Queue};
pub use target::Target;

use self::{
    anonymize::Anonymizer,
    delivery::Delivery,
    row_builder::RowBuilder,
    select::{Selection, SelectionError, Selector},
    shared::SharedSpool,
    spool::{Spool, SpoolInUse, SpoolPlan},
    spooler::Spooler,
    store::{Kind, Maintenance, MySql, Postgres, Sqlite},
    tell::Trouble,
};
use crate::{event::CurrentNames, geoip::GeoIp};

/// What to mirror, and where to.
#[derive(Debug)]
pub struct MirrorPlan {
    /// The database.
    pub target: Target,
    /// Which packets have a row.
    pub selection: Selection,
    /// What becomes of their addresses.
    pub anonymizer: Anonymizer,
    /// Where rows wait for the database.
    pub spool: SpoolPlan,
    /// What the database keeps.
    pub upkeep: Maintenance,
}

/// Why there can be no mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Another exporter has the spool.
    #[error(transparent)]
    Spool(#[from] SpoolInUse),
    /// A selection that selects nothing.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The system gives no thread or runtime.
    #[error("cannot start the mirror: {0}")]
    Start(#[from] std::io::Error),
}

/// A running mirror.
#[derive(Debug)]
pub struct Mirror {
    queue: Queue,
    spooler: JoinHandle<()>,
    delivery: JoinHandle<()>,
    ending: watch::Sender<bool>,
    /// Dropped to end the delivery at once.
    patience: watch::Sender<()>,
}

impl Mirror {
    /// Opens the spool and starts. `names` are those of the events that will be offered. That the
    /// database is away is no error: rows wait.
    ///
    /// # Errors
    /// The spool belongs to another exporter, or the system has no thread to give.
    pub fn start(
        plan: MirrorPlan,
        names: &CurrentNames,
        geoip: &GeoIp,
    ) -> Result<Self, MirrorError> {
        let MirrorPlan { target, selection, anonymizer, spool, upkeep } = plan;
        let queue = Queue::new(spool.max_size, names.clone());
        let spool = SharedSpool::new(Spool::open(spool)?, queue.clone());
        let appended = Arc::new(Notify::new());
        let (ending, told) = watch::channel(false);
        let (patience, impatient) = watch::channel(());

        let spooler = Spooler {
            queue: queue.clone(),
            selector: Selector::new(&selection, names.get())?,
            row_builder: RowBuilder::new(names.get(), geoip.city_lookup()),
            anonymizer,
            spool: spool.clone(),
            appended: Arc::clone(&appended),
            trouble: Trouble::new("mirror, spool"),
            synced: Instant::now(),
        };
        let kind = target.kind;
        let delivery = Delivery::new((queue.clone(), spool, appended), (target, upkeep), told);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let deliver = async move {
            match kind {
                Kind::MySql => delivery.run::<MySql>().await,
                Kind::Postgres => delivery.run::<Postgres>().await,
                Kind::Sqlite => delivery.run::<Sqlite>().await,
            }
        };
        let spooler =
            thread::Builder::new().name("mirror-spooler".into()).spawn(|| spooler.run())?;
        let delivery = thread::Builder::new().name("mirror".into()).spawn(move || {
            runtime.block_on(until_impatient(deliver, impatient));
        })?;
        Ok(Self { queue, spooler, delivery, ending, patience })
    }

    /// What takes events, and tells how the mirror stands.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Takes what was offered, and gives the database `grace` to take what is spooled, if it takes
    /// rows at all; the rest stays in the spool for the next start.
    pub async fn end(self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.queue.close();
        while !self.spooler.is_finished() && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        self.ending.send_replace(true);
        while !self.delivery.is_finished() && Instant::now() < deadline && self.queue.figures().up {
            sleep(Duration::from_millis(5)).await;
        }
        drop(self.patience);
        let account = self.queue.figures().account;
        tracing::info!(
            written = account.written,
            left_in_spool = account.spooled,
            dropped = account.dropped.iter().sum::<u64>(),
            "mirror ended"
        );
    }
}

/// Runs until it is done or the other end of the channel is dropped.
async fn until_impatient(work: impl Future<Output = ()>, mut impatient: watch::Receiver<()>) {
    tokio::select! {
        () = work => {}
        _ = impatient.changed() => {}
    }
}
