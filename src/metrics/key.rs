//! The key of a series: label values as numbers, and how a key folds.

use super::{Dimension, MAX_LABELS, dimension};
use crate::event::{Event, UsedNames};

/// The label values of a series, in the order of its family's labels; unused values are 0.
///
/// A key is hashed and compared value by value, because it is looked up right after it was written value by value: a
/// wide load of the values just written would stall until all stores are complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u64; MAX_LABELS]);

impl Key {
    /// The first value, of which a key has at least one.
    #[must_use]
    #[inline]
    pub fn first(&self) -> u64 {
        self.0[0]
    }

    /// Sets one value.
    #[inline]
    pub fn set(&mut self, label: usize, value: u64) {
        self.0[label] = value;
    }

    /// Creates a key of these values, in the order of a family's labels.
    ///
    /// # Panics
    /// If there are more than [`MAX_LABELS`] values.
    #[must_use]
    pub fn new(values: &[u64]) -> Self {
        let mut all = [0; MAX_LABELS];
        all[..values.len()].copy_from_slice(values);
        Self(all)
    }

    /// The full key of an event in a family with these labels.
    #[must_use]
    pub fn of(labels: &[Dimension], event: &Event) -> Self {
        let mut values = [0; MAX_LABELS];
        for (value, label) in values.iter_mut().zip(labels) {
            *value = label.value(event);
        }
        Self(values)
    }

    /// The key of a family's last rung: every label is `other`.
    #[must_use]
    pub fn last_rung(labels: usize) -> Self {
        let mut values = [0; MAX_LABELS];
        values[..labels].fill(dimension::OTHER);
        Self(values)
    }

    /// Folds one label to `other`.
    pub fn fold(&mut self, label: usize) {
        self.0[label] = dimension::OTHER;
    }

    /// Whether the first `labels` values are equal to those of another key.
    #[must_use]
    pub fn is(&self, other: &Self, labels: usize) -> bool {
        (0..labels).all(|label| self.0[label] == other.0[label])
    }

    /// The key's rung of the ladder: the number of trailing labels that are `other`.
    #[must_use]
    pub fn rung(&self, labels: usize) -> usize {
        self.0[..labels].iter().rev().take_while(|&&value| value == dimension::OTHER).count()
    }

    /// Marks the names that its values refer to, in a family with these labels.
    pub fn mark_names(&self, labels: &[Dimension], used: &mut UsedNames) {
        for (label, value) in labels.iter().zip(self.0) {
            if let Some(id) = label.name_id(value) {
                used.mark(id);
            }
        }
    }

    /// The values in use, in the order of the family's labels.
    #[must_use]
    pub fn values(&self, labels: usize) -> &[u64] {
        &self.0[..labels]
    }
}
