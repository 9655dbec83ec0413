//! The configuration that a migration produces, as TOML with comments.

use std::fmt::Write as _;

use super::{
    MigrateError, Migrated, database::Database, grammar::ConfSection, packet_files::MigratedOutput,
};
use crate::{config, system::untrusted_text::with_spaces};

/// Prefix of notes on settings without an equivalent.
const NOT_MIGRATED: &str = "Not migrated: ";

/// The settings and notes that were converted so far.
#[derive(Default)]
pub(super) struct Output {
    pub(super) groups: Vec<u16>,
    /// Keys and values of `[nflog]`.
    nflog: Vec<(&'static str, String)>,
    /// The database, and the name of its section.
    pub(super) database: Option<(String, Database)>,
    /// The outputs.
    outputs: Vec<MigratedOutput>,
    /// The level of `[log]`; `None` for the default.
    pub(super) level: Option<&'static str>,
    /// Settings without an equivalent, and remarks.
    notes: Vec<String>,
}

impl Output {
    pub(super) fn note(&mut self, what: impl AsRef<str>) {
        self.add(&format!("Note: {}", what.as_ref()));
    }

    pub(super) fn not_migrated(&mut self, what: impl AsRef<str>) {
        self.add(&format!("{NOT_MIGRATED}{}", what.as_ref()));
    }

    fn add(&mut self, note: &str) {
        let note = with_spaces(note).into_owned();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The number of a key, with a note if ulogd parses another number than the text shows.
    pub(super) fn number(
        &mut self,
        section: &ConfSection,
        name: &str,
        key: &str,
        maximum: u32,
    ) -> Result<Option<u32>, MigrateError> {
        let Some((number, text)) = section.number(key, maximum)? else { return Ok(None) };
        if let Some(text) = text {
            self.note(format!("[{name}] {key}={text}: parsed as {number}, as by ulogd"));
        }
        Ok(Some(number))
    }

    /// Sets a key of `[nflog]`. The last of several stacks takes precedence.
    pub(super) fn set(&mut self, key: &'static str, value: String) {
        if let Some((_, known)) = self.nflog.iter_mut().find(|(known, _)| *known == key) {
            let other = std::mem::replace(known, value);
            if other != *known {
                let now = known.clone();
                self.note(format!("{key} = {other}: all groups share this setting; it is {now}"));
            }
            return;
        }
        self.nflog.push((key, value));
    }

    /// Adds an output. Several stacks can write to the same one.
    pub(super) fn add_output(&mut self, output: MigratedOutput) {
        if self.outputs.contains(&output) {
            return;
        }
        let name = output.name.clone();
        if self.outputs.iter().any(|known| known.name == name || known.target == output.target) {
            self.not_migrated(format!("{name}: another output has its name or its target"));
            return;
        }
        self.outputs.push(output);
    }

    /// Whether packets are written to files or to syslog.
    pub(super) fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The result, without the database if its settings are invalid.
    pub(super) fn finish(mut self) -> Migrated {
        let toml = self.toml();
        let unusable = config::parse(&toml, "ulogd.conf").err();
        if let (Some(error), Some((name, _))) = (unusable, self.database.take()) {
            // The error messages never contain the password.
            self.not_migrated(format!("[{name}]: no rows are written: {error}"));
            return Migrated { toml: self.toml(), notes: self.notes };
        }
        Migrated { toml, notes: self.notes }
    }

    /// The settings without an equivalent, in one line.
    pub(super) fn reasons(&self) -> String {
        let reasons = self.notes.iter().map(|note| note.trim_start_matches(NOT_MIGRATED));
        reasons.collect::<Vec<_>>().join("; ")
    }

    fn toml(&self) -> String {
        let mut text =
            String::from("# Converted from ulogd.conf; also counts packets for Prometheus.\n");
        // Writing to a string does not fail.
        if self.database.is_some() {
            let _ = writeln!(
                text,
                "# The URL below may contain a password: make this file readable only by root and the exporter's\n\
                 # group (chmod 0640), or move the URL to a separate file, mirror.url_file."
            );
        }
        for note in &self.notes {
            let _ = writeln!(text, "# {note}");
        }
        let groups: Vec<String> = self.groups.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "\n[nflog]\ngroups = [{}]", groups.join(", "));
        for (key, value) in &self.nflog {
            let _ = writeln!(text, "{key} = {value}");
        }
        if let Some((_, database)) = &self.database {
            write_mirror(&mut text, database);
        }
        for output in &self.outputs {
            text.push_str(&output.toml());
        }
        if let Some(level) = self.level {
            let _ = writeln!(text, "\n[log]\nlevel = \"{level}\"");
        }
        text
    }
}

/// Adds the section `[mirror]`.
fn write_mirror(text: &mut String, database: &Database) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "\n[mirror]");
    for advice in &database.advice {
        let _ = writeln!(text, "# {}", with_spaces(advice));
    }
    let url = toml::Value::from(database.url.as_str());
    let _ = writeln!(text, "url = {url}\n# ulogd never deletes rows.\nretention = \"0s\"");
}
