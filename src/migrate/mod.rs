//! A configuration for people who come from ulogd: what their `ulogd.conf` did, in this program's terms.

mod connection;
mod database;
mod grammar;
mod stack;

use std::fmt::Write as _;

use self::{
    database::Database,
    grammar::Section,
    stack::{Step, steps},
};
use crate::config;

/// Most groups that a configuration takes.
const MAX_GROUPS: usize = 64;

/// Longest wait of a packet for its message that a configuration takes, in hundredths of a second.
const MAX_TIMEOUT: u32 = 6000;

/// How a note begins on what could not be carried over.
const LOST: &str = "Not carried over: ";

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

/// Why a `ulogd.conf` gives no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// A line that ulogd does not read.
    #[error(
        "line {line}: longer than 254 bytes, without a newline at its end, or with a zero byte; ulogd reads \
         nothing from there on. Shorten it, or end it"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// A value that cannot be read.
    #[error("line {line}: [{section}] {key} {what}")]
    Value {
        /// The number of its line, from 1.
        line: usize,
        /// The section that it is in.
        section: String,
        /// Its key.
        key: String,
        /// What is wrong with it, and how to fix it.
        what: String,
    },
    /// The file has no section that every `ulogd.conf` has.
    #[error("no section [global]: is this a ulogd.conf?")]
    NoGlobal,
    /// No line says what is logged where to.
    #[error("no `stack` line in section [global]: this ulogd logs nothing; is this a ulogd.conf?")]
    NoStack,
    /// The stacks have other sources only.
    #[error("no stack reads packets from NFLOG: {0}")]
    NoNflog(String),
}

/// The result of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The configuration, as TOML, with the notes as comments in front.
    pub toml: String,
    /// What could not be carried over, and what to know; one line each.
    pub notes: Vec<String>,
}

/// The configuration that does what this `ulogd.conf` did. What could not be carried over stands in
/// its first lines as comments.
///
/// # Errors
/// The text is no `ulogd.conf`, one that reads no packets from NFLOG, or one with a value that ulogd
/// could not read.
pub fn ulogd(text: &[u8]) -> Result<Migrated, MigrateError> {
    let global = Section::read(text, "global", &GLOBAL_KEYS, &["plugin", "stack"])?;
    if !global.is_there {
        return Err(MigrateError::NoGlobal);
    }
    let mut carried = Carried { text, ..Carried::default() };
    let plugins: Vec<_> = global.all("plugin").collect::<Result<_, _>>()?;
    let stacks: Vec<_> = global.all("stack").collect::<Result<_, _>>()?;
    if stacks.is_empty() {
        return Err(MigrateError::NoStack);
    }
    for stack in &stacks {
        carried.stack(stack, &plugins)?;
    }
    if carried.groups.is_empty() {
        let why = carried.notes.iter().map(|note| note.trim_start_matches(LOST));
        return Err(MigrateError::NoNflog(why.collect::<Vec<_>>().join("; ")));
    }
    carried.global(&global)?;
    Ok(carried.checked())
}

#[derive(Default)]
struct Carried<'t> {
    /// The file.
    text: &'t [u8],
    groups: Vec<u16>,
    /// Keys and values of `[nflog]`.
    nflog: Vec<(&'static str, String)>,
    /// Where rows go, and the name of the section that says so.
    database: Option<(String, Database)>,
    level: Option<&'static str>,
    /// What could not be carried over, and why.
    notes: Vec<String>,
}

impl Carried<'_> {
    fn note(&mut self, what: impl AsRef<str>) {
        self.add(&format!("Note: {}", what.as_ref()));
    }

    fn lose(&mut self, what: impl AsRef<str>) {
        self.add(&format!("{LOST}{}", what.as_ref()));
    }

    fn add(&mut self, note: &str) {
        let note = one_line(note);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// `NAME:PLUGIN,NAME:PLUGIN,…` from a source over filters to an output.
    fn stack(&mut self, stack: &str, plugins: &[String]) -> Result<(), MigrateError> {
        let steps = match steps(stack, plugins) {
            Ok(steps) => steps,
            Err(why) => {
                self.lose(format!("stack={stack}: {why}"));
                return Ok(());
            }
        };
        let Some((source, rest)) = steps.split_first() else { return Ok(()) };
        if let Some(why) = stack::no_packets(&source.plugin) {
            self.lose(format!("stack={stack}: {why}"));
            return Ok(());
        }
        self.nflog(&source.name)?;
        for step in rest {
            self.step(step)?;
        }
        Ok(())
    }

    fn nflog(&mut self, name: &str) -> Result<(), MigrateError> {
        let section = Section::read(self.text, name, &NFLOG_KEYS, &[])?;
        if !section.is_there {
            self.note(format!("[{name}]: there is no such section, so it is group 0, as in ulogd"));
        }
        // Without the key it is 0.
        let group = self.number(&section, name, "group", u32::from(u16::MAX))?.unwrap_or(0);
        // 0 leaves the kernel's own value, which is the default here too.
        let threshold = self.number(&section, name, "netlink_qthreshold", i32::MAX as u32)?;
        if let Some(packets) = threshold.filter(|packets| *packets > 0) {
            self.set("queue_threshold", packets.to_string());
        }
        let timeout = self.number(&section, name, "netlink_qtimeout", i32::MAX as u32)?;
        if let Some(hundredths) = timeout.filter(|hundredths| *hundredths > 0) {
            if hundredths > MAX_TIMEOUT {
                self.note(format!(
                    "[{name}] netlink_qtimeout={hundredths}: 60s is the longest here"
                ));
            }
            let milliseconds = hundredths.min(MAX_TIMEOUT) * 10;
            self.set("queue_timeout", format!("\"{milliseconds}ms\""));
        }
        // ulogd begins with the one and grows up to the other.
        let size = self.number(&section, name, "netlink_socket_buffer_size", i32::MAX as u32)?;
        let most = self.number(&section, name, "netlink_socket_buffer_maxsize", i32::MAX as u32)?;
        if let Some(bytes) = size.max(most).filter(|bytes| *bytes > 0) {
            let taken = bytes.clamp(4096, 1 << 30);
            if taken != bytes {
                self.note(format!("[{name}] a socket buffer of {bytes} bytes: {taken} are taken"));
            }
            self.set("receive_buffer", taken.to_string());
        }
        for key in section.keys() {
            let why = match key {
                "seq_local" | "seq_global" => {
                    "sequence numbers are always read, and show what was lost; rows do not hold them"
                }
                "numeric_label" => "packets have no label; use the rule's log prefix",
                "attach_conntrack" => "what conntrack knows of a packet is not read",
                "bufsize" => "the buffer that messages are read into has a fixed size",
                // How ulogd takes over the kernel's own log, which no kernel since 2.6.29 needs.
                _ => continue,
            };
            self.lose(format!("[{name}] {key}: {why}"));
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
            self.lose(format!(
                "[{name}] group={group}: one exporter reads {MAX_GROUPS} groups at most"
            ));
        } else {
            self.groups.push(group);
        }
        Ok(())
    }

    /// A number, with a note where it is not the one that its text looks like.
    fn number(
        &mut self,
        section: &Section,
        name: &str,
        key: &str,
        most: u32,
    ) -> Result<Option<u32>, MigrateError> {
        let Some((number, text)) = section.number(key, most)? else { return Ok(None) };
        if let Some(text) = text {
            self.note(format!("[{name}] {key}={text}: taken as {number}, as ulogd does"));
        }
        Ok(Some(number))
    }

    /// The last one of several stacks counts.
    fn set(&mut self, key: &'static str, value: String) {
        if let Some((_, known)) = self.nflog.iter_mut().find(|(known, _)| *known == key) {
            let other = std::mem::replace(known, value);
            if other != *known {
                let now = known.clone();
                self.note(format!("{key} = {other}: all groups have the same here; it is {now}"));
            }
            return;
        }
        self.nflog.push((key, value));
    }

    fn step(&mut self, Step { name, plugin }: &Step) -> Result<(), MigrateError> {
        if let Some(keys) = database::keys(plugin) {
            let section = Section::read(self.text, name, &keys, &[])?;
            return self.database(&section, name, plugin);
        }
        if let Some(why) = stack::no_counterpart(plugin) {
            self.lose(format!("{name}:{plugin}: {why}"));
        }
        Ok(())
    }

    fn database(
        &mut self,
        section: &Section,
        name: &str,
        plugin: &str,
    ) -> Result<(), MigrateError> {
        if !section.is_there {
            self.lose(format!(
                "{name}:{plugin}: there is no section [{name}], so ulogd wrote no rows"
            ));
            return Ok(());
        }
        for key in section.keys() {
            if matches!(key, "table" | "procedure" | "schema") {
                let value = section.text(key)?.unwrap_or_default();
                self.lose(format!(
                    "[{name}] {key}={value}: rows go to this program's own tables; the view `ulog` shows them \
                     under ulogd's names"
                ));
            }
        }
        for ignored in &section.ignored {
            self.note(ignored);
        }
        let database = match Database::new(section, plugin)? {
            Ok(database) => database,
            Err(why) => {
                self.lose(format!("{name}:{plugin}: {why}"));
                return Ok(());
            }
        };
        for note in &database.notes {
            self.lose(format!("[{name}] {note}"));
        }
        match &self.database {
            Some((_, first)) if *first != database => self.lose(format!(
                "{name}:{plugin}: all rows go to one database; the first one is taken"
            )),
            _ => self.database = Some((name.to_owned(), database)),
        }
        Ok(())
    }

    fn global(&mut self, global: &Section) -> Result<(), MigrateError> {
        // Its levels: 1 debug, 3 info, 5 notice, 7 error, 8 fatal; what is below is not logged.
        let level = self.number(global, "global", "loglevel", i32::MAX as u32)?;
        self.level = match level {
            Some(0..=1) => Some("debug"),
            Some(4..=5) => Some("warn"),
            Some(6..) => Some("error"),
            Some(2..=3) | None => None,
        };
        if let Some(file) = global.text("logfile")? {
            let why = "the log goes to standard error, and so to the journal under systemd";
            self.lose(format!("logfile={file}: {why}"));
        }
        for ignored in &global.ignored {
            self.note(ignored);
        }
        Ok(())
    }

    /// The configuration, without the database where that cannot be written to.
    fn checked(mut self) -> Migrated {
        let toml = self.toml();
        let unusable = config::parse(&toml, "ulogd.conf").err();
        if let (Some(error), Some((name, _))) = (unusable, self.database.take()) {
            // Its messages repeat nothing that could hold the password.
            self.lose(format!("[{name}]: no rows are kept: {error}"));
            return Migrated { toml: self.toml(), notes: self.notes };
        }
        Migrated { toml, notes: self.notes }
    }

    fn toml(&self) -> String {
        let mut text =
            String::from("# Does what that ulogd did, and counts for Prometheus besides.\n");
        // Writing to a string does not fail.
        if self.database.is_some() {
            let _ = writeln!(
                text,
                "# The URL below may hold a password: let root and the exporter's group alone read this file (chmod\n\
                 # 0640), or keep the URL in a file of its own, mirror.url_file."
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
            let _ = writeln!(text, "url = {url}\n# ulogd kept rows for ever.\nretention = \"0s\"");
        }
        if let Some(level) = self.level {
            let _ = writeln!(text, "\n[log]\nlevel = \"{level}\"");
        }
        text
    }
}

/// Text as TOML takes it in a comment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
