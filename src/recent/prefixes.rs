//! Limits the prefixes that the latest minutes keep when the table of names is full.

use crate::{
    event::{MAX_PREFIXES, UsedNames},
    metrics::Dimension,
};

/// Maximum number of prefixes that the latest minutes keep from eviction. Without a limit, the prefixes of the
/// newest 65,536 packets, which a quiet host receives in many days, could fill the table.
pub(super) const MAX_KEPT: usize = MAX_PREFIXES / 4;

/// The kept prefixes: those that other parts use, and the first [`MAX_KEPT`] of the latest minutes.
#[derive(Debug)]
pub(super) struct KeptPrefixes<'a> {
    /// All names in use.
    used: &'a mut UsedNames,
    /// The prefixes of the latest minutes that are kept.
    own: UsedNames,
    remaining: usize,
}

impl<'a> KeptPrefixes<'a> {
    pub(super) fn new(used: &'a mut UsedNames) -> Self {
        Self { used, own: UsedNames::default(), remaining: MAX_KEPT }
    }

    /// Whether a value of the prefix is kept. Marks it as used if it is.
    pub(super) fn keep(&mut self, value: u64) -> bool {
        let Some(id) = Dimension::Prefix.name_id(value) else { return true };
        if self.own.contains(id) || self.remaining == 0 {
            return self.used.contains(id);
        }
        self.own.mark(id);
        self.used.mark(id);
        self.remaining -= 1;
        true
    }

    /// Whether all of these are kept. They are asked for in the order of their values, not in that of a map.
    pub(super) fn keep_all(&mut self, values: impl Iterator<Item = u64>) -> bool {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        values.dedup();
        values.into_iter().all(|value| self.keep(value))
    }
}
