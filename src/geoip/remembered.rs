//! The databases in use, as one thread sees them, with the records it has decoded.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::{
    database::{Database, Records},
    watch::Generation,
};

/// A database, and the records decoded from it.
#[derive(Debug)]
pub(super) struct Remembered<R> {
    pub(super) database: Arc<Database>,
    pub(super) records: Records<R>,
}

/// The databases of the current generation that have the wanted fact, in the order in which they are asked.
#[derive(Debug)]
pub(super) struct ThreadDatabases<R> {
    newest: Cache<Arc<ArcSwap<Generation>>, Arc<Generation>>,
    current: Arc<Generation>,
    is_wanted: fn(&Database) -> bool,
    new_records: fn() -> Records<R>,
    pub(super) list: Vec<Remembered<R>>,
}

impl<R> ThreadDatabases<R> {
    /// Those of `shared` that `is_wanted` accepts. `new_records` makes the cache of each.
    pub(super) fn new(
        shared: &Arc<ArcSwap<Generation>>,
        is_wanted: fn(&Database) -> bool,
        new_records: fn() -> Records<R>,
    ) -> Self {
        let mut newest = Cache::new(Arc::clone(shared));
        let current = Arc::clone(newest.load());
        let mut databases = Self { newest, current, is_wanted, new_records, list: Vec::new() };
        databases.switch();
        databases
    }

    /// Switches to the newest generation; returns whether it is another one. Takes a few nanoseconds when it
    /// is the same.
    #[inline]
    pub(super) fn refresh(&mut self) -> bool {
        let is_new = !Arc::ptr_eq(&self.current, self.newest.load());
        if is_new {
            self.switch();
        }
        is_new
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
                None => {
                    Remembered { database: Arc::clone(database), records: (self.new_records)() }
                }
            });
        }
    }

    /// Bytes of the databases in memory.
    pub(super) fn size(&self) -> usize {
        self.list.iter().map(|it| it.database.size()).sum()
    }
}
