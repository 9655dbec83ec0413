//! Checks of one configuration section for the unit tests of the part that owns it.

use serde::de::DeserializeOwned;

use super::ConfigSection;

/// Reads the only section of a TOML text and compares its errors, one per line; empty for a valid section.
#[track_caller]
pub fn check_section<S: ConfigSection + DeserializeOwned>(text: &str, expect: &str) {
    assert_eq!(section_errors::<S>(text), expect, "\n{text}");
}

/// The errors of the only section of a TOML text, one per line: `KEY: REASON`, or the reason of a value of the wrong
/// type.
pub fn section_errors<S: ConfigSection + DeserializeOwned>(text: &str) -> String {
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table.len(), 1, "one section: {text}");
    let (_, section) = table.into_iter().next().unwrap();
    match section.try_into::<S>() {
        Ok(section) => {
            let errors = section.validate().into_iter();
            let lines: Vec<_> =
                errors.map(|error| format!("{}: {}", error.key, error.reason)).collect();
            lines.join("\n")
        }
        Err(error) => error.message().to_owned(),
    }
}
