//! Removes personal addresses from rows: truncates them to networks, or encrypts them and keeps prefixes.

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

/// Size of the cache of encrypted addresses, about 2 MB.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// How the addresses of a row change. Country, city, coordinates and AS number are looked up before and
/// stay.
#[derive(Debug)]
pub enum Anonymizer {
    /// Not changed.
    None,
    /// Truncated to the network, as in the label `network`: IPv4 to 24 bits, IPv6 to 48.
    Truncate,
    /// Encrypted with a key, see [`CryptoPan`].
    CryptoPan(Box<CryptoPan>),
}

impl Anonymizer {
    /// Whether several addresses can become the same one.
    #[must_use]
    pub fn joins_addresses(&self) -> bool {
        matches!(self, Self::Truncate)
    }

    /// Changes both IP addresses of a row, and removes its hardware address.
    #[inline]
    pub fn apply(&mut self, row: &mut Row) {
        if matches!(self, Self::None) {
            return;
        }
        row.source = row.source.map(|address| self.hide(address));
        row.destination = row.destination.map(|address| self.hide(address));
        row.hardware_address = HardwareAddress::default();
    }

    /// The address that replaces an address, of the same IP version.
    #[inline]
    pub fn hide(&mut self, address: IpAddr) -> IpAddr {
        match self {
            Self::None => address,
            Self::Truncate => truncate(address),
            Self::CryptoPan(cryptopan) => cryptopan.encrypt(address),
        }
    }
}

/// The network of an address. A 6to4 address (`2002::/16`, RFC 3056) keeps 40 bits: 48 bits would contain
/// a whole IPv4 address.
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
/// Anonymization", 2002): two addresses that share exactly their first n bits share exactly n bits after
/// encryption. The mapping is one-to-one, and depends on the key alone.
pub struct CryptoPan {
    cipher: Aes128Enc,
    pad: u128,
    remembered: LruCache<IpAddr, IpAddr>,
}

impl CryptoPan {
    /// Creates the encryption for this key.
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

    /// The encrypted address, of the same IP version.
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

/// Does not show the key.
impl fmt::Debug for CryptoPan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CryptoPan").finish_non_exhaustive()
    }
}

/// The bits to XOR with an address of `BITS` bits, left-aligned in `address`: bit n is the first bit of the
/// encrypted block that has the first n bits of the address, followed by the pad.
fn one_time_mask<const BITS: usize>(cipher: &Aes128Enc, pad: u128, address: u128) -> u128 {
    let mut blocks = [Array::from([0; 16]); BITS];
    let mut pad_left = u128::MAX;
    for block in &mut blocks {
        *block = ((address & !pad_left) | (pad & pad_left)).to_be_bytes().into();
        pad_left >>= 1;
    }
    // Encrypted together: the processor pipelines several blocks.
    cipher.encrypt_blocks(&mut blocks);
    blocks.iter().fold(0, |mask, block| mask << 1 | u128::from(block[0] >> 7))
}

/// An invalid key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a key of 64 hexadecimal digits or 32 raw bytes, found {found}; \
     make one with: openssl rand -hex 32 > FILE"
)]
pub struct KeyError {
    /// The kind and length of the content, without the key itself.
    found: String,
}

/// Parses the content of a key file: 64 hexadecimal digits, white space around them ignored, or 32 raw bytes.
///
/// # Errors
/// Any other content, such as half a key.
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
    // 32 random bytes are practically never all digits: 32 digits are half a key.
    if all_digits {
        return Err(KeyError { found: format!("{} hexadecimal digits", digits.len()) });
    }
    text.try_into().map_err(|_| KeyError { found: format!("{} bytes", text.len()) })
}

#[cfg(test)]
mod tests;
