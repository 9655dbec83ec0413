//! `config check`: validates the configuration and the files that it names.

use std::path::PathBuf;

use anyhow::Context as _;

use super::warnings::warnings;
use crate::{
    config::{Config, ConfigErrors, Flags},
    geoip::GeoIp,
    http::WebConfigWatcher,
    mirror::target::Tls,
    networks::{ListConfigs, Networks, NetworksConfig},
    output::check_certificates,
    source::kernel_log::syslog::check_tls,
    system::files::read_small,
    system::privileges::UserAccount,
};

/// Maximum size of a file of certificates, bytes.
const MAX_ROOTS: u64 = 4 * 1024 * 1024;

/// Loads the configuration and validates the files that it names.
///
/// # Errors
/// Every error, not only the first.
pub(super) fn load(flags: &Flags) -> Result<Config, ConfigErrors> {
    flags.load_checked(invalid_files)
}

/// The output for a valid configuration.
///
/// # Errors
/// Every error, not only the first.
pub(super) fn report(flags: &Flags) -> anyhow::Result<String> {
    let config = load(flags)?;
    let mut text = match &flags.config_file {
        Some(file) => format!("{}: configuration is valid\n", file.display()),
        None => "configuration is valid: no --config.file, only defaults and flags\n".into(),
    };
    if let Some(warning) = empty(flags) {
        text.push_str(&warning);
        text.push('\n');
    }
    let databases = GeoIp::open_configured(&config.geoip)?.status();
    for warning in warnings(&config, &databases) {
        text.extend(["warning: ", &warning, "\n"]);
    }
    Ok(text)
}

/// A warning about an empty configuration file, which a failed write leaves.
pub(super) fn empty(flags: &Flags) -> Option<String> {
    let file = flags.empty_file()?.display();
    Some(format!(
        "{file}: warning: the configuration file is empty, so every key has its default; if that is not \
         intended, write it again"
    ))
}

/// The keys that name invalid files, users or groups, and the reasons.
pub(super) fn invalid_files(config: &Config) -> Vec<(String, String)> {
    let mut invalid = Vec::new();
    let mut check = |key: &str, outcome: anyhow::Result<()>| {
        if let Err(error) = outcome {
            invalid.push((key.to_owned(), format!("{error:#}")));
        }
    };
    for file in config.geoip.databases.iter().filter(|file| !file.as_os_str().is_empty()) {
        check("geoip.databases", geoip(file.clone()));
    }
    let networks = Networks::open(&config.networks, &ListConfigs::default());
    check("networks.file", networks.map(drop).map_err(Into::into));
    // An empty path is reported with its own key.
    for list in config.list.iter().filter(|list| !list.file.as_os_str().is_empty()) {
        let networks = Networks::open(&NetworksConfig::default(), &vec![list.clone()].into());
        check(&format!("list.{}.file", list.name), networks.map(drop).map_err(Into::into));
    }
    let web_config = WebConfigWatcher::open(&config.web.config_file);
    check("web.config_file", web_config.map(drop).map_err(Into::into));
    // Missing files are reported with their own keys.
    let tls = &config.kernel_log.tls;
    if config.kernel_log.uses_tls()
        && ![&tls.cert_file, &tls.key_file].iter().any(|file| file.as_os_str().is_empty())
        && let Err((key, reason)) = check_tls(tls)
    {
        check(&key, Err(anyhow::anyhow!(reason)));
    }
    for output in &*config.output {
        let key = format!("output.{}.ca_file", output.name);
        check(&key, check_certificates(output).map_err(Into::into));
    }
    let privileges = &config.privileges;
    let user = UserAccount::find(&privileges.user, "");
    check("privileges.user", user.map(drop).map_err(Into::into));
    let group = UserAccount::find("", &privileges.group);
    check("privileges.group", group.map(drop).map_err(Into::into));
    let key = if config.mirror.url.is_empty() { "mirror.url_file" } else { "mirror.url" };
    check(key, certificates(config));
    invalid
}

fn geoip(file: PathBuf) -> anyhow::Result<()> {
    GeoIp::open(&[file])?;
    Ok(())
}

/// Reads the file of root certificates in the database's URL.
fn certificates(config: &Config) -> anyhow::Result<()> {
    // An invalid URL is reported with its own key.
    let Ok(Some(servers)) = config.mirror_servers() else { return Ok(()) };
    // All servers have the same one.
    let file = servers.iter().find_map(|server| match &server.tls {
        Tls::Verified { roots } => roots.as_ref(),
        Tls::Off | Tls::Unverified => None,
    });
    let Some(file) = file else { return Ok(()) };
    read_small(file, MAX_ROOTS)
        .map(drop)
        .with_context(|| format!("cannot read the certificates {}", file.display()))
}
