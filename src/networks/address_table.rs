//! Ranges of addresses of both IP versions, with values.

use std::net::IpAddr;

use super::{
    range_table::{Range, RangeTable},
    wide_table::WideTable,
};

/// Disjoint ranges of addresses with values.
#[derive(Debug)]
pub(super) struct AddressTable<V> {
    v4: RangeTable<u32, V>,
    v6: WideTable<V>,
}

/// Addresses that are looked up at a time, apart by IP version.
#[derive(Debug, Default)]
pub(super) struct AddressBatch {
    v4: OneVersion<u32>,
    v6: OneVersion<u128>,
}

#[derive(Debug, Default)]
struct OneVersion<A> {
    addresses: Vec<A>,
    /// The number of each address.
    numbers: Vec<usize>,
}

impl<V: Copy> AddressTable<V> {
    /// The table of ranges that are sorted and disjoint.
    pub(super) fn new(v4: Vec<Range<u32, V>>, v6: Vec<Range<u128, V>>) -> Self {
        Self { v4: RangeTable::new(v4), v6: WideTable::new(v6) }
    }

    /// The value of the range that has this address. An IPv4 address that is mapped to IPv6 is one of IPv4.
    pub(super) fn get(&self, address: IpAddr) -> Option<V> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.get(address.to_bits()),
            IpAddr::V6(address) => self.v6.get(address.to_bits()),
        }
    }

    /// Passes the number and the value of each address that has one.
    pub(super) fn get_all(&self, batch: &AddressBatch, mut take: impl FnMut(usize, V)) {
        let AddressBatch { v4, v6 } = batch;
        self.v4.get_all(&v4.addresses, |index, value| take(v4.numbers[index], value));
        self.v6.get_all(&v6.addresses, |index, value| take(v6.numbers[index], value));
    }
}

impl AddressBatch {
    /// Adds an address with a number.
    pub(super) fn add(&mut self, number: usize, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.add(number, address.to_bits()),
            IpAddr::V6(address) => self.v6.add(number, address.to_bits()),
        }
    }

    /// Removes all addresses.
    pub(super) fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
    }
}

impl<A> OneVersion<A> {
    fn add(&mut self, number: usize, address: A) {
        self.addresses.push(address);
        self.numbers.push(number);
    }

    fn clear(&mut self) {
        self.addresses.clear();
        self.numbers.clear();
    }
}
