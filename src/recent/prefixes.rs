//! Which prefixes the latest minutes go on referring to when the table of names is full.

use crate::{
    event::{MAX_PREFIXES, UsedNames},
    metrics::Dimension,
};

/// Most prefixes that the latest minutes keep from being evicted: else those of the newest 65,536 packets, which
/// on a quiet host are of many days, could fill the table.
pub(super) const MOST: usize = MAX_PREFIXES / 4;

/// The prefixes that are kept: those of others, and the first [`MOST`] that were asked for.
#[derive(Debug)]
pub(super) struct KeptPrefixes<'a> {
    /// Those that something refers to.
    used: &'a mut UsedNames,
    /// Those that were asked for.
    own: UsedNames,
    left: usize,
}

impl<'a> KeptPrefixes<'a> {
    pub(super) fn new(used: &'a mut UsedNames) -> Self {
        Self { used, own: UsedNames::default(), left: MOST }
    }

    /// Whether a value of the prefix is kept; it is then in use.
    pub(super) fn keep(&mut self, value: u64) -> bool {
        let Some(id) = Dimension::Prefix.name_id(value) else { return true };
        if self.own.contains(id) || self.left == 0 {
            return self.used.contains(id);
        }
        self.own.mark(id);
        self.used.mark(id);
        self.left -= 1;
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
