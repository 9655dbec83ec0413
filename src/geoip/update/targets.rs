//! The files that an update replaces: those of `geoip.databases`, or those of `geoip.directory`.

use std::path::{Path, PathBuf};

use super::error::UpdateSetupError;
use crate::{
    geoip::{GeoIpConfig, edition::Edition, file},
    sort::sort,
};

/// A file to update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its path.
    pub path: PathBuf,
    /// What is downloaded.
    pub(super) edition: Edition,
}

/// The files to update. `editions` are those of the command line, which override `geoip.update.editions`.
///
/// # Errors
/// A path in `geoip.databases` does not tell its edition, or none has a requested one.
pub(super) fn targets(
    config: &GeoIpConfig,
    editions: &[Edition],
) -> Result<Vec<Target>, UpdateSetupError> {
    if config.databases.is_empty() {
        let target = |edition| Target { path: config.downloaded(edition), edition };
        return Ok(chosen(config, editions).into_iter().map(target).collect());
    }
    let target = |path: &PathBuf| match edition_of(path) {
        Some(edition) => Ok(Target { path: path.clone(), edition }),
        None => Err(UpdateSetupError::UnknownEdition { path: path.clone() }),
    };
    let mut targets = config.databases.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) =
        editions.iter().find(|edition| !targets.iter().any(|target| target.edition == **edition))
    {
        return Err(UpdateSetupError::NotConfigured { edition: missing.name() });
    }
    targets.retain(|target| editions.is_empty() || editions.contains(&target.edition));
    Ok(targets)
}

/// The editions of the directory: the requested ones, the configured ones, those that are there, or countries.
fn chosen(config: &GeoIpConfig, editions: &[Edition]) -> Vec<Edition> {
    let mut chosen = match (editions, &*config.update.editions) {
        ([], []) => {
            let is_there = |edition: &Edition| config.downloaded(*edition).exists();
            Edition::ALL.into_iter().filter(is_there).collect()
        }
        ([], configured) => configured.to_vec(),
        (requested, _) => requested.to_vec(),
    };
    if chosen.is_empty() {
        chosen.push(Edition::Country);
    }
    sort(&mut chosen);
    chosen.dedup();
    chosen
}

/// The edition of a file: by its content, or if it cannot be opened, by its name.
fn edition_of(path: &Path) -> Option<Edition> {
    match file::open(path) {
        Ok((database, _)) => Edition::of_database(&database),
        Err(_) => Edition::of_file_name(path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::geoip::file::tests::data;

    fn check(config: &GeoIpConfig, editions: &[Edition], expect: &[&str]) {
        let found = match targets(config, editions) {
            Ok(targets) => targets
                .iter()
                .map(|target| {
                    let name = target.path.file_name().unwrap().to_string_lossy().into_owned();
                    format!("{name} {}", target.edition.name())
                })
                .collect(),
            Err(error) => vec![error.to_string()],
        };
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found}");
        }
    }

    #[test]
    fn the_directory_keeps_its_editions_and_has_countries_first() {
        let directory = tempfile::tempdir().unwrap();
        let mut config =
            GeoIpConfig { directory: directory.path().to_owned(), ..GeoIpConfig::default() };
        check(&config, &[], &["country.mmdb country"]);
        fs::write(directory.path().join("asn.mmdb"), "").unwrap();
        check(&config, &[], &["asn.mmdb asn"]);
        check(&config, &[Edition::City], &["city.mmdb city"]);
        config.update.editions = vec![Edition::Asn, Edition::City];
        check(&config, &[], &["city.mmdb city", "asn.mmdb asn"]);
        check(&config, &[Edition::Country], &["country.mmdb country"]);
    }

    #[test]
    fn configured_files_have_the_edition_of_their_content_or_name() {
        let directory = tempfile::tempdir().unwrap();
        let (odd, absent) = (directory.path().join("x.mmdb"), directory.path().join("my-asn.mmdb"));
        fs::copy(data("GeoIP2-City-Test.mmdb"), &odd).unwrap();
        let mut config =
            GeoIpConfig { databases: vec![odd.clone(), absent], ..GeoIpConfig::default() };
        check(&config, &[], &["x.mmdb city", "my-asn.mmdb asn"]);
        check(&config, &[Edition::Asn], &["my-asn.mmdb asn"]);
        check(
            &config,
            &[Edition::Country],
            &["no file in geoip.databases is a database of the edition country"],
        );
        fs::write(&odd, "").unwrap();
        check(&config, &[], &["neither the content nor the name of"]);
        config.databases = vec![data("GeoIP2-City-Test.mmdb")];
        check(&config, &[], &["GeoIP2-City-Test.mmdb city"]);
    }
}
