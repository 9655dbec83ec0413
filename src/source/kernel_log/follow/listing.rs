//! Lists the files of the patterns without opening them: those that were written last, if there are too many.

use std::{cmp::Reverse, collections::HashMap, fs::Metadata, path::PathBuf, time::SystemTime};

use super::{
    MAX_FILES, Pattern,
    compressed::CompressedFiles,
    rotated::{self, RotatedFile},
    saved_position::FileKey,
};
use crate::sort::{sort_by, sort_by_key};

/// A file that matches.
#[derive(Debug)]
pub(super) struct ListedFile {
    pub path: PathBuf,
    /// `None` for a path that may exist and cannot be looked at.
    pub key: Option<FileKey>,
    /// Whether its path is one of the configuration, which can be a link.
    is_named: bool,
    modified: Option<SystemTime>,
    /// Number of its pattern.
    pattern: usize,
}

impl ListedFile {
    /// The open file.
    pub fn open(&self) -> Option<RotatedFile> {
        let open = if self.is_named { rotated::open } else { rotated::open_without_link };
        open(&self.path)
    }
}

/// The files of the patterns, in their order.
#[derive(Debug)]
pub(super) struct Listing {
    /// At most [`MAX_FILES`].
    pub files: Vec<ListedFile>,
    /// Number of the others.
    pub left_out: usize,
}

impl Listing {
    /// Lists the files, except compressed ones that are known.
    pub fn new(patterns: &[Pattern], compressed: &CompressedFiles) -> Self {
        let mut listing = Self { files: Vec::new(), left_out: 0 };
        for (number, pattern) in patterns.iter().enumerate() {
            let is_named = pattern.path().is_some();
            pattern.for_each(|path, metadata| {
                if !metadata.is_some_and(|metadata| compressed.has(metadata)) {
                    listing.add(path, metadata, (number, is_named));
                }
            });
        }
        listing.reduce();
        sort_by(&mut listing.files, |one, other| {
            (one.pattern, &one.path).cmp(&(other.pattern, &other.path))
        });
        listing
    }

    fn add(
        &mut self,
        path: PathBuf,
        metadata: Option<&Metadata>,
        (pattern, is_named): (usize, bool),
    ) {
        let key = metadata.map(FileKey::of);
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        self.files.push(ListedFile { path, key, is_named, modified, pattern });
        // So that memory is bounded.
        if self.files.len() == 4 * MAX_FILES {
            self.reduce();
        }
    }

    /// Keeps the files that were written last.
    fn reduce(&mut self) {
        if self.files.len() > MAX_FILES {
            // Named ones first.
            sort_by_key(&mut self.files, |file| (Reverse(file.is_named), Reverse(file.modified)));
            self.left_out += self.files.len() - MAX_FILES;
            self.files.truncate(MAX_FILES);
        }
    }

    /// The paths by the files.
    pub fn by_key(&self) -> HashMap<FileKey, &ListedFile> {
        self.files.iter().filter_map(|file| Some((file.key?, file))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        time::Duration,
    };

    use super::*;

    #[test]
    fn of_too_many_files_those_that_were_written_last_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |number: usize| directory.path().join(format!("{number:05}.log"));
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for number in 0..5000 {
            let file = File::create(path(number)).unwrap();
            // Later ones are older.
            file.set_modified(start - Duration::from_secs(number as u64)).unwrap();
        }
        fs::create_dir(directory.path().join("directory.log")).unwrap();
        let patterns = [path(4999), directory.path().join("*.log")];
        let patterns = patterns.map(|pattern| Pattern::new(&pattern).unwrap());
        let listing = Listing::new(&patterns, &CompressedFiles::default());
        let paths: Vec<_> = listing.files.iter().map(|file| file.path.clone()).collect();
        let expect: Vec<_> = [4999].into_iter().chain(0..MAX_FILES - 1).map(path).collect();
        assert_eq!(paths, expect);
        assert_eq!(listing.left_out, 5001 - MAX_FILES);
    }
}
