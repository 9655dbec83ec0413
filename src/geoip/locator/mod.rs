//! The shared databases, replaced while running, and one thread's access to countries and AS numbers.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use lru::LruCache;
use tracing::error;

use super::{
    Country, GeoIpError, Place,
    answers::answers,
    city_lookup::CityLookup,
    database::fact_records,
    record::Facts,
    remembered::{Remembered, ThreadDatabases},
    scope,
    watch::{DatabaseStatus, Files, Generation},
};

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
        let files = Files::open(paths)?;
        let current = Arc::new(ArcSwap::from_pointee(files.generation()?));
        Ok(Self { current, files: Arc::new(Mutex::new(files)) })
    }

    /// Access to countries and AS numbers for one thread.
    #[must_use]
    pub fn locator(&self) -> Locator {
        let databases = ThreadDatabases::new(&self.current, |_| true, fact_records);
        let answers = answers(databases.size());
        Locator { databases, answers }
    }

    /// Access to cities and coordinates for one thread, separate from the reader.
    #[must_use]
    pub fn city_lookup(&self) -> CityLookup {
        CityLookup::new(&self.current)
    }

    /// Opens all of these databases again and replaces those in use. Blocks while it reads.
    ///
    /// # Errors
    /// The first file that cannot be used; then nothing is replaced.
    pub fn reload(&self, paths: &[PathBuf]) -> Result<(), GeoIpError> {
        let mut files = self.lock();
        match Files::open(paths) {
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

    /// The databases in use, in the order in which they are asked. Never blocks.
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
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locates addresses, for one thread; keeps the records it decoded.
#[derive(Debug)]
pub struct Locator {
    databases: ThreadDatabases<Facts>,
    /// Answers by address, where asking costs more than remembering.
    answers: Option<LruCache<IpAddr, Place>>,
}

impl Locator {
    /// Switches to the newest databases; to be called once per batch. Takes a few nanoseconds when
    /// nothing changed.
    #[inline]
    pub fn refresh(&mut self) {
        if self.databases.refresh() {
            self.answers = answers(self.databases.size());
        }
    }

    /// The place of an address. An address that is not globally routable is not looked up.
    #[inline]
    pub fn locate(&mut self, address: IpAddr) -> Place {
        let databases = &mut self.databases.list;
        match &mut self.answers {
            Some(answers) => *answers.get_or_insert(address, || ask(databases, address)),
            None => ask(databases, address),
        }
    }
}

/// Asks the databases in order until all facts are known.
#[inline]
fn ask(databases: &mut [Remembered<Facts>], address: IpAddr) -> Place {
    let Some(address) = scope::global(address) else {
        return Place { country: Country::Private, asn: 0 };
    };
    let mut known = Facts::default();
    for Remembered { database, records } in databases {
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
