//! The table of names: log prefixes and device names as small ids, with a maximum for each kind.
//!
//! Names are only added to a table. Eviction makes a new table without the unused names, so an id resolves to
//! the same text for as long as its table is kept.

use std::sync::{
    Arc, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

use crate::system::{
    lock::{read, write},
    untrusted_text::one_line,
};

/// Maximum number of distinct prefixes kept at once. While all are in use, new ones are [`NameId::OTHER`].
/// The firewall's rules set the prefixes.
pub const MAX_PREFIXES: usize = 4096;

/// Maximum number of distinct device names kept at once. Container hosts create and remove many devices, so
/// devices have a maximum of their own.
pub const MAX_DEVICES: usize = 32_768;

/// Maximum number of distinct hosts kept at once: the routers of a large site.
pub const MAX_HOSTS: usize = 4096;

/// Maximum number of distinct names of networks and lists kept at once: those that files name, and room for those of
/// replaced files.
pub const MAX_NETWORKS: usize = 8192;

/// Maximum number of names in a table: all kinds, `other` and the empty name.
pub const MAX_NAMES: usize = MAX_PREFIXES + MAX_DEVICES + MAX_HOSTS + MAX_NETWORKS + 2;

/// Maximum length of a name in bytes: nftables' own limit for a prefix is 127 (`NF_LOG_PREFIXLEN`).
pub(super) const MAX_LENGTH: usize = 128;

/// Id of an interned name. Valid for the table that was current when the id was assigned, and for later tables
/// as long as a consumer marks the id as used ([`UsedNames`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u16);

impl NameId {
    /// The name `other`: for folded values and for new names while the table is full. A prefix whose text is
    /// `other` gets this id too, so that no two series have the same labels.
    pub const OTHER: Self = Self(0);
    /// The empty name: a rule without a prefix, a packet without a device.
    pub const EMPTY: Self = Self(1);

    /// The number of the id.
    #[must_use]
    pub fn index(self) -> u16 {
        self.0
    }

    /// The id with this number. An id that is in no table resolves to `other`.
    #[must_use]
    pub fn from_index(index: u16) -> Self {
        Self(index)
    }
}

/// One table of names, shared by the thread that interns and the threads that render.
///
/// Once an id has a name, the name does not change.
#[derive(Clone, Debug)]
pub struct Names {
    /// By the number of the id.
    texts: Arc<RwLock<Vec<Option<Arc<str>>>>>,
    rejected: Arc<AtomicU64>,
}

impl Default for Names {
    fn default() -> Self {
        Self::of(vec![Some("other".into()), Some("".into())], Arc::default())
    }
}

impl Names {
    fn of(texts: Vec<Option<Arc<str>>>, rejected: Arc<AtomicU64>) -> Self {
        Self { texts: Arc::new(RwLock::new(texts)), rejected }
    }

    /// The text of an id.
    #[must_use]
    pub fn text(&self, id: NameId) -> Arc<str> {
        let texts = self.read();
        let text = texts.get(usize::from(id.0)).and_then(Option::as_ref);
        text.map_or_else(|| "other".into(), Arc::clone)
    }

    /// Number of names in the table, including `other` and the empty name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().iter().flatten().count()
    }

    /// Always false: the table always contains `other` and the empty name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Number of names of packets that became `other` because the table was full.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Whether this is the same table, rather than an earlier or later one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.texts, &other.texts)
    }

    pub(super) fn refuse(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the text of an unused id.
    pub(super) fn put(&self, id: NameId, text: &str) {
        let mut texts = write(&self.texts);
        let index = usize::from(id.0);
        if index >= texts.len() {
            texts.resize(index + 1, None);
        }
        texts[index] = Some(text.into());
    }

    /// A new table without the names that are not in use.
    pub(super) fn without_unused(&self, used: &UsedNames) -> Self {
        let mut texts = self.read().clone();
        for (text, used) in texts.iter_mut().zip(&used.0) {
            if !used {
                *text = None;
            }
        }
        Self::of(texts, Arc::clone(&self.rejected))
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<str>>>> {
        // A poisoned table is still consistent: the store is the last step of a write.
        read(&self.texts)
    }
}

/// The newest table of names.
///
/// A reader that copies ids out of a consumer must get the table under that consumer's lock. Then the table
/// contains every id of the copy.
#[derive(Clone, Debug)]
pub struct CurrentNames(Arc<RwLock<Names>>);

impl CurrentNames {
    /// Creates it with this table.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self(Arc::new(RwLock::new(names)))
    }

    /// The newest table. Only new names are added to it, so it can be kept.
    #[must_use]
    pub fn get(&self) -> Names {
        read(&self.0).clone()
    }

    pub(super) fn set(&self, names: Names) {
        *write(&self.0) = names;
    }
}

/// The ids in use. `other` and the empty name are always in use.
#[derive(Clone, Debug)]
pub struct UsedNames(Vec<bool>);

impl Default for UsedNames {
    fn default() -> Self {
        let mut used = Self(vec![false; usize::from(u16::MAX) + 1]);
        used.mark(NameId::OTHER);
        used.mark(NameId::EMPTY);
        used
    }
}

impl UsedNames {
    /// Marks an id as used.
    pub fn mark(&mut self, id: NameId) {
        self.0[usize::from(id.0)] = true;
    }

    /// Whether an id is used.
    #[must_use]
    pub fn contains(&self, id: NameId) -> bool {
        self.0[usize::from(id.0)]
    }
}

/// Converts untrusted bytes to text that is safe to show: one line of valid UTF-8, trimmed, at most 128 bytes.
/// Control characters, invisible characters and invalid UTF-8 become U+FFFD.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(4 * MAX_LENGTH)];
    one_line(&String::from_utf8_lossy(head), MAX_LENGTH).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Interner, NameField};

    fn check(bytes: &[u8], expect: &str) {
        let names = Names::default();
        let id = Interner::new(names.clone()).intern(NameField::Prefix, bytes);
        assert_eq!(&*names.text(id), expect);
    }

    #[test]
    fn untrusted_bytes_become_one_safe_line() {
        check(b"drop-in: ", "drop-in:");
        check(b"", "");
        check(b"   ", "");
        check(b"a\nb\x1b[2J\0c", "a\u{fffd}b\u{fffd}[2J\u{fffd}c");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
        check("DROP\u{202e}TPECCA".as_bytes(), "DROP\u{fffd}TPECCA");
        check("münchen".as_bytes(), "münchen");
        check(&[b'x'; 1000], &"x".repeat(128));
    }
}
