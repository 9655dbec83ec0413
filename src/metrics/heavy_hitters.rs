//! A small frequency sketch: which folded keys come often.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005) in buckets: a key's hash picks a bucket of
//! eight entries, and within the bucket the lightest entry makes way for a newcomer, which takes
//! over its count as its possible error. So `count - error <= true count <= count`, in constant
//! time and without an allocation, and a key that makes up more than an eighth of its bucket's
//! stream is always there. The hash is seeded, so nobody outside can aim at a bucket.

use super::Key;

const WAYS: usize = 8;
const BUCKETS: usize = 64;

/// The sketch: at most 512 keys, about 40 KiB.
#[derive(Clone, Debug)]
pub struct Sketch {
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

/// A key that came often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub key: Key,
    /// How often it came at least, recent packets weighing more.
    pub weight: u32,
}

impl Default for Sketch {
    fn default() -> Self {
        let bucket =
            Bucket { counts: [0; WAYS], errors: [0; WAYS], hashes: [0; WAYS], keys: [None; WAYS] };
        Self { buckets: vec![bucket; BUCKETS].into() }
    }
}

impl Sketch {
    /// Counts one packet of a key with this hash.
    pub fn offer(&mut self, hash: u64, key: &Key) {
        // The low bits pick the place in the series table, the middle ones the bucket here.
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

    /// The keys that came at least `least` times for certain, the heaviest first.
    #[must_use]
    pub fn candidates(&self, least: u32) -> Vec<Candidate> {
        let mut candidates: Vec<_> = self
            .buckets
            .iter()
            .flat_map(|bucket| {
                let weights = bucket.counts.iter().zip(&bucket.errors).map(|(c, e)| c - e);
                bucket.keys.iter().zip(weights)
            })
            .filter_map(|(key, weight)| key.map(|key| Candidate { key, weight }))
            .filter(|candidate| candidate.weight >= least)
            .collect();
        candidates.sort_unstable_by(|a, b| b.weight.cmp(&a.weight).then(a.key.cmp(&b.key)));
        candidates
    }

    /// Every key in it.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.buckets.iter().flat_map(|bucket| bucket.keys.iter().flatten())
    }

    /// Forgets a key: it was admitted.
    pub fn forget(&mut self, key: &Key) {
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

    /// Lets all counts fade, as [`super::aggregate::fade`] does.
    pub fn fade(&mut self) {
        for bucket in &mut self.buckets {
            for way in 0..WAYS {
                let weight = super::aggregate::fade(bucket.counts[way] - bucket.errors[way]);
                bucket.errors[way] = super::aggregate::fade(bucket.errors[way]);
                bucket.counts[way] = bucket.errors[way] + weight;
                if bucket.counts[way] == 0 {
                    bucket.keys[way] = None;
                }
            }
        }
    }
}
