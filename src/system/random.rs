//! Random numbers that cannot fail: the standard library seeds its hash maps from the operating system.

use std::hash::{BuildHasher, RandomState};

/// A random number that other programs cannot predict.
#[must_use]
pub fn number() -> u64 {
    RandomState::new().hash_one((std::process::id(), std::time::Instant::now()))
}

/// A random id of 128 bits.
#[must_use]
pub fn id() -> [u8; 16] {
    let mut id = [0; 16];
    for half in id.chunks_exact_mut(8) {
        half.copy_from_slice(&number().to_le_bytes());
    }
    id
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_and_ids_do_not_repeat() {
        assert_eq!((0..10_000).map(|_| number()).collect::<HashSet<_>>().len(), 10_000);
        assert_eq!((0..10_000).map(|_| id()).collect::<HashSet<_>>().len(), 10_000);
    }
}
