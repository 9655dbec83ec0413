//! The exporter's embedded country database in the layout that uacctd reads: `country.iso_code`, and not
//! `country_code`. The search tree stays the same, so a look-up costs the same.
//!
//! The format is MaxMind DB 2.0, <https://maxmind.github.io/MaxMind-DB/>.

#[path = "../../../src/geoip/packed_database.rs"]
#[allow(dead_code, unused_imports, reason = "its tests run in the library")]
mod packed_database;

use std::collections::BTreeMap;

const EMBEDDED: &[u8] = include_bytes!("../../../assets/dbip-country-lite.packed");

/// Bytes of zero between the tree and the data.
const SEPARATOR: usize = 16;

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

// The first three bits of a value: its type.
const POINTER: u8 = 1;
const TEXT: u8 = 2;
const MAP: u8 = 7;

/// The converted database.
pub fn geoip2() -> Vec<u8> {
    let bytes = packed_database::unpack(EMBEDDED).unwrap();
    let reader = maxminddb::Reader::from_source(&bytes[..]).unwrap();
    assert_eq!(reader.metadata().record_size, 24, "the embedded database has records of 24 bits");
    let nodes = reader.metadata().node_count as usize;
    let (tree, rest) = bytes.split_at(nodes * 6);
    let marker = rest.windows(MARKER.len()).rposition(|window| window == MARKER).unwrap();
    let (data, metadata) = (&rest[SEPARATOR..marker], &rest[marker..]);

    let mut converted = Vec::new();
    let mut offsets: BTreeMap<[u8; 2], usize> = BTreeMap::new();
    let mut tree = tree.to_vec();
    for record in tree.chunks_exact_mut(3) {
        let value = u32::from_be_bytes([0, record[0], record[1], record[2]]) as usize;
        // Smaller values are nodes, and this one is "no data".
        let Some(offset) = value.checked_sub(nodes + SEPARATOR) else { continue };
        let offset = *offsets.entry(country(data, offset)).or_insert_with_key(|code| {
            let offset = converted.len();
            converted.extend(b"\xe1\x47country\xe1\x48iso_code\x42");
            converted.extend(code);
            offset
        });
        let value = u32::try_from(offset + nodes + SEPARATOR).unwrap();
        record.copy_from_slice(&value.to_be_bytes()[1..]);
    }
    [&tree[..], &[0; SEPARATOR], &converted, metadata].concat()
}

/// The value of `country_code` in the record at an offset.
fn country(data: &[u8], offset: usize) -> [u8; 2] {
    let map = data[offset];
    assert_eq!(map >> 5, MAP, "a record is a map");
    let mut at = offset + 1;
    for _ in 0..map & 0x1f {
        let (key, after) = text(data, at);
        let (value, after) = text(data, after);
        if key == b"country_code" {
            return value.try_into().expect("a code has two letters");
        }
        at = after;
    }
    panic!("the record at {offset} has no country_code")
}

/// The text at an offset, and the offset after it.
fn text(data: &[u8], at: usize) -> (&[u8], usize) {
    let control = data[at];
    match control >> 5 {
        TEXT => {
            let (start, length) = (at + 1, usize::from(control & 0x1f));
            (&data[start..start + length], start + length)
        }
        POINTER => {
            let size = usize::from(control >> 3 & 3);
            assert!(size < 2, "the pointers of a small database have two or three bytes");
            let mut target = usize::from(control & 7);
            for byte in &data[at + 1..at + 2 + size] {
                target = target << 8 | usize::from(*byte);
            }
            (text(data, target + 2048 * size).0, at + 2 + size)
        }
        kind => panic!("a value of type {kind}"),
    }
}
