//! `migrate`: converts a `ulogd.conf` to a configuration, which is printed or written to a file; converts
//! firewall rules; copies ulogd's rows.

mod rows;
mod rules;

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, anyhow};

use super::print;
use crate::{
    cli::{Migrate, MigrateCommand},
    config::Flags,
    migrate,
    system::{
        files::read_small,
        replace_file::{Readers, replace},
    },
};

/// Maximum size of a `ulogd.conf`, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Converts what the arguments name.
pub(super) fn migrate(arguments: &Migrate, flags: &Flags) -> anyhow::Result<()> {
    match arguments {
        Migrate { command: Some(MigrateCommand::Rows(arguments)), .. } => {
            rows::rows(arguments, flags)
        }
        Migrate { rules: Some(file), group, output, .. } => {
            rules::rules(file, *group, output.as_deref())
        }
        Migrate { file: Some(file), output, .. } => configuration(file, output.as_deref()),
        _ => Err(anyhow!(
            "nothing to convert: name a ulogd.conf, or use --rules FILE or rows FROM-URL"
        )),
    }
}

/// Prints the configuration, or writes it and prints the settings without an equivalent.
fn configuration(file: &Path, output: Option<&Path>) -> anyhow::Result<()> {
    let text =
        read_small(file, MAX_FILE).with_context(|| format!("cannot read {}", file.display()))?;
    let migrated = migrate::ulogd(&text).with_context(|| file.display().to_string())?;
    let Some(output) = output else { return print(&migrated.toml) };
    if is_same(file, output) {
        return Err(anyhow!("{} is the ulogd.conf itself; use another file", output.display()));
    }
    replace(output, migrated.toml.as_bytes(), Readers::Private)
        .with_context(|| format!("cannot write {}", output.display()))?;
    let notes = migrated.notes.iter().flat_map(|note| [note.as_str(), "\n"]);
    print(&format!("wrote {}\n{}", output.display(), notes.collect::<String>()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|file| Some(file) == identity(other))
}
