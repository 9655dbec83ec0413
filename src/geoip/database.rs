//! One open database: address to facts.

use std::{net::IpAddr, num::NonZeroUsize};

use lru::LruCache;
use maxminddb::{LookupResult, MaxMindDbError, Reader};

use super::{
    location::Location,
    record::{Facts, Layout},
};

/// What was decoded of a database, by a record's offset: one per thread.
pub(super) type RecordMemo = LruCache<u32, Facts>;

/// Records remembered: a country database has some 250, a city database some 100,000.
const RECORDS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// A memo that remembers nothing yet.
pub(super) fn record_memo() -> RecordMemo {
    LruCache::new(RECORDS)
}

/// Spots decoded of a database, by a record's offset: one per thread.
pub(super) type LocationMemo = LruCache<u32, Option<Location>>;

/// A memo that remembers nothing yet, and takes no memory for it.
pub(super) fn spot_memo() -> LocationMemo {
    LruCache::sparse(RECORDS)
}

/// Most characters of a database's type that are shown.
const MAX_EDITION: usize = 64;

/// A MaxMind DB file in memory. Nothing in it is trusted: what makes no sense tells nothing.
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

    /// Whether it tells countries.
    pub(super) fn has_countries(&self) -> bool {
        self.layout.has_countries()
    }

    /// Whether it tells AS numbers.
    pub(super) fn has_asns(&self) -> bool {
        self.layout.has_asns()
    }

    /// Whether it tells coordinates.
    pub(super) fn has_spots(&self) -> bool {
        self.layout.has_spots()
    }

    /// What it has, for a reader.
    pub(super) fn provides(&self) -> String {
        let facts = [
            ("country", self.has_countries()),
            ("city", self.has_spots()),
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

    /// What it calls itself, shortened.
    pub(super) fn edition(&self) -> String {
        self.reader.metadata().database_type.chars().take(MAX_EDITION).collect()
    }

    /// What it tells of an address. `records` must be used with this database only.
    #[inline]
    pub(super) fn facts(&self, address: IpAddr, records: &mut RecordMemo) -> Facts {
        match self.record(address) {
            Some((offset, record)) => *records.get_or_insert(offset, || self.layout.facts(&record)),
            None => Facts::default(),
        }
    }

    /// City and coordinates of an address. `records` must be used with this database only.
    pub(super) fn location<'a>(
        &self,
        address: IpAddr,
        records: &'a mut LocationMemo,
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
