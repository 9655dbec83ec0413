//! `migrate`: converts a `ulogd.conf` to a configuration, which is printed or written to a file; converts
//! firewall rules; copies ulogd's rows.

mod rows;

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context as _, anyhow};

use super::{print, print_bytes};
use crate::{
    cli::{Migrate, MigrateCommand},
    config::Flags,
    migrate::{self, rules::MigratedRules},
    system::{
        files::read_small,
        replace_file::{Readers, replace},
    },
};

/// Maximum size of a `ulogd.conf`, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Maximum size of firewall rules, bytes.
const MAX_RULES: u64 = 256 * 1024 * 1024;

/// Converts what the arguments name.
pub(super) fn migrate(arguments: &Migrate, flags: &Flags) -> anyhow::Result<()> {
    match arguments {
        Migrate { command: Some(MigrateCommand::Rows(arguments)), .. } => {
            rows::rows(arguments, flags)
        }
        Migrate { rules: Some(file), group, .. } => rules(file, *group),
        Migrate { file: Some(file), output, .. } => configuration(file, output.as_deref()),
        _ => Err(anyhow!(
            "nothing to convert: name a ulogd.conf, or use --rules FILE or rows FROM-URL"
        )),
    }
}

/// Prints the rules, and on standard error what was changed.
fn rules(file: &Path, group: u16) -> anyhow::Result<()> {
    let name = file.display();
    let text = if file.as_os_str() == "-" {
        let mut text = Vec::new();
        io::stdin()
            .lock()
            .take(MAX_RULES + 1)
            .read_to_end(&mut text)
            .context("cannot read stdin")?;
        text
    } else {
        read_small(file, MAX_RULES).with_context(|| format!("cannot read {name}"))?
    };
    if text.len() as u64 > MAX_RULES {
        return Err(anyhow!("stdin is longer than {MAX_RULES} bytes, the maximum for rules"));
    }
    let MigratedRules { text, notes, changed, groups } =
        migrate::rules::rules(&text, group).with_context(|| name.to_string())?;
    print_bytes(&text)?;
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    for note in notes {
        eprintln!("{name}: {note}");
    }
    match changed {
        0 => eprintln!("{name}: no rule with LOG or ULOG: the output is the input"),
        _ => eprintln!(
            "{name}: rules changed: {changed}; set nflog.groups = [{}]",
            groups.join(", ")
        ),
    }
    Ok(())
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
