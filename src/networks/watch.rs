//! The files in use, and the check for replaced ones.

use std::{path::Path, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use super::{
    config::{ListConfigs, NetworksConfig},
    file::NetworksError,
    list_file::AddressSet,
    names_file::NamedNetworks,
};
use crate::system::{
    file_watch::{FileChange, FileDebounce},
    files::Fingerprint,
};

/// The state of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Name of the list; `None` for the file of the networks.
    pub list: Option<String>,
    /// Number of entries in use.
    pub entries: usize,
    /// Time of the last change of the file in use, seconds since 1970-01-01 UTC.
    pub modified: i64,
    /// Times it was replaced while running.
    pub reloads_ok: u64,
    /// Times a replacement could not be used, and the previous content stayed.
    pub reloads_failed: u64,
}

/// What is in use at one time: immutable, replaced as a whole.
#[derive(Debug, Default)]
pub(super) struct Generation {
    pub(super) networks: Option<Arc<NamedNetworks>>,
    /// In the order they are asked.
    pub(super) lists: Vec<Arc<AddressSet>>,
    /// The names of the networks, then those of the lists.
    pub(super) names: Vec<Arc<str>>,
    /// Index of the first list's name.
    pub(super) first_list: usize,
    pub(super) status: Vec<FileStatus>,
}

/// The files.
#[derive(Debug, Default)]
pub(super) struct Files {
    networks: Option<WatchedFile<NamedNetworks>>,
    lists: Vec<WatchedFile<AddressSet>>,
    /// Replaced generations that a thread may still use. They are freed here, because it takes a while.
    retired: Vec<Arc<Generation>>,
}

#[derive(Debug)]
struct WatchedFile<T> {
    /// Name of the list.
    list: Option<String>,
    path: PathBuf,
    content: Arc<T>,
    /// The fingerprint of the file; `None` without a file. A rejected file is neither read nor logged again.
    changes: FileDebounce<Option<Fingerprint>>,
    modified: i64,
    reloads_ok: u64,
    reloads_failed: u64,
}

/// The content of a file.
trait Content: Sized {
    fn read(path: &Path) -> Result<(Self, Fingerprint), NetworksError>;
    fn entries(&self) -> usize;
}

impl Content for NamedNetworks {
    fn read(path: &Path) -> Result<(Self, Fingerprint), NetworksError> {
        Self::read(path)
    }

    fn entries(&self) -> usize {
        self.len()
    }
}

impl Content for AddressSet {
    fn read(path: &Path) -> Result<(Self, Fingerprint), NetworksError> {
        Self::read(path)
    }

    fn entries(&self) -> usize {
        self.entries
    }
}

impl Files {
    /// Reads all files.
    pub(super) fn open(
        networks: &NetworksConfig,
        lists: &ListConfigs,
    ) -> Result<Self, NetworksError> {
        let has_networks = !networks.file.as_os_str().is_empty();
        let networks = has_networks.then(|| WatchedFile::open(None, &networks.file)).transpose()?;
        let lists = lists.iter().map(|list| WatchedFile::open(Some(list.name.clone()), &list.file));
        Ok(Self { networks, lists: lists.collect::<Result<_, _>>()?, retired: Vec::new() })
    }

    /// Reads these files instead, and keeps the counts of those that stay. After an error, nothing has changed but the
    /// count of the file that caused it.
    pub(super) fn reload(
        &mut self,
        networks: &NetworksConfig,
        lists: &ListConfigs,
    ) -> Result<(), NetworksError> {
        match Self::open(networks, lists) {
            Ok(mut newer) => {
                if let (Some(newer), Some(older)) = (&mut newer.networks, &self.networks) {
                    newer.keep_counts(older);
                }
                for newer in &mut newer.lists {
                    if let Some(older) = self.lists.iter().find(|older| older.list == newer.list) {
                        newer.keep_counts(older);
                    }
                }
                (self.networks, self.lists) = (newer.networks, newer.lists);
                Ok(())
            }
            Err(error) => {
                let path = error.path();
                let networks =
                    self.networks.as_mut().map(|file| (&file.path, &mut file.reloads_failed));
                let lists =
                    self.lists.iter_mut().map(|file| (&file.path, &mut file.reloads_failed));
                for (_, failed) in networks.into_iter().chain(lists).filter(|(of, _)| *of == path) {
                    *failed += 1;
                }
                Err(error)
            }
        }
    }

    /// Reads files that were replaced; returns whether the status changed.
    pub(super) fn check(&mut self) -> bool {
        let mut changed = self.networks.as_mut().is_some_and(WatchedFile::check);
        for list in &mut self.lists {
            changed |= list.check();
        }
        changed
    }

    pub(super) fn generation(&self) -> Generation {
        let networks = self.networks.as_ref().map(|file| Arc::clone(&file.content));
        let mut names =
            networks.as_ref().map(|networks| networks.names.clone()).unwrap_or_default();
        let first_list = names.len();
        names.extend(self.lists.iter().map(|file| file.list.as_deref().unwrap_or_default().into()));
        let status = self.networks.iter().map(WatchedFile::status);
        Generation {
            status: status.chain(self.lists.iter().map(WatchedFile::status)).collect(),
            networks,
            lists: self.lists.iter().map(|file| Arc::clone(&file.content)).collect(),
            names,
            first_list,
        }
    }

    /// Replaces the generation in use.
    pub(super) fn publish(&mut self, current: &ArcSwap<Generation>) {
        self.retired.push(current.swap(Arc::new(self.generation())));
    }

    /// Frees the generations that no thread uses any more.
    pub(super) fn drop_unused(&mut self) {
        self.retired.retain(|generation| Arc::strong_count(generation) > 1);
    }
}

impl<T: Content> WatchedFile<T> {
    fn open(list: Option<String>, path: &Path) -> Result<Self, NetworksError> {
        let (content, fingerprint) = T::read(path)?;
        Ok(Self {
            list,
            path: path.into(),
            content: Arc::new(content),
            changes: FileDebounce::new(Some(fingerprint)),
            modified: fingerprint.modified_seconds(),
            reloads_ok: 0,
            reloads_failed: 0,
        })
    }

    /// Reads the file if it was replaced; returns whether the status changed.
    fn check(&mut self) -> bool {
        let state = Fingerprint::of(&self.path);
        if self.changes.check(state) != FileChange::Changed {
            return false;
        }
        let file = self.path.display();
        match T::read(&self.path) {
            Err(NetworksError::Changing { .. }) => return false,
            // Replaced again since the check: wait until it is unchanged.
            Ok((_, fingerprint)) if Some(fingerprint) != state => return false,
            Ok((content, fingerprint)) => {
                info!(%file, entries = content.entries(), "the file was replaced");
                self.content = Arc::new(content);
                self.modified = fingerprint.modified_seconds();
                self.reloads_ok += 1;
            }
            Err(error) => {
                warn!(%error, "the file was replaced by one that cannot be used; its previous content stays in use");
                self.reloads_failed += 1;
            }
        }
        self.changes.set_read(state);
        true
    }

    fn keep_counts(&mut self, older: &Self) {
        if self.path == older.path {
            self.reloads_ok = older.reloads_ok + 1;
            self.reloads_failed = older.reloads_failed;
        }
    }

    fn status(&self) -> FileStatus {
        FileStatus {
            list: self.list.clone(),
            entries: self.content.entries(),
            modified: self.modified,
            reloads_ok: self.reloads_ok,
            reloads_failed: self.reloads_failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::IpAddr};

    use super::super::{ListConfig, NameIndex, Networks, PacketNetworks};
    use super::*;
    use crate::packet::Addresses;

    /// A list and a file of networks, and access to them.
    struct Setup {
        directory: tempfile::TempDir,
        networks: Networks,
    }

    impl Setup {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("drop"), "192.0.2.0/24\n").unwrap();
            fs::write(directory.path().join("more"), "192.0.0.0/16\n").unwrap();
            fs::write(directory.path().join("names"), "10.0.0.0/8, office, DE\n").unwrap();
            let (names, lists) = Self::config(directory.path());
            let networks = Networks::open(&names, &lists).unwrap();
            Self { directory, networks }
        }

        fn config(directory: &Path) -> (NetworksConfig, ListConfigs) {
            let list = |name: &str| ListConfig { name: name.into(), file: directory.join(name) };
            let names = NetworksConfig { file: directory.join("names") };
            (names, vec![list("drop"), list("more")].into())
        }

        /// Replaces a file, and checks until that is noticed.
        fn replace(&self, name: &str, text: &str) {
            let newer = self.directory.path().join("newer");
            fs::write(&newer, text).unwrap();
            fs::rename(newer, self.directory.path().join(name)).unwrap();
            self.networks.check();
            self.networks.check();
        }

        /// The names of the source's and the destination's network and of the list; empty without one.
        fn names(&self, source: [u8; 4]) -> [String; 3] {
            let mut lookup = self.networks.lookup();
            let destination = [10, 0, 0, 1].into();
            let addresses = Addresses::V4 { source: source.into(), destination };
            let found = lookup.packet(addresses, source.into());
            let PacketNetworks { source, destination, list, .. } = found;
            let name = |NameIndex(index)| lookup.names()[usize::from(index)].to_string();
            [source, destination, list].map(|index| index.map(name).unwrap_or_default())
        }

        /// Entries, successes and failures of each file.
        fn counts(&self) -> Vec<(usize, u64, u64)> {
            let status = self.networks.status().into_iter();
            status.map(|file| (file.entries, file.reloads_ok, file.reloads_failed)).collect()
        }
    }

    #[test]
    fn each_packet_of_a_batch_has_its_own_result() {
        let setup = Setup::new();
        let mut lookup = setup.networks.lookup();
        let pair = |source: &str, destination: &str| match (
            source.parse().unwrap(),
            destination.parse().unwrap(),
        ) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4 { source, destination },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6 { source, destination },
            _ => panic!("two versions"),
        };
        let incoming = pair("192.0.2.7", "10.0.0.1");
        let outgoing = pair("10.0.0.1", "192.0.3.7");
        let mapped = pair("::ffff:10.0.0.1", "2001:db8::1");
        let kinds = [
            None,
            Some((incoming, incoming.source())),
            Some((outgoing, outgoing.destination())),
            Some((mapped, mapped.source())),
        ];
        let mut found = vec![PacketNetworks::default(); 7];
        lookup.packets((0..400).map(|packet| kinds[packet % 4]), &mut found);
        let index = |name: &str| {
            let at = lookup.names().iter().position(|other| &**other == name).unwrap();
            Some(NameIndex(u16::try_from(at).unwrap()))
        };
        let (office, none) = (index("office"), PacketNetworks::default());
        let country = crate::geoip::CountryId::from_code("DE");
        let expect = [
            none,
            PacketNetworks { destination: office, list: index("drop"), ..none },
            PacketNetworks { source: office, list: index("more"), ..none },
            PacketNetworks { source: office, country, ..none },
        ];
        assert_eq!(found.len(), 400);
        for (packet, found) in found.iter().enumerate() {
            assert_eq!(*found, expect[packet % 4], "{packet}");
        }
    }

    #[test]
    fn the_first_list_in_the_order_of_the_configuration_counts() {
        let setup = Setup::new();
        assert_eq!(setup.names([192, 0, 2, 7]), ["", "office", "drop"]);
        assert_eq!(setup.names([192, 0, 3, 7]), ["", "office", "more"]);
        assert_eq!(setup.names([10, 0, 0, 2]), ["office", "office", ""]);
        assert_eq!(setup.counts(), [(1, 0, 0); 3]);
    }

    #[test]
    fn a_replaced_file_is_read_and_a_broken_one_leaves_the_previous_content() {
        let setup = Setup::new();
        let mut lookup = setup.networks.lookup();
        assert!(!lookup.refresh());
        setup.replace("drop", "198.51.100.0/24\n203.0.113.0/24\n");
        setup.replace("names", "10.0.0.0/8, campus\n192.0.0.0/8, net\n");
        assert!(lookup.refresh() && !lookup.refresh());
        assert_eq!(setup.names([198, 51, 100, 1])[2], "drop");
        assert_eq!(setup.names([192, 0, 2, 7]), ["net", "campus", "more"]);
        for broken in ["<html>", "", "203.0.113.0/33"] {
            setup.replace("drop", broken);
        }
        fs::remove_file(setup.directory.path().join("names")).unwrap();
        setup.networks.check();
        setup.networks.check();
        assert_eq!(setup.names([198, 51, 100, 1]), ["", "campus", "drop"]);
        assert_eq!(setup.counts(), [(2, 1, 1), (2, 1, 3), (1, 0, 0)]);
        setup.replace("drop", "# none\n");
        assert_eq!(setup.names([198, 51, 100, 1])[2], "");
        assert_eq!(setup.counts()[1], (0, 2, 3));
    }

    #[test]
    fn a_reload_reads_all_files_or_changes_nothing() {
        let setup = Setup::new();
        let (names, lists) = Setup::config(setup.directory.path());
        setup.networks.reload(&names, &vec![lists[1].clone()].into()).unwrap();
        assert_eq!(setup.names([192, 0, 2, 7])[2], "more");
        assert_eq!(setup.counts(), [(1, 1, 0), (1, 1, 0)]);
        fs::write(&lists[1].file, "x\n").unwrap();
        let error =
            setup.networks.reload(&NetworksConfig::default(), &lists).unwrap_err().to_string();
        assert!(error.contains("more:1: invalid entry \"x\""), "{error}");
        assert_eq!(setup.names([192, 0, 2, 7]), ["", "office", "more"]);
        assert_eq!(setup.counts(), [(1, 1, 0), (1, 1, 1)]);
    }

    /// A generation is freed by a check, after the threads that use it have switched.
    #[test]
    fn threads_that_look_up_free_nothing() {
        let setup = Setup::new();
        let mut lookup = setup.networks.lookup();
        let before = Arc::downgrade(&setup.networks.current.load_full());
        setup.replace("drop", "198.51.100.0/24\n");
        assert!(before.upgrade().is_some());
        lookup.refresh();
        assert!(before.upgrade().is_some());
        setup.networks.check();
        assert!(before.upgrade().is_none());
    }
}
