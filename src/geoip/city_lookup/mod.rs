//! One thread's access to cities and coordinates, separate from the reader's.

use std::{net::IpAddr, num::NonZeroUsize, sync::Arc};

use arc_swap::ArcSwap;
use lru::LruCache;

use super::{
    database::{Database, Locations, no_locations},
    location::Location,
    scope,
    thread_databases::{CachedDatabase, ThreadDatabases},
    watch::Generation,
};

/// Total size of databases, bytes, from which on answers are cached by address.
///
/// A lookup walks a search tree. If the tree stays in the processor's cache, a second cache would cost as much again on a
/// miss; in a city database of 60 MB it takes several times as long, and most packets come from few sources.
const LARGE: usize = 16 << 20;

/// Addresses in the cache of answers: about a megabyte.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Looks up the locations of addresses, for one thread; keeps the records it decoded.
#[derive(Debug)]
pub struct CityLookup {
    databases: ThreadDatabases<Locations>,
    /// Answers by address; `None` while the databases are small.
    answers: Option<LruCache<IpAddr, Option<Location>>>,
}

impl CityLookup {
    pub(super) fn new(shared: &Arc<ArcSwap<Generation>>) -> Self {
        let databases = ThreadDatabases::new(shared, Database::has_locations, no_locations);
        Self { answers: no_answers(&databases), databases }
    }

    /// Switches to the newest databases; to be called once per batch. Takes a few nanoseconds if
    /// nothing changed.
    #[inline]
    pub fn refresh(&mut self) {
        if self.databases.refresh() {
            self.answers = no_answers(&self.databases);
        }
    }

    /// Whether no database has coordinates.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.databases.list.is_empty()
    }

    /// The location of an address, from the first database that has coordinates for it. `None` when none
    /// has, and for an address that is not globally routable.
    #[inline]
    pub fn location(&mut self, address: IpAddr) -> Option<&Location> {
        let list = &mut self.databases.list;
        match &mut self.answers {
            Some(answers) => {
                answers.get_or_insert(address, || look_up(list, address).cloned()).as_ref()
            }
            None => look_up(list, address),
        }
    }
}

/// An empty cache of answers, if the databases are large.
fn no_answers(
    databases: &ThreadDatabases<Locations>,
) -> Option<LruCache<IpAddr, Option<Location>>> {
    (databases.size() > LARGE).then(|| LruCache::new(ANSWERS))
}

/// Looks up an address in the databases in order, until one has its location.
#[inline]
fn look_up(databases: &mut [CachedDatabase<Locations>], address: IpAddr) -> Option<&Location> {
    if databases.is_empty() {
        return None;
    }
    let address = scope::global(address)?;
    databases
        .iter_mut()
        .find_map(|CachedDatabase { database, records }| database.location(address, records))
}

#[cfg(test)]
mod tests;
