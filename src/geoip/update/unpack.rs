//! Unpacks downloaded files: gzip, and archives of tar and gzip with a database in them.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufReader, Read},
};

use flate2::bufread::GzDecoder;

use super::error::UpdateError;

/// Bytes of an archive besides the database: licenses, and the headers of tar.
const OTHER_FILES: u64 = 1 << 20;

/// The content of a file compressed with gzip, of at most `max` bytes.
///
/// # Errors
/// It is larger, incomplete, or no gzip file.
pub(super) fn gunzip(file: File, max: u64, url: &str) -> Result<Vec<u8>, UpdateError> {
    read_limited(GzDecoder::new(BufReader::new(file)), max, url)
        .map_err(|cause| UpdateError::Unpack { url: url.to_owned(), format: "gzip", cause })?
}

/// The database in an archive, of at most `max` bytes.
///
/// # Errors
/// It is larger, the archive is incomplete, or it has no database.
pub(super) fn database_in_archive(file: File, max: u64, url: &str) -> Result<Vec<u8>, UpdateError> {
    let failed = |cause| UpdateError::Unpack { url: url.to_owned(), format: "tar and gzip", cause };
    let unpacked = GzDecoder::new(BufReader::new(file)).take(max + OTHER_FILES);
    let mut archive = tar::Archive::new(unpacked);
    for entry in archive.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_database = entry.path().map_err(failed)?.extension() == Some(OsStr::new("mmdb"));
        if is_database && entry.header().entry_type().is_file() {
            let size = entry.size();
            if size > max {
                return Err(UpdateError::TooLarge { url: url.to_owned(), max });
            }
            let bytes = read_limited(entry, max, url).map_err(failed)??;
            if bytes.len() as u64 != size {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            return Ok(bytes);
        }
    }
    Err(UpdateError::EmptyArchive { url: url.to_owned() })
}

fn read_limited(
    reader: impl Read,
    max: u64,
    url: &str,
) -> io::Result<Result<Vec<u8>, UpdateError>> {
    let mut bytes = Vec::new();
    reader.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Ok(Err(UpdateError::TooLarge { url: url.to_owned(), max }));
    }
    Ok(Ok(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const URL: &str = "https://a/x";

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// An archive of tar and gzip.
    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        gzip(&builder.into_inner().unwrap())
    }

    #[track_caller]
    fn check(outcome: Result<Vec<u8>, UpdateError>, expect: Result<&[u8], &str>) {
        match (outcome, expect) {
            (Ok(bytes), Ok(expect)) => assert_eq!(bytes, expect),
            (Err(error), Err(expect)) => {
                assert!(error.to_string().starts_with(&format!("{URL} {expect}")), "{error}");
            }
            (outcome, expect) => panic!("{outcome:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn gzip_is_unpacked_up_to_the_limit() {
        let unpack = |bytes: &[u8], max| gunzip(file(bytes), max, URL);
        let packed = gzip(&[7; 1000]);
        check(unpack(&packed, 1000), Ok(&[7; 1000]));
        check(unpack(&packed, 999), Err("has more than 999 bytes"));
        check(unpack(&gzip(&vec![0; 1 << 24]), 1000), Err("has more than 1000 bytes"));
        check(unpack(&packed[..packed.len() - 1], 1000), Err("is not a complete gzip file"));
        check(unpack(b"<html>", 1000), Err("is not a complete gzip file"));
        check(unpack(b"", 1000), Err("is not a complete gzip file"));
    }

    #[test]
    fn the_database_of_an_archive_is_unpacked_up_to_the_limit() {
        let unpack = |bytes: &[u8], max| database_in_archive(file(bytes), max, URL);
        let packed =
            archive(&[("d/COPYRIGHT.txt", b"c"), ("d/a.mmdb", &[7; 1000]), ("d/b.mmdb", b"")]);
        check(unpack(&packed, 1000), Ok(&[7; 1000]));
        check(unpack(&packed, 999), Err("has more than 999 bytes"));
        check(
            unpack(&packed[..packed.len() / 2], 1000),
            Err("is not a complete tar and gzip file"),
        );
        check(unpack(&archive(&[("d/a.txt", b"x")]), 1000), Err("has no .mmdb file"));
        let bomb = archive(&[("d/a.txt", &vec![0; 1 << 24]), ("d/a.mmdb", b"x")]);
        check(unpack(&bomb, 1000), Err("is not a complete tar and gzip file"));
    }
}
