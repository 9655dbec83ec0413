//! One thread's access to networks and lists.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;

use super::{names_file::NamedNetwork, watch::Generation};
use crate::{
    geoip::{CountryId, Location},
    packet::Addresses,
};

/// Looks up addresses, for one thread.
#[derive(Debug)]
pub struct NetworkLookup {
    shared: Arc<ArcSwap<Generation>>,
    current: Arc<Generation>,
}

/// Index of a name in [`NetworkLookup::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameIndex(pub u16);

/// What the files say about the addresses of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketNetworks {
    /// Name of the source's network.
    pub source: Option<NameIndex>,
    /// Name of the destination's network.
    pub destination: Option<NameIndex>,
    /// Name of the first list that has the remote end.
    pub list: Option<NameIndex>,
    /// Country of the remote end's network, if the file names one.
    pub country: Option<CountryId>,
}

impl NetworkLookup {
    pub(super) fn new(shared: &Arc<ArcSwap<Generation>>) -> Self {
        Self { shared: Arc::clone(shared), current: shared.load_full() }
    }

    /// Switches to the newest files, and returns whether they changed; to be called once per batch.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let newest = self.shared.load();
        let changed = !Arc::ptr_eq(&newest, &self.current);
        if changed {
            self.current = Arc::clone(&newest);
        }
        changed
    }

    /// Whether there is no file, so that no address has a result.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.networks.is_none() && self.current.lists.is_empty()
    }

    /// All names, of networks and of lists.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.current.names
    }

    /// Looks up the addresses of a packet.
    #[inline]
    #[must_use]
    pub fn packet(&self, addresses: Addresses, remote: IpAddr) -> PacketNetworks {
        let mut found = PacketNetworks { list: self.list(remote), ..PacketNetworks::default() };
        if self.current.networks.is_some() {
            let (source, destination) = (addresses.source(), addresses.destination());
            let (of_source, of_destination) = (self.network(source), self.network(destination));
            let index = |network: &NamedNetwork| NameIndex(network.name);
            found.source = of_source.map(index);
            found.destination = of_destination.map(index);
            let of_remote = if remote == source { of_source } else { of_destination };
            found.country = of_remote.and_then(|network| network.country);
        }
        found
    }

    /// Where an address is, if the file of the networks says so.
    #[must_use]
    pub fn location(&self, address: IpAddr) -> Option<&Location> {
        self.network(address)?.location.as_ref()
    }

    fn network(&self, address: IpAddr) -> Option<&NamedNetwork> {
        self.current.networks.as_ref()?.get(address.to_canonical())
    }

    fn list(&self, address: IpAddr) -> Option<NameIndex> {
        let lists = &self.current.lists;
        let index = lists.iter().position(|list| list.contains(address.to_canonical()))?;
        u16::try_from(self.current.first_list + index).ok().map(NameIndex)
    }
}
