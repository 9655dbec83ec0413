//! The configuration section `[geoip]`: the database files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{edition::Edition, update::UpdateConfig};
use crate::settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject};

/// Maximum number of database files: country, city and ASN in IPv4 and IPv6, and more for custom ones.
const MAX_DATABASES: usize = 16;

/// `[geoip]`: the database files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeoIpConfig {
    /// Files in the MaxMind format (`.mmdb`); default empty: those in `directory`, and the embedded country database if
    /// there are none.
    pub databases: Vec<PathBuf>,
    /// Directory of the databases that `geoip update` downloads: `city.mmdb`, `country.mmdb` and `asn.mmdb`; not used
    /// with `databases`; default `/var/lib/nflog_exporter/geoip`.
    pub directory: PathBuf,
    /// Where `geoip update` downloads databases.
    pub update: UpdateConfig,
}

impl Default for GeoIpConfig {
    fn default() -> Self {
        Self {
            databases: Vec::new(),
            directory: "/var/lib/nflog_exporter/geoip".into(),
            update: UpdateConfig::default(),
        }
    }
}

impl ConfigSection for GeoIpConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        let mut invalid = broken([self.validate_databases(), self.validate_directory()]);
        invalid.extend(self.update.validate());
        invalid
    }
}

impl GeoIpConfig {
    /// The file of an edition in the directory of downloaded databases.
    pub(super) fn downloaded(&self, edition: Edition) -> PathBuf {
        self.directory.join(edition.file_name())
    }

    /// The files of the directory that are used if they exist; empty if `databases` is set.
    pub(super) fn optional_files(&self) -> Vec<PathBuf> {
        if !self.databases.is_empty() {
            return Vec::new();
        }
        Edition::ALL.map(|edition| self.downloaded(edition)).into()
    }

    /// The files in use: `databases`, or those that exist in the directory.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let downloaded = self.optional_files().into_iter().filter(|file| file.exists());
        self.databases.iter().cloned().chain(downloaded).collect()
    }

    /// The directory in which files can appear while the exporter runs; `None` if `databases` is set.
    #[must_use]
    pub fn watched_directory(&self) -> Option<&Path> {
        self.databases.is_empty().then_some(&self.directory)
    }

    fn validate_databases(&self) -> RuleResult {
        let key = "geoip.databases";
        if self.databases.iter().any(|file| file.as_os_str().is_empty()) {
            return reject(
                key,
                "has an empty path; leave the list empty for the embedded database",
            );
        }
        let paths = self.databases.iter().map(|file| file.display().to_string());
        check_list(key, paths, MAX_DATABASES)
    }

    fn validate_directory(&self) -> RuleResult {
        if !self.directory.is_absolute() {
            return reject(
                "geoip.directory",
                format!("is {:?}; use an absolute path", self.directory.display().to_string()),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::check_section;

    #[test]
    fn databases_are_paths_without_duplicates() {
        let check = check_section::<GeoIpConfig>;
        check(
            "[geoip]\ndatabases = ['']",
            "geoip.databases: has an empty path; leave the list empty for the embedded database",
        );
        check(
            "[geoip]\ndatabases = ['a', 'a']",
            "geoip.databases: has a twice; remove the duplicate",
        );
        let many: Vec<_> = (0..17).map(|number| number.to_string()).collect();
        check(
            &format!("[geoip]\ndatabases = {many:?}"),
            "geoip.databases: has 17 entries; use 16 at most",
        );
        check(&format!("[geoip]\ndatabases = {:?}", &many[..16]), "");
        check("[geoip]", "");
    }

    #[test]
    fn the_directory_is_an_absolute_path() {
        let check = check_section::<GeoIpConfig>;
        check("[geoip]\ndirectory = 'x'", "geoip.directory: is \"x\"; use an absolute path");
        check("[geoip]\ndirectory = ''", "geoip.directory: is \"\"; use an absolute path");
        check("[geoip]\ndirectory = '/srv'", "");
    }

    #[test]
    fn downloaded_files_are_used_without_databases() {
        let directory = tempfile::tempdir().unwrap();
        let mut config =
            GeoIpConfig { directory: directory.path().to_owned(), ..GeoIpConfig::default() };
        assert_eq!(config.files(), [""; 0].map(PathBuf::from));
        for name in ["asn.mmdb", "city.mmdb", "other.mmdb"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let path = |name: &str| directory.path().join(name);
        assert_eq!(config.files(), [path("city.mmdb"), path("asn.mmdb")]);
        assert_eq!(config.watched_directory(), Some(directory.path()));
        config.databases = vec!["/a".into()];
        assert_eq!(config.files(), [PathBuf::from("/a")]);
        assert_eq!(config.watched_directory(), None);
    }
}
