//! Reads a database file, and its fingerprint, by which a replacement is detected.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use maxminddb::MaxMindDbError;

use super::{database::Database, packed_database::UnpackError};
use crate::system::files::{Fingerprint, open_regular};

/// First bytes of a gzip file (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Maximum size of a file, bytes.
const MAX_SIZE: u64 = 2 << 30;

/// A GeoIP database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoIpError {
    /// The file cannot be read.
    #[error("cannot read the GeoIP database {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file is larger than 2 GiB.
    #[error("the GeoIP database {path} is larger than {MAX_SIZE} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file changed while it was read.
    #[error("the GeoIP database {path} is being written; put it in place with a rename")]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// The file is compressed, like the downloads of publishers.
    #[error("the GeoIP database {path} is compressed with {format}; unpack it: {command}")]
    Compressed {
        /// The file.
        path: PathBuf,
        /// gzip, or gzip around a tar archive.
        format: &'static str,
        /// The command that unpacks it.
        command: String,
    },
    /// The file is not a MaxMind DB file, or is damaged.
    #[error("{path} is not a usable MaxMind DB file (.mmdb): {cause}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The error of the reader.
        cause: MaxMindDbError,
    },
    /// The records have no fact that is used.
    #[error(
        "the GeoIP database {path} has neither countries nor AS numbers; \
         use a country, city or ASN database"
    )]
    NoFacts {
        /// The file.
        path: PathBuf,
    },
    /// The embedded database cannot be unpacked: the binary is damaged.
    #[error("cannot unpack the embedded GeoIP database, reinstall the program: {0}")]
    Unpack(#[source] UnpackError),
    /// The embedded database cannot be opened: the binary is damaged.
    #[error("cannot open the embedded GeoIP database, reinstall the program: {0}")]
    Embedded(#[source] MaxMindDbError),
}

impl GeoIpError {
    /// Whether there is no file, or none that this user can see.
    pub(super) fn is_absent(&self) -> bool {
        use io::ErrorKind::{NotFound, PermissionDenied};
        matches!(self, Self::Read { cause, .. } if [NotFound, PermissionDenied].contains(&cause.kind()))
    }

    /// The file that caused it.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge { path }
            | Self::Changing { path }
            | Self::Compressed { path, .. }
            | Self::Format { path, .. }
            | Self::NoFacts { path } => Some(path),
            Self::Unpack(_) | Self::Embedded(_) => None,
        }
    }
}

/// Reads and opens the database at this path. Does not map it into memory: truncating a
/// mapped file kills the process.
pub(super) fn open(path: &Path) -> Result<(Database, Fingerprint), GeoIpError> {
    let (bytes, fingerprint) = read(path)?;
    if bytes.starts_with(&GZIP) {
        return Err(compressed(path, &bytes));
    }
    let database = Database::from_bytes(bytes)
        .map_err(|cause| GeoIpError::Format { path: path.to_owned(), cause })?;
    if !database.has_countries() && !database.has_asns() {
        return Err(GeoIpError::NoFacts { path: path.to_owned() });
    }
    Ok((database, fingerprint))
}

/// The error for a file compressed with gzip, with the command that unpacks it.
fn compressed(path: &Path, bytes: &[u8]) -> GeoIpError {
    let mut head = Vec::new();
    // A damaged file unpacks to less.
    let _ = GzDecoder::new(bytes).take(512).read_to_end(&mut head);
    let name = path.display().to_string();
    // Quoted for a POSIX shell.
    let word = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    // tar(5): the field `magic`.
    let is_archive = head.get(257..262) == Some(b"ustar");
    let (format, command) = match name.strip_suffix(".gz") {
        _ if is_archive => {
            let wanted = "--wildcards --strip-components=1 '*.mmdb'";
            ("tar and gzip", format!("tar -xzf {} {wanted}", word(&name)))
        }
        Some(_) => ("gzip", format!("gunzip {}", word(&name))),
        None => {
            let new = word(&format!("{name}.new"));
            let name = word(&name);
            ("gzip", format!("zcat < {name} > {new} && mv {new} {name}"))
        }
    };
    GeoIpError::Compressed { path: path.to_owned(), format, command }
}

fn read(path: &Path) -> Result<(Vec<u8>, Fingerprint), GeoIpError> {
    let failed = |cause| GeoIpError::Read { path: path.to_owned(), cause };
    let (mut file, metadata) = open_regular(path).map_err(failed)?;
    let before = Fingerprint::from_metadata(&metadata);
    if before.size > MAX_SIZE {
        return Err(GeoIpError::TooLarge { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    // At most 2 GiB, which fits where a file of 2 GiB can be read at all. One byte more than the
    // file has, so that reading its end needs no growth.
    bytes
        .try_reserve_exact(usize::try_from(before.size).unwrap_or(usize::MAX).saturating_add(1))
        .map_err(|error| failed(error.into()))?;
    (&mut file).take(before.size).read_to_end(&mut bytes).map_err(failed)?;
    let after = Fingerprint::from_metadata(&file.metadata().map_err(failed)?);
    if before != after || bytes.len() as u64 != before.size {
        return Err(GeoIpError::Changing { path: path.to_owned() });
    }
    Ok((bytes, before))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::{self, File};

    use super::*;

    /// A database of `tests/data/geoip`.
    pub(crate) fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/geoip").join(name)
    }

    /// Checks the error of opening a file; empty for success.
    fn check(path: &Path, expect: &str) {
        let message = open(path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expect), "{path:?}: {message}");
        assert_eq!(message.is_empty(), expect.is_empty(), "{path:?}: {message}");
    }

    #[test]
    fn errors_name_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        check(&data("GeoIP2-City-Test.mmdb"), "");
        check(&data("GeoLite2-ASN-Test.mmdb"), "");
        check(&data("absent.mmdb"), "cannot read");
        check(directory.path(), "not a regular file");
        check(Path::new("/dev/zero"), "not a regular file");
        check(&write("empty", b""), "not a usable MaxMind DB file");
        check(&write("page", b"<html>404 not found</html>"), "not a usable MaxMind DB file");
        let city = fs::read(data("GeoIP2-City-Test.mmdb")).unwrap();
        check(&write("cut", &city[..city.len() / 2]), "not a usable MaxMind DB file");
        check(&data("MaxMind-DB-test-ipv4-24.mmdb"), "neither countries nor AS numbers");
        check(&data("MaxMind-DB-string-value-entries.mmdb"), "neither countries nor AS numbers");
        let large = directory.path().join("large");
        File::create(&large).unwrap().set_len(MAX_SIZE + 1).unwrap();
        check(&large, "larger than");
    }

    #[test]
    fn a_replaced_file_has_another_fingerprint() {
        let directory = tempfile::tempdir().unwrap();
        let (path, new) = (directory.path().join("a"), directory.path().join("b"));
        assert_eq!(Fingerprint::of(&path), None);
        fs::write(&path, b"same size").unwrap();
        fs::write(&new, b"size same").unwrap();
        let old = Fingerprint::of(&path).unwrap();
        assert_eq!(Fingerprint::of(&path), Some(old));
        fs::rename(&new, &path).unwrap();
        assert_ne!(Fingerprint::of(&path), Some(old));
    }
}
