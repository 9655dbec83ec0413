//! Rules for ufw: lines in its rule files.

use std::{fmt::Write as _, fs, path::Path};

use super::{Script, ToolError, head, reached, rollback::Undo, unverified};
use crate::{
    firewall::{
        COMMENT,
        command::output,
        inspect::{Table, saved},
        plan::{RulesPlan, Wanted, first_doomed},
    },
    system::untrusted_text::with_spaces,
};

const BEGIN: &str = "# begin nflog_exporter";
const END: &str = "# end nflog_exporter";

const INACTIVE: ToolError = ToolError::Inactive("ufw is not active; start it: ufw enable");

/// Lines for one chain of one file.
struct Insertion {
    file: String,
    chain: String,
    /// Number of the chain's rules before it.
    index: usize,
    program: &'static str,
}

pub(super) fn script(plan: &RulesPlan, command: &str) -> Result<Script, ToolError> {
    let (insertions, warnings) = insertions(plan)?;
    let mut text = head(
        plan,
        plan.xtables_limit(),
        "# No longer needed: ufw's own logging to the kernel's log; disable it: ufw logging off\n",
        command,
    );
    for it in &insertions {
        let place = match it.index {
            0 => "before its first rule".to_owned(),
            index => format!("after its rule {index}"),
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "# {}, in the chain {}, {place}:\n#   {}\n",
            it.file,
            it.chain,
            with_spaces(&line(plan, &it.chain))
        );
        // Fails if the file has no position for it.
        inserted(plan, it, &read(&it.file)?)?;
    }
    let _ = write!(
        text,
        "# Writes these lines, reloads ufw, and verifies the loaded rules.\n{command} --apply\n"
    );
    Ok(Script { text, warnings })
}

pub(super) fn apply(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    let (insertions, warnings) = insertions(plan)?;
    change(
        |file, text| {
            let mut text = without_ours(file, text)?;
            for it in insertions.iter().filter(|it| it.file == file) {
                text = inserted(plan, it, &text)?;
            }
            Ok(text)
        },
        || verify(plan).map(drop),
    )?;
    Ok(warnings)
}

/// How our rules are removed and listed.
pub(super) const UNDO: Undo = Undo { name: "ufw", remove, remaining };

pub(super) fn remove() -> Result<(), ToolError> {
    change(without_ours, || {
        for program in ["iptables", "ip6tables"] {
            let listed = saved(program)?;
            let mut rules = listed.iter().flat_map(|it| &it.chains).flat_map(|it| &it.rules);
            if let Some(rule) =
                rules.find(|it| it.is_ours && it.log.is_some() && it.text.contains("ufw"))
            {
                return unverified(format!("{program}-save still lists {}", rule.text));
            }
        }
        Ok(())
    })
}

/// Descriptions of the files with our lines.
pub(super) fn remaining() -> Result<Vec<String>, ToolError> {
    let mut remaining = Vec::new();
    for file in files().filter(|file| Path::new(file).exists()) {
        if read(&file)?.lines().any(|line| line.starts_with(BEGIN)) {
            remaining.push(format!("lines in {file} after `{BEGIN}`"));
        }
    }
    Ok(remaining)
}

/// The files that may have our lines.
fn files() -> impl Iterator<Item = String> {
    ["before", "before6", "after", "after6"]
        .into_iter()
        .map(|name| format!("/etc/ufw/{name}.rules"))
}

pub(super) fn verify(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    let (insertions, _) = insertions(plan)?;
    let mut places = Vec::new();
    for it in insertions {
        let listed = filter(it.program)?;
        let chain = it.chain;
        let of_chain = listed.chains.iter().find(|known| known.name == chain);
        let rules = of_chain.map(|known| &*known.rules).unwrap_or_default();
        let at: Vec<usize> = (0..rules.len()).filter(|at| rules[*at].is_ours).collect();
        let is_reached = reached(plan, &listed)?.iter().any(|rule| rule.chain == chain);
        if at != [it.index] || !is_reached {
            return unverified(format!(
                "{}-save lists no rule of {chain} that logs to group {} with the prefix {:?}, as rule {}",
                it.program,
                plan.group,
                plan.prefix,
                it.index + 1
            ));
        }
        places.push(format!("{} {chain}", listed.place));
    }
    Ok(places)
}

/// The table `filter` of a family.
fn filter(program: &str) -> Result<Table, ToolError> {
    let filter = saved(program)?.into_iter().find(|table| table.place.ends_with(" filter"));
    let has_chains =
        |table: &Table| table.chains.iter().any(|chain| chain.name.ends_with("-before-input"));
    filter.filter(has_chains).ok_or(INACTIVE)
}

/// The lines to insert, and warnings about chains that log nothing.
fn insertions(plan: &RulesPlan) -> Result<(Vec<Insertion>, Vec<String>), ToolError> {
    // A disabled ufw keeps empty chains.
    if output("ufw", &["status"])?.contains("Status: inactive") {
        return Err(INACTIVE);
    }
    let mut insertions = Vec::new();
    let mut warnings = Vec::new();
    for (program, name, suffix) in [("iptables", "ufw", ""), ("ip6tables", "ufw6", "6")] {
        let table = match filter(program) {
            Ok(table) => table,
            // With IPV6=no in /etc/default/ufw there are none.
            Err(ToolError::Inactive(_)) if name == "ufw6" => continue,
            Err(error) => return Err(error),
        };
        let part = if plan.wanted == Wanted::Dropped { "after" } else { "before" };
        for way in ["input", "forward"] {
            let chain = format!("{name}-{part}-{way}");
            let index = match part {
                "before" => Ok(0),
                _ => first_doomed(&table, &chain, &way.to_uppercase()),
            };
            match index {
                Ok(index) => {
                    let file = format!("/etc/ufw/{part}{suffix}.rules");
                    insertions.push(Insertion { file, chain, index, program });
                }
                Err(why) => {
                    warnings.push(format!("nothing is logged in {} {chain}: {why}", table.place));
                }
            }
        }
    }
    if insertions.is_empty() {
        return Err(ToolError::NothingDropped(warnings.join("; ")));
    }
    Ok((insertions, warnings))
}

/// The rule that logs, identified by its comment.
fn line(plan: &RulesPlan, chain: &str) -> String {
    format!("-A {chain} ! -i lo -m comment --comment {COMMENT} {}", plan.xtables_rule())
}

/// A file's text with an insertion: in the table `filter`, after the given number of rules of its chain, or
/// after the declarations of chains.
fn inserted(plan: &RulesPlan, it: &Insertion, text: &str) -> Result<String, ToolError> {
    let file = |why: String| ToolError::File { path: it.file.clone().into(), why };
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| line.trim() == "*filter");
    let start = start.ok_or_else(|| file("it has no line *filter".into()))?;
    let end = lines[start..].iter().position(|line| line.trim() == "COMMIT");
    let end = start + end.ok_or_else(|| file("its table *filter has no line COMMIT".into()))?;
    let positions = |start_of_line: &str| {
        let found = (start..end).filter(|at| lines[*at].trim_start().starts_with(start_of_line));
        found.collect::<Vec<_>>()
    };
    if positions(&format!(":{} ", it.chain)).is_empty() {
        return Err(file(format!("its table *filter does not declare the chain {}", it.chain)));
    }
    let before = match it.index {
        0 => positions(":").last().copied(),
        index => positions(&format!("-A {} ", it.chain)).get(index - 1).copied(),
    };
    let before = before.ok_or_else(|| {
        file(format!("it has fewer rules of {} than are loaded: ufw reload", it.chain))
    })?;
    let ours = line(plan, &it.chain);
    let (head, tail) = lines.split_at(before + 1);
    let all = [head, &[BEGIN, &ours, END], tail].concat();
    Ok(all.join("\n") + "\n")
}

/// A file's text without our lines. Fails without the line that ends them, because our lines and the user's
/// cannot be distinguished then.
fn without_ours(file: &str, text: &str) -> Result<String, ToolError> {
    let mut is_ours = false;
    let mut is_open = false;
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        let begins = line.starts_with(BEGIN);
        is_open |= is_ours && begins;
        is_ours |= begins;
        if !is_ours {
            kept += line;
        }
        is_ours &= !line.starts_with(END);
    }
    if is_ours || is_open {
        let why = format!(
            "no line `{END}` follows its line `{BEGIN}`: remove that line, and the rule after it if it logs to NFLOG"
        );
        return Err(ToolError::File { path: file.into(), why });
    }
    Ok(kept)
}

/// A file's text, decoded as Latin-1: comments may be in any encoding, and everything that is parsed is ASCII.
/// [`write()`] is the inverse.
fn read(file: &str) -> Result<String, ToolError> {
    let bytes = fs::read(file).map_err(|why| ToolError::file(file, &why))?;
    Ok(bytes.into_iter().map(char::from).collect())
}

fn write(file: &str, text: &str) -> Result<(), ToolError> {
    // Our own lines are ASCII.
    let bytes = text.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?'));
    fs::write(file, bytes.collect::<Vec<u8>>()).map_err(|why| ToolError::file(file, &why))
}

/// Edits ufw's files, reloads ufw, and verifies. On failure the files are restored and reloaded.
fn change(
    edit: impl Fn(&str, &str) -> Result<String, ToolError>,
    verify: impl Fn() -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let mut changes = Vec::new();
    for file in files() {
        if Path::new(&file).exists() {
            let old = read(&file)?;
            let new = edit(&file, &old)?;
            if new != old {
                changes.push((file, old, new));
            }
        }
    }
    let load = || {
        for (file, _, new) in &changes {
            write(file, new)?;
        }
        output("ufw", &["reload"])?;
        verify()
    };
    if changes.is_empty() && verify().is_ok() {
        return Ok(());
    }
    load().map_err(|error| {
        let is_written = changes.iter().all(|(file, old, _)| write(file, old).is_ok());
        if is_written && output("ufw", &["reload"]).is_ok() {
            return error;
        }
        let why = format!("{error}; its files could not be restored and reloaded: check them");
        ToolError::File { path: "/etc/ufw".into(), why }
    })
}
