//! Rows without the addresses of people: cut to networks, or encrypted so that networks stay networks.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroUsize,
};

use aes::{
    Aes128Enc,
    cipher::{Array, BlockCipherEncrypt, KeyInit},
};
use lru::LruCache;

use super::row::Row;
use crate::event::HardwareAddress;

/// Bytes of a key: 16 for the cipher and 16 for the pad.
pub const KEY_SIZE: usize = 32;

/// Addresses remembered, about two megabytes.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// What becomes of the addresses of a row. Country, city, coordinates and AS number stay: they were
/// looked up before.
#[derive(Debug)]
pub enum Anonymizer {
    /// They stay.
    None,
    /// Cut to the network, as the label `network` has it: IPv4 to 24 bits, IPv6 to 48.
    Truncate,
    /// Encrypted with a key, see [`CryptoPan`].
    CryptoPan(Box<CryptoPan>),
}

impl Anonymizer {
    /// Takes out of a row what it must not keep: both addresses change, and the hardware address goes.
    #[inline]
    pub fn apply(&mut self, row: &mut Row) {
        let hide: &mut dyn FnMut(IpAddr) -> IpAddr = match self {
            Self::None => return,
            Self::Truncate => &mut truncate,
            Self::CryptoPan(cryptopan) => &mut |address| cryptopan.encrypt(address),
        };
        row.source = row.source.map(&mut *hide);
        row.destination = row.destination.map(&mut *hide);
        row.hardware_address = HardwareAddress::default();
    }
}

/// The network of an address. Of a 6to4 address (`2002::/16`, RFC 3056) the network is shorter: its
/// 48 bits would hold a whole IPv4 address.
fn truncate(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (!0 << 8)).into(),
        IpAddr::V6(address) => {
            let kept = if address.segments()[0] == 0x2002 { 16 + 24 } else { 48 };
            Ipv6Addr::from_bits(address.to_bits() & (!0 << (128 - kept))).into()
        }
    }
}

/// Prefix-preserving encryption of addresses (Xu, Fan, Ammar, Moon: "Prefix-Preserving IP Address
/// Anonymization", 2002): two addresses that have their first n bits in common have them in common
/// afterwards as well, and no more than those. One to one; the same key gives the same addresses.
pub struct CryptoPan {
    cipher: Aes128Enc,
    pad: u128,
    remembered: LruCache<IpAddr, IpAddr>,
}

impl CryptoPan {
    /// Encrypts with this key.
    #[must_use]
    pub fn new(key: &[u8; KEY_SIZE]) -> Self {
        let (mut cipher_key, mut pad) = ([0; 16], [0; 16]);
        cipher_key.copy_from_slice(&key[..16]);
        pad.copy_from_slice(&key[16..]);
        let cipher = Aes128Enc::new(&cipher_key.into());
        let mut pad = Array::from(pad);
        cipher.encrypt_block(&mut pad);
        let pad = u128::from_be_bytes(pad.into());
        Self { cipher, pad, remembered: LruCache::new(REMEMBERED) }
    }

    /// The address that stands for this one, of the same IP version.
    pub fn encrypt(&mut self, address: IpAddr) -> IpAddr {
        let Self { cipher, pad, remembered } = self;
        *remembered.get_or_insert(address, || match address {
            IpAddr::V4(address) => {
                let bits = u128::from(address.to_bits()) << 96;
                let mask = one_time_mask::<32>(cipher, *pad, bits);
                #[expect(clippy::cast_possible_truncation, reason = "32 bits of mask")]
                let mask = mask as u32;
                Ipv4Addr::from_bits(address.to_bits() ^ mask).into()
            }
            IpAddr::V6(address) => {
                let mask = one_time_mask::<128>(cipher, *pad, address.to_bits());
                Ipv6Addr::from_bits(address.to_bits() ^ mask).into()
            }
        })
    }
}

/// Without the key.
impl fmt::Debug for CryptoPan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CryptoPan").finish_non_exhaustive()
    }
}

/// The bits that flip those of an address of `BITS` bits, which stand at the top of `address`: the
/// n-th is the first bit of a block that begins with the n bits before it and goes on as the pad.
fn one_time_mask<const BITS: usize>(cipher: &Aes128Enc, pad: u128, address: u128) -> u128 {
    let mut blocks = [Array::from([0; 16]); BITS];
    let mut pad_left = u128::MAX;
    for block in &mut blocks {
        *block = ((address & !pad_left) | (pad & pad_left)).to_be_bytes().into();
        pad_left >>= 1;
    }
    // All at once: the processor works at several blocks at a time.
    cipher.encrypt_blocks(&mut blocks);
    blocks.iter().fold(0, |mask, block| mask << 1 | u128::from(block[0] >> 7))
}

/// A key that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key is 64 hexadecimal digits or 32 raw bytes, and this is {found}; \
     make one with: openssl rand -hex 32 > FILE"
)]
pub struct KeyError {
    /// What it is instead, without the key itself.
    found: String,
}

/// Reads a key file's content: 64 hexadecimal digits, with white space around them, or 32 raw bytes.
///
/// # Errors
/// It is neither, or half a key.
pub fn key_from_text(text: &[u8]) -> Result<[u8; KEY_SIZE], KeyError> {
    let digits = text.trim_ascii();
    let all_digits = digits.iter().all(u8::is_ascii_hexdigit);
    if all_digits && digits.len() == 2 * KEY_SIZE {
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
        let mut key = [0; KEY_SIZE];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            #[expect(clippy::cast_possible_truncation, reason = "two digits below 16")]
            let number = (value(pair[0]) << 4 | value(pair[1])) as u8;
            *byte = number;
        }
        return Ok(key);
    }
    // Random bytes are no digits: 32 digits are a key of half the length.
    if all_digits {
        return Err(KeyError { found: format!("{} hexadecimal digits", digits.len()) });
    }
    text.try_into().map_err(|_| KeyError { found: format!("{} bytes", text.len()) })
}

#[cfg(test)]
mod tests;
