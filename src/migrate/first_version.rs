//! Converts the configuration of ulogd 1, which reads one group of ULOG and loads each output as a plugin.

use super::{
    MigrateError, Migrated, conf_lines::has_sections, database, grammar::ConfSection,
    migration::Migration, stack,
};
use crate::source::nflog::limits::RECEIVE_BUFFER;

/// The keys of ulogd 1 itself.
const KEYS: [&str; 6] = ["nlgroup", "logfile", "loglevel", "rmem", "bufsize", "plugin"];

/// Keys of outputs before version 1.20, which has no sections: the prefix and the plugin.
const PREFIXES: [(&str, &str); 2] = [("mysql", "MYSQL"), ("pgsql", "PGSQL")];

/// Keys of those outputs without a prefix, and of text outputs.
const OTHER_KEYS: [&str; 18] = [
    "mysqltable",
    "mysqldb",
    "mysqlhost",
    "mysqluser",
    "mysqlpass",
    "mysqlport",
    "pgsqltable",
    "pgsqlschema",
    "pgsqldb",
    "pgsqlhost",
    "pgsqluser",
    "pgsqlpass",
    "pgsqlport",
    "syslogfile",
    "syslogsync",
    "dumpfile",
    "pcapfile",
    "pcapsync",
];

/// Group that ulogd 1 reads by default.
const DEFAULT_GROUP: u32 = 32;

/// The name of a plugin of ulogd 1: `ulogd_NAME.so`; the files of ulogd 2 have the kind of plugin before the name.
fn plugin_name(path: &str) -> Option<&str> {
    let file = path.rsplit('/').next()?;
    let name = file.strip_prefix("ulogd_")?.strip_suffix(".so")?;
    (!name.contains('_')).then_some(name)
}

/// Whether a file is of ulogd 1.
pub(super) fn is_first_version(global: &ConfSection) -> bool {
    let has_key = |key: &str| global.keys().any(|known| known == key);
    let loads = global.all("plugin").flatten().any(|path| plugin_name(&path).is_some());
    !has_key("stack") && (loads || has_key("nlgroup"))
}

/// The section with the keys of ulogd 1 itself: `[global]`, or before version 1.20 the whole file.
pub(super) fn global(text: &[u8]) -> Result<ConfSection, MigrateError> {
    if has_sections(text) {
        return ConfSection::read(
            text,
            "global",
            &[&KEYS[..], &["stack"]].concat(),
            &["plugin", "stack"],
        );
    }
    let keys: Vec<_> = KEYS.into_iter().chain(OTHER_KEYS).collect();
    ConfSection::read_without_header(text, &keys, &["plugin"])
}

/// Converts the file.
pub(super) fn convert(text: &[u8], global: &ConfSection) -> Result<Migrated, MigrateError> {
    let mut migration = Migration::new(text);
    let group = migration.output.number(global, "global", "nlgroup", 32)?;
    let group = group.unwrap_or(DEFAULT_GROUP);
    migration.output.groups.push(u16::try_from(group).unwrap_or(u16::MAX));
    migration.output.note(format!(
        "this is a configuration of ulogd 1, whose rules log with ULOG, which Linux does not have since 3.17: convert \
         them with `nflog_exporter migrate --rules FILE`; they keep the group {group}"
    ));
    if let Some(bytes) = migration.output.number(global, "global", "rmem", i32::MAX as u32)? {
        let valid = bytes.clamp(*RECEIVE_BUFFER.start(), *RECEIVE_BUFFER.end());
        if valid != bytes {
            migration.output.note(format!("rmem={bytes}: changed to {valid}"));
        }
        migration.output.set("receive_buffer", valid.to_string());
    }
    if global.keys().any(|key| key == "bufsize") {
        migration.output.not_migrated("bufsize: the read buffer has a fixed size");
    }
    for path in global.all("plugin") {
        let path = path?;
        match plugin_name(&path) {
            Some(name) => output(&mut migration, global, name)?,
            None => {
                migration.output.not_migrated(format!("plugin {path}: it is not one of ulogd 1"));
            }
        }
    }
    let texts = global.keys().filter(|key| OTHER_KEYS[13..].contains(key));
    for key in texts.map(str::to_owned).collect::<Vec<_>>() {
        migration.output.not_migrated(format!(
            "{key}: without sections, files of packets are not converted; see [[output]]"
        ));
    }
    migration.global(global)?;
    migration.unused_lines();
    Ok(migration.finish())
}

/// Converts an output.
fn output(
    migration: &mut Migration<'_>,
    global: &ConfSection,
    name: &str,
) -> Result<(), MigrateError> {
    let prefix = PREFIXES.iter().find(|(_, plugin)| *plugin == name).map(|(prefix, _)| *prefix);
    match prefix.map(|prefix| global.with_prefix(prefix, name)) {
        Some(flat) if flat.exists => migration.database(&flat, name, name),
        _ if database::keys(name).is_some() || stack::no_equivalent(name).is_some() => {
            migration.output_section(name, name)
        }
        _ => Ok(()),
    }
}
