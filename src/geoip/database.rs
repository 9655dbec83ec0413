//! One open database: finds the record of an address and decodes its facts.

use std::{net::IpAddr, num::NonZeroUsize, sync::OnceLock};

use compact_str::CompactString;
use hashbrown::HashSet;
use lru::LruCache;
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::de::IgnoredAny;

use super::{
    as_names::AsNames,
    fact_cache::FactCache,
    file_bytes::FileBytes,
    location::Location,
    record::{Facts, Layout},
    search_tree::{Search, SearchTree},
};

/// Locations decoded from one database, by the offset of their record.
pub(super) type Locations = LruCache<u32, Option<Location>>;

/// Locations kept per database and thread: a city database has about 100,000.
const LOCATIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Maximum times that a network occurs in a search tree. Publishers refer to those of IPv4 from `::ffff:0:0/96`,
/// `2001::/32` and `2002::/16` too.
const MAX_ALIASES: usize = 8;

/// Maximum characters shown of a database's type.
const MAX_EDITION: usize = 64;

/// An empty cache of locations, which takes no memory while it is empty.
pub(super) fn no_locations(_: &Database) -> Locations {
    LruCache::sparse(LOCATIONS)
}

/// A MaxMind DB file in memory. Its content is not trusted: an invalid record is one without facts.
#[derive(Debug)]
pub(super) struct Database {
    file: FileBytes,
    reader: Reader<FileBytes>,
    tree: SearchTree,
    layout: Layout,
    /// Created for the first name that is requested.
    as_names: OnceLock<AsNames>,
}

impl Database {
    /// Opens a file's bytes.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<Self, MaxMindDbError> {
        let file = FileBytes::new(bytes);
        let reader = Reader::from_source(file.clone())?;
        let layout = Layout::probe(&reader);
        let tree = SearchTree::new(file.as_ref(), reader.metadata());
        Ok(Self { file, reader, tree, layout, as_names: OnceLock::new() })
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> &[u8] {
        self.file.as_ref()
    }

    /// Walks the whole search tree, and decodes every record that it refers to. The reader has a check of its own, which
    /// also rejects databases without a description.
    ///
    /// # Errors
    /// The file is damaged.
    pub(super) fn verify(&self) -> Result<(), String> {
        // With these options each step of the iterator is short, because it skips nothing.
        let options =
            WithinOptions::default().include_aliased_networks().include_networks_without_data();
        // A tree has one network more than nodes, and IPv4 networks again as parts of IPv6 networks. A hostile one has
        // circles.
        let most = MAX_ALIASES * (self.reader.metadata().node_count as usize + 1);
        let networks = self.reader.networks(options).map_err(|error| error.to_string())?;
        let (mut walked, mut decoded) = (0, HashSet::new());
        for record in networks {
            let record = record.map_err(|error| error.to_string())?;
            walked += 1;
            if walked > most {
                return Err("its search tree has a circle".to_owned());
            }
            if record.offset().is_some_and(|offset| decoded.insert(offset)) {
                record.decode::<IgnoredAny>().map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Bytes in memory.
    pub(super) fn size(&self) -> usize {
        self.file.as_ref().len()
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

    /// An empty cache of facts.
    pub(super) fn fact_cache(&self) -> FactCache {
        let metadata = self.reader.metadata();
        // A node has two records.
        let tree = metadata.node_count as usize * usize::from(metadata.record_size) / 4;
        FactCache::new(self.size().saturating_sub(tree))
    }

    /// The start of a search for an address.
    #[inline]
    pub(super) fn search(&self, address: IpAddr) -> Search {
        self.tree.search(address)
    }

    /// Completes searches. See [`SearchTree::complete`].
    pub(super) fn complete(&self, searches: &mut [Search], open: &mut Vec<usize>) {
        self.tree.complete(self.file.as_ref(), searches, open);
    }

    /// The facts of an address, whose search is complete. `cache` must belong to this database.
    #[inline]
    pub(super) fn found(&self, search: &Search, address: IpAddr, cache: &mut FactCache) -> Facts {
        match self.tree.found(search) {
            Some(data) => cache.get_or_insert(data, || self.decode_facts(address)),
            None => Facts::default(),
        }
    }

    /// The facts of one address. `cache` must belong to this database.
    #[cfg(test)]
    pub(super) fn facts(&self, address: IpAddr, cache: &mut FactCache) -> Facts {
        let mut searches = [self.search(address)];
        self.complete(&mut searches, &mut Vec::new());
        self.found(&searches[0], address, cache)
    }

    /// City and coordinates of an address. `locations` must belong to this database.
    pub(super) fn location<'a>(
        &self,
        address: IpAddr,
        locations: &'a mut Locations,
    ) -> Option<&'a Location> {
        let record = self.record(address)?;
        // A file has at most 2 GiB.
        let offset = u32::try_from(record.offset()?).ok()?;
        locations.get_or_insert(offset, || self.layout.location(&record)).as_ref()
    }

    /// The name of an autonomous system. The first call walks the whole search tree.
    pub(super) fn as_name(&self, number: u32) -> Option<CompactString> {
        let address = self.as_names.get_or_init(|| self.index_of_as_names()).address(number)?;
        let record = self.record(address)?;
        // The record of a network longer than /64 can be another one.
        self.layout.as_name(&record).filter(|_| self.layout.asn(&record) == Some(number))
    }

    fn index_of_as_names(&self) -> AsNames {
        let (mut seen, mut names) = (HashSet::new(), AsNames::default());
        self.tree.networks(self.bytes(), |data, first| {
            if seen.insert(data)
                && let Some(number) = self.record(first).and_then(|record| self.layout.asn(&record))
            {
                names.insert(number, first);
            }
        });
        names
    }

    #[cold]
    pub(super) fn decode_facts(&self, address: IpAddr) -> Facts {
        self.record(address).map_or_else(Facts::default, |record| self.layout.facts(&record))
    }

    fn record(&self, address: IpAddr) -> Option<LookupResult<'_, FileBytes>> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        self.reader.lookup(address).ok().filter(LookupResult::has_data)
    }
}
