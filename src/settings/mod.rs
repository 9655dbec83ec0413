//! What all configuration sections share: units, and values that a rule rejects.

pub mod units;

use std::{collections::HashSet, fmt::Display, hash::Hash};

/// Minimum similarity (Jaro-Winkler, 0 to 1) of a suggestion.
const MIN_SIMILARITY: f64 = 0.75;

/// A value that a rule rejects, before it is known where the value was given.
#[derive(Debug)]
pub struct InvalidSetting {
    /// The key, with dots; a family is named in place of its index.
    pub key: String,
    /// What is wrong and what would be right; follows the key in the message.
    pub text: String,
}

impl InvalidSetting {
    /// The value of this key is wrong.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }
}

/// The result of one rule.
pub type RuleResult = Result<(), InvalidSetting>;

/// The rules that are broken.
pub fn broken(rules: impl IntoIterator<Item = RuleResult>) -> Vec<InvalidSetting> {
    rules.into_iter().filter_map(Result::err).collect()
}

/// Rejects a value: `text` follows the key in the message.
///
/// # Errors
/// Always.
pub fn reject(key: impl Into<String>, text: impl Into<String>) -> RuleResult {
    Err(InvalidSetting::new(key, text))
}

/// Checks that a list has at most `max` entries and no duplicate.
///
/// # Errors
/// It has more, or a duplicate.
pub fn check_list<T: Eq + Hash + Display>(
    key: &str,
    values: impl ExactSizeIterator<Item = T>,
    max: usize,
) -> RuleResult {
    if values.len() > max {
        return reject(key, format!("has {} entries; name {max} at most", values.len()));
    }
    match duplicate(values) {
        Some(value) => reject(key, format!("has {value} twice; name it once")),
        None => Ok(()),
    }
}

/// The first value that is a duplicate.
pub fn duplicate<T: Eq + Hash>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    values.into_iter().find_map(|value| seen.replace(value))
}

/// What to write instead of `name`: the most similar known name, else all of them.
#[must_use]
pub fn suggestion(name: &str, known: &[&str]) -> String {
    let similarity = |to: &str| strsim::jaro_winkler(&name.to_lowercase(), to);
    match known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b))) {
        Some(nearest) if similarity(nearest) >= MIN_SIMILARITY => {
            format!("did you mean {nearest}?")
        }
        _ => format!("known here: {}", known.join(", ")),
    }
}
