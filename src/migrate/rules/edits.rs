//! Collects the changes of a text, and applies them; every other byte stays.

use std::{collections::BTreeSet, ops::Range};

use super::{Loader, MigratedRules};

/// The changes of a text, in the order of their places.
pub(super) struct Edits<'a> {
    text: &'a [u8],
    /// The changed text, up to `copied`.
    result: Vec<u8>,
    copied: usize,
    notes: Vec<String>,
    changed: usize,
    groups: BTreeSet<u16>,
}

impl<'a> Edits<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let result = Vec::with_capacity(text.len() + text.len() / 8);
        Self { text, result, copied: 0, notes: Vec::new(), changed: 0, groups: BTreeSet::new() }
    }

    /// Replaces a part of the text. It begins at or after the end of the part that was replaced before.
    pub(super) fn replace(&mut self, part: Range<usize>, with: &[u8]) {
        self.result.extend_from_slice(&self.text[self.copied..part.start]);
        self.result.extend_from_slice(with);
        self.copied = part.end;
    }

    /// Counts a changed rule.
    pub(super) fn changed(&mut self, line: usize, from: &str, group: u16) {
        self.changed += 1;
        self.groups.insert(group);
        self.notes.push(format!("line {line}: {from} became NFLOG, group {group}"));
    }

    /// Notes what has no equivalent.
    pub(super) fn not_migrated(&mut self, line: usize, what: &[u8], why: &str) {
        let what = what.escape_ascii();
        self.notes.push(format!("line {line}: Not migrated: {what}: {why}"));
    }

    /// Adds a remark about a line.
    pub(super) fn note(&mut self, line: usize, what: &str) {
        self.notes.push(format!("line {line}: {what}"));
    }

    pub(super) fn finish(mut self, loader: Loader) -> MigratedRules {
        self.result.extend_from_slice(&self.text[self.copied..]);
        let Self { result, notes, changed, groups, .. } = self;
        MigratedRules { text: result, notes, changed, groups, loader }
    }
}
