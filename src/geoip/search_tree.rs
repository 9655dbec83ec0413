//! The search tree of a MaxMind DB file, with an index by the first bits of an address.
//!
//! `maxminddb` walks from the root: an IPv4 address takes 17 to 32 steps, each of which can wait for memory. The index
//! replaces the first 16 of IPv4 and the first 19 of IPv6. Publishers write the tree depth-first, so what follows is
//! usually in a few cache lines. Many addresses are searched for at a time, step by step. The file format is specified at <https://maxmind.github.io/MaxMind-DB/>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maxminddb::Metadata;

/// The first bits of an IPv4 address that the index replaces.
const V4_BITS: u32 = 16;

/// The bits of an IPv6 address that the index replaces, after those of [`V6_PREFIX`].
const V6_BITS: u32 = 16;

/// The first three bits of every global unicast address, `2000::/3` (RFC 4291, 2.4).
const V6_PREFIX: u128 = 0b001;
const V6_PREFIX_BITS: u32 = 3;

/// The bits before an IPv4 address in a tree of IPv6 addresses: all zero.
const V4_DEPTH: u32 = 96;

/// What a record of the tree refers to: below the number of nodes a node, that number for nothing, above it the data of
/// a network.
type Reference = u32;

/// The tree of one file.
#[derive(Debug)]
pub(super) struct SearchTree {
    nodes: Reference,
    record_size: RecordSize,
    has_v6: bool,
    /// By the first [`V4_BITS`] of an IPv4 address.
    v4: Box<[Reference]>,
    /// By the [`V6_BITS`] after [`V6_PREFIX`]; empty if the tree has only IPv4 addresses.
    v6: Box<[Reference]>,
}

/// A search for an address: what it has reached, and the bits that follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// From the top.
    rest: u128,
    reference: Reference,
    /// Number of bits that are left.
    depth: u32,
}

/// Bits of a record; a node has two.
#[derive(Clone, Copy, Debug)]
enum RecordSize {
    Bits24,
    Bits28,
    Bits32,
}

impl SearchTree {
    /// The tree at the start of this file, which `maxminddb` accepted.
    pub(super) fn new(file: &[u8], metadata: &Metadata) -> Self {
        let record_size = match metadata.record_size {
            24 => RecordSize::Bits24,
            28 => RecordSize::Bits28,
            _ => RecordSize::Bits32,
        };
        let has_v6 = metadata.ip_version == 6;
        let mut tree = Self {
            nodes: metadata.node_count,
            record_size,
            has_v6,
            v4: Box::default(),
            v6: Box::default(),
        };
        let start = if has_v6 { tree.walk(file, 0, 0, V4_DEPTH) } else { 0 };
        tree.v4 = tree.index(file, start, V4_BITS);
        if has_v6 {
            let start = tree.walk(file, 0, V6_PREFIX << (128 - V6_PREFIX_BITS), V6_PREFIX_BITS);
            tree.v6 = tree.index(file, start, V6_BITS);
        }
        tree
    }

    /// The start of a search for an address.
    #[inline]
    pub(super) fn search(&self, address: IpAddr) -> Search {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                let reference = self.v4[(bits >> (32 - V4_BITS)) as usize];
                let rest = u128::from(bits << V4_BITS) << V4_DEPTH;
                Search { rest, reference, depth: 32 - V4_BITS }
            }
            IpAddr::V6(_) if !self.has_v6 => Search { rest: 0, reference: self.nodes, depth: 0 },
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                if bits >> (128 - V6_PREFIX_BITS) != V6_PREFIX {
                    return Search { rest: bits, reference: 0, depth: 128 };
                }
                let rest = bits << V6_PREFIX_BITS;
                let reference = self.v6[(rest >> (128 - V6_BITS)) as usize];
                Search { rest: rest << V6_BITS, reference, depth: 128 - V6_PREFIX_BITS - V6_BITS }
            }
        }
    }

    /// Completes searches, all of them step by step: the processor waits for the memory of many at a time. `open` is
    /// empty memory.
    pub(super) fn complete(&self, file: &[u8], searches: &mut [Search], open: &mut Vec<usize>) {
        open.clear();
        open.extend(0..searches.len());
        let mut count = open.len();
        while count > 0 {
            let mut still_open = 0;
            for at in 0..count {
                let index = open[at];
                let search = &mut searches[index];
                self.step(file, search);
                // Without a branch: whether a search ends cannot be predicted.
                open[still_open] = index;
                still_open += usize::from(search.reference < self.nodes && search.depth > 0);
            }
            count = still_open;
        }
    }

    /// The result of a complete search, the data of the address's network: a number that no other data of the file has.
    #[inline]
    pub(super) fn found(&self, search: &Search) -> Option<Reference> {
        (search.reference > self.nodes).then_some(search.reference)
    }

    /// Passes the first address of each network with data to `take`, together with the data, as in [`Self::found`]. Follows
    /// every node once, on the first way to it: other ways are aliases, and without end in a hostile tree.
    pub(super) fn networks(&self, file: &[u8], mut take: impl FnMut(Reference, IpAddr)) {
        let longest = if self.has_v6 { 128 } else { 32 };
        let mut is_known = vec![0_u64; (self.nodes / u64::BITS) as usize + 1];
        let mut open = vec![(0, 0_u128, 0)];
        while let Some((reference, bits, depth)) = open.pop() {
            if reference > self.nodes {
                take(reference, self.address(bits));
            } else if reference < self.nodes && depth < longest {
                let known = &mut is_known[(reference / u64::BITS) as usize];
                let bit = 1 << (reference % u64::BITS);
                if *known & bit == 0 {
                    *known |= bit;
                    let [left, right] = self.children(file, reference);
                    open.push((right, bits | 1 << (127 - depth), depth + 1));
                    open.push((left, bits, depth + 1));
                }
            }
        }
    }

    /// The address with these bits, from the top.
    fn address(&self, bits: u128) -> IpAddr {
        if self.has_v6 {
            Ipv6Addr::from(bits).into()
        } else {
            Ipv4Addr::from((bits >> 96) as u32).into()
        }
    }

    /// Follows one bit, unless the reference is no node.
    #[inline]
    fn step(&self, file: &[u8], search: &mut Search) {
        let is_node = search.reference < self.nodes && search.depth > 0;
        // Some node if it is none, so that there is no branch.
        let node = search.reference.min(self.nodes.saturating_sub(1));
        let [left, right] = self.children(file, node);
        let next = if search.rest >> 127 == 0 { left } else { right };
        search.reference = if is_node { next } else { search.reference };
        search.rest <<= 1;
        search.depth = search.depth.saturating_sub(1);
    }

    /// Follows so many bits from a reference on, at most to the first that is no node.
    #[inline]
    fn walk(&self, file: &[u8], mut reference: Reference, mut bits: u128, depth: u32) -> Reference {
        for _ in 0..depth {
            if reference >= self.nodes {
                break;
            }
            let [left, right] = self.children(file, reference);
            reference = if bits >> 127 == 0 { left } else { right };
            bits <<= 1;
        }
        reference
    }

    /// The references below a start by the next bits, in the order of the bits.
    fn index(&self, file: &[u8], start: Reference, bits: u32) -> Box<[Reference]> {
        let mut references = vec![start];
        for _ in 0..bits {
            let children = |&reference: &Reference| match reference {
                node if node < self.nodes => self.children(file, node),
                other => [other; 2],
            };
            references = references.iter().flat_map(children).collect();
        }
        references.into()
    }

    /// Both records of a node; references to nothing if the file ends before.
    #[inline]
    fn children(&self, file: &[u8], node: Reference) -> [Reference; 2] {
        let position = self.record_size.position(node);
        // A separator of 16 bytes follows the last node.
        let Some(bytes) = file.get(position..).and_then(<[u8]>::first_chunk) else {
            return [self.nodes; 2];
        };
        self.record_size.split(u64::from_be_bytes(*bytes))
    }
}

impl RecordSize {
    /// The position of a node in the file.
    #[inline]
    fn position(self, node: Reference) -> usize {
        let size = match self {
            Self::Bits24 => 6,
            Self::Bits28 => 7,
            Self::Bits32 => 8,
        };
        size * node as usize
    }

    /// The records of a node in the first bytes of this word.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a record has at most 32 bits")]
    fn split(self, word: u64) -> [Reference; 2] {
        match self {
            Self::Bits24 => [(word >> 40) as u32, (word >> 16) as u32 & 0x00ff_ffff],
            // The byte in the middle has the highest bits of both.
            Self::Bits28 => {
                let highest = (word >> 12) as u32 & 0x0f00_0000;
                [highest | (word >> 40) as u32, (word >> 8) as u32 & 0x0fff_ffff]
            }
            Self::Bits32 => [(word >> 32) as u32, word as u32],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use maxminddb::{Reader, WithinOptions};
    use proptest::prelude::*;

    use super::*;
    use crate::geoip::{embedded, file::tests::data};

    /// Bytes between the nodes and the data.
    const SEPARATOR: usize = 16;

    /// Both ends of up to so many networks, and the addresses next to them.
    fn ends(reader: &Reader<Vec<u8>>, networks: usize) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        let found = reader.networks(WithinOptions::default()).unwrap();
        for network in found.take(networks) {
            let network = network.unwrap().network().unwrap();
            match (network.network(), network.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    let (first, last) = (first.to_bits(), last.to_bits());
                    let bits = [first, last, first.wrapping_sub(1), last.wrapping_add(1)];
                    addresses.extend(bits.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))));
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    let (first, last) = (first.to_bits(), last.to_bits());
                    let bits = [first, last, first.wrapping_sub(1), last.wrapping_add(1)];
                    addresses.extend(bits.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
                }
                _ => panic!("{network}"),
            }
        }
        addresses
    }

    fn check(tree: &SearchTree, file: &[u8], reader: &Reader<Vec<u8>>, address: IpAddr) {
        let mut searches = [tree.search(address)];
        tree.complete(file, &mut searches, &mut Vec::new());
        let found = tree.found(&searches[0]).map(|data| data as usize);
        let expect = match reader.lookup(address) {
            Ok(record) => record.offset(),
            Err(_) => None,
        };
        let nodes = reader.metadata().node_count as usize;
        assert_eq!(found, expect.map(|offset| offset + nodes + SEPARATOR), "{address}");
    }

    #[test]
    fn it_finds_the_data_that_the_reader_finds() {
        for name in [
            "GeoIP2-City-Test.mmdb",
            "GeoIP2-Country-Test.mmdb",
            "GeoLite2-ASN-Test.mmdb",
            "MaxMind-DB-test-ipv4-24.mmdb",
        ] {
            let file = fs::read(data(name)).unwrap();
            let reader = Reader::from_source(file.clone()).unwrap();
            let addresses = ends(&reader, 500);
            assert!(addresses.len() > 10, "{name}");
            let tree = SearchTree::new(&file, reader.metadata());
            for address in addresses {
                check(&tree, &file, &reader, address);
            }
        }
    }

    #[test]
    fn it_finds_the_facts_that_the_reader_finds_in_the_embedded_database() {
        let database = embedded::database().unwrap();
        let mut cache = database.fact_cache();
        let mut different = 0;
        for number in 0..200_000_u32 {
            let v4 = Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b9));
            let v6 = V6_PREFIX << 125 | u128::from(number.wrapping_mul(0x9e37_79b9)) << 93;
            for address in [IpAddr::V4(v4), IpAddr::V6(Ipv6Addr::from_bits(v6))] {
                let facts = database.facts(address, &mut cache);
                assert_eq!(facts, database.decode_facts(address), "{address}");
                different += u32::from(facts.country.is_some());
            }
        }
        assert!(different > 150_000, "{different}");
    }

    #[test]
    fn records_of_every_size_are_split() {
        let split = |size: RecordSize, bytes: [u8; 8]| size.split(u64::from_be_bytes(bytes));
        let bytes = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0];
        assert_eq!(split(RecordSize::Bits24, bytes), [0x0012_3456, 0x0078_9abc]);
        assert_eq!(split(RecordSize::Bits28, bytes), [0x0712_3456, 0x089a_bcde]);
        assert_eq!(split(RecordSize::Bits32, bytes), [0x1234_5678, 0x9abc_def0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10))]

        #[test]
        fn any_address_is_found_as_the_reader_finds_it(
            addresses in prop::collection::vec(any::<(u32, u128)>(), 100),
        ) {
            for name in ["GeoIP2-City-Test.mmdb", "MaxMind-DB-test-ipv4-24.mmdb"] {
                let file = fs::read(data(name)).unwrap();
                let reader = Reader::from_source(file.clone()).unwrap();
                let tree = SearchTree::new(&file, reader.metadata());
                for &(v4, v6) in &addresses {
                    check(&tree, &file, &reader, Ipv4Addr::from_bits(v4).into());
                    check(&tree, &file, &reader, Ipv6Addr::from_bits(v6).into());
                }
            }
        }
    }
}
