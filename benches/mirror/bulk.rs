//! The same rows into a new table: with the store alone, through the whole mirror, and with the database's own bulk loader.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, SystemTime},
};

use nflog_exporter::{
    event::{CurrentNames, Event},
    geoip::GeoIp,
    mirror::{
        Mirror, Target,
        config::{MirrorConfig, SpoolConfig},
        row::Row,
        store::{Batch, Maintenance, Store, Writer},
    },
    networks::Networks,
};

use crate::{
    figures::{Figures, cpu, measured},
    packets::Packets,
};

/// Rows of a transaction, as the delivery writes them.
const BATCH: usize = 10_000;

/// Events of a datagram.
const DATAGRAM: usize = 100;

/// Events in the queue above which the benchmark waits: half of those that fit.
const QUEUED: u64 = 65_536;

/// A host name of typical length.
pub const HOST: &str = "gateway.example.net";

/// A database and its bulk loader.
pub trait Database {
    type Store: Store;

    /// Its name, and the name of its bulk loader.
    const NAMES: (&str, &str);

    /// A new, empty database.
    fn create(&self) -> String;
    /// The target of a database.
    fn target(&self, database: &str) -> Target;
    /// The same as a URL.
    fn url(&self, database: &str) -> String;
    /// Writes the rows in the fastest format of the bulk loader.
    fn write_file(&self, rows: &[Row], path: &Path);
    /// Loads the file into the table, which exists.
    fn load(&self, database: &str, file: &Path);
    /// Number of rows in the table.
    fn count(&self, database: &str) -> u64;
    /// Removes a database.
    fn remove(&self, database: &str);
    /// Processor time of the server so far.
    fn server(&self) -> Duration;
}

/// The store, one transaction after the other.
pub fn write<D: Database>(server: &D, rows: &[Row]) -> Figures {
    let database = server.create();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let writer = Writer { id: [1; 16], host: HOST.to_owned() };
    let mut store: D::Store = runtime.block_on(prepared(&server.target(&database)));
    assert_eq!(runtime.block_on(store.position(&writer, 0)).unwrap(), 0);
    let figures = measured(
        rows.len() as u64,
        own,
        || server.server(),
        || {
            runtime.block_on(async {
                let mut from = 0;
                for rows in rows.chunks(BATCH) {
                    let to = from + rows.len() as u64;
                    store.write(&writer, Batch { from, to, rows }).await.unwrap();
                    from = to;
                }
            });
        },
    );
    drop(store);
    finish(server, &database, rows.len());
    figures
}

/// Through the queue, the spool and the delivery.
pub fn mirror<D: Database>(server: &D, packets: &Packets, events: &[Event]) -> Figures {
    let database = server.create();
    let directory = tempfile::tempdir().unwrap();
    let names = packets.interner.current_names();
    let mirror = start(&server.url(&database), &packets.geoip, &names, directory.path());
    let figures = measured(
        events.len() as u64,
        own,
        || server.server(),
        || {
            offer(&mirror, events);
            await_rows(&mirror, events.len());
        },
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(mirror.end(Duration::from_secs(5)));
    finish(server, &database, events.len());
    figures
}

/// The bulk loader.
pub fn load<D: Database>(server: &D, file: &Path, rows: usize) -> Figures {
    let database = server.create();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    drop(runtime.block_on(prepared::<D::Store>(&server.target(&database))));
    let figures = measured(
        rows as u64,
        crate::figures::children,
        || server.server(),
        || {
            server.load(&database, file);
        },
    );
    finish(server, &database, rows);
    figures
}

/// A mirror that is connected and has created its table.
pub fn start(url: &str, geoip: &GeoIp, names: &CurrentNames, directory: &Path) -> Mirror {
    let spool = SpoolConfig { directory: directory.join("spool"), ..SpoolConfig::default() };
    let config =
        MirrorConfig { url: url.into(), host: HOST.to_owned(), spool, ..MirrorConfig::default() };
    let resolved = config.resolve().unwrap().unwrap();
    let locations = Networks::none().locations(geoip.city_lookup());
    let mirror = Mirror::start(resolved, names, locations).unwrap();
    while !mirror.queue().status().up {
        sleep(Duration::from_millis(1));
    }
    mirror
}

/// Offers events as the reader does, but waits while the queue is half full.
fn offer(mirror: &Mirror, events: &[Event]) {
    let queue = mirror.queue();
    for events in events.chunks(DATAGRAM) {
        while queue.status().account.queued > QUEUED {
            sleep(Duration::from_millis(1));
        }
        queue.offer(events);
    }
}

/// Waits until the database has all rows.
fn await_rows(mirror: &Mirror, rows: usize) {
    while mirror.queue().status().account.written < rows as u64 {
        sleep(Duration::from_millis(1));
    }
}

/// A connection to the real table, with its partitions.
async fn prepared<S: Store>(target: &Target) -> S {
    let mut store = S::connect(target).await.unwrap();
    store.prepare().await.unwrap();
    let kept = store.maintain(&Maintenance::default(), SystemTime::now()).await.unwrap();
    assert!(kept.warnings.is_empty(), "{:?}", kept.warnings);
    store
}

/// Checks that all rows were written, and removes the database.
fn finish(server: &impl Database, database: &str, rows: usize) {
    assert_eq!(server.count(database), rows as u64);
    server.remove(database);
}

/// Processor time of this process so far.
fn own() -> Duration {
    cpu(std::process::id())
}
