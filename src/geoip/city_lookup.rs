//! A thread's way to ask for city and coordinates, apart from the reader's.

use std::{net::IpAddr, sync::Arc};

use arc_swap::{ArcSwap, Cache};
use lru::LruCache;

use super::{
    database::{Database, LocationMemo, spot_memo},
    location::Location,
    locator::answers,
    scope,
    watch::Generation,
};

/// Tells the locations of addresses, for one thread: remembers what it decoded.
#[derive(Debug)]
pub struct CityLookup {
    newest: Cache<Arc<ArcSwap<Generation>>, Arc<Generation>>,
    current: Arc<Generation>,
    /// Those that tell coordinates, in the order they are asked.
    databases: Vec<Surveyed>,
    /// What was answered, by address, where asking costs more than remembering.
    answers: Option<LruCache<IpAddr, Option<Location>>>,
}

impl CityLookup {
    pub(super) fn new(shared: &Arc<ArcSwap<Generation>>) -> Self {
        let mut newest = Cache::new(Arc::clone(shared));
        let current = Arc::clone(newest.load());
        let mut city_lookup = Self { newest, current, databases: Vec::new(), answers: None };
        city_lookup.turn();
        city_lookup
    }

    /// Turns to the newest databases; to be called once a batch. Takes a few nanoseconds when
    /// nothing changed.
    #[inline]
    pub fn refresh(&mut self) {
        if !Arc::ptr_eq(&self.current, self.newest.load()) {
            self.turn();
        }
    }

    #[cold]
    fn turn(&mut self) {
        self.current = Arc::clone(self.newest.load());
        let mut older = std::mem::take(&mut self.databases);
        for database in self.current.databases.iter().filter(|it| it.has_spots()) {
            let same = older.iter().position(|old| Arc::ptr_eq(&old.database, database));
            // What was decoded of a database that stays is still true.
            self.databases.push(match same {
                Some(index) => older.swap_remove(index),
                None => Surveyed { database: Arc::clone(database), records: spot_memo() },
            });
        }
        self.answers = answers(self.databases.iter().map(|it| &it.database));
    }

    /// Where an address is: as the first database says that tells its coordinates. `None` when none
    /// does, and for an address that is not globally routable.
    #[inline]
    pub fn location(&mut self, address: IpAddr) -> Option<&Location> {
        let Self { databases, answers, .. } = self;
        match answers {
            Some(answers) => {
                answers.get_or_insert(address, || ask(databases, address).cloned()).as_ref()
            }
            None => ask(databases, address),
        }
    }
}

/// Asks the databases in their order until one tells.
#[inline]
fn ask(databases: &mut [Surveyed], address: IpAddr) -> Option<&Location> {
    if databases.is_empty() {
        return None;
    }
    let address = scope::global(address)?;
    databases
        .iter_mut()
        .find_map(|Surveyed { database, records }| database.location(address, records))
}

/// A database that tells locations, and what was decoded of it.
#[derive(Debug)]
struct Surveyed {
    database: Arc<Database>,
    records: LocationMemo,
}

#[cfg(test)]
mod tests;
