//! The syntax of `ulogd.conf`: sections, keys with values in quotes or without, comments.

use super::MigrateError;

/// A file, with what stands before the first section as `[global]`.
pub(super) struct Ini<'t>(Vec<(&'t str, Vec<(&'t str, &'t str)>)>);

/// One section's keys and values, in their order; none for a section that is not there.
pub(super) struct Section<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Ini<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, MigrateError> {
        let mut sections = vec![("global", Vec::new())];
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let wrong = || MigrateError::Syntax { line: number + 1, text: line.to_owned() };
            if let Some(name) = line.strip_prefix('[') {
                let name = name.split_once(']').ok_or_else(wrong)?.0;
                sections.push((name.trim(), Vec::new()));
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(wrong)?;
            if let Some((_, pairs)) = sections.last_mut() {
                pairs.push((key.trim(), unquoted(value.trim())));
            }
        }
        Ok(Self(sections))
    }

    pub(super) fn section(&self, name: &str) -> Section<'t> {
        let of_name = self.0.iter().filter(|(known, _)| *known == name);
        Section(of_name.flat_map(|(_, pairs)| pairs.iter().copied()).collect())
    }
}

impl<'t> Section<'t> {
    /// The last value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'t str> {
        self.all(key).last()
    }

    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter(move |(known, _)| *known == key).map(|(_, value)| *value)
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'t str, &'t str)> + use<'t> {
        self.0.clone().into_iter()
    }
}

/// In quotes everything counts; without them, a comment may follow.
fn unquoted(value: &str) -> &str {
    match value.strip_prefix('"') {
        Some(rest) => rest.split_once('"').map_or(rest, |(inside, _)| inside),
        None => value.split_once(" #").map_or(value, |(before, _)| before.trim_end()),
    }
}
