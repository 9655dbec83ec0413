//! Interned text: log prefixes and device names as small ids, under a cap for each kind.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

use hashbrown::HashMap;

/// Most distinct prefixes that are kept; what comes later is [`NameId::OTHER`]. Whoever writes the rules
/// writes them.
pub const MAX_PREFIXES: usize = 4096;

/// Most distinct device names that are kept. Container hosts make and remove devices all day, so these
/// never take a prefix's place.
pub const MAX_DEVICES: usize = 32_768;

/// Most names of a table: of both kinds, `other` and the empty one.
pub const MAX_NAMES: usize = MAX_PREFIXES + MAX_DEVICES + 2;

/// Longest name kept, in bytes: nftables' own limit for a prefix is 127 (`NF_LOG_PREFIXLEN`).
const MAX_LENGTH: usize = 128;

/// Id of an interned name. Copy, two bytes; valid for the table that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u16);

impl NameId {
    /// The name `other`: whatever was folded, or came after the cap. A rule that really calls
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

/// The table of names, shared between the one thread that interns and those that render.
///
/// Append-only, so an id once given stays valid. The writer keeps its own look-up and takes the
/// lock only for a new name.
#[derive(Clone, Debug)]
pub struct Names {
    table: Arc<RwLock<Table>>,
    refused: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Table {
    texts: Vec<Arc<str>>,
    /// How many of them were first seen as prefixes, and as devices.
    prefixes: usize,
    devices: usize,
}

impl Default for Names {
    fn default() -> Self {
        let texts = vec!["other".into(), "".into()];
        let table = Table { texts, prefixes: 0, devices: 0 };
        Self { table: Arc::new(RwLock::new(table)), refused: Arc::default() }
    }
}

impl Names {
    /// The text of an id.
    #[must_use]
    pub fn text(&self, id: NameId) -> Arc<str> {
        let texts = &self.read().texts;
        let index = usize::from(id.0);
        Arc::clone(texts.get(index).unwrap_or(&texts[0]))
    }

    /// How many names the table holds, `other` and the empty one among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().texts.len()
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

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        // A thread that panicked while it appended left a whole table: push is the last step.
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a text; the caller has made sure that it is new.
    fn append(&self, named: Named, text: &str) -> Option<NameId> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let id = u16::try_from(table.texts.len()).ok()?;
        let (held, most) = match named {
            Named::Prefix => (&mut table.prefixes, MAX_PREFIXES),
            Named::InDevice | Named::OutDevice => (&mut table.devices, MAX_DEVICES),
        };
        if *held >= most {
            return None;
        }
        *held += 1;
        table.texts.push(text.into());
        Some(NameId(id))
    }
}

/// What a name names. Each has its last spelling remembered, as most packets of a batch share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A rule's log prefix.
    Prefix,
    /// The device a packet came in on.
    InDevice,
    /// The device a packet goes out on.
    OutDevice,
}

/// The writing side of [`Names`]: one per thread that interns. Bounded like the table.
#[derive(Debug)]
pub struct Interner {
    names: Names,
    ids: HashMap<Box<str>, NameId>,
    /// Spellings as they come from the wire; the same name may have several (trailing blanks).
    spellings: HashMap<Box<[u8]>, NameId>,
    /// By [`Named`].
    last: [(Vec<u8>, NameId); 3],
}

impl Interner {
    /// Starts on a table that nobody else appends to.
    #[must_use]
    pub fn new(names: Names) -> Self {
        let ids = [("other".into(), NameId::OTHER), ("".into(), NameId::EMPTY)].into();
        Self {
            names,
            ids,
            spellings: HashMap::new(),
            last: std::array::from_fn(|_| (Vec::new(), NameId::EMPTY)),
        }
    }

    /// The id of a name made of untrusted bytes. Trimmed; control characters and invalid UTF-8
    /// become U+FFFD; cut at 128 bytes. Past the cap of its kind it is [`NameId::OTHER`].
    pub fn intern(&mut self, named: Named, bytes: &[u8]) -> NameId {
        let last = &self.last[named as usize];
        // Byte by byte: on these few bytes a vector compare took 60 ns, measured in the whole route.
        if last.0.len() == bytes.len() && last.0.iter().zip(bytes).all(|(a, b)| a == b) {
            return last.1;
        }
        let Some(id) = self.spellings.get(bytes).copied().or_else(|| self.learn(named, bytes))
        else {
            self.names.refused.fetch_add(1, Ordering::Relaxed);
            return NameId::OTHER;
        };
        let last = &mut self.last[named as usize];
        last.0.clear();
        last.0.extend_from_slice(bytes);
        last.1 = id;
        id
    }

    /// The table that names go to.
    #[must_use]
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// A spelling that is new; `None` when there are as many names of this kind as are kept.
    #[cold]
    fn learn(&mut self, named: Named, bytes: &[u8]) -> Option<NameId> {
        let text = clean(bytes);
        let id = if let Some(&id) = self.ids.get(text.as_str()) {
            id
        } else {
            let id = self.names.append(named, &text)?;
            self.ids.insert(text.into(), id);
            id
        };
        if self.spellings.len() < 2 * MAX_NAMES && bytes.len() <= 2 * MAX_LENGTH {
            self.spellings.insert(bytes.into(), id);
        }
        Some(id)
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

    #[test]
    fn the_same_label_is_the_same_id() {
        let mut interner = Interner::new(Names::default());
        let id = interner.intern(Named::Prefix, b"drop");
        assert_eq!(interner.intern(Named::Prefix, b"drop "), id);
        assert_eq!(interner.intern(Named::Prefix, b" drop"), id);
        assert_ne!(interner.intern(Named::Prefix, b"accept"), id);
        assert_eq!(interner.intern(Named::Prefix, b"drop"), id);
        assert_eq!(interner.intern(Named::Prefix, b"other"), NameId::OTHER);
        assert_eq!(interner.intern(Named::Prefix, b" other "), NameId::OTHER);
        assert_eq!(interner.intern(Named::Prefix, b""), NameId::EMPTY);
    }

    fn fill(interner: &mut Interner, named: Named, most: usize) {
        for number in 0..most {
            interner.intern(named, format!("{named:?}{number}").as_bytes());
        }
        assert_eq!(interner.names.refused(), 0);
        let id = interner.intern(named, b"one more");
        assert_eq!((id, interner.names.refused()), (NameId::OTHER, 1));
    }

    #[test]
    fn past_the_cap_a_name_is_other_and_counted() {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        fill(&mut interner, Named::Prefix, MAX_PREFIXES);
        assert_eq!(names.len(), MAX_PREFIXES + 2);
        assert_ne!(interner.intern(Named::Prefix, b"Prefix7"), NameId::OTHER);
    }

    #[test]
    fn devices_leave_room_for_prefixes() {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        fill(&mut interner, Named::InDevice, MAX_DEVICES);
        assert_eq!(interner.intern(Named::OutDevice, b"veth1"), NameId::OTHER);
        for number in 0..MAX_PREFIXES {
            let prefix = format!("rule {number}");
            let id = interner.intern(Named::Prefix, prefix.as_bytes());
            assert_eq!(*names.text(id), *prefix);
        }
        assert_eq!(names.len(), MAX_NAMES);
    }

    proptest::proptest! {
        /// Whatever comes in whatever order: an id keeps its text, and no two ids have the same one.
        #[test]
        fn an_id_is_a_text(sequence in proptest::collection::vec((0..3_u8, "[a-c ]{0,3}"), 0..200)) {
            let names = Names::default();
            let mut interner = Interner::new(names.clone());
            let mut known = HashMap::<String, NameId>::new();
            for (kind, text) in sequence {
                let named = [Named::Prefix, Named::InDevice, Named::OutDevice][usize::from(kind)];
                let id = interner.intern(named, text.as_bytes());
                assert_eq!(*names.text(id), *text.trim());
                assert_eq!(*known.entry(text.trim().to_owned()).or_insert(id), id);
            }
            let ids: std::collections::HashSet<_> = known.values().collect();
            assert_eq!(ids.len(), known.len());
        }
    }
}
