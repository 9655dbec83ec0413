//! The shared databases, replaced while running, and one thread's access to countries and AS numbers.

use std::{
    hint::black_box,
    iter,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use arc_swap::ArcSwap;
use compact_str::CompactString;
use tracing::error;

use super::{
    Country, GeoIpConfig, GeoIpError, Place,
    city_lookup::CityLookup,
    database::Database,
    fact_cache::FactCache,
    place_cache::PlaceCache,
    record::Facts,
    scope,
    search_tree::Search,
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
        Locator {
            databases: ThreadDatabases::new(&self.current, |_| true, Database::fact_cache),
            places: PlaceCache::new(),
            sets: Vec::new(),
            unknown: Vec::new(),
            searches: Vec::new(),
            indices: Vec::new(),
            open: Vec::new(),
        }
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

    /// The name of an autonomous system, of the first database that has it: one line of at most 128 bytes. Untrusted text:
    /// escape it where it is shown. The first call after databases were replaced walks a whole database, so it is not
    /// for the reader.
    #[must_use]
    pub fn as_name(&self, number: u32) -> Option<CompactString> {
        let generation = self.current.load_full();
        let mut databases = generation.databases.iter().filter(|database| database.has_asns());
        databases.find_map(|database| database.as_name(number))
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
    databases: ThreadDatabases<FactCache>,
    places: PlaceCache,
    /// Empty memory for the sets of addresses in `places`.
    sets: Vec<usize>,
    /// Empty memory for the addresses that have to be looked up.
    unknown: Vec<Unknown>,
    /// Empty memory for searches, with the index of each one's address in `unknown`.
    searches: Vec<Search>,
    indices: Vec<usize>,
    open: Vec<usize>,
}

/// An address that has to be looked up.
#[derive(Debug)]
struct Unknown {
    /// Its index among all.
    index: usize,
    original: IpAddr,
    /// As it is in databases.
    address: IpAddr,
    /// What the databases so far have.
    known: Facts,
}

impl Locator {
    /// Switches to the newest databases; to be called once per batch. Takes a few nanoseconds if
    /// nothing changed.
    #[inline]
    pub fn refresh(&mut self) {
        if self.databases.refresh() {
            self.places.clear();
        }
    }

    /// The place of an address. An address that is not globally routable is not looked up.
    pub fn locate(&mut self, address: IpAddr) -> Place {
        let mut place = Place { country: Country::Unknown, asn: 0 };
        self.locate_all(iter::once(address), |_, found| place = found);
        place
    }

    /// Passes the index and the place of each address. All are looked up at a time, so that the processor waits for the
    /// memory of many at a time.
    pub fn locate_all(
        &mut self,
        addresses: impl Iterator<Item = IpAddr> + Clone,
        mut take: impl FnMut(usize, Place),
    ) {
        self.sets.clear();
        self.sets.extend(addresses.clone().map(|address| match address {
            IpAddr::V4(address) => self.places.set_of(address),
            IpAddr::V6(_) => 0,
        }));
        // Used, so that the compiler does not leave out the reads.
        black_box(self.sets.iter().fold(0, |touched, set| touched ^ self.places.touch(*set)));
        self.unknown.clear();
        for ((index, original), set) in addresses.enumerate().zip(&self.sets) {
            let known = match original {
                IpAddr::V4(address) => self.places.get(*set, address),
                IpAddr::V6(_) => None,
            };
            if let Some(place) = known {
                take(index, place);
            } else if let Some(address) = scope::global(original) {
                self.unknown.push(Unknown { index, original, address, known: Facts::default() });
            } else {
                take(index, Place { country: Country::Private, asn: 0 });
            }
        }
        for database in 0..self.databases.list.len() {
            self.ask(database);
        }
        for unknown in &self.unknown {
            take(unknown.index, unknown.place());
            if let IpAddr::V4(address) = unknown.original {
                self.places.insert(address, unknown.place());
            }
        }
    }

    /// Looks up the addresses that lack a fact which this database has.
    fn ask(&mut self, database: usize) {
        let Self { databases, unknown, searches, indices, open, .. } = self;
        let CachedDatabase { database, records } = &mut databases.list[database];
        searches.clear();
        indices.clear();
        for (index, Unknown { address, known, .. }) in unknown.iter().enumerate() {
            let wanted = (known.country.is_none() && database.has_countries())
                || (known.asn.is_none() && database.has_asns());
            if wanted {
                searches.push(database.search(*address));
                indices.push(index);
            }
        }
        database.complete(searches, open);
        for (search, index) in searches.iter().zip(&*indices) {
            let Unknown { address, known, .. } = &mut unknown[*index];
            let found = database.found(search, *address, records);
            known.country = known.country.or(found.country);
            known.asn = known.asn.or(found.asn);
        }
    }
}

impl Unknown {
    fn place(&self) -> Place {
        Place {
            country: self.known.country.map_or(Country::Unknown, Country::Known),
            asn: self.known.asn.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests;
