//! Converts a `ulogd.conf` to a configuration of this program.

mod connection;
mod database;
mod grammar;
mod stack;

use std::fmt::Write as _;

use self::{
    database::Database,
    grammar::ConfSection,
    stack::{StackPlugin, steps},
};
use crate::{
    config,
    source::nflog::limits::{MAX_GROUPS, MAX_TIMEOUT, RECEIVE_BUFFER, TIMEOUT_STEP},
};

/// Prefix of notes on settings without an equivalent.
const NOT_MIGRATED: &str = "Not migrated: ";

/// The keys of ulogd's section `[global]` and of its plugin NFLOG.
const GLOBAL_KEYS: [&str; 4] = ["logfile", "plugin", "loglevel", "stack"];
const NFLOG_KEYS: [&str; 12] = [
    "bufsize",
    "group",
    "unbind",
    "bind",
    "seq_local",
    "seq_global",
    "numeric_label",
    "netlink_socket_buffer_size",
    "netlink_socket_buffer_maxsize",
    "netlink_qthreshold",
    "netlink_qtimeout",
    "attach_conntrack",
];

/// A `ulogd.conf` could not be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// A line that ulogd does not parse.
    #[error(
        "line {line}: longer than 254 bytes, without a newline at its end, or with a zero byte; ulogd ignores \
         the file from there on. Shorten the line, or add the newline"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// An invalid value.
    #[error("line {line}: [{section}] {key} {what}")]
    Value {
        /// The number of its line, from 1.
        line: usize,
        /// Its section.
        section: String,
        /// Its key.
        key: String,
        /// The problem and its fix.
        what: String,
    },
    /// The file has no section `[global]`, which every `ulogd.conf` has.
    #[error("no section [global]: is this a ulogd.conf?")]
    NoGlobal,
    /// The file has no stack.
    #[error("no `stack` line in section [global]: this ulogd logs nothing; is this a ulogd.conf?")]
    NoStack,
    /// No stack has the source NFLOG.
    #[error("no stack reads packets from NFLOG: {0}")]
    NoNflog(String),
}

/// The result of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The configuration, as TOML; the notes are comments at its start.
    pub toml: String,
    /// Settings without an equivalent, and remarks; one line each.
    pub notes: Vec<String>,
}

/// Converts a `ulogd.conf`. Settings without an equivalent become comments at the start of the result.
///
/// # Errors
/// The text is not a `ulogd.conf`, has no stack with the source NFLOG, or has a value that ulogd cannot parse.
pub fn ulogd(text: &[u8]) -> Result<Migrated, MigrateError> {
    let global = ConfSection::read(text, "global", &GLOBAL_KEYS, &["plugin", "stack"])?;
    if !global.exists {
        return Err(MigrateError::NoGlobal);
    }
    let mut migration = Migration { text, ..Migration::default() };
    let plugins: Vec<_> = global.all("plugin").collect::<Result<_, _>>()?;
    let stacks: Vec<_> = global.all("stack").collect::<Result<_, _>>()?;
    if stacks.is_empty() {
        return Err(MigrateError::NoStack);
    }
    for stack in &stacks {
        migration.stack(stack, &plugins)?;
    }
    if migration.groups.is_empty() {
        let why = migration.notes.iter().map(|note| note.trim_start_matches(NOT_MIGRATED));
        return Err(MigrateError::NoNflog(why.collect::<Vec<_>>().join("; ")));
    }
    migration.global(&global)?;
    Ok(migration.checked())
}

#[derive(Default)]
struct Migration<'t> {
    /// The file.
    text: &'t [u8],
    groups: Vec<u16>,
    /// Keys and values of `[nflog]`.
    nflog: Vec<(&'static str, String)>,
    /// The database, and the name of its section.
    database: Option<(String, Database)>,
    level: Option<&'static str>,
    /// Settings without an equivalent, and remarks.
    notes: Vec<String>,
}

impl Migration<'_> {
    fn note(&mut self, what: impl AsRef<str>) {
        self.add(&format!("Note: {}", what.as_ref()));
    }

    fn not_migrated(&mut self, what: impl AsRef<str>) {
        self.add(&format!("{NOT_MIGRATED}{}", what.as_ref()));
    }

    fn add(&mut self, note: &str) {
        let note = one_line(note);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Converts a stack `NAME:PLUGIN,NAME:PLUGIN,…`, from a source through filters to an output.
    fn stack(&mut self, stack: &str, plugins: &[String]) -> Result<(), MigrateError> {
        let steps = match steps(stack, plugins) {
            Ok(steps) => steps,
            Err(why) => {
                self.not_migrated(format!("stack={stack}: {why}"));
                return Ok(());
            }
        };
        let Some((source, rest)) = steps.split_first() else { return Ok(()) };
        if let Some(why) = stack::no_packets(&source.plugin) {
            self.not_migrated(format!("stack={stack}: {why}"));
            return Ok(());
        }
        self.nflog(&source.name)?;
        for step in rest {
            self.step(step)?;
        }
        Ok(())
    }

    fn nflog(&mut self, name: &str) -> Result<(), MigrateError> {
        let section = ConfSection::read(self.text, name, &NFLOG_KEYS, &[])?;
        if !section.exists {
            self.note(format!("[{name}]: there is no such section; the group is 0, as in ulogd"));
        }
        // The default is 0.
        let group = self.number(&section, name, "group", u32::from(u16::MAX))?.unwrap_or(0);
        // 0 means the kernel's default, which is also the default here.
        let threshold = self.number(&section, name, "netlink_qthreshold", i32::MAX as u32)?;
        if let Some(packets) = threshold.filter(|packets| *packets > 0) {
            self.set("queue_threshold", packets.to_string());
        }
        let timeout = self.number(&section, name, "netlink_qtimeout", i32::MAX as u32)?;
        if let Some(steps) = timeout.filter(|steps| *steps > 0) {
            let wanted = TIMEOUT_STEP * steps;
            if wanted > MAX_TIMEOUT {
                self.note(format!("[{name}] netlink_qtimeout={steps}: the maximum is 60s"));
            }
            let milliseconds = wanted.min(MAX_TIMEOUT).as_millis();
            self.set("queue_timeout", format!("\"{milliseconds}ms\""));
        }
        // ulogd starts with the first size and grows the buffer up to the second.
        let size = self.number(&section, name, "netlink_socket_buffer_size", i32::MAX as u32)?;
        let most = self.number(&section, name, "netlink_socket_buffer_maxsize", i32::MAX as u32)?;
        if let Some(bytes) = size.max(most).filter(|bytes| *bytes > 0) {
            let valid = bytes.clamp(*RECEIVE_BUFFER.start(), *RECEIVE_BUFFER.end());
            if valid != bytes {
                self.note(format!("[{name}] a socket buffer of {bytes} bytes: changed to {valid}"));
            }
            self.set("receive_buffer", valid.to_string());
        }
        for key in section.keys() {
            let why = match key {
                "seq_local" | "seq_global" => {
                    "sequence numbers are always used to count losses; rows do not have them"
                }
                "numeric_label" => "packets have no label; use the rule's log prefix",
                "attach_conntrack" => "conntrack's data is not used",
                "bufsize" => "the read buffer has a fixed size",
                // ulogd's take-over of the kernel's log, which kernels since 2.6.29 do not need.
                _ => continue,
            };
            self.not_migrated(format!("[{name}] {key}: {why}"));
        }
        for ignored in section.ignored {
            self.note(ignored);
        }
        // The range is that of the type.
        let group = u16::try_from(group).unwrap_or(u16::MAX);
        if self.groups.contains(&group) {
            return Ok(());
        }
        if self.groups.len() == MAX_GROUPS {
            self.not_migrated(format!(
                "[{name}] group={group}: an exporter reads at most {MAX_GROUPS} groups"
            ));
        } else {
            self.groups.push(group);
        }
        Ok(())
    }

    /// The number of a key, with a note if ulogd parses its text differently than it looks.
    fn number(
        &mut self,
        section: &ConfSection,
        name: &str,
        key: &str,
        most: u32,
    ) -> Result<Option<u32>, MigrateError> {
        let Some((number, text)) = section.number(key, most)? else { return Ok(None) };
        if let Some(text) = text {
            self.note(format!("[{name}] {key}={text}: parsed as {number}, as in ulogd"));
        }
        Ok(Some(number))
    }

    /// Sets a key of `[nflog]`; the last of several stacks takes precedence.
    fn set(&mut self, key: &'static str, value: String) {
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

    fn step(&mut self, StackPlugin { name, plugin }: &StackPlugin) -> Result<(), MigrateError> {
        if let Some(keys) = database::keys(plugin) {
            let section = ConfSection::read(self.text, name, &keys, &[])?;
            return self.database(&section, name, plugin);
        }
        if let Some(why) = stack::no_equivalent(plugin) {
            self.not_migrated(format!("{name}:{plugin}: {why}"));
        }
        Ok(())
    }

    fn database(
        &mut self,
        section: &ConfSection,
        name: &str,
        plugin: &str,
    ) -> Result<(), MigrateError> {
        if !section.exists {
            self.not_migrated(format!(
                "{name}:{plugin}: there is no section [{name}], so ulogd wrote no rows"
            ));
            return Ok(());
        }
        for key in section.keys() {
            if matches!(key, "table" | "procedure" | "schema") {
                let value = section.text(key)?.unwrap_or_default();
                self.not_migrated(format!(
                    "[{name}] {key}={value}: rows are written to this program's tables; the view `ulog` has \
                     ulogd's column names"
                ));
            }
        }
        for ignored in &section.ignored {
            self.note(ignored);
        }
        let database = match Database::new(section, plugin)? {
            Ok(database) => database,
            Err(why) => {
                self.not_migrated(format!("{name}:{plugin}: {why}"));
                return Ok(());
            }
        };
        for note in &database.notes {
            self.not_migrated(format!("[{name}] {note}"));
        }
        match &self.database {
            Some((_, first)) if *first != database => self.not_migrated(format!(
                "{name}:{plugin}: all rows are written to one database; the first one is used"
            )),
            _ => self.database = Some((name.to_owned(), database)),
        }
        Ok(())
    }

    fn global(&mut self, global: &ConfSection) -> Result<(), MigrateError> {
        // ulogd's levels: 1 debug, 3 info, 5 notice, 7 error, 8 fatal.
        let level = self.number(global, "global", "loglevel", i32::MAX as u32)?;
        self.level = match level {
            Some(0..=1) => Some("debug"),
            Some(4..=5) => Some("warn"),
            Some(6..) => Some("error"),
            Some(2..=3) | None => None,
        };
        if let Some(file) = global.text("logfile")? {
            let why = "the log is written to standard error, which is the journal under systemd";
            self.not_migrated(format!("logfile={file}: {why}"));
        }
        for ignored in &global.ignored {
            self.note(ignored);
        }
        Ok(())
    }

    /// The result, without the database if its settings are invalid.
    fn checked(mut self) -> Migrated {
        let toml = self.toml();
        let unusable = config::parse(&toml, "ulogd.conf").err();
        if let (Some(error), Some((name, _))) = (unusable, self.database.take()) {
            // The error messages never contain the password.
            self.not_migrated(format!("[{name}]: no rows are written: {error}"));
            return Migrated { toml: self.toml(), notes: self.notes };
        }
        Migrated { toml, notes: self.notes }
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
            let _ = writeln!(text, "\n[mirror]");
            for advice in &database.advice {
                let _ = writeln!(text, "# {}", one_line(advice));
            }
            let url = toml::Value::from(database.url.as_str());
            let _ = writeln!(text, "url = {url}\n# ulogd never deletes rows.\nretention = \"0s\"");
        }
        if let Some(level) = self.level {
            let _ = writeln!(text, "\n[log]\nlevel = \"{level}\"");
        }
        text
    }
}

/// Replaces control characters, for a comment in TOML.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
