//! `migrate`: converts a `ulogd.conf` to a configuration, which is printed or written to a file; converts
//! firewall rules; copies ulogd's rows.

mod rows;

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use super::{print, print_bytes};
use crate::{
    cli::{Migrate, MigrateCommand},
    config::Flags,
    migrate::{self, rules::MigratedRules},
    system::files::read_small,
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
    replace(output, migrated.toml.as_bytes())
        .with_context(|| format!("cannot write {}", output.display()))?;
    let notes = migrated.notes.iter().flat_map(|note| [note.as_str(), "\n"]);
    print(&format!("wrote {}\n{}", output.display(), notes.collect::<String>()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|file| Some(file) == identity(other))
}

/// Replaces a file atomically: a reader finds the previous or the new content. The owner stays. The mode is
/// [`private_mode`], because the content may hold a password.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // A symbolic link stays, and its target is replaced.
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(_) => new_file(path)?,
    };
    let before = fs::metadata(&path).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return Err(io::Error::other("it is not a regular file; use the path of one"));
    }
    let Some(name) = path.file_name() else {
        return Err(io::Error::other("the path has no file name; use DIRECTORY/FILE"));
    };
    let temporary = path.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
    let written = Temporary::create(temporary)?.fill(content, before.as_ref());
    written.and_then(|temporary| temporary.rename(&path))
}

/// The path of a file that does not exist yet. A rename would replace a dangling symbolic link.
fn new_file(path: &Path) -> io::Result<PathBuf> {
    match fs::read_link(path) {
        Err(_) => Ok(path.to_owned()),
        Ok(target) => Err(io::Error::other(format!(
            "it is a symbolic link to {}, which cannot be opened; use the path of that file, or remove the link",
            target.display()
        ))),
    }
}

/// The mode for the new content of a file with this mode: at most 0600 if others had access, else at most 0640, as
/// the packages' own configuration has.
fn private_mode(mode: u32) -> u32 {
    let is_open = mode & 0o007 != 0;
    mode & if is_open { 0o600 } else { 0o640 }
}

/// A file that is removed unless it gets its final name.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }

    fn fill(mut self, content: &[u8], previous: Option<&Metadata>) -> io::Result<Self> {
        if let Some(previous) = previous {
            let own = self.file.metadata()?;
            if (own.uid(), own.gid()) != (previous.uid(), previous.gid()) {
                fchown(&self.file, Some(previous.uid()), Some(previous.gid()))?;
            }
            let mode = private_mode(previous.permissions().mode());
            self.file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        self.file.write_all(content)?;
        self.file.sync_all()?;
        Ok(self)
    }

    fn rename(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename, the file does not exist.
        let _ = fs::remove_file(&self.path);
    }
}
