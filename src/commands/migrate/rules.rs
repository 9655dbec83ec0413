//! `migrate --rules`: converts firewall rules, which are printed or written to a file.

use std::{
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};

use super::{super::print_bytes, is_same};
use crate::{
    migrate::rules::{self, Loader, MigratedRules},
    system::{
        files::read_small,
        replace_file::{Readers, replace},
    },
};

/// Maximum size of firewall rules, bytes.
const MAX_RULES: u64 = 256 * 1024 * 1024;

/// Prints or writes the rules, and describes on standard error what was changed and how the result is loaded.
pub(super) fn rules(file: &Path, group: u16, output: Option<&Path>) -> anyhow::Result<()> {
    let name = file.display();
    let migrated = rules::rules(&read(file)?, group).with_context(|| name.to_string())?;
    if let Some(output) = output {
        if is_same(file, output) {
            return Err(anyhow!("{} is the input itself; use another file", output.display()));
        }
        replace(output, &migrated.text, Readers::Private)
            .with_context(|| format!("cannot write {}", output.display()))?;
    } else {
        print_bytes(&migrated.text)?;
    }
    for note in &migrated.notes {
        eprintln!("{name}: {note}");
    }
    eprintln!("{name}: {}", summary(&migrated));
    if let Some(output) = output {
        eprint!("{}", written(output, &migrated));
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return read_small(file, MAX_RULES)
            .with_context(|| format!("cannot read {}", file.display()));
    }
    let mut text = Vec::new();
    io::stdin().lock().take(MAX_RULES + 1).read_to_end(&mut text).context("cannot read stdin")?;
    if text.len() as u64 > MAX_RULES {
        return Err(anyhow!("stdin is longer than {MAX_RULES} bytes, the maximum for rules"));
    }
    Ok(text)
}

fn summary(MigratedRules { changed, groups, .. }: &MigratedRules) -> String {
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    match changed {
        0 => "no rule with LOG or ULOG: the output is the input".to_owned(),
        _ => format!("rules changed: {changed}; set nflog.groups = [{}]", groups.join(", ")),
    }
}

/// What was written, and the commands that check and load it.
fn written(output: &Path, migrated: &MigratedRules) -> String {
    let file = output.display();
    let MigratedRules { changed, loader, .. } = migrated;
    let (check, load) = match loader {
        Loader::Iptables => {
            (format!("iptables-restore --test < {file}"), format!("iptables-restore < {file}"))
        }
        Loader::Ip6tables => {
            (format!("ip6tables-restore --test < {file}"), format!("ip6tables-restore < {file}"))
        }
        Loader::Ufw => (
            format!("iptables-restore --test --noflush < {file}"),
            "copy it over the file of ufw, then run: ufw reload".to_owned(),
        ),
        Loader::Nft => (
            format!("nft -c -f {file}"),
            // Without the file, nothing is loaded.
            format!("sed '1i flush ruleset' {file} | nft -f -"),
        ),
    };
    format!(
        "wrote {file}: all rules of the input, {changed} of them with NFLOG in place of LOG or ULOG; nothing was loaded\n\
         check: {check}\nload:  {load}\n"
    )
}
