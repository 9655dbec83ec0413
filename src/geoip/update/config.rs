//! The configuration section `[geoip.update]`: the publisher that `geoip update` downloads from.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    geoip::edition::Edition,
    settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject, units},
};

/// The environment variable for the license key of MaxMind.
pub const LICENSE_KEY_VARIABLE: &str = "NFLOG_EXPORTER_MAXMIND_LICENSE_KEY";

/// Values of `timeout`.
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Values of `max_size`, bytes. The reader accepts at most 2 GiB.
const SIZES: std::ops::RangeInclusive<u64> = 1 << 10..=2 << 30;

/// `[geoip.update]`: where databases are downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateConfig {
    /// The publisher; default `dbip`.
    pub publisher: Publisher,
    /// The editions in `geoip.directory`; default empty: those that are there, or `country` if there are none. With
    /// `geoip.databases`, the files there are updated instead.
    pub editions: Vec<Edition>,
    /// Number of the account at MaxMind; default 0: none.
    pub account_id: u32,
    /// File with the license key of MaxMind; default empty: the key is in the environment variable
    /// `NFLOG_EXPORTER_MAXMIND_LICENSE_KEY`.
    pub license_key_file: PathBuf,
    /// Address of a server with the same paths as the publisher's; default empty: the publisher's.
    pub server: String,
    /// PEM file of the certificate authorities to trust; default empty: those of the system.
    pub ca_file: PathBuf,
    /// Maximum time of a download, 1 s to 24 h; default 10 min.
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    /// Maximum size of a database, bytes, 1 KiB to 2 GiB; default 512 MiB.
    #[serde(with = "units::size")]
    pub max_size: u64,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            publisher: Publisher::default(),
            editions: Vec::new(),
            account_id: 0,
            license_key_file: PathBuf::new(),
            server: String::new(),
            ca_file: PathBuf::new(),
            timeout: Duration::from_secs(600),
            max_size: 512 << 20,
        }
    }
}

/// A publisher of databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publisher {
    /// DB-IP Lite, published monthly, without registration.
    #[default]
    DbIp,
    /// GeoLite2 of MaxMind, published twice a week, with an account.
    MaxMind,
}

impl ConfigSection for UpdateConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        let editions = self.editions.iter().map(|edition| edition.name());
        broken([
            check_list("geoip.update.editions", editions, Edition::ALL.len()),
            self.validate_account(),
            self.validate_server(),
            self.validate_timeout(),
            self.validate_size(),
        ])
    }
}

impl UpdateConfig {
    fn validate_account(&self) -> RuleResult {
        let key = "geoip.update.account_id";
        match (self.publisher, self.account_id) {
            (Publisher::MaxMind, 0) => reject(
                key,
                "is missing, and geoip.update.publisher = \"maxmind\" requires the number of an account",
            ),
            (Publisher::DbIp, 1..) => {
                reject(key, "is set; set geoip.update.publisher = \"maxmind\" too, or remove it")
            }
            _ => Ok(()),
        }
    }

    /// The address must be that of a server with TLS, and have no user: an error shows it.
    fn validate_server(&self) -> RuleResult {
        let is_valid = self.server.is_empty()
            || url::Url::parse(&self.server).is_ok_and(|url| {
                let has_user = !url.username().is_empty() || url.password().is_some();
                let has_end = url.query().is_some() || url.fragment().is_some();
                url.scheme() == "https" && url.has_host() && !has_user && !has_end
            });
        if is_valid {
            return Ok(());
        }
        reject("geoip.update.server", "is not the address of a server; use https://HOST/PATH")
    }

    fn validate_timeout(&self) -> RuleResult {
        if TIMEOUTS.contains(&self.timeout) {
            return Ok(());
        }
        let timeout = humantime::format_duration(self.timeout);
        reject("geoip.update.timeout", format!("is {timeout}; use 1s to 24h"))
    }

    fn validate_size(&self) -> RuleResult {
        if SIZES.contains(&self.max_size) {
            return Ok(());
        }
        reject("geoip.update.max_size", format!("is {}; use 1KiB to 2GiB", self.max_size))
    }
}

#[cfg(test)]
mod tests {
    use crate::{geoip::GeoIpConfig, settings::testing::check_section};

    fn check(lines: &str, expect: &str) {
        check_section::<GeoIpConfig>(&format!("[geoip.update]\n{lines}"), expect);
    }

    #[test]
    fn the_publisher_and_the_account_agree() {
        check("editions = ['city', 'asn']", "");
        check(
            "editions = ['city', 'city']",
            "geoip.update.editions: has city twice; remove the duplicate",
        );
        check("publisher = 'maxmind'\naccount_id = 7", "");
        check(
            "publisher = 'maxmind'",
            "geoip.update.account_id: is missing, and geoip.update.publisher = \"maxmind\" requires the number of an \
             account",
        );
        check(
            "account_id = 7",
            "geoip.update.account_id: is set; set geoip.update.publisher = \"maxmind\" too, or remove it",
        );
    }

    #[test]
    fn the_server_has_tls_and_no_password() {
        check("server = 'https://mirror.example.net:8443/geo/'", "");
        for server in [
            "http://a",
            "a",
            "https://",
            "https://u:p@a",
            "https://u@a",
            "https://a?x",
            "https://a#x",
        ] {
            check(
                &format!("server = '{server}'"),
                "geoip.update.server: is not the address of a server; use https://HOST/PATH",
            );
        }
    }

    #[test]
    fn time_and_size_are_limited() {
        check("timeout = '1s'\nmax_size = '1KiB'", "");
        check("timeout = '0s'", "geoip.update.timeout: is 0s; use 1s to 24h");
        check("timeout = '2days'", "geoip.update.timeout: is 2days; use 1s to 24h");
        check("max_size = 5", "geoip.update.max_size: is 5; use 1KiB to 2GiB");
        check("max_size = '3GiB'", "geoip.update.max_size: is 3221225472; use 1KiB to 2GiB");
    }
}
