//! A recorded datagram of the kernel, and copies of it whose packets have other sources.

use std::net::Ipv4Addr;

use nflog_exporter::source::nflog;

/// 100 packets in one batch.
pub const DATAGRAM: &[u8] = include_bytes!("../../tests/data/nflog/100-packets.bin");

/// Packets of the datagram.
pub const PACKETS: usize = 100;

/// Number of different sources in all copies.
pub const SOURCES: u32 = 100_000;

/// Distinct addresses, spread over the address space as random ones are: by the finalizer of 32-bit `MurmurHash3`, which
/// gives each number another one. A progression would suit some hash tables better than real addresses do.
pub fn source(number: u32) -> Ipv4Addr {
    let mut bits = number % SOURCES + 1;
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    Ipv4Addr::from_bits(bits ^ (bits >> 16))
}

/// A thousand copies of the datagram, each packet with another source.
pub fn datagrams() -> Vec<Vec<u8>> {
    let base = DATAGRAM.as_ptr() as usize;
    let mut offsets = Vec::new();
    nflog::walk(DATAGRAM, |packet| {
        // The offset of the IPv4 source address in the datagram.
        offsets.push(packet.payload.as_ptr() as usize - base + 12);
    });
    assert_eq!(offsets.len(), PACKETS);
    (0..SOURCES / 100)
        .map(|number| {
            let mut datagram = DATAGRAM.to_vec();
            for (index, offset) in offsets.iter().enumerate() {
                let address = source(number * 100 + u32::try_from(index).unwrap());
                datagram[*offset..offset + 4].copy_from_slice(&address.octets());
            }
            datagram
        })
        .collect()
}
