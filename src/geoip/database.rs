//! One open database: finds the record of an address and decodes its facts.

use std::{net::IpAddr, num::NonZeroUsize};

use lru::LruCache;
use maxminddb::{LookupResult, MaxMindDbError, Reader};

use super::{
    location::Location,
    record::{Facts, Layout},
};

/// Records decoded from one database, by their offset.
pub(super) type Records<R> = LruCache<u32, R>;

/// Records kept per database and thread: a country database has about 250, a city database about 100,000.
const RECORDS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// An empty cache of facts.
pub(super) fn fact_records() -> Records<Facts> {
    LruCache::new(RECORDS)
}

/// An empty cache of locations, which takes no memory while it is empty.
pub(super) fn location_records() -> Records<Option<Location>> {
    LruCache::sparse(RECORDS)
}

/// Maximum characters shown of a database's type.
const MAX_EDITION: usize = 64;

/// A MaxMind DB file in memory. Its content is not trusted: an invalid record is one without facts.
#[derive(Debug)]
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    size: usize,
    layout: Layout,
}

impl Database {
    /// Opens a file's bytes.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<Self, MaxMindDbError> {
        let size = bytes.len();
        let reader = Reader::from_source(bytes)?;
        let layout = Layout::probe(&reader);
        Ok(Self { reader, size, layout })
    }

    /// Bytes in memory.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether its records have countries.
    pub(super) fn has_countries(&self) -> bool {
        self.layout.has_countries()
    }

    /// Whether its records have AS numbers.
    pub(super) fn has_asns(&self) -> bool {
        self.layout.has_asns()
    }

    /// Whether its records have coordinates.
    pub(super) fn has_locations(&self) -> bool {
        self.layout.has_locations()
    }

    /// Names of the facts in its records.
    pub(super) fn provides(&self) -> String {
        let facts = [
            ("country", self.has_countries()),
            ("city", self.has_locations()),
            ("ASN", self.has_asns()),
        ];
        let provided: Vec<_> =
            facts.iter().filter(|(_, has)| *has).map(|(fact, _)| *fact).collect();
        provided.join(", ")
    }

    /// Seconds since 1970-01-01 UTC at which it was built.
    pub(super) fn build_timestamp(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// The type in its metadata, shortened to [`MAX_EDITION`] characters.
    pub(super) fn edition(&self) -> String {
        self.reader.metadata().database_type.chars().take(MAX_EDITION).collect()
    }

    /// The facts of an address. `records` must belong to this database.
    #[inline]
    pub(super) fn facts(&self, address: IpAddr, records: &mut Records<Facts>) -> Facts {
        match self.record(address) {
            Some((offset, record)) => *records.get_or_insert(offset, || self.layout.facts(&record)),
            None => Facts::default(),
        }
    }

    /// City and coordinates of an address. `records` must belong to this database.
    pub(super) fn location<'a>(
        &self,
        address: IpAddr,
        records: &'a mut Records<Option<Location>>,
    ) -> Option<&'a Location> {
        let (offset, record) = self.record(address)?;
        records.get_or_insert(offset, || self.layout.location(&record)).as_ref()
    }

    /// The record of an address and its offset.
    #[inline]
    fn record(&self, address: IpAddr) -> Option<(u32, LookupResult<'_, Vec<u8>>)> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        let record = self.reader.lookup(address).ok()?;
        // A file has at most 2 GiB.
        let offset = u32::try_from(record.offset()?).ok()?;
        Some((offset, record))
    }
}
