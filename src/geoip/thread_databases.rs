//! The databases in use, as one thread reads them, with the records that it has cached.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::{database::Database, watch::Generation};

/// A database, and the records decoded from it.
#[derive(Debug)]
pub(super) struct CachedDatabase<R> {
    pub(super) database: Arc<Database>,
    pub(super) records: R,
}

/// The databases of the current generation that have the wanted fact, in the order of lookups. `R` is a cache
/// of decoded records.
#[derive(Debug)]
pub(super) struct ThreadDatabases<R> {
    newest: Cache<Arc<ArcSwap<Generation>>, Arc<Generation>>,
    current: Arc<Generation>,
    is_wanted: fn(&Database) -> bool,
    new_records: fn(&Database) -> R,
    pub(super) list: Vec<CachedDatabase<R>>,
}

impl<R> ThreadDatabases<R> {
    /// The databases of `shared` that `is_wanted` accepts. `new_records` creates the cache of each.
    pub(super) fn new(
        shared: &Arc<ArcSwap<Generation>>,
        is_wanted: fn(&Database) -> bool,
        new_records: fn(&Database) -> R,
    ) -> Self {
        let mut newest = Cache::new(Arc::clone(shared));
        let current = Arc::clone(newest.load());
        let list = Vec::new();
        let mut databases = Self { newest, current, is_wanted, new_records, list };
        databases.switch();
        databases
    }

    /// Switches to the newest generation; whether it changed. Takes a few nanoseconds if it did not.
    #[inline]
    pub(super) fn refresh(&mut self) -> bool {
        let is_newer = !Arc::ptr_eq(&self.current, self.newest.load());
        if is_newer {
            self.switch();
        }
        is_newer
    }

    /// Total size of the databases, bytes.
    pub(super) fn size(&self) -> usize {
        self.list.iter().map(|it| it.database.size()).sum()
    }

    #[cold]
    fn switch(&mut self) {
        self.current = Arc::clone(self.newest.load());
        let mut previous = std::mem::take(&mut self.list);
        for database in self.current.databases.iter().filter(|it| (self.is_wanted)(it)) {
            let same = previous.iter().position(|it| Arc::ptr_eq(&it.database, database));
            // Records of a database that stays are still valid.
            self.list.push(match same {
                Some(index) => previous.swap_remove(index),
                None => CachedDatabase {
                    database: Arc::clone(database),
                    records: (self.new_records)(database),
                },
            });
        }
    }
}
