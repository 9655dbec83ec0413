//! The database files in use: their labels, their content, and the check for replaced files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tracing::{info, warn};

use super::{
    GeoIpConfig,
    database::Database,
    embedded,
    file::{self, GeoIpError},
};
use crate::system::{
    file_watch::{FileChange, FileDebounce},
    files::Fingerprint,
};

/// Value of the label `database` for the database inside the binary.
const EMBEDDED: &str = "embedded";

/// The beginning of the year 10000, since 1970.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

/// The state of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseStatus {
    /// Value of the label `database`, unique: the file's name, its path where two files have the same name, or
    /// `embedded`.
    pub name: String,
    /// Seconds since 1970-01-01 UTC at which it was built.
    pub build_timestamp: u64,
    /// Its type as the file names it, for example `GeoLite2-City`.
    pub edition: String,
    /// Which of country, city and ASN it provides, separated by commas.
    pub provides: String,
    /// Times it was replaced while running.
    pub reloads_ok: u64,
    /// Times a replacement could not be used, and the previous database stayed.
    pub reloads_failed: u64,
}

/// The databases in use at one time: immutable, replaced as a whole.
#[derive(Debug)]
pub(super) struct Generation {
    /// In the order they are asked.
    pub(super) databases: Vec<Arc<Database>>,
    /// In the same order.
    pub(super) status: Vec<DatabaseStatus>,
}

/// The files, in the order they are asked.
#[derive(Debug)]
pub(super) struct Files(Vec<WatchedFile>);

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    name: String,
    /// `None` for an optional file that does not exist, or was invalid from the start.
    database: Option<Arc<Database>>,
    /// The fingerprint of the file; `None` without a file. A rejected file is neither read nor logged again.
    changes: FileDebounce<Option<Fingerprint>>,
    reloads_ok: u64,
    reloads_failed: u64,
}

impl DatabaseStatus {
    /// Whether it is the database inside the binary.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.name == EMBEDDED
    }

    /// Logs which database is used, and what it provides.
    pub fn log(&self, message: &'static str) {
        let Self { name: database, edition, provides, .. } = self;
        let built = UNIX_EPOCH.checked_add(Duration::from_secs(self.build_timestamp));
        // The format cannot write years after 9999.
        let built = built.filter(|built| *built < UNIX_EPOCH + YEAR_10000);
        let built = built.map(|built| humantime::format_rfc3339_seconds(built).to_string());
        let built = built.as_deref().map_or("unknown", |built| &built[..10]);
        info!(database, edition, provides, built, "{message}");
    }
}

impl Files {
    /// Opens all files. A duplicate path counts once.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, GeoIpError> {
        let mut files: Vec<WatchedFile> = Vec::with_capacity(paths.len());
        for (path, name) in paths.iter().zip(names(paths)) {
            if files.iter().any(|file| file.path == *path) {
                continue;
            }
            let (database, fingerprint) = file::open(path)?;
            files.push(WatchedFile::new(path, name, Some(database), Some(fingerprint)));
        }
        Ok(Self(files))
    }

    /// Opens the files of a configuration: those that it lists, or those of its directory that exist. A file of the
    /// directory that cannot be used is logged, and the embedded database is used instead.
    pub(super) fn open_configured(config: &GeoIpConfig) -> Result<Self, GeoIpError> {
        let mut files = Self::open(&config.databases)?;
        let optional = config.optional_files();
        for (path, name) in optional.iter().zip(names(&optional)) {
            let state = Fingerprint::of(path);
            let (database, state) = match file::open(path) {
                Ok((database, fingerprint)) => (Some(database), Some(fingerprint)),
                Err(error) => {
                    if !error.is_absent() {
                        warn!(
                            database = name,
                            %error,
                            "this GeoIP database cannot be used; replace it with nflog_exporter geoip update"
                        );
                    }
                    (None, state)
                }
            };
            files.0.push(WatchedFile::new(path, name, database, state));
        }
        Ok(files)
    }

    /// Replaces these files, and keeps the counts of those that are among the new ones.
    pub(super) fn replace(&mut self, mut newer: Self) {
        for file in &mut newer.0 {
            if let Some(older) = self.0.iter().find(|older| older.path == file.path) {
                file.reloads_ok = older.reloads_ok + 1;
                file.reloads_failed = older.reloads_failed;
            }
        }
        *self = newer;
    }

    /// Counts a failed reload for the file that caused it, if that file is in use.
    pub(super) fn count_failure(&mut self, error: &GeoIpError) {
        let failed = self.0.iter_mut().find(|file| Some(file.path.as_path()) == error.path());
        if let Some(file) = failed {
            file.reloads_failed += 1;
        }
    }

    /// Reads files that were replaced; returns whether anything changed.
    pub(super) fn check(&mut self) -> bool {
        let mut changed = false;
        for file in &mut self.0 {
            changed |= file.check();
        }
        changed
    }

    /// The databases in use. The embedded one is the last, if no file contains countries.
    pub(super) fn generation(&self) -> Result<Generation, GeoIpError> {
        let mut databases: Vec<_> =
            self.0.iter().filter_map(|file| file.database.clone()).collect();
        let mut status: Vec<_> = self.0.iter().filter_map(WatchedFile::status).collect();
        if !databases.iter().any(|database| database.has_countries()) {
            let database = embedded::database()?;
            status.push(status_of(EMBEDDED.to_owned(), &database));
            databases.push(database);
        }
        Ok(Generation { databases, status })
    }
}

impl WatchedFile {
    fn new(
        path: &Path,
        name: String,
        database: Option<Database>,
        state: Option<Fingerprint>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            name,
            database: database.map(Arc::new),
            changes: FileDebounce::new(state),
            reloads_ok: 0,
            reloads_failed: 0,
        }
    }

    /// Reads the file if it was replaced; returns whether the status changed.
    fn check(&mut self) -> bool {
        let state = Fingerprint::of(&self.path);
        if self.changes.check(state) != FileChange::Changed {
            return false;
        }
        match file::open(&self.path) {
            Err(GeoIpError::Changing { .. }) => return false,
            // Replaced again since the check: wait until it is unchanged.
            Ok((_, fingerprint)) if Some(fingerprint) != state => return false,
            Ok((database, _)) => {
                self.database = Some(Arc::new(database));
                self.changes.set_read(state);
                self.reloads_ok += 1;
                if let Some(status) = self.status() {
                    status.log("the GeoIP database was replaced");
                }
            }
            Err(error) => {
                self.changes.set_read(state);
                self.reloads_failed += 1;
                warn!(
                    database = self.name,
                    %error,
                    "the GeoIP database was replaced by one that cannot be used; the previous one stays in use"
                );
            }
        }
        true
    }

    /// `None` without a database.
    fn status(&self) -> Option<DatabaseStatus> {
        Some(DatabaseStatus {
            reloads_ok: self.reloads_ok,
            reloads_failed: self.reloads_failed,
            ..status_of(self.name.clone(), self.database.as_ref()?)
        })
    }
}

fn status_of(name: String, database: &Database) -> DatabaseStatus {
    DatabaseStatus {
        name,
        build_timestamp: database.build_timestamp(),
        edition: database.edition(),
        provides: database.provides(),
        reloads_ok: 0,
        reloads_failed: 0,
    }
}

/// A label for each path: its file name, or where that is not unique, the whole path.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths
        .iter()
        .map(|path| {
            let short = name(path);
            let shared = paths.iter().any(|other| other != path && name(other) == short);
            if !shared && short != EMBEDDED {
                return short;
            }
            match path.to_str() {
                Some(EMBEDDED) => format!("./{EMBEDDED}"),
                Some(whole) => whole.to_owned(),
                // With replacement characters, two paths could look the same.
                None => path.as_os_str().as_encoded_bytes().escape_ascii().to_string(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], expect: &[&str]) {
        let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
        assert_eq!(names(&paths), expect);
    }

    #[test]
    fn labels_are_unique() {
        check(&["/a/City.mmdb", "/b/ASN.mmdb"], &["City.mmdb", "ASN.mmdb"]);
        check(&["/a/x.mmdb", "/b/x.mmdb", "y"], &["/a/x.mmdb", "/b/x.mmdb", "y"]);
        check(&["/a/embedded", "x"], &["/a/embedded", "x"]);
        check(&["embedded"], &["./embedded"]);
    }
}
