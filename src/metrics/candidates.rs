//! The candidates for a series: the heaviest of the folded keys, in a summary of fixed size.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005) in buckets: a key's hash selects a bucket of five entries, one cache line. A new
//! key replaces the entry with the lowest count of its bucket and takes over that count as its possible error. So
//! `weight <= true weight <= weight + error`, and the error is at most a fifth of what the bucket received. Entries
//! hold a tag of the hash, not the key: the key is known when its next packet arrives. The hash is seeded, so that an
//! attacker cannot choose the bucket of a key.

use super::tags;

const WAYS: usize = 5;
const BUCKETS: usize = 8192;

/// The heaviest folded keys: 40,960 entries in 512 KiB.
#[derive(Clone, Debug)]
pub struct Candidates {
    buckets: Box<[Bucket]>,
}

#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// 0 marks an empty entry.
    tags: [u32; WAYS],
    /// Lower bounds of the weights.
    weights: [f32; WAYS],
    errors: [f32; WAYS],
}

impl Bucket {
    /// The entry with the lowest count, which is weight plus error, and that count.
    #[expect(clippy::cast_possible_truncation, reason = "both halves have 32 bits")]
    fn lightest(&self) -> (usize, f32) {
        let mut lightest = u64::MAX;
        for way in 0..WAYS {
            let count = self.weights[way] + self.errors[way];
            // Floats that are not negative have the order of their bits. A minimum of integers needs no branches,
            // which the CPU could not predict.
            lightest = lightest.min((u64::from(count.to_bits()) << 32) | way as u64);
        }
        (lightest as u32 as usize % WAYS, f32::from_bits((lightest >> 32) as u32))
    }
}

impl Default for Candidates {
    fn default() -> Self {
        Self { buckets: vec![Bucket::default(); BUCKETS].into() }
    }
}

impl Candidates {
    /// Adds to the weight of the key with this hash. Returns a lower bound of its weight.
    pub fn add(&mut self, hash: u64, weight: f32) -> f32 {
        let (bucket, tag) = self.entry(hash);
        if let Some(way) = tags::find(&bucket.tags, tag) {
            bucket.weights[way] += weight;
            return bucket.weights[way];
        }
        let (way, count) = bucket.lightest();
        (bucket.tags[way], bucket.weights[way], bucket.errors[way]) = (tag, weight, count);
        weight
    }

    /// Reads what [`Self::add`] reads for this hash, and returns a part of it.
    #[inline]
    #[must_use]
    pub fn touch(&self, hash: u64) -> u64 {
        self.buckets[bucket(hash)].tags[0].into()
    }

    /// Removes the key with this hash, which now has a series. Returns the lower bound of its weight.
    pub fn remove(&mut self, hash: u64) -> f32 {
        let (bucket, tag) = self.entry(hash);
        let Some(way) = tags::find(&bucket.tags, tag) else { return 0.0 };
        let weight = bucket.weights[way];
        (bucket.tags[way], bucket.weights[way], bucket.errors[way]) = (0, 0.0, 0.0);
        weight
    }

    /// Multiplies all weights by this factor.
    pub fn scale(&mut self, factor: f32) {
        for bucket in &mut self.buckets {
            for weight in bucket.weights.iter_mut().chain(&mut bucket.errors) {
                *weight *= factor;
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the tag is a part of the hash")]
    fn entry(&mut self, hash: u64) -> (&mut Bucket, u32) {
        (&mut self.buckets[bucket(hash)], (hash >> 28) as u32 | 1)
    }
}

/// The bucket of a key with this hash.
#[inline]
fn bucket(hash: u64) -> usize {
    // The low and the top bits select the slot in the series table.
    (hash >> 16) as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Spreads small numbers over all bits.
    fn hash(key: u64) -> u64 {
        (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    proptest! {
        #[test]
        fn a_weight_is_a_lower_bound_and_its_error_is_bounded(
            keys in prop::collection::vec(0..40_u64, 1..2000),
        ) {
            let mut candidates = Candidates::default();
            let mut packets: HashMap<u64, f32> = HashMap::new();
            for (step, &key) in (0_u16..).zip(&keys) {
                *packets.entry(key).or_default() += 1.0;
                // All keys in one bucket, with different tags.
                let weight = candidates.add(key << 40, 1.0);
                prop_assert!(weight <= packets[&key]);
                let bucket = &candidates.buckets[0];
                for error in bucket.errors {
                    prop_assert!(error <= (f32::from(step) + 1.0) / 5.0);
                }
                let tag = u32::try_from(key << 12).unwrap() | 1;
                let way = bucket.tags.iter().position(|&other| other == tag).unwrap();
                prop_assert!(packets[&key] <= bucket.weights[way] + bucket.errors[way]);
            }
        }
    }

    #[test]
    fn a_heavy_key_is_kept_in_a_flood_of_keys_with_one_packet() {
        let mut candidates = Candidates::default();
        for key in 0..1_000_000 {
            candidates.add(hash(key), 1.0);
            if key % 100 == 0 {
                candidates.add(hash(u64::MAX - 1), 1.0);
            }
        }
        let weight = candidates.remove(hash(u64::MAX - 1));
        assert!(weight > 9_000.0, "{weight}");
        assert!(candidates.remove(hash(u64::MAX - 1)) == 0.0);
    }

    #[test]
    fn scaling_keeps_the_order() {
        let mut candidates = Candidates::default();
        candidates.add(hash(1), 8.0);
        candidates.add(hash(2), 2.0);
        candidates.scale(0.25);
        assert_eq!((candidates.remove(hash(1)), candidates.remove(hash(2))), (2.0, 0.5));
    }
}
