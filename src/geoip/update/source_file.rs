//! Remembers where a downloaded database came from, in a file beside it, so that it is downloaded once.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::hex;
use crate::system::{
    files::read_small,
    replace_file::{Readers, replace},
};

/// Maximum size of the file, bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// What identifies a version of a file on its server (RFC 9110, 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    /// The header `ETag`.
    pub(super) etag: Option<String>,
    /// The header `Last-Modified`.
    pub(super) last_modified: Option<String>,
}

/// The origin of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    /// The address of the file that it was unpacked from.
    pub(super) url: String,
    /// The version of that file.
    #[serde(flatten)]
    pub(super) validators: Validators,
    /// SHA-256 of that file, hexadecimal.
    pub(super) download_sha256: String,
    /// SHA-256 of the database, hexadecimal.
    pub(super) database_sha256: String,
}

impl Source {
    /// The source of a database; `None` if it is unknown, or if the database was replaced since.
    pub(super) fn of(database: &Path) -> Option<Self> {
        let text = read_small(&path(database), MAX_SIZE).ok()?;
        let source: Self = serde_json::from_slice(&text).ok()?;
        let bytes = fs::read(database).ok()?;
        (source.database_sha256 == sha256(&bytes)).then_some(source)
    }

    /// Writes the file beside a database.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn save(&self, database: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        replace(&path(database), text.as_bytes(), Readers::Everyone)
    }
}

/// SHA-256 of these bytes, hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The path of the file beside a database.
pub(super) fn path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".source");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_known_until_the_database_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("country.mmdb");
        assert_eq!(Source::of(&database), None);
        fs::write(&database, "first").unwrap();
        let source = Source {
            url: "https://a/x".into(),
            validators: Validators { etag: Some("\"1\"".into()), last_modified: None },
            download_sha256: sha256(b"packed"),
            database_sha256: sha256(b"first"),
        };
        source.save(&database).unwrap();
        assert_eq!(Source::of(&database), Some(source));
        fs::write(&database, "second").unwrap();
        assert_eq!(Source::of(&database), None);
        fs::write(path(&database), "{}").unwrap();
        assert_eq!(Source::of(&database), None);
    }
}
