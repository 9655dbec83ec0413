//! One thread's access to cities and coordinates, separate from the reader's.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;

use super::{
    database::{Database, Locations, no_locations},
    location::Location,
    scope,
    thread_databases::{CachedDatabase, ThreadDatabases},
    watch::Generation,
};

/// Looks up the locations of addresses, for one thread; keeps the records it decoded.
#[derive(Debug)]
pub struct CityLookup {
    databases: ThreadDatabases<Locations, Option<Location>>,
}

impl CityLookup {
    pub(super) fn new(shared: &Arc<ArcSwap<Generation>>) -> Self {
        Self { databases: ThreadDatabases::new(shared, Database::has_locations, no_locations) }
    }

    /// Switches to the newest databases; to be called once per batch. Takes a few nanoseconds if
    /// nothing changed.
    #[inline]
    pub fn refresh(&mut self) {
        self.databases.refresh();
    }

    /// The location of an address, from the first database that has coordinates for it. `None` when none
    /// has, and for an address that is not globally routable.
    #[inline]
    pub fn location(&mut self, address: IpAddr) -> Option<&Location> {
        let ThreadDatabases { list, answers, .. } = &mut self.databases;
        match answers {
            Some(answers) => {
                answers.get_or_insert(address, || look_up(list, address).cloned()).as_ref()
            }
            None => look_up(list, address),
        }
    }
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
