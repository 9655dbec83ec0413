//! `geoip update`: downloads databases of a publisher, verifies them, and replaces files atomically.

mod client;
mod config;
mod download;
mod error;
mod license_key;
mod publisher;
mod source_file;
mod targets;
mod unpack;
mod verify;

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::Path,
};

use hyper::StatusCode;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use url::Url;

pub use self::{
    config::{LICENSE_KEY_VARIABLE, Publisher, UpdateConfig},
    error::{RequestError, UpdateError, UpdateSetupError},
    targets::Target,
};
use self::{
    download::{Answer, Download, Downloader},
    source_file::{Source, sha256},
};
use super::{GeoIpConfig, database::Database, edition::Edition, file};
use crate::system::replace_file::{Readers, replace};

/// What the command line requests.
#[derive(Clone, Debug, Default)]
pub struct UpdateRequest {
    /// The editions; empty: as configured.
    pub editions: Vec<Edition>,
    /// Replace also a newer database, and one of another publisher.
    pub force: bool,
}

/// The result of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the file was replaced; otherwise, the publisher has no newer one.
    pub replaced: bool,
    /// The type of the database in its metadata.
    pub database: String,
    /// The day on which it was built, as in 2026-11-01.
    pub built: String,
    /// Whether the directory was created. A running exporter cannot read a directory that is newer than itself.
    pub created_directory: bool,
}

/// Updates the files of one configuration.
pub struct Updater {
    config: UpdateConfig,
    targets: Vec<Target>,
    /// Whether the files are those of `geoip.directory`, which no other program writes.
    owns_files: bool,
    force: bool,
    server: Url,
    downloader: Downloader,
}

/// Type and age of a database.
#[derive(Clone, Debug)]
struct Summary {
    name: String,
    build_timestamp: u64,
}

/// A database that was downloaded before, and its origin.
struct Known<'a> {
    current: &'a Summary,
    source: Source,
}

/// The publisher's newest database.
enum Newest<'a> {
    /// The one that was downloaded before.
    Known(&'a Summary),
    /// A file to unpack.
    Download(Url, Download),
}

impl Updater {
    /// Chooses the files, and reads the license key and the certificate authorities.
    ///
    /// # Errors
    /// The configuration or the request is invalid.
    pub fn new(config: &GeoIpConfig, request: &UpdateRequest) -> Result<Self, UpdateSetupError> {
        let update = &config.update;
        let server = match update.server.as_str() {
            "" => update.publisher.server(),
            server => server,
        };
        Ok(Self {
            targets: targets::targets(config, &request.editions)?,
            owns_files: config.databases.is_empty(),
            force: request.force,
            server: Url::parse(server)?,
            downloader: Downloader::new(update, license_key::authorization(update)?)?,
            config: update.clone(),
        })
    }

    /// The files to update.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The attribution that the license of the databases requires.
    #[must_use]
    pub fn attribution(&self) -> &'static str {
        self.config.publisher.attribution()
    }

    /// Downloads the database of a file, verifies it, and replaces the file if it is newer.
    ///
    /// # Errors
    /// A step failed; the file is unchanged.
    pub fn update(&self, target: &Target) -> Result<Outcome, UpdateError> {
        // A link in the configuration stays. In the directory, it could be one of the service's user to any file.
        let target_of_link = fs::canonicalize(&target.path).ok().filter(|_| !self.owns_files);
        let path = target_of_link.as_deref().unwrap_or(&target.path);
        let current = file::open(path).ok().map(|(database, _)| Summary::of(&database));
        self.check_publisher(path, current.as_ref())?;
        let directory = directory_of(path);
        let created_directory = self.owns_files
            && create_directory(directory)
                .map_err(|cause| UpdateError::Write { path: directory.to_owned(), cause })?;
        let known = current.as_ref().filter(|_| !self.force);
        let known = known.and_then(|current| Some(Known { current, source: Source::of(path)? }));
        let (replaced, database) = match self.newest(target.edition, known.as_ref(), directory)? {
            Newest::Known(current) => (false, current.clone()),
            Newest::Download(url, download) => {
                self.install(path, target.edition, (&url, download), current.as_ref())?
            }
        };
        let built = database.built();
        Ok(Outcome { replaced, database: database.name, built, created_directory })
    }

    /// Fails for a configured file of another publisher, which another program may update.
    fn check_publisher(&self, path: &Path, current: Option<&Summary>) -> Result<(), UpdateError> {
        if self.owns_files || self.force {
            return Ok(());
        }
        let own = self.config.publisher;
        let (database, is_other) = if let Some(current) = current {
            (current.name.clone(), Publisher::of_name(&current.name) != Some(own))
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_other = Publisher::of_name(&name).is_some_and(|publisher| publisher != own);
            (name, is_other)
        };
        if is_other {
            return Err(UpdateError::OtherPublisher { database, publisher: own.name() });
        }
        Ok(())
    }

    fn newest<'a>(
        &self,
        edition: Edition,
        known: Option<&Known<'a>>,
        directory: &Path,
    ) -> Result<Newest<'a>, UpdateError> {
        match self.config.publisher {
            Publisher::DbIp => self.newest_of_dbip(edition, known, directory),
            Publisher::MaxMind => self.newest_of_maxmind(edition, known, directory),
        }
    }

    /// The file of this month, or before it is published, that of the previous one.
    fn newest_of_dbip<'a>(
        &self,
        edition: Edition,
        known: Option<&Known<'a>>,
        directory: &Path,
    ) -> Result<Newest<'a>, UpdateError> {
        let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
        let urls = months(today)
            .map(|month| publisher::url(&self.server, &publisher::dbip_path(edition, month), None));
        for url in &urls {
            let known = known.filter(|known| known.source.url == url.as_str());
            let validators = known.map(|known| &known.source.validators);
            match (self.downloader.file(url, validators, directory)?, known) {
                (Answer::NotModified, Some(known)) => return Ok(Newest::Known(known.current)),
                (Answer::File(download), _) => return Ok(Newest::Download(url.clone(), download)),
                (Answer::NotFound | Answer::NotModified, _) => {}
            }
        }
        let [current, previous] = urls.map(String::from);
        Err(UpdateError::NotPublished { current, previous })
    }

    /// The archive, unless its checksum is that of the archive that was downloaded before. Downloads of archives are
    /// limited, those of checksums are not.
    fn newest_of_maxmind<'a>(
        &self,
        edition: Edition,
        known: Option<&Known<'a>>,
        directory: &Path,
    ) -> Result<Newest<'a>, UpdateError> {
        let path = publisher::maxmind_path(edition);
        let url = |suffix| publisher::url(&self.server, &path, Some(suffix));
        let expected = self.downloader.checksum(&url("suffix=tar.gz.sha256"), directory)?;
        if let Some(known) = known.filter(|known| known.source.download_sha256 == expected) {
            return Ok(Newest::Known(known.current));
        }
        let url = url("suffix=tar.gz");
        let Answer::File(download) = self.downloader.file(&url, None, directory)? else {
            return Err(download::unexpected(&url, StatusCode::NOT_FOUND));
        };
        if download.sha256 != expected {
            let (url, found) = (url.to_string(), download.sha256);
            return Err(UpdateError::Checksum { url, expected, found });
        }
        Ok(Newest::Download(url, download))
    }

    /// Verifies a downloaded database, and replaces the file if it is newer. Returns whether it was replaced.
    fn install(
        &self,
        path: &Path,
        edition: Edition,
        (url, download): (&Url, Download),
        current: Option<&Summary>,
    ) -> Result<(bool, Summary), UpdateError> {
        let Download { file, sha256: download_sha256, validators } = download;
        let url = url.to_string();
        let unpack = match self.config.publisher {
            Publisher::DbIp => unpack::gunzip,
            Publisher::MaxMind => unpack::database_in_archive,
        };
        let bytes = unpack(file, self.config.max_size, &url)?;
        let database = verify::verify(bytes, edition, &url)?;
        let summary = Summary::of(&database);
        let replaced = self.is_newer(&summary, current, &url)?;
        if replaced {
            replace(path, database.bytes(), Readers::Everyone)
                .map_err(|cause| UpdateError::Write { path: path.to_owned(), cause })?;
        }
        let database_sha256 = sha256(database.bytes());
        let source = Source { url, validators, download_sha256, database_sha256 };
        if let Err(error) = source.save(path) {
            let file = source_file::path(path);
            tracing::warn!(
                "cannot write {}: {error}; the database is in use, and the next update downloads it again",
                file.display()
            );
        }
        Ok((replaced, summary))
    }

    /// Whether a database is newer than the one in use. Databases of different publishers are not compared.
    fn is_newer(
        &self,
        found: &Summary,
        current: Option<&Summary>,
        url: &str,
    ) -> Result<bool, UpdateError> {
        let publisher = Publisher::of_name(&found.name);
        let current = current.filter(|current| Publisher::of_name(&current.name) == publisher);
        let Some(current) = current.filter(|_| !self.force) else { return Ok(true) };
        if found.build_timestamp < current.build_timestamp {
            let (found, current) = (found.built(), current.built());
            return Err(UpdateError::Older { url: url.to_owned(), found, current });
        }
        Ok(found.build_timestamp > current.build_timestamp)
    }
}

impl Summary {
    fn of(database: &Database) -> Self {
        Self { name: database.edition(), build_timestamp: database.build_timestamp() }
    }

    /// The day on which it was built.
    fn built(&self) -> String {
        let seconds = i64::try_from(self.build_timestamp).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_or_else(
            |_| "an unknown day".into(),
            |built| built.strftime("%Y-%m-%d").to_string(),
        )
    }
}

/// The first days of this and of the previous month.
fn months(today: Date) -> [Date; 2] {
    let current = today.first_of_month();
    [current, current.yesterday().map_or(current, Date::first_of_month)]
}

/// The directory of a file.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a link of this owner is followed by this user: root follows only those of root, because another user could have
/// put the link there.
fn follows(owner: u32, user: u32) -> bool {
    user != 0 || owner == 0
}

/// Creates a directory that every user can read, if it does not exist. Its owner is that of the directory above, so that
/// the service can write to it after root created it. Returns whether it was created.
fn create_directory(path: &Path) -> io::Result<bool> {
    if let Ok(link) = fs::symlink_metadata(path)
        && link.is_symlink()
        && !follows(link.uid(), rustix::process::geteuid().as_raw())
    {
        return Err(io::Error::other("it is a symbolic link of another user than root; remove it"));
    }
    if path.is_dir() {
        return Ok(false);
    }
    fs::create_dir_all(path)?;
    // The owner of the directory above could replace this one by a link.
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let directory = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    directory.set_permissions(fs::Permissions::from_mode(0o755))?;
    if let (true, Some(above)) = (rustix::process::geteuid().is_root(), path.parent()) {
        let above = fs::metadata(above)?;
        fchown(&directory, Some(above.uid()), Some(above.gid()))?;
    }
    Ok(true)
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_previous_month_precedes_january() {
        let check = |today, current, previous| assert_eq!(months(today), [current, previous]);
        check(date(2026, 11, 29), date(2026, 11, 1), date(2026, 10, 1));
        check(date(2027, 1, 1), date(2027, 1, 1), date(2026, 12, 1));
    }

    #[test]
    fn root_does_not_follow_a_link_of_another_user() {
        assert!(follows(0, 0) && follows(1000, 1000) && follows(0, 1000));
        assert!(!follows(1000, 0));
        // A link of this test.
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("geoip");
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        assert!(!create_directory(&link).unwrap());
    }

    #[test]
    fn a_build_time_is_shown_as_its_day() {
        let built = |build_timestamp| Summary { name: String::new(), build_timestamp }.built();
        assert_eq!(built(1_767_225_600), "2026-01-01");
        assert_eq!(built(u64::MAX), "an unknown day");
    }
}
