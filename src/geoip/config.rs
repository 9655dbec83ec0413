//! The configuration section `[geoip]`: the database files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject};

/// Maximum number of database files: country, city and ASN in IPv4 and IPv6, and more for custom ones.
const MAX_DATABASES: usize = 16;

/// `[geoip]`: the database files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeoIpConfig {
    /// Files in the MaxMind format (`.mmdb`); default empty: the embedded country database.
    pub databases: Vec<PathBuf>,
}

impl ConfigSection for GeoIpConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        broken([self.validate_databases()])
    }
}

impl GeoIpConfig {
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
}
