//! Counts rows by the reason why they were not copied, or not as they are.

use std::collections::BTreeMap;

/// Maximum number of reasons: the text of a database can have values of the row.
const MAX_REASONS: usize = 20;

/// The reason of rows whose own reason is not kept.
const OTHER: &str = "other reasons";

/// Numbers of rows by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    /// Adds rows with a reason.
    pub(super) fn add(&mut self, reason: impl Into<String>, rows: u64) {
        let reason = reason.into();
        let is_kept = self.0.len() < MAX_REASONS || self.0.contains_key(&reason);
        *self.0.entry(if is_kept { reason } else { OTHER.to_owned() }).or_default() += rows;
    }

    /// Adds the rows of others.
    pub(super) fn extend(&mut self, others: Self) {
        for (reason, rows) in others.0 {
            self.add(reason, rows);
        }
    }

    /// The reasons with their numbers of rows.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, rows)| (reason.as_str(), *rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_reasons_is_limited() {
        let mut reasons = Reasons::default();
        for row in 0..1_000 {
            reasons.add(format!("row {row}"), 1);
            reasons.add("frequent", 2);
        }
        let found: BTreeMap<_, _> = reasons.iter().collect();
        assert_eq!(found.len(), MAX_REASONS + 1);
        assert_eq!((found["row 0"], found["frequent"]), (1, 2_000));
        assert_eq!(found[OTHER], 1_000 - (MAX_REASONS as u64 - 1));
    }
}
