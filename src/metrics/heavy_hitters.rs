//! The heavy hitters among folded keys, found by a frequency sketch of fixed size.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005) in buckets: a key's hash selects a bucket of eight entries. A
//! new key replaces the entry with the lowest count of its bucket and starts with that count as its possible error.
//! So `count - error <= true count <= count`. An update takes constant time and does not allocate, and a key with
//! more than an eighth of its bucket's packets is always present. The hash is seeded, so that an attacker cannot
//! choose the bucket of a key.

use super::Key;

const WAYS: usize = 8;
const BUCKETS: usize = 64;

/// The keys with the highest counts: at most 512 keys, about 40 KiB.
#[derive(Clone, Debug)]
pub struct HeavyHitters {
    buckets: Box<[Bucket]>,
}

#[derive(Clone, Debug)]
struct Bucket {
    /// 0 marks an empty entry.
    counts: [u32; WAYS],
    errors: [u32; WAYS],
    hashes: [u64; WAYS],
    keys: [Option<Key>; WAYS],
}

/// A folded key with many packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub key: Key,
    /// Lower bound of its packets, which decays over time.
    pub weight: u32,
}

impl Default for HeavyHitters {
    fn default() -> Self {
        let bucket =
            Bucket { counts: [0; WAYS], errors: [0; WAYS], hashes: [0; WAYS], keys: [None; WAYS] };
        Self { buckets: vec![bucket; BUCKETS].into() }
    }
}

impl HeavyHitters {
    /// Counts one packet of a key with this hash.
    pub fn offer(&mut self, hash: u64, key: &Key) {
        // The low bits select the slot in the series table, the middle ones the bucket here.
        let bucket = &mut self.buckets[(hash >> 32) as usize % BUCKETS];
        let mut lightest = 0;
        for way in 0..WAYS {
            if bucket.hashes[way] == hash && bucket.counts[way] != 0 {
                bucket.counts[way] = bucket.counts[way].saturating_add(1);
                return;
            }
            if bucket.counts[way] < bucket.counts[lightest] {
                lightest = way;
            }
        }
        bucket.errors[lightest] = bucket.counts[lightest];
        bucket.counts[lightest] = bucket.counts[lightest].saturating_add(1);
        bucket.hashes[lightest] = hash;
        bucket.keys[lightest] = Some(*key);
    }

    /// The keys whose lower bound is at least `minimum`, the heaviest first.
    #[must_use]
    pub fn candidates(&self, minimum: u32) -> Vec<Candidate> {
        let mut candidates: Vec<_> = self
            .buckets
            .iter()
            .flat_map(|bucket| {
                let weights = bucket.counts.iter().zip(&bucket.errors).map(|(c, e)| c - e);
                bucket.keys.iter().zip(weights)
            })
            .filter_map(|(key, weight)| key.map(|key| Candidate { key, weight }))
            .filter(|candidate| candidate.weight >= minimum)
            .collect();
        candidates.sort_unstable_by(|a, b| b.weight.cmp(&a.weight).then(a.key.cmp(&b.key)));
        candidates
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.buckets.iter().flat_map(|bucket| bucket.keys.iter().flatten())
    }

    /// Removes a key that now has a series.
    pub fn remove(&mut self, key: &Key) {
        for bucket in &mut self.buckets {
            for way in 0..WAYS {
                if bucket.keys[way].as_ref() == Some(key) {
                    bucket.keys[way] = None;
                    bucket.counts[way] = 0;
                    bucket.errors[way] = 0;
                }
            }
        }
    }

    /// Applies [`decay`] to all counts.
    pub fn decay(&mut self) {
        for bucket in &mut self.buckets {
            for way in 0..WAYS {
                let weight = decay(bucket.counts[way] - bucket.errors[way]);
                bucket.errors[way] = decay(bucket.errors[way]);
                bucket.counts[way] = bucket.errors[way] + weight;
                if bucket.counts[way] == 0 {
                    bucket.keys[way] = None;
                }
            }
        }
    }
}

/// Decays a weight by an eighth, rounded up: a half-life of about five ticks.
pub fn decay(weight: u32) -> u32 {
    weight - weight.div_ceil(8)
}
