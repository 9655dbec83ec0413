//! gzip, for whoever accepts it.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

/// Compresses a text. What goes out once takes [`Compression::fast`].
pub(super) fn compress(text: &str, level: Compression) -> Vec<u8> {
    // Metrics text shrinks to a tenth and less, the files of the page to a third.
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), level);
    // A vector takes every byte.
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}
