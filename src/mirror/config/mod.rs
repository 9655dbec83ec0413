//! The configuration section `[mirror]`, its defaults, and the files that it names.

mod rules;
#[cfg(test)]
mod tests;
mod url;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use self::{
    rules::validate_selection,
    url::{MirrorUrl, URL_VARIABLE},
};
use super::{
    anonymize::{self, Anonymizer, CryptoPan},
    select::Selection,
    spool::{OtherTarget, SpoolPlan},
    store::Maintenance,
    target::Servers,
};
use crate::{
    settings::{InvalidSetting, units},
    system::{files::read_small, host_name},
};

/// `[mirror]`: each packet as a row of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MirrorConfig {
    /// `mysql://USER:PASSWORD@HOST/DATABASE`, `postgres://…`, `clickhouse://…` or `sqlite:PATH`; default empty: no rows.
    /// MySQL and `PostgreSQL` take several hosts: `HOST:PORT,HOST:PORT`.
    pub url: MirrorUrl,
    /// File with the URL; default empty.
    pub url_file: PathBuf,
    /// Order in which several hosts of the URL are tried; default `listed`.
    pub server_order: ServerOrder,
    /// Name of this host in the rows; default empty: the system's host name.
    pub host: String,
    /// Age at which rows are deleted, by whole days if the database has partitions; `0s`: never; default 14d.
    #[serde(with = "units::duration")]
    pub retention: Duration,
    /// Maximum size of all rows with their indexes, bytes; the oldest rows are deleted first; default 0: no limit.
    #[serde(with = "units::size")]
    pub max_size: u64,
    /// N: one packet in N becomes a row, with the weight N; default 1.
    pub sample: u32,
    /// Only packets with these log prefixes become rows; default empty: all.
    pub prefixes: Vec<String>,
    /// Only packets of these countries become rows, as the label `country` shows them; default empty: all.
    pub countries: Vec<String>,
    /// Anonymization of addresses in rows; default `none`.
    pub anonymize: Anonymize,
    /// File with the key for `cryptopan`, 32 bytes or 64 hexadecimal digits; default empty.
    pub anonymize_key_file: PathBuf,
    /// Where rows wait for the database.
    pub spool: SpoolConfig,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            url: MirrorUrl::default(),
            url_file: PathBuf::new(),
            server_order: ServerOrder::default(),
            host: String::new(),
            retention: Duration::from_secs(14 * 24 * 60 * 60),
            max_size: 0,
            sample: 1,
            prefixes: Vec::new(),
            countries: Vec::new(),
            anonymize: Anonymize::default(),
            anonymize_key_file: PathBuf::new(),
            spool: SpoolConfig::default(),
        }
    }
}

/// `[mirror.spool]`: where rows wait for the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpoolConfig {
    /// Directory of the spool, created if missing, used by one exporter only; default `/var/lib/nflog_exporter`.
    pub directory: PathBuf,
    /// Maximum size on disk, bytes; 0: rows are kept in memory only; default 1 GiB.
    #[serde(with = "units::size")]
    pub max_size: u64,
    /// What happens to rows for another database than `mirror.url`: `keep` leaves them in the spool
    /// until it is configured again, `deliver` delivers them to this one, `drop` removes them; default `keep`.
    pub other_target: OtherTarget,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            directory: "/var/lib/nflog_exporter".into(),
            max_size: 1 << 30,
            other_target: OtherTarget::default(),
        }
    }
}

/// Order in which the servers of a database are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerOrder {
    /// As the URL lists them; after a failure, the next one first.
    #[default]
    Listed,
    /// At random, so that many exporters share the servers of a cluster.
    Random,
}

/// Anonymization of addresses in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Anonymize {
    /// Addresses stay as they are.
    #[default]
    None,
    /// Truncated to 24 bits of IPv4, 48 bits of IPv6.
    Truncate,
    /// Encrypted, so that addresses with a common prefix keep one (Crypto-PAn).
    Cryptopan,
}

/// The section with the content of its files.
#[derive(Debug)]
pub struct ResolvedConfig {
    /// The servers of the database.
    pub servers: Servers,
    /// The section itself.
    pub config: MirrorConfig,
    pub(super) anonymizer: Anonymizer,
}

impl ResolvedConfig {
    pub(super) fn selection(&self) -> Selection {
        self.config.selection()
    }

    pub(super) fn spool(&self) -> SpoolPlan {
        let host = match self.config.host.as_str() {
            "" => host_name(),
            host => host.to_owned(),
        };
        let SpoolConfig { directory, max_size, other_target } = self.config.spool.clone();
        SpoolPlan { directory, max_size, host, target: self.servers.identity(), other_target }
    }

    pub(super) fn maintenance(&self) -> Maintenance {
        let MirrorConfig { retention, max_size, .. } = self.config;
        Maintenance {
            retention: (!retention.is_zero()).then_some(retention),
            max_size: (max_size != 0).then_some(max_size),
        }
    }
}

impl MirrorConfig {
    /// The packets that become rows.
    fn selection(&self) -> Selection {
        let Self { prefixes, countries, sample, .. } = self;
        Selection { prefixes: prefixes.clone(), countries: countries.clone(), sample: *sample }
    }

    /// Reads the files that the section names; `None` if no database is configured. Called before privileges are dropped.
    ///
    /// # Errors
    /// A file cannot be read, or contains no valid URL or key.
    pub fn resolve(self) -> Result<Option<ResolvedConfig>, InvalidSetting> {
        let Some(servers) = self.servers()? else { return Ok(None) };
        let anonymizer = self.anonymizer(self.anonymize)?;
        Ok(Some(ResolvedConfig { servers, anonymizer, config: self }))
    }

    /// The servers of the database to write to; `None` if none is configured. Reads `url_file`.
    ///
    /// # Errors
    /// The file cannot be read, or the URL is invalid.
    pub fn servers(&self) -> Result<Option<Servers>, InvalidSetting> {
        let (key, url) = match (self.url.is_empty(), self.url_file.as_os_str().is_empty()) {
            (true, true) => return Ok(None),
            (false, true) => ("mirror.url", self.url.clone()),
            (true, false) => ("mirror.url_file", self.read_url()?),
            (false, false) => {
                let reason = "is given together with mirror.url; use one of them";
                return Err(InvalidSetting::new("mirror.url_file", reason));
            }
        };
        let servers = url.reveal().parse::<Servers>();
        servers.map(Some).map_err(|error| InvalidSetting::new(key, error.to_string()))
    }

    fn read_url(&self) -> Result<MirrorUrl, InvalidSetting> {
        let invalid = |reason| InvalidSetting::new("mirror.url_file", reason);
        let text = read(&self.url_file).map_err(invalid)?;
        let url = MirrorUrl::from(&*String::from_utf8_lossy(&text));
        if url.is_empty() {
            let path = self.url_file.display();
            return Err(invalid(format!(
                "names {path}, which is empty; write the URL into the file"
            )));
        }
        Ok(url)
    }

    /// The anonymization of this method. Reads `anonymize_key_file`.
    ///
    /// # Errors
    /// The method needs a key, and the file cannot be read or contains no valid key.
    pub fn anonymizer(&self, method: Anonymize) -> Result<Anonymizer, InvalidSetting> {
        let key = "mirror.anonymize_key_file";
        let path = &self.anonymize_key_file;
        match method {
            Anonymize::None => Ok(Anonymizer::None),
            Anonymize::Truncate => Ok(Anonymizer::Truncate),
            Anonymize::Cryptopan if path.as_os_str().is_empty() => Err(InvalidSetting::new(
                key,
                "is missing, and mirror.anonymize = \"cryptopan\" requires a key: create one with \
                 `openssl rand -hex 32 > FILE`, the same for all hosts whose rows are compared",
            )),
            Anonymize::Cryptopan => {
                let text = read(path).map_err(|reason| InvalidSetting::new(key, reason))?;
                let secret = anonymize::key_from_text(&text).map_err(|error| {
                    InvalidSetting::new(key, format!("names {}: {error}", path.display()))
                })?;
                Ok(Anonymizer::CryptoPan(Box::new(CryptoPan::new(&secret))))
            }
        }
    }
}

/// The content of a file that the section names: a URL or a key.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_small(path, 64 * 1024).map_err(|cause| {
        format!(
            "names {}, which cannot be read: {cause}; check the path and the permissions",
            path.display()
        )
    })
}
