//! Shared by all configuration sections: the trait that they implement, their rules, and units of values.

#[cfg(test)]
pub mod testing;
mod text;
pub mod units;

use std::{collections::HashSet, fmt::Display, hash::Hash};

pub use text::deserialize_text;

/// Minimum similarity (Jaro-Winkler, 0 to 1) of a suggestion.
const MIN_SIMILARITY: f64 = 0.75;

/// A section of the configuration, owned by the part that it configures.
pub trait ConfigSection {
    /// Checks the section against all its rules; returns the invalid settings.
    fn validate(&self) -> Vec<InvalidSetting>;
}

/// A setting that breaks a rule. Has no location yet: the section does not know whether a file or a flag set it.
#[derive(Debug)]
pub struct InvalidSetting {
    /// The key, with dots. The key of a family has the family's name instead of its index.
    pub key: String,
    /// What is wrong, and which values are valid. Follows the key in the message.
    pub reason: String,
}

impl InvalidSetting {
    /// An invalid value of `key`.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}

/// The result of one rule.
pub type RuleResult = Result<(), InvalidSetting>;

/// Collects the errors of rules.
pub fn broken(rules: impl IntoIterator<Item = RuleResult>) -> Vec<InvalidSetting> {
    rules.into_iter().filter_map(Result::err).collect()
}

/// Rejects the value of `key`. The reason follows the key in the message.
///
/// # Errors
/// Always.
pub fn reject(key: impl Into<String>, reason: impl Into<String>) -> RuleResult {
    Err(InvalidSetting::new(key, reason))
}

/// Checks that a list has at most `max` entries and no duplicate.
///
/// # Errors
/// The list has more entries, or a duplicate.
pub fn check_list<T: Eq + Hash + Display>(
    key: &str,
    values: impl ExactSizeIterator<Item = T>,
    max: usize,
) -> RuleResult {
    if values.len() > max {
        return reject(key, format!("has {} entries; use {max} at most", values.len()));
    }
    match duplicate(values) {
        Some(value) => reject(key, format!("has {value} twice; remove the duplicate")),
        None => Ok(()),
    }
}

/// The first value that occurs a second time.
pub fn duplicate<T: Eq + Hash>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    values.into_iter().find_map(|value| seen.replace(value))
}

/// Suggests a valid name instead of `name`: the most similar one, or all of them if none is similar.
#[must_use]
pub fn suggestion(name: &str, valid: &[&str]) -> String {
    let similarity = |to: &str| strsim::jaro_winkler(&name.to_lowercase(), to);
    match valid.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b))) {
        Some(nearest) if similarity(nearest) >= MIN_SIMILARITY => {
            format!("did you mean {nearest}?")
        }
        _ => format!("valid names: {}", valid.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_suggested_and_otherwise_all_names() {
        let valid = ["groups", "copy_range"];
        assert_eq!(suggestion("group", &valid), "did you mean groups?");
        assert_eq!(suggestion("COPY_RNAGE", &valid), "did you mean copy_range?");
        assert_eq!(suggestion("x", &valid), "valid names: groups, copy_range");
        assert_eq!(suggestion("", &[]), "valid names: ");
    }

    #[test]
    fn a_list_has_a_maximum_and_no_duplicate() {
        let check =
            |values: &[u8]| check_list("k", values.iter(), 3).err().map(|error| error.reason);
        assert_eq!(check(&[]), None);
        assert_eq!(check(&[1, 2, 3]), None);
        assert_eq!(check(&[1, 2, 3, 4]).unwrap(), "has 4 entries; use 3 at most");
        assert_eq!(check(&[1, 2, 1]).unwrap(), "has 1 twice; remove the duplicate");
    }
}
