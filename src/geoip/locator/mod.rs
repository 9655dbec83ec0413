//! The shared databases, replaced while running, and one thread's access to countries and AS numbers.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use arc_swap::ArcSwap;
use tracing::error;

use super::{
    Country, GeoIpConfig, GeoIpError, Place,
    city_lookup::CityLookup,
    database::Database,
    fact_cache::FactCache,
    record::Facts,
    scope,
    thread_databases::{CachedDatabase, ThreadDatabases},
    watch::{DatabaseStatus, Files, Generation},
};
use crate::system::lock::lock;

/// The databases in use: a handle, cloned for each thread.
#[derive(Clone, Debug)]
pub struct GeoIp {
    current: Arc<ArcSwap<Generation>>,
    /// Held while files are read, which can take seconds, so that only one thread reads. Only
    /// [`Self::reload`] and [`Self::check`] take it: no reader and no scrape waits for it.
    files: Arc<Mutex<Files>>,
}

impl GeoIp {
    /// Opens these databases, followed by the embedded country database if none of them has
    /// countries. Each fact comes from the first database that has it.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(paths: &[PathBuf]) -> Result<Self, GeoIpError> {
        Self::of_files(Files::open(paths)?)
    }

    /// Opens the databases of a configuration: those that it lists, or those of its directory; and the embedded country
    /// database if none of them has countries.
    ///
    /// # Errors
    /// The first listed file that cannot be used. A file of the directory is ignored then.
    pub fn open_configured(config: &GeoIpConfig) -> Result<Self, GeoIpError> {
        Self::of_files(Files::open_configured(config)?)
    }

    fn of_files(files: Files) -> Result<Self, GeoIpError> {
        let current = Arc::new(ArcSwap::from_pointee(files.generation()?));
        Ok(Self { current, files: Arc::new(Mutex::new(files)) })
    }

    /// Access to countries and AS numbers for one thread.
    #[must_use]
    pub fn locator(&self) -> Locator {
        Locator { databases: ThreadDatabases::new(&self.current, |_| true, Database::fact_cache) }
    }

    /// Access to cities and coordinates for one thread, separate from the reader.
    #[must_use]
    pub fn city_lookup(&self) -> CityLookup {
        CityLookup::new(&self.current)
    }

    /// Opens all databases of a configuration again and replaces those in use. Blocks while it reads.
    ///
    /// # Errors
    /// The first listed file that cannot be used; then nothing is replaced.
    pub fn reload(&self, config: &GeoIpConfig) -> Result<(), GeoIpError> {
        let mut files = self.lock();
        match Files::open_configured(config) {
            Ok(newer) => files.replace(newer),
            Err(error) => {
                files.count_failure(&error);
                self.publish(&files)?;
                return Err(error);
            }
        }
        self.publish(&files)
    }

    /// Reads the files that were replaced since the last check; to be called
    /// every few seconds. A file is read when two checks in a row found it unchanged. A missing or
    /// invalid file is logged once, and the previous database stays. Blocks while it reads.
    pub fn check(&self) {
        let mut files = self.lock();
        if files.check()
            && let Err(error) = self.publish(&files)
        {
            error!(%error, "cannot use the replaced GeoIP databases; the previous ones stay in use");
        }
    }

    /// The databases in use, in the order of lookups. Never blocks.
    #[must_use]
    pub fn status(&self) -> Vec<DatabaseStatus> {
        self.current.load().status.clone()
    }

    fn publish(&self, files: &Files) -> Result<(), GeoIpError> {
        self.current.store(Arc::new(files.generation()?));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        // After a panic the files are unchanged, or one of them is newer: usable.
        lock(&self.files)
    }
}

/// Locates addresses, for one thread; keeps the records it decoded.
#[derive(Debug)]
pub struct Locator {
    databases: ThreadDatabases<FactCache, Place>,
}

impl Locator {
    /// Switches to the newest databases; to be called once per batch. Takes a few nanoseconds if
    /// nothing changed.
    #[inline]
    pub fn refresh(&mut self) {
        self.databases.refresh();
    }

    /// Reads what the look-ups of this address read first, and returns a part of it. The processor loads memory for many
    /// addresses at a time if their look-ups do not wait for it one after the other.
    #[inline]
    #[must_use]
    pub fn touch(&self, address: IpAddr) -> u8 {
        let ThreadDatabases { list, answers, .. } = &self.databases;
        match scope::global(address) {
            Some(address) if answers.is_none() => {
                list.iter().fold(0, |touched, it| touched ^ it.database.touch(address))
            }
            _ => 0,
        }
    }

    /// The place of an address. An address that is not globally routable is not looked up.
    #[inline]
    pub fn locate(&mut self, address: IpAddr) -> Place {
        let ThreadDatabases { list, answers, .. } = &mut self.databases;
        match answers {
            Some(answers) => *answers.get_or_insert(address, || look_up(list, address)),
            None => look_up(list, address),
        }
    }
}

/// Looks up an address in the databases in order, until all facts are known.
#[inline]
fn look_up(databases: &mut [CachedDatabase<FactCache>], address: IpAddr) -> Place {
    let Some(address) = scope::global(address) else {
        return Place { country: Country::Private, asn: 0 };
    };
    let mut known = Facts::default();
    for CachedDatabase { database, records } in databases {
        let wanted = (known.country.is_none() && database.has_countries())
            || (known.asn.is_none() && database.has_asns());
        if wanted {
            let facts = database.facts(address, records);
            known.country = known.country.or(facts.country);
            known.asn = known.asn.or(facts.asn);
        }
    }
    Place {
        country: known.country.map_or(Country::Unknown, Country::Known),
        asn: known.asn.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
