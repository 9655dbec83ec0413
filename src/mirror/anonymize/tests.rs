//! Published vectors, properties of the encryption, and the fields of anonymised rows.

use proptest::prelude::{any, proptest};

use super::*;
use crate::{
    event::Names,
    mirror::row_builder::{
        RowBuilder,
        tests::{SYN, event, geoip, packet},
    },
    networks::Networks,
};

/// Key of the sample in the authors' own distribution of Crypto-PAn.
const KEY: [u8; KEY_SIZE] = [
    21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131, 121,
    121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
];

fn encrypted(cryptopan: &mut CryptoPan, address: &str, expect: &str) {
    let address = address.parse().unwrap();
    // The second time from the cache.
    for _ in 0..2 {
        assert_eq!(cryptopan.encrypt(address).to_string(), expect, "{address}");
    }
}

/// From the sample trace of that distribution.
#[test]
fn the_published_ipv4_sample() {
    let mut cryptopan = CryptoPan::new(&KEY);
    encrypted(&mut cryptopan, "128.11.68.132", "135.242.180.132");
    encrypted(&mut cryptopan, "129.118.74.4", "134.136.186.123");
    encrypted(&mut cryptopan, "130.132.252.244", "133.68.164.234");
    encrypted(&mut cryptopan, "141.223.7.43", "141.167.8.160");
    encrypted(&mut cryptopan, "152.163.225.39", "151.140.114.167");
    encrypted(&mut cryptopan, "192.102.249.13", "252.138.62.131");
    encrypted(&mut cryptopan, "198.26.132.101", "249.36.123.202");
    encrypted(&mut cryptopan, "216.32.132.250", "235.192.139.38");
    encrypted(&mut cryptopan, "24.0.250.221", "100.15.198.226");
    encrypted(&mut cryptopan, "4.3.88.225", "124.60.155.63");
    encrypted(&mut cryptopan, "64.39.15.238", "0.219.7.41");
    encrypted(&mut cryptopan, "10.185.25.118", "117.161.29.118");
}

/// Values of other implementations of the same method: the sample has no IPv6.
#[test]
fn ipv6_matches_other_implementations() {
    let mut cryptopan = CryptoPan::new(&KEY);
    encrypted(&mut cryptopan, "::1", "78ff:f001:9fc0:20df:8380:b1f1:704:ed");
    encrypted(&mut cryptopan, "::2", "78ff:f001:9fc0:20df:8380:b1f1:704:ef");
    encrypted(&mut cryptopan, "::ffff", "78ff:f001:9fc0:20df:8380:b1f1:704:f838");
    encrypted(&mut cryptopan, "2001:db8::1", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e");
    encrypted(&mut cryptopan, "2001:db8::2", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c");
}

proptest! {
    /// Shared bits stay shared, and others do not become so. This implies one-to-one: only equal addresses
    /// share all bits.
    #[test]
    fn common_prefixes_of_ipv4_stay(
        key in any::<[u8; KEY_SIZE]>(), address: u32, other: u32, common in 0_u32..=32,
    ) {
        let other = join(address.into(), other.into(), common, 32);
        let other = Ipv4Addr::from_bits(other.try_into().unwrap());
        let address = Ipv4Addr::from_bits(address);
        let mut cryptopan = CryptoPan::new(&key);
        let mut encrypt = |address: Ipv4Addr| match cryptopan.encrypt(address.into()) {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(address) => panic!("{address}"),
        };
        let (before, after) = (address.to_bits() ^ other.to_bits(), encrypt(address) ^ encrypt(other));
        assert_eq!(before.leading_zeros(), after.leading_zeros());
        assert_eq!(CryptoPan::new(&key).encrypt(address.into()), cryptopan.encrypt(address.into()));
    }

    #[test]
    fn common_prefixes_of_ipv6_stay(
        key in any::<[u8; KEY_SIZE]>(), address: u128, other: u128, common in 0_u32..=128,
    ) {
        let other = Ipv6Addr::from_bits(join(address, other, common, 128));
        let address = Ipv6Addr::from_bits(address);
        let mut cryptopan = CryptoPan::new(&key);
        let mut encrypt = |address: Ipv6Addr| match cryptopan.encrypt(address.into()) {
            IpAddr::V6(address) => address.to_bits(),
            IpAddr::V4(address) => panic!("{address}"),
        };
        let (before, after) = (address.to_bits() ^ other.to_bits(), encrypt(address) ^ encrypt(other));
        assert_eq!(before.leading_zeros(), after.leading_zeros());
        assert_eq!(CryptoPan::new(&key).encrypt(address.into()), cryptopan.encrypt(address.into()));
    }
}

/// The first bits of one address and the last of another, which have this many bits.
fn join(first: u128, last: u128, common: u32, bits: u32) -> u128 {
    let low = 1_u128.checked_shl(bits - common).map_or(u128::MAX, |bit| bit - 1);
    first & !low | last & low
}

#[test]
fn addresses_of_a_network_stay_distinct() {
    let mut cryptopan = CryptoPan::new(&KEY);
    let first = u32::from_be_bytes([203, 0, 0, 0]);
    let mut seen: Vec<_> = (first..first + 65_536)
        .map(|bits| cryptopan.encrypt(Ipv4Addr::from_bits(bits).into()))
        .collect();
    assert!(cryptopan.remembered.len() <= REMEMBERED.get());
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 65_536);
}

#[test]
fn another_key_gives_other_addresses() {
    let address = "203.0.113.77".parse().unwrap();
    for place in [0, 15, 16, 31] {
        let mut other = KEY;
        other[place] ^= 1;
        let (one, two) =
            (CryptoPan::new(&KEY).encrypt(address), CryptoPan::new(&other).encrypt(address));
        assert_ne!(one, two, "byte {place} does nothing");
    }
}

fn cut(address: &str, expect: &str) {
    assert_eq!(truncate(address.parse().unwrap()).to_string(), expect);
}

#[test]
fn addresses_are_truncated_to_networks() {
    cut("203.0.113.77", "203.0.113.0");
    cut("255.255.255.255", "255.255.255.0");
    cut("2001:db8:77:1234::1", "2001:db8:77::");
    cut("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::");
    // 203.0.113.77 by 6to4, by NAT64 and mapped.
    cut("2002:cb00:714d:1::1", "2002:cb00:7100::");
    cut("64:ff9b::203.0.113.77", "64:ff9b::");
    cut("::ffff:203.0.113.77", "::");
}

/// Checks the row of a packet from London to 10.0.0.77: addresses change, nothing else does.
fn applied(mut anonymizer: Anonymizer, source: &str, destination: &str, hardware: &[u8]) {
    let mut event = event(&packet("81.2.69.142", "10.0.0.77", 6, &SYN), &geoip());
    event.hardware_address = HardwareAddress::new(&[2, 0, 0, 0, 0, 9]);
    let before =
        RowBuilder::new(Names::default(), Networks::none().locations(geoip().city_lookup()))
            .row(&event, 1);
    let mut row = before.clone();
    anonymizer.apply(&mut row);
    let expect = Row {
        source: source.parse().ok(),
        destination: destination.parse().ok(),
        hardware_address: HardwareAddress::new(hardware),
        ..before
    };
    assert_eq!(row, expect);
    assert_eq!((&*row.country, &*row.city), ("GB", "London"));
}

#[test]
fn rows() {
    let cryptopan = || Box::new(CryptoPan::new(&KEY));
    let encrypt = |address: &str| cryptopan().encrypt(address.parse().unwrap()).to_string();
    applied(Anonymizer::None, "81.2.69.142", "10.0.0.77", &[2, 0, 0, 0, 0, 9]);
    applied(Anonymizer::Truncate, "81.2.69.0", "10.0.0.0", &[]);
    let (source, destination) = (encrypt("81.2.69.142"), encrypt("10.0.0.77"));
    assert_ne!((&*source, &*destination), ("81.2.69.142", "10.0.0.77"));
    applied(Anonymizer::CryptoPan(cryptopan()), &source, &destination, &[]);
}

#[test]
fn a_row_without_addresses_stays_without() {
    let mut row =
        RowBuilder::new(Names::default(), Networks::none().locations(geoip().city_lookup()))
            .row(&event(&[], &geoip()), 1);
    let before = row.clone();
    Anonymizer::CryptoPan(Box::new(CryptoPan::new(&KEY))).apply(&mut row);
    assert_eq!(row, before);
}

const HEX: &str = "1522178d33a4cf80130a5b1649907d10d8988f83797965276257 4c2d2a842202";

/// Checks the key of a file's content, or the error.
fn key(text: &[u8], expect: Result<[u8; KEY_SIZE], &str>) {
    match (key_from_text(text), expect) {
        (Ok(key), Ok(expect)) => assert_eq!(key, expect),
        (Err(error), Err(expect)) => {
            let message = error.to_string();
            assert!(message.contains(&format!("found {expect};")), "{message}");
            assert!(message.contains("openssl rand -hex 32 > FILE"), "{message}");
        }
        (key, _) => panic!("{text:?}: {key:?}"),
    }
}

#[test]
fn keys() {
    let digits = HEX.replace(' ', "");
    key(digits.as_bytes(), Ok(KEY));
    key(format!(" {}\r\n", digits.to_uppercase()).as_bytes(), Ok(KEY));
    key(&KEY, Ok(KEY));
    // Raw bytes may start and end with white space.
    let mut blanks = [7; 32];
    (blanks[0], blanks[31]) = (b'\n', b' ');
    key(&blanks, Ok(blanks));
    key(HEX.as_bytes(), Err("65 bytes"));
    key(b"", Err("0 hexadecimal digits"));
    key(b"\n", Err("0 hexadecimal digits"));
    key(&digits.as_bytes()[..32], Err("32 hexadecimal digits"));
    key(&digits.as_bytes()[..63], Err("63 hexadecimal digits"));
    key(&[7; 31], Err("31 bytes"));
    key(&[7; 33], Err("33 bytes"));
    key(&[b'z'; 64], Err("64 bytes"));
}

#[test]
fn a_key_is_not_shown() {
    let shown = format!("{:?}", Anonymizer::CryptoPan(Box::new(CryptoPan::new(&KEY))));
    assert_eq!(shown, "CryptoPan(CryptoPan { .. })");
}
