//! Names of autonomous systems by number: an index of a database, which has them by address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;

/// Maximum number of autonomous systems in an index; about 120,000 are in use.
const MAX_SYSTEMS: usize = 1 << 20;

/// For each autonomous system an address in one of its networks.
#[derive(Debug, Default)]
pub(super) struct AsNames(HashMap<u32, NetworkStart>);

/// The first address of a network: an IPv4 address, or the upper half of an IPv6 address, of which every global one is
/// larger.
type NetworkStart = u64;

impl AsNames {
    /// Adds the first address of a network of this autonomous system, unless it has one.
    pub(super) fn insert(&mut self, number: u32, first: IpAddr) {
        if self.0.len() < MAX_SYSTEMS {
            self.0.entry(number).or_insert_with(|| start(first));
        }
    }

    /// An address in a network of this autonomous system. If the network is longer than /64, it can be another one's.
    pub(super) fn address(&self, number: u32) -> Option<IpAddr> {
        let start = *self.0.get(&number)?;
        Some(match u32::try_from(start) {
            Ok(bits) => Ipv4Addr::from_bits(bits).into(),
            Err(_) => Ipv6Addr::from_bits(u128::from(start) << 64).into(),
        })
    }
}

fn start(address: IpAddr) -> NetworkStart {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => match address.to_ipv4() {
            Some(address) => address.to_bits().into(),
            None => (address.to_bits() >> 64) as u64,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(networks: &[(u32, &str)], number: u32, expect: Option<&str>) {
        let mut names = AsNames::default();
        for &(number, first) in networks {
            names.insert(number, first.parse().unwrap());
        }
        let address = names.address(number);
        assert_eq!(address.map(|address| address.to_string()).as_deref(), expect);
    }

    #[test]
    fn an_autonomous_system_has_one_of_its_addresses() {
        let networks =
            [(3, "2001:db8:1::"), (1, "203.0.113.0"), (3, "2001:db8:2::"), (2, "::1.2.3.0")];
        check(&networks, 1, Some("203.0.113.0"));
        check(&networks, 2, Some("1.2.3.0"));
        check(&networks, 3, Some("2001:db8:1::"));
        check(&networks, 4, None);
        check(&[], 1, None);
    }
}
