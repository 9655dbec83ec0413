//! The cache of answers by address, where asking the databases costs more.

use std::{net::IpAddr, num::NonZeroUsize};

use lru::LruCache;

/// A cache of answers for databases of `size` bytes in all, where asking costs more than remembering.
///
/// Asking walks a search tree. If the tree stays in the processor's cache, that takes about 80 ns,
/// and the cache would cost as much again on a miss; in a city database of 60 MB it takes
/// about 400 ns, and most packets come from few sources.
pub(super) fn answers<T>(size: usize) -> Option<LruCache<IpAddr, T>> {
    /// Databases of more bytes than this do not stay in the processor's cache.
    const LARGE: usize = 16 << 20;
    (size > LARGE).then(|| LruCache::new(ANSWERS))
}

/// Addresses in the cache of answers: about a megabyte.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
