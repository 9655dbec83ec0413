//! Converts a `ulogd.conf` to a configuration of this program, and rules with LOG or ULOG to rules with NFLOG.

mod conf_lines;
mod connection;
mod database;
mod first_version;
mod grammar;
mod migration;
mod nflog;
mod output;
mod packet_files;
pub mod rules;
mod stack;
mod unused_lines;

use self::{grammar::ConfSection, migration::Migration};

/// The keys of ulogd's section `[global]`.
const GLOBAL_KEYS: [&str; 4] = ["logfile", "plugin", "loglevel", "stack"];

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
    let first_version = first_version::global(text)?;
    if first_version.exists && first_version::is_first_version(&first_version) {
        return first_version::convert(text, &first_version);
    }
    if !global.exists {
        return Err(MigrateError::NoGlobal);
    }
    let mut migration = Migration::new(text);
    let plugins: Vec<_> = global.all("plugin").collect::<Result<_, _>>()?;
    let stacks: Vec<_> = global.all("stack").collect::<Result<_, _>>()?;
    if stacks.is_empty() {
        return Err(MigrateError::NoStack);
    }
    for stack in &stacks {
        migration.stack(stack, &plugins)?;
    }
    migration.require_group()?;
    migration.global(&global)?;
    migration.plugins(plugins.len());
    migration.rows_of_groups();
    migration.groups_of_outputs();
    migration.unused_lines();
    Ok(migration.finish())
}

#[cfg(test)]
mod tests;
