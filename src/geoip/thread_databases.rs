//! The databases in use, as one thread reads them, with the records and answers that it has cached.

use std::{net::IpAddr, num::NonZeroUsize, sync::Arc};

use arc_swap::{ArcSwap, Cache};
use lru::LruCache;

use super::{database::Database, watch::Generation};

/// Total size of databases, bytes, from which on answers are cached by address.
///
/// A lookup walks a search tree. If the tree stays in the processor's cache, a second cache would cost as much again on a
/// miss; in a city database of 60 MB it takes several times as long, and most packets come from few sources.
const LARGE: usize = 16 << 20;

/// Addresses in the cache of answers: about a megabyte.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// A database, and the records decoded from it.
#[derive(Debug)]
pub(super) struct CachedDatabase<R> {
    pub(super) database: Arc<Database>,
    pub(super) records: R,
}

/// The databases of the current generation that have the wanted fact, in the order of lookups. `R` is a cache
/// of decoded records, `A` the answer for an address.
#[derive(Debug)]
pub(super) struct ThreadDatabases<R, A> {
    newest: Cache<Arc<ArcSwap<Generation>>, Arc<Generation>>,
    current: Arc<Generation>,
    is_wanted: fn(&Database) -> bool,
    new_records: fn(&Database) -> R,
    pub(super) list: Vec<CachedDatabase<R>>,
    /// Answers by address; `None` while the databases are small.
    pub(super) answers: Option<LruCache<IpAddr, A>>,
}

impl<R, A> ThreadDatabases<R, A> {
    /// The databases of `shared` that `is_wanted` accepts. `new_records` creates the cache of each.
    pub(super) fn new(
        shared: &Arc<ArcSwap<Generation>>,
        is_wanted: fn(&Database) -> bool,
        new_records: fn(&Database) -> R,
    ) -> Self {
        let mut newest = Cache::new(Arc::clone(shared));
        let current = Arc::clone(newest.load());
        let list = Vec::new();
        let mut databases = Self { newest, current, is_wanted, new_records, list, answers: None };
        databases.switch();
        databases
    }

    /// Switches to the newest generation. Takes a few nanoseconds if it did not change.
    #[inline]
    pub(super) fn refresh(&mut self) {
        if !Arc::ptr_eq(&self.current, self.newest.load()) {
            self.switch();
        }
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
        let size: usize = self.list.iter().map(|it| it.database.size()).sum();
        self.answers = (size > LARGE).then(|| LruCache::new(ANSWERS));
    }
}
