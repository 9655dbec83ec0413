//! One thread's access to cities and coordinates, separate from the reader's.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use lru::LruCache;

use super::{
    answers::answers,
    database::{Database, location_records},
    location::Location,
    remembered::{Remembered, ThreadDatabases},
    scope,
    watch::Generation,
};

/// Looks up the locations of addresses, for one thread; keeps the records it decoded.
#[derive(Debug)]
pub struct CityLookup {
    databases: ThreadDatabases<Option<Location>>,
    /// Answers by address, where asking costs more than remembering.
    answers: Option<LruCache<IpAddr, Option<Location>>>,
}

impl CityLookup {
    pub(super) fn new(shared: &Arc<ArcSwap<Generation>>) -> Self {
        let databases = ThreadDatabases::new(shared, Database::has_locations, location_records);
        let answers = answers(databases.size());
        Self { databases, answers }
    }

    /// Switches to the newest databases; to be called once per batch. Takes a few nanoseconds when
    /// nothing changed.
    #[inline]
    pub fn refresh(&mut self) {
        if self.databases.refresh() {
            self.answers = answers(self.databases.size());
        }
    }

    /// The location of an address, from the first database that has coordinates for it. `None` when none
    /// has, and for an address that is not globally routable.
    #[inline]
    pub fn location(&mut self, address: IpAddr) -> Option<&Location> {
        let databases = &mut self.databases.list;
        match &mut self.answers {
            Some(answers) => {
                answers.get_or_insert(address, || ask(databases, address).cloned()).as_ref()
            }
            None => ask(databases, address),
        }
    }
}

/// Asks the databases in order until one has the location.
#[inline]
fn ask(databases: &mut [Remembered<Option<Location>>], address: IpAddr) -> Option<&Location> {
    if databases.is_empty() {
        return None;
    }
    let address = scope::global(address)?;
    databases
        .iter_mut()
        .find_map(|Remembered { database, records }| database.location(address, records))
}

#[cfg(test)]
mod tests;
