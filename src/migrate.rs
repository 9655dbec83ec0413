//! A configuration for people who come from ulogd: what their `ulogd.conf` did, in our words.

mod database;
mod ini;

use std::fmt::Write as _;

use self::{
    database::Database,
    ini::{Ini, Section},
};
use crate::config;

/// Most groups that a configuration takes.
const MAX_GROUPS: usize = 64;

/// Why there is nothing to carry over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// A line that is neither a section, a key with a value, nor a comment.
    #[error("line {line}: {text:?} is neither [SECTION] nor KEY=VALUE; is this a ulogd.conf?")]
    Syntax {
        /// Its number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// No line says what is logged where to.
    #[error("no `stack` line in section [global]: this ulogd logs nothing; is this a ulogd.conf?")]
    NoStack,
    /// The stacks have other sources only.
    #[error("no stack begins with NFLOG: {0}")]
    NoNflog(String),
}

/// The configuration that does what this `ulogd.conf` did, as TOML. What could not be carried over
/// stands in its first lines as comments.
///
/// # Errors
/// The text is no `ulogd.conf`, or one that reads no packets of NFLOG.
pub fn ulogd(text: &str) -> Result<String, MigrateError> {
    let ini = Ini::parse(text)?;
    let global = ini.section("global");
    let mut carried = Carried::default();
    let stacks: Vec<&str> = global.all("stack").collect();
    if stacks.is_empty() {
        return Err(MigrateError::NoStack);
    }
    for stack in &stacks {
        carried.stack(&ini, stack);
    }
    if carried.groups.is_empty() {
        return Err(MigrateError::NoNflog(carried.lost.join("; ")));
    }
    carried.global(&global);
    Ok(carried.sound())
}

#[derive(Default)]
struct Carried {
    groups: Vec<u16>,
    /// Keys and values of `[nflog]`.
    nflog: Vec<(&'static str, String)>,
    /// Where rows go, and the name of the section that says so.
    database: Option<(String, Database)>,
    level: Option<&'static str>,
    /// What could not be carried over, and why.
    lost: Vec<String>,
}

impl Carried {
    fn lose(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.lost.contains(&what) {
            self.lost.push(what);
        }
    }

    /// `NAME:PLUGIN,NAME:PLUGIN,…` from a source over filters to an output.
    fn stack(&mut self, ini: &Ini<'_>, stack: &str) {
        let mut steps = stack.split(',').map(str::trim).filter_map(|step| step.split_once(':'));
        let Some((source, plugin)) = steps.next() else {
            return self.lose(format!("stack={stack}: it has no plugins"));
        };
        match plugin {
            "NFLOG" => self.nflog(&ini.section(source), source),
            "ULOG" => {
                return self.lose(format!(
                    "stack={stack}: kernels since 3.17 have no ULOG; write your rules with -j NFLOG \
                     --nflog-group N"
                ));
            }
            other => {
                return self.lose(format!("stack={stack}: {other} is no packet log"));
            }
        }
        for (name, plugin) in steps {
            self.step(&ini.section(name), name, plugin);
        }
    }

    fn nflog(&mut self, section: &Section<'_>, name: &str) {
        for (key, value) in section.pairs() {
            let number = value.parse::<u64>();
            match (key, number) {
                ("group", Ok(group)) if u16::try_from(group).is_ok() => {}
                ("netlink_qthreshold", Ok(count)) if count > 0 => {
                    self.set("queue_threshold", count.min(u64::from(u16::MAX)).to_string());
                }
                // Hundredths of a second, as the kernel counts.
                ("netlink_qtimeout", Ok(hundredths)) => {
                    let hundredths = hundredths.clamp(1, 6000);
                    self.set("queue_timeout", format!("\"{}ms\"", hundredths * 10));
                }
                ("netlink_socket_buffer_size" | "netlink_socket_buffer_maxsize", Ok(bytes)) => {
                    self.set("receive_buffer", bytes.clamp(4096, 1 << 30).to_string());
                }
                ("nlbufsiz" | "bufsize", Ok(bytes)) => {
                    self.set("kernel_buffer", bytes.clamp(4096, 131_072).to_string());
                }
                // It says what each packet is called in ulogd's own files; and that the kernel is bound
                // to, which takes nothing.
                ("bind" | "unbind", _) => {}
                (key, _) => self.lose(format!("[{name}] {key}={value}: there is nothing like it")),
            }
        }
        // Without the key it is 0.
        let group = section.get("group").and_then(|group| group.parse().ok()).unwrap_or(0);
        if self.groups.contains(&group) {
            return;
        }
        match self.groups.len() {
            MAX_GROUPS => self.lose(format!(
                "[{name}] group={group}: one exporter reads {MAX_GROUPS} groups at most"
            )),
            _ => self.groups.push(group),
        }
    }

    /// The last one of several stacks counts.
    fn set(&mut self, key: &'static str, value: String) {
        self.nflog.retain(|(known, _)| *known != key);
        self.nflog.push((key, value));
    }

    fn step(&mut self, section: &Section<'_>, name: &str, plugin: &str) {
        match plugin {
            // They make of a packet what is always made of it here.
            "BASE" | "IFINDEX" | "IP2STR" | "IP2BIN" | "IP2HBIN" | "HWHDR" | "PRINTPKT" => {}
            "MYSQL" | "PGSQL" | "SQLITE3" => self.database(section, name, plugin),
            "MARK" => self.lose(format!(
                "{name}:MARK: packets are not chosen by mark; choose them in the rule (meta mark), or \
                 count them with a family that has the label `mark`"
            )),
            "PWSNIFF" => self.lose(format!("{name}:PWSNIFF: payloads are not looked into")),
            "LOGEMU" | "SYSLOG" | "XML" | "JSON" | "GPRINT" | "OPRINT" | "PCAP" => self.lose(format!(
                "{name}:{plugin}: no text or capture is written; rows in a database instead, see [mirror]"
            )),
            "GRAPHITE" | "NACCT" => self.lose(format!("{name}:{plugin}: Prometheus scrapes /metrics instead")),
            other => self.lose(format!("{name}:{other}: this plugin is not known")),
        }
    }

    fn database(&mut self, section: &Section<'_>, name: &str, plugin: &str) {
        for (key, value) in section.pairs() {
            match key {
                // In the URL; and rows wait in the spool, however long.
                "db" | "host" | "user" | "pass" | "port" | "reconnect" | "connect_timeout" | "ring_buffer_size" | "backlog_memcap"
                | "backlog_oneshot_requests" | "buffer" => {}
                "table" | "procedure" | "schema" => self.lose(format!(
                    "[{name}] {key}={value}: rows go to tables of our own; the view `ulog` has them under \
                     ulogd's names"
                )),
                "connstring" => self.lose(format!("[{name}] connstring: write it as mirror.url")),
                _ => self.lose(format!("[{name}] {key}={value}: there is nothing like it")),
            }
        }
        let database = Database::new(section, plugin);
        match &self.database {
            Some((_, first)) if *first != database => self.lose(format!(
                "{name}:{plugin}: there is one database for all rows; the first one is taken"
            )),
            _ => self.database = Some((name.to_owned(), database)),
        }
    }

    fn global(&mut self, global: &Section<'_>) {
        for (key, value) in global.pairs() {
            match key {
                "stack" | "plugin" => {}
                // Its levels: 1 debug, 3 info, 5 notice, 7 error, 8 fatal.
                "loglevel" => {
                    self.level = match value {
                        "1" => Some("debug"),
                        "5" => Some("warn"),
                        "7" | "8" => Some("error"),
                        _ => None,
                    };
                }
                "logfile" => {
                    self.lose(format!(
                        "logfile={value}: the log goes to stderr, and so to the journal"
                    ));
                }
                _ => self.lose(format!("[global] {key}={value}: there is nothing like it")),
            }
        }
    }

    /// The configuration, without the database where that cannot be written to.
    fn sound(mut self) -> String {
        let toml = self.toml();
        let checked = config::parse(&toml, "ulogd.conf").and_then(|config| config.mirror_target());
        match (checked, self.database.take()) {
            (Err(error), Some((name, _))) => {
                // Its messages repeat nothing that could hold the password.
                self.lose(format!("[{name}]: no rows are kept: {error}"));
                self.toml()
            }
            _ => toml,
        }
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
        for lost in &self.lost {
            let _ = writeln!(text, "# Not carried over: {}", one_line(lost));
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
