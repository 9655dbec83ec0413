//! The configuration: a TOML file and flags, loaded into one validated [`Config`].
//!
//! Each section is a type of the part that it configures, with its defaults and rules. This module nests the sections,
//! and reports errors with the line of the file or the flag.

mod deserializer;
mod error;
mod file;
mod flags;
mod load;
#[cfg(test)]
mod tests;
mod value_errors;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    firewall::RulesConfig,
    geoip::GeoIpConfig,
    history::HistoryConfig,
    metrics::FamilyConfigs,
    mirror::{
        anonymize::Anonymizer,
        config::{Anonymize, MirrorConfig, ResolvedConfig},
        target::Servers,
    },
    networks::{ListConfigs, NetworksConfig},
    output::{OutputConfigs, OutputResources},
    settings::{ConfigSection, InvalidSetting},
    source::{kernel_log::KernelLogConfig, nflog::NflogConfig},
    system::{logging::LogConfig, privileges::PrivilegesConfig},
    web::WebServerConfig,
};

pub use error::{ConfigError, ConfigErrors, ValueOrigin};
pub use flags::Flags;
pub use load::parse;

/// All settings.
///
/// The parser accepts the keys that [`Config::to_toml`] prints for the default, so the default serializes every key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The NFLOG groups.
    pub nflog: NflogConfig,
    /// The sources of kernel log lines.
    pub kernel_log: KernelLogConfig,
    /// The GeoIP databases.
    pub geoip: GeoIpConfig,
    /// The names of networks.
    pub networks: NetworksConfig,
    /// The lists of addresses.
    pub list: ListConfigs,
    /// The metric families.
    pub family: FamilyConfigs,
    /// The firewall rules that the exporter installs.
    pub rules: RulesConfig,
    /// The database with a row per packet.
    pub mirror: MirrorConfig,
    /// Further outputs.
    pub output: OutputConfigs,
    /// The counts of the last 30 days.
    pub history: HistoryConfig,
    /// The HTTP server.
    pub web: WebServerConfig,
    /// The user and the sandbox.
    pub privileges: PrivilegesConfig,
    /// The exporter's own log.
    pub log: LogConfig,
}

impl Config {
    /// Checks all sections; returns the invalid settings.
    fn validate(&self) -> Vec<InvalidSetting> {
        let Self {
            nflog,
            kernel_log,
            geoip,
            networks,
            list,
            family,
            rules,
            mirror,
            output,
            history,
            web,
            privileges,
            log,
        } = self;
        let sections: [&dyn ConfigSection; 13] = [
            nflog, kernel_log, geoip, networks, list, family, rules, mirror, output, history, web,
            privileges, log,
        ];
        let invalid = sections.into_iter().flat_map(ConfigSection::validate);
        invalid.chain(self.validate_groups()).chain(self.validate_output_key()).collect()
    }

    /// NFLOG groups are optional beside another source.
    fn validate_groups(&self) -> Option<InvalidSetting> {
        let (key, reason) = if !self.nflog.groups.is_empty() {
            return None;
        } else if !self.kernel_log.has_source() {
            (
                "nflog.groups",
                "is empty, and [kernel_log] has no source; use the group of the firewall rules, such as groups = [1]",
            )
        } else if self.rules.install {
            (
                "rules.install",
                "is true, and there is no NFLOG group to log to; set nflog.groups = [1]",
            )
        } else {
            return None;
        };
        Some(InvalidSetting::new(key, reason))
    }

    /// An output can need the key of the mirror.
    fn validate_output_key(&self) -> Option<InvalidSetting> {
        let needs_key = |method| method == Anonymize::Cryptopan;
        let is_needed = self.output.iter().any(|output| needs_key(output.anonymize));
        // The mirror's own use is checked by its section.
        let is_checked = needs_key(self.mirror.anonymize);
        (is_needed && !is_checked).then(|| self.mirror.anonymizer(Anonymize::Cryptopan).err())?
    }

    /// The files that are re-read while the program runs: the configuration file of the flags, and the files that the
    /// configuration names. The files that the web configuration names are not included.
    pub fn files(&self, flags: &Flags) -> impl Iterator<Item = PathBuf> {
        let mirror = &self.mirror;
        let own = flags.config_file.clone().unwrap_or_default();
        let single = [
            own,
            mirror.url_file.clone(),
            mirror.anonymize_key_file.clone(),
            self.networks.file.clone(),
        ];
        let lists = self.list.iter().map(|list| list.file.clone());
        let tls = self.kernel_log.tls.files().map(PathBuf::from);
        let files = single.into_iter().chain(self.geoip.files()).chain(lists).chain(tls);
        files.filter(|path| !path.as_os_str().is_empty())
    }

    /// The servers of the database to mirror to; `None` if none is configured. Reads the file with the URL.
    ///
    /// # Errors
    /// The file can no longer be read, or contains no valid URL.
    pub fn mirror_servers(&self) -> Result<Option<Servers>, ConfigError> {
        self.mirror.servers().map_err(ConfigError::without_origin)
    }

    /// The section `[mirror]` with the content of its files; `None` if no database is configured.
    ///
    /// # Errors
    /// A file can no longer be read, or contains no valid URL or key.
    pub fn resolve_mirror(&self) -> Result<Option<ResolvedConfig>, ConfigError> {
        self.mirror.clone().resolve().map_err(ConfigError::without_origin)
    }

    /// The anonymization of this method, with the key of `mirror.anonymize_key_file` if it needs one.
    ///
    /// # Errors
    /// The method needs a key, and there is no valid one.
    pub fn anonymizer(&self, method: Anonymize) -> Result<Anonymizer, ConfigError> {
        self.mirror.anonymizer(method).map_err(ConfigError::without_origin)
    }

    /// What the outputs need, with the key of `mirror.anonymize_key_file` if one of them needs it.
    ///
    /// # Errors
    /// There is no valid key, or root certificates cannot be used.
    pub fn open_outputs(&self) -> anyhow::Result<OutputResources> {
        let anonymizers = self.output.iter().map(|output| self.anonymizer(output.anonymize));
        let anonymizers = anonymizers.collect::<Result<Vec<_>, _>>()?;
        Ok(OutputResources::open(&self.output, anonymizers, &self.mirror.host)?)
    }

    /// Every key with its value, as TOML. Parsing the text gives the same configuration, except for a password in the
    /// mirror's URL, which is masked.
    ///
    /// # Errors
    /// A path is not UTF-8, so TOML cannot represent it.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError::NotToml { reason: error.to_string() })
    }
}
