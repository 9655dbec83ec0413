//! A rule that a value broke, before it is known where the value was given; and the nearest right name.

/// Least likeness (Jaro-Winkler, 0 to 1) that is worth a suggestion.
const ALIKE: f64 = 0.75;

/// A rule that a value broke.
#[derive(Debug)]
pub(super) struct Problem {
    /// The key, with dots; a family stands by its name.
    pub(super) key: String,
    /// What is wrong and what would be right; follows the key in the message.
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }
}

/// What to write instead of `name`: the nearest of the known names, else all of them.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    let likeness = |to: &str| strsim::jaro_winkler(&name.to_lowercase(), to);
    match known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(nearest) if likeness(nearest) >= ALIKE => format!("did you mean {nearest}?"),
        _ => format!("known here: {}", known.join(", ")),
    }
}
