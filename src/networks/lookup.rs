//! One thread's access to networks and lists.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;

use super::{address_table::AddressBatch, names_file::NamedNetwork, watch::Generation};
use crate::{
    geoip::{CountryId, Location},
    packet::Addresses,
};

/// Looks up addresses, for one thread.
#[derive(Debug)]
pub struct NetworkLookup {
    shared: Arc<ArcSwap<Generation>>,
    current: Arc<Generation>,
    ends: PacketEnds,
}

/// The addresses of the packets that are looked up.
#[derive(Debug, Default)]
struct PacketEnds {
    sources: AddressBatch,
    destinations: AddressBatch,
    remotes: AddressBatch,
    /// Whether the source is the remote end, for each packet; without named networks empty.
    from_remote: Vec<bool>,
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
        let (shared, current) = (Arc::clone(shared), shared.load_full());
        Self { shared, current, ends: PacketEnds::default() }
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

    /// Looks up the addresses of packets, each with its remote end: all of them in one table after the other. Sets `found`
    /// to a result for each packet, an empty one for a packet without addresses.
    pub fn packets(
        &mut self,
        packets: impl IntoIterator<Item = Option<(Addresses, IpAddr)>>,
        found: &mut Vec<PacketNetworks>,
    ) {
        let Self { current, ends, .. } = self;
        let packet_count = ends.set(packets, current.networks.is_some());
        found.clear();
        found.resize(packet_count, PacketNetworks::default());
        for (list, name) in current.lists.iter().zip(current.first_list..) {
            let name = u16::try_from(name).ok().map(NameIndex);
            list.table.get_all(&ends.remotes, |packet, ()| {
                let first = &mut found[packet].list;
                *first = first.or(name);
            });
        }
        let Some(networks) = &current.networks else { return };
        networks.get_all(&ends.sources, |packet, network| {
            found[packet].source = Some(NameIndex(network.name));
            if ends.from_remote[packet] {
                found[packet].country = network.country;
            }
        });
        networks.get_all(&ends.destinations, |packet, network| {
            found[packet].destination = Some(NameIndex(network.name));
            if !ends.from_remote[packet] {
                found[packet].country = network.country;
            }
        });
    }

    /// Looks up the addresses of one packet.
    #[must_use]
    pub fn packet(&mut self, addresses: Addresses, remote: IpAddr) -> PacketNetworks {
        let mut found = Vec::new();
        self.packets([Some((addresses, remote))], &mut found);
        found.pop().unwrap_or_default()
    }

    /// Where an address is, if the file of the networks says so.
    #[must_use]
    pub fn location(&self, address: IpAddr) -> Option<&Location> {
        self.network(address)?.location.as_ref()
    }

    fn network(&self, address: IpAddr) -> Option<&NamedNetwork> {
        self.current.networks.as_ref()?.get(address)
    }
}

impl PacketEnds {
    /// Sets the ends of packets, without named networks only their remote ones; returns the number of packets.
    fn set(
        &mut self,
        packets: impl IntoIterator<Item = Option<(Addresses, IpAddr)>>,
        has_networks: bool,
    ) -> usize {
        let Self { sources, destinations, remotes, from_remote } = self;
        for addresses in [&mut *sources, destinations, remotes] {
            addresses.clear();
        }
        from_remote.clear();
        let mut count = 0;
        for (number, packet) in packets.into_iter().enumerate() {
            count = number + 1;
            if let Some((_, remote)) = packet {
                remotes.add(number, remote);
            }
            if !has_networks {
                continue;
            }
            from_remote
                .push(packet.is_some_and(|(addresses, remote)| addresses.source() == remote));
            if let Some((addresses, _)) = packet {
                sources.add(number, addresses.source());
                destinations.add(number, addresses.destination());
            }
        }
        count
    }
}
