//! Prefixes that files name: the operator's own networks, and lists of addresses such as blocklists.
//!
//! The files are read again when they are replaced. A broken file leaves its previous content in use.

mod address_table;
mod config;
mod file;
mod list_file;
mod locations;
mod lookup;
mod metrics;
mod names_file;
mod prefix;
mod range_table;
mod watch;
mod wide_table;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

pub use config::{ListConfig, ListConfigs, MAX_LISTS, NetworksConfig};
pub use file::NetworksError;
pub use locations::LocationLookup;
pub use lookup::{NameIndex, NetworkLookup, PacketNetworks};
pub use metrics::NetworkMetrics;
pub use names_file::MAX_NAMES;
pub use prefix::AddressRange;
pub use watch::FileStatus;

use self::watch::{Files, Generation};
use crate::{geoip::CityLookup, system::lock::lock};

/// The networks and lists in use: a handle, cloned for each thread.
#[derive(Clone, Debug)]
pub struct Networks {
    current: Arc<ArcSwap<Generation>>,
    /// Held while files are read, which can take seconds. No reader and no scrape waits for it.
    files: Arc<Mutex<Files>>,
}

impl Networks {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn open(networks: &NetworksConfig, lists: &ListConfigs) -> Result<Self, NetworksError> {
        let files = Files::open(networks, lists)?;
        let current = Arc::new(ArcSwap::from_pointee(files.generation()));
        Ok(Self { current, files: Arc::new(Mutex::new(files)) })
    }

    /// Neither networks nor lists.
    #[must_use]
    pub fn none() -> Self {
        let files = Files::default();
        let current = Arc::new(ArcSwap::from_pointee(files.generation()));
        Self { current, files: Arc::new(Mutex::new(files)) }
    }

    /// Access for one thread.
    #[must_use]
    pub fn lookup(&self) -> NetworkLookup {
        NetworkLookup::new(&self.current)
    }

    /// Access to locations for one thread: those of networks, and of the databases for all other addresses.
    #[must_use]
    pub fn locations(&self, cities: CityLookup) -> LocationLookup {
        LocationLookup::new(self.lookup(), cities)
    }

    /// Reads all of these files and replaces those in use. Blocks while it reads.
    ///
    /// # Errors
    /// The first file that cannot be used; then nothing is replaced.
    pub fn reload(
        &self,
        networks: &NetworksConfig,
        lists: &ListConfigs,
    ) -> Result<(), NetworksError> {
        let mut files = lock(&self.files);
        let result = files.reload(networks, lists);
        files.publish(&self.current);
        result
    }

    /// Reads the files that were replaced since the last check; to be called every few seconds. A file is read when two
    /// checks in a row found it unchanged. Blocks while it reads.
    pub fn check(&self) {
        let mut files = lock(&self.files);
        if files.check() {
            files.publish(&self.current);
        }
        files.drop_unused();
    }

    /// The files in use: that of the networks first, if there is one, then the lists in their order. Never blocks.
    #[must_use]
    pub fn status(&self) -> Vec<FileStatus> {
        self.current.load().status.clone()
    }
}
