//! Checks the configuration and the files that it names for all that keeps the exporter from starting.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    config::{Config, ConfigErrors, Flags},
    geoip::GeoIp,
    http::WebConfigWatcher,
    mirror::target::Tls,
    system::files::read_small,
    system::privileges::Account,
};

/// Longest file of certificates that is read, in bytes.
const MAX_ROOTS: u64 = 4 * 1024 * 1024;

/// The configuration, once everything in it and in the files that it names can be used.
///
/// # Errors
/// All that is wrong.
pub(super) fn load(flags: &Flags) -> Result<Config, ConfigErrors> {
    flags.load_checked(unusable_files)
}

/// What `config check` prints for a configuration that can be used.
///
/// # Errors
/// All that is wrong.
pub(super) fn report(flags: &Flags) -> anyhow::Result<String> {
    load(flags)?;
    let mut text = match &flags.config_file {
        Some(file) => format!("{}: configuration is valid\n", file.display()),
        None => "configuration is valid: no --config.file, only defaults and flags\n".into(),
    };
    if let Some(warning) = empty(flags) {
        text.push_str(&warning);
        text.push('\n');
    }
    Ok(text)
}

/// A warning about a configuration file with nothing in it, which is what a failed write leaves.
pub(super) fn empty(flags: &Flags) -> Option<String> {
    let file = flags.empty_file()?.display();
    Some(format!(
        "{file}: warning: the configuration file is empty, so every key has its default; restore the file \
         if this is wrong"
    ))
}

/// The keys whose files or users cannot be used, and why.
fn unusable_files(config: &Config) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut check = |key: &str, outcome: anyhow::Result<()>| {
        if let Err(error) = outcome {
            problems.push((key.to_owned(), format!("{error:#}")));
        }
    };
    for file in config.geoip.databases.iter().filter(|file| !file.as_os_str().is_empty()) {
        check("geoip.databases", geoip(file.clone()));
    }
    let guard = WebConfigWatcher::open(&config.web.config_file);
    check("web.config_file", guard.map(drop).map_err(Into::into));
    let privileges = &config.privileges;
    let user = Account::find(&privileges.user, "");
    check("privileges.user", user.map(drop).map_err(Into::into));
    let group = Account::find("", &privileges.group);
    check("privileges.group", group.map(drop).map_err(Into::into));
    let key = if config.mirror.url.is_empty() { "mirror.url_file" } else { "mirror.url" };
    check(key, certificates(config));
    problems
}

fn geoip(file: PathBuf) -> anyhow::Result<()> {
    GeoIp::open(&[file])?;
    Ok(())
}

/// The file of authorities that the database's URL names.
fn certificates(config: &Config) -> anyhow::Result<()> {
    // A URL that cannot be used is reported by its own rule.
    let Ok(Some(target)) = config.mirror_target() else { return Ok(()) };
    let Tls::Verified { roots: Some(file) } = target.tls else { return Ok(()) };
    read_small(&file, MAX_ROOTS)
        .map(drop)
        .with_context(|| format!("cannot read the certificates {}", file.display()))
}
