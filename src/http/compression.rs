//! gzip, for clients that accept it.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

fn gzip(text: &str) -> Vec<u8> {
    // Metrics shrink to a tenth or less.
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    // Writing to a vector does not fail.
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// The bytes of a response that is sent once, without spare capacity.
pub(super) fn encode(text: String, compress: bool) -> Vec<u8> {
    let mut bytes = if compress { gzip(&text) } else { text.into_bytes() };
    bytes.shrink_to_fit();
    bytes
}
