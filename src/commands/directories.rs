//! The directories that lead to a file, also through symbolic links.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Maximum number of symbolic links in a path: `MAXSYMLINKS` of `linux/namei.h`.
const MAX_LINKS: usize = 40;

/// The directory of a file, the directories of all symbolic links in its path, and the directories of their targets. A
/// link that is switched usually leads to a sibling of the previous target.
pub(super) fn directories_of(file: impl AsRef<Path>) -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::from([directory_of(file.as_ref())]);
    let mut path = file.as_ref().to_owned();
    for _ in 0..MAX_LINKS {
        let mut above: Vec<_> = path.ancestors().collect();
        above.reverse();
        let Some((link, target)) =
            above.iter().find_map(|part| Some((part, part.read_link().ok()?)))
        else {
            break;
        };
        let directory = directory_of(link);
        // The link is an ancestor, so this does not fail.
        let rest = path.strip_prefix(link).unwrap_or(Path::new(""));
        let next = directory.join(target);
        path = if rest.as_os_str().is_empty() { next } else { next.join(rest) };
        directories.extend([directory, directory_of(&path)]);
    }
    // It would allow every file.
    directories.remove(Path::new("/"));
    directories
}

/// The directory of a file.
pub(super) fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_needs_its_own_and_its_targets_directory() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("v1")).unwrap();
        std::fs::write(real.join("v1/a.mmdb"), "").unwrap();
        std::os::unix::fs::symlink("v1/a.mmdb", real.join("a.mmdb")).unwrap();
        assert_eq!(directories_of(real.join("a.mmdb")), [real.clone(), real.join("v1")].into());
    }
}
