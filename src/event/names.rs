//! The table of names: log prefixes and device names as small ids, under a maximum for each kind.
//!
//! A table only grows. Names are evicted by a new table, which leaves out those that nothing refers to, so an
//! id resolves to the same text for as long as its table is kept.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

/// Most distinct prefixes that are kept at once; what comes while all are in use is [`NameId::OTHER`].
/// Whoever writes the rules writes them.
pub const MAX_PREFIXES: usize = 4096;

/// Most distinct device names that are kept at once. Container hosts make and remove devices all day, so
/// these never take a prefix's place.
pub const MAX_DEVICES: usize = 32_768;

/// Most names of a table: of both kinds, `other` and the empty one.
pub const MAX_NAMES: usize = MAX_PREFIXES + MAX_DEVICES + 2;

/// Longest name kept, in bytes: nftables' own limit for a prefix is 127 (`NF_LOG_PREFIXLEN`).
pub(super) const MAX_LENGTH: usize = 128;

/// Id of an interned name. Copy, two bytes; valid for the table that was current when it was given, and for
/// later ones as long as something that is asked for its ids refers to it ([`UsedNames`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u16);

impl NameId {
    /// The name `other`: whatever was folded, or came while the table was full. A rule that really calls
    /// itself `other` gets this id too, so that no two series can carry the same labels.
    pub const OTHER: Self = Self(0);
    /// The empty name: a rule without a prefix, a packet without a device.
    pub const EMPTY: Self = Self(1);

    /// The number behind the id.
    #[must_use]
    pub fn index(self) -> u16 {
        self.0
    }

    /// The id with this number; one that no table gave reads as `other`.
    #[must_use]
    pub fn from_index(index: u16) -> Self {
        Self(index)
    }
}

/// One table of names, shared between the one thread that interns and those that render.
///
/// A place in it is empty until it gets a name, and then keeps this name.
#[derive(Clone, Debug)]
pub struct Names {
    /// By the number of the id.
    texts: Arc<RwLock<Vec<Option<Arc<str>>>>>,
    refused: Arc<AtomicU64>,
}

impl Default for Names {
    fn default() -> Self {
        Self::of(vec![Some("other".into()), Some("".into())], Arc::default())
    }
}

impl Names {
    fn of(texts: Vec<Option<Arc<str>>>, refused: Arc<AtomicU64>) -> Self {
        Self { texts: Arc::new(RwLock::new(texts)), refused }
    }

    /// The text of an id.
    #[must_use]
    pub fn text(&self, id: NameId) -> Arc<str> {
        let texts = self.read();
        let text = texts.get(usize::from(id.0)).and_then(Option::as_ref);
        text.map_or_else(|| "other".into(), Arc::clone)
    }

    /// How many names the table holds, `other` and the empty one among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().iter().flatten().count()
    }

    /// Never: `other` and the empty name are always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// How many names of packets were `other` because the table was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether this is the same table, not an earlier or later one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.texts, &other.texts)
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a text at an empty place, or at the end.
    pub(super) fn put(&self, id: NameId, text: &str) {
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        let place = usize::from(id.0);
        if place >= texts.len() {
            texts.resize(place + 1, None);
        }
        texts[place] = Some(text.into());
    }

    /// A new table without the names that are not in use.
    pub(super) fn without_unused(&self, used: &UsedNames) -> Self {
        let mut texts = self.read().clone();
        for (text, used) in texts.iter_mut().zip(&used.0) {
            if !used {
                *text = None;
            }
        }
        Self::of(texts, Arc::clone(&self.refused))
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<str>>>> {
        // A thread that panicked while it wrote left a whole table: the store is the last step.
        self.texts.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest table of names.
///
/// Whoever copies ids out of something that is asked for them takes the table under the lock of that thing:
/// then every id of the copy is in the table.
#[derive(Clone, Debug)]
pub struct CurrentNames(Arc<RwLock<Names>>);

impl CurrentNames {
    /// Starts with this table.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self(Arc::new(RwLock::new(names)))
    }

    /// The newest table. It does not change but by new names, and can be kept.
    #[must_use]
    pub fn get(&self) -> Names {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, names: Names) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names;
    }
}

/// The ids that something refers to. `other` and the empty name are always among them.
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
    /// Something refers to this id.
    pub fn mark(&mut self, id: NameId) {
        self.0[usize::from(id.0)] = true;
    }

    /// Whether something refers to this id.
    #[must_use]
    pub fn contains(&self, id: NameId) -> bool {
        self.0[usize::from(id.0)]
    }
}

/// Untrusted bytes as text that is safe to show: one line, valid UTF-8, trimmed, at most 128 bytes;
/// control characters and invalid UTF-8 become U+FFFD. So a label shows a name.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(4 * MAX_LENGTH)];
    let text = String::from_utf8_lossy(head);
    let mut name = String::new();
    for character in text.trim().chars() {
        let shown = if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
        if name.len() + shown.len_utf8() > MAX_LENGTH {
            break;
        }
        name.push(shown);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Interner, Named};

    fn check(bytes: &[u8], expect: &str) {
        let names = Names::default();
        let id = Interner::new(names.clone()).intern(Named::Prefix, bytes);
        assert_eq!(&*names.text(id), expect);
    }

    #[test]
    fn untrusted_bytes_become_one_safe_line() {
        check(b"drop-in: ", "drop-in:");
        check(b"", "");
        check(b"   ", "");
        check(b"a\nb\x1b[2J\0c", "a\u{fffd}b\u{fffd}[2J\u{fffd}c");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
        check("münchen".as_bytes(), "münchen");
        check(&[b'x'; 1000], &"x".repeat(128));
    }
}
