//! Paths whose last part is a pattern.

use crate::sort::sort;
use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// A path whose last part can contain `*`, `?` and `[…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    directory: PathBuf,
    name: OsString,
}

impl Pattern {
    /// A pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(path: &Path) -> Result<Self, String> {
        if path.as_os_str().is_empty() {
            return Err("has an empty path; remove it".into());
        }
        let shown = path.display();
        let Some(name) = path.file_name() else {
            return Err(format!("has {shown}; use the path of a file"));
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        if has_wildcard(directory.as_os_str().as_bytes()) {
            return Err(format!("has {shown}; use * ? and [ only in the last part of a path"));
        }
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        Ok(Self { directory: directory.to_owned(), name: name.to_owned() })
    }

    /// The directory of the files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path, if the pattern is one without wildcards.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        (!has_wildcard(self.name.as_bytes())).then(|| self.directory.join(&self.name))
    }

    /// Whether a path matches. Wildcards do not match names that begin with a dot.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        if path.parent() != Some(&self.directory) {
            return false;
        }
        if !has_wildcard(self.name.as_bytes()) {
            return name == self.name;
        }
        !name.as_bytes().starts_with(b".") && matches(self.name.as_bytes(), name.as_bytes())
    }

    /// The existing files that match, sorted. A pattern does not match names that begin with a dot, and only regular
    /// files: whoever can write to the directory could add a link to any file. A path without wildcards can be a link.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.for_each(|path, _| files.push(path));
        sort(&mut files);
        files
    }

    /// Passes the files of [`Self::files`], in any order, with their metadata if that can be read.
    pub(super) fn for_each(&self, mut take: impl FnMut(PathBuf, Option<&Metadata>)) {
        if let Some(path) = self.path() {
            match fs::metadata(&path) {
                Ok(metadata) => take(path, Some(&metadata)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // In a directory that cannot be searched, it may exist.
                Err(_) => take(path, None),
            }
            return;
        }
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            // Not that of the target of a link.
            if entry.file_type().is_ok_and(|kind| kind.is_file())
                && self.has(&path)
                && let Ok(metadata) = entry.metadata()
            {
                take(path, Some(&metadata));
            }
        }
    }
}

fn has_wildcard(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// Whether a name matches a pattern. The time is at most the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    // The last `*`, and the part of the name that it matches.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, in_name));
            at += 1;
        } else if let Some(length) = one(&pattern[at..], name[in_name]) {
            at += length;
            in_name += 1;
        } else if let Some((before, end)) = star {
            star = Some((before, end + 1));
            at = before + 1;
            in_name = end + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The length of the part of the pattern that matches one byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let (is_negated, set) = match rest {
                [b'!' | b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            // A bracket that comes first is a member.
            let Some(end) = set.iter().skip(1).position(|byte| *byte == b']').map(|at| at + 1)
            else {
                return (byte == b'[').then_some(1);
            };
            let skipped = rest.len() - set.len();
            (is_member(&set[..end], byte) != is_negated).then_some(1 + skipped + end + 1)
        }
        [first, ..] if *first == byte => Some(1),
        _ => None,
    }
}

fn is_member(mut set: &[u8], byte: u8) -> bool {
    while let [first, rest @ ..] = set {
        if let [b'-', last, rest @ ..] = rest {
            if (*first..=*last).contains(&byte) {
                return true;
            }
            set = rest;
        } else {
            if *first == byte {
                return true;
            }
            set = rest;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        let check = |pattern: &str, name: &str, expect: bool| {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expect, "{pattern} {name}");
        };
        check("kern.log", "kern.log", true);
        check("kern.log", "kern.log.1", false);
        check("*.log", "kern.log", true);
        check("*.log", "kern.log.1", false);
        check("*o*l*", "fo.ol", true);
        check("a*", "", false);
        check("*", "", true);
        check("fw-?", "fw-1", true);
        check("fw-?", "fw-", false);
        check("fw-[0-9]", "fw-7", true);
        check("fw-[!0-9]", "fw-7", false);
        check("fw-[]x]", "fw-]", true);
        check("fw-[x", "fw-[x", true);
        check(&"*a".repeat(50), &"a".repeat(200), true);
        check(&format!("{}b", "*a".repeat(50)), &"a".repeat(200), false);
    }

    #[test]
    fn files_are_those_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.log", "a.log", ".c.log", "d.txt"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("d.txt", directory.path().join("link.log")).unwrap();
        fs::create_dir(directory.path().join("directory.log")).unwrap();
        let files = |name: &str| {
            let files = Pattern::new(&directory.path().join(name)).unwrap().files();
            files.iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(files("*.log"), ["a.log", "b.log"]);
        assert_eq!(files("d.txt"), ["d.txt"]);
        assert_eq!(files("link.log"), ["link.log"]);
        assert!(files("missing").is_empty());
        assert!(Pattern::new(Path::new("/no/such/*")).unwrap().files().is_empty());
    }
}
