//! The shared databases, swapped while running, and a reader thread's way to ask them.

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::{ArcSwap, Cache};
use lru::LruCache;
use tracing::error;

use super::{
    Country, GeoIpError, Place,
    city_lookup::CityLookup,
    database::{Database, RecordMemo, record_memo},
    record::Facts,
    scope,
    watch::{DatabaseStatus, Files, Generation},
};

/// Addresses remembered, about a megabyte.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The databases in use: a handle to be cloned into every thread.
#[derive(Clone, Debug)]
pub struct GeoIp {
    current: Arc<ArcSwap<Generation>>,
    /// Held while files are read, which can take seconds, so that no two are read at once. Only
    /// [`Self::reload`] and [`Self::check`] take it: neither a reader nor a scrape waits for it.
    files: Arc<Mutex<Files>>,
}

impl GeoIp {
    /// Opens these databases, and after them the embedded country database if none of them tells
    /// countries. For each fact the first database that tells it wins.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(paths: &[PathBuf]) -> Result<Self, GeoIpError> {
        let files = Files::open(paths)?;
        let current = Arc::new(ArcSwap::from_pointee(files.generation()?));
        Ok(Self { current, files: Arc::new(Mutex::new(files)) })
    }

    /// A way for one thread to ask the databases.
    #[must_use]
    pub fn locator(&self) -> Locator {
        let mut newest = Cache::new(Arc::clone(&self.current));
        let current = Arc::clone(newest.load());
        let databases = current.databases.iter().map(Remembered::new).collect();
        let answers = answers(&current.databases);
        Locator { newest, current, databases, answers }
    }

    /// A way for one thread to ask for cities and coordinates, apart from where packets are read.
    #[must_use]
    pub fn city_lookup(&self) -> CityLookup {
        CityLookup::new(&self.current)
    }

    /// Opens all of these databases anew and swaps them in. Blocks while it reads.
    ///
    /// # Errors
    /// The first file that cannot be used; then nothing is swapped.
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

    /// Looks whether files were replaced, reads those that were and swaps them in; to be called
    /// every few seconds. A file is taken when it looked the same at two checks. A missing or
    /// broken file is logged once, and the old database stays. Blocks while it reads.
    pub fn check(&self) {
        let mut files = self.lock();
        if files.check()
            && let Err(error) = self.publish(&files)
        {
            error!(%error, "the GeoIP databases stay as they were");
        }
    }

    /// What is in use, in the order the databases are asked. Never blocks.
    #[must_use]
    pub fn status(&self) -> Vec<DatabaseStatus> {
        self.current.load().status.clone()
    }

    fn publish(&self, files: &Files) -> Result<(), GeoIpError> {
        self.current.store(Arc::new(files.generation()?));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        // A panic while reading files left them as they were, or one of them newer: usable.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locates addresses, for one thread: remembers what it decoded.
#[derive(Debug)]
pub struct Locator {
    newest: Cache<Arc<ArcSwap<Generation>>, Arc<Generation>>,
    current: Arc<Generation>,
    databases: Vec<Remembered>,
    /// What was answered, by address.
    answers: Option<LruCache<IpAddr, Place>>,
}

impl Locator {
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
        self.answers = answers(&self.current.databases);
        let mut older = std::mem::take(&mut self.databases);
        for database in &self.current.databases {
            let same = older.iter().position(|old| Arc::ptr_eq(&old.database, database));
            // What was decoded of a database that stays is still true.
            self.databases.push(match same {
                Some(index) => older.swap_remove(index),
                None => Remembered::new(database),
            });
        }
    }

    /// Where an address is. An address that is not globally routable is not looked up.
    #[inline]
    pub fn locate(&mut self, address: IpAddr) -> Place {
        match &mut self.answers {
            Some(answers) => *answers.get_or_insert(address, || ask(&mut self.databases, address)),
            None => ask(&mut self.databases, address),
        }
    }
}

/// Asks the databases in their order until all is told.
#[inline]
fn ask(databases: &mut [Remembered], address: IpAddr) -> Place {
    let Some(address) = scope::global(address) else {
        return Place { country: Country::Private, asn: 0 };
    };
    let mut known = Facts::default();
    for Remembered { database, records } in databases {
        let wanted = (known.country.is_none() && database.has_countries())
            || (known.asn.is_none() && database.has_asns());
        if wanted {
            let told = database.facts(address, records);
            known.country = known.country.or(told.country);
            known.asn = known.asn.or(told.asn);
        }
    }
    Place {
        country: known.country.map_or(Country::Unknown, Country::Known),
        asn: known.asn.unwrap_or(0),
    }
}

/// A memo of answers, where asking costs more than remembering.
///
/// Asking walks a search tree. In one that stays in the processor's cache that takes about 80 ns,
/// and an answer not yet remembered would cost as much again; in a city database of 60 MB it takes
/// about 400 ns, and most packets come from few sources.
pub(super) fn answers<'a, T>(
    databases: impl IntoIterator<Item = &'a Arc<Database>>,
) -> Option<LruCache<IpAddr, T>> {
    /// Databases of more bytes than this do not stay in the cache.
    const LARGE: usize = 16 << 20;
    let size: usize = databases.into_iter().map(|database| database.size()).sum();
    (size > LARGE).then(|| LruCache::new(ANSWERS))
}

/// A database and what was decoded of it.
#[derive(Debug)]
struct Remembered {
    database: Arc<Database>,
    records: RecordMemo,
}

impl Remembered {
    fn new(database: &Arc<Database>) -> Self {
        Self { database: Arc::clone(database), records: record_memo() }
    }
}

#[cfg(test)]
mod tests;
