//! Interning: the id of a name that a packet carries, and the eviction of names that nothing refers to.

use hashbrown::HashMap;

use super::names::{
    CurrentNames, MAX_DEVICES, MAX_LENGTH, MAX_NAMES, MAX_PREFIXES, NameId, Names, UsedNames, clean,
};

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

/// Each kind has a maximum of its own. A name is of the kind as which it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Prefix,
    Device,
}

impl Named {
    fn kind(self) -> Kind {
        match self {
            Self::Prefix => Kind::Prefix,
            Self::InDevice | Self::OutDevice => Kind::Device,
        }
    }
}

/// Most names of each [`Kind`].
const MAXIMA: [usize; 2] = [MAX_PREFIXES, MAX_DEVICES];

/// The writing side of [`Names`]: one per thread that interns. Bounded like the table.
#[derive(Debug)]
pub struct Interner {
    names: Names,
    current: CurrentNames,
    ids: HashMap<Box<str>, NameId>,
    /// Spellings as they come from the wire; the same name may have several (trailing blanks).
    spellings: HashMap<Box<[u8]>, NameId>,
    /// By [`Named`].
    last: [(Vec<u8>, NameId); 3],
    /// The kind of each name, by the number of the id.
    kinds: Vec<Kind>,
    /// How many there are of each [`Kind`].
    held: [usize; 2],
    /// Ids that no table in use gives, the first to be given at the end.
    free: Vec<NameId>,
}

impl Interner {
    /// Starts on a table that nobody else appends to.
    #[must_use]
    pub fn new(names: Names) -> Self {
        let ids = [("other".into(), NameId::OTHER), ("".into(), NameId::EMPTY)].into();
        Self {
            current: CurrentNames::new(names.clone()),
            names,
            ids,
            spellings: HashMap::new(),
            last: std::array::from_fn(|_| (Vec::new(), NameId::EMPTY)),
            // Those of `other` and of the empty name, which are never evicted.
            kinds: vec![Kind::Prefix; 2],
            held: [0; 2],
            free: Vec::new(),
        }
    }

    /// The id of a name made of untrusted bytes. Trimmed; control characters and invalid UTF-8
    /// become U+FFFD; cut at 128 bytes. While there are as many names of its kind as are kept, a new
    /// one is [`NameId::OTHER`].
    pub fn intern(&mut self, named: Named, bytes: &[u8]) -> NameId {
        let last = &self.last[named as usize];
        // Byte by byte: on these few bytes a vector compare took 60 ns, measured in the whole route.
        if last.0.len() == bytes.len() && last.0.iter().zip(bytes).all(|(a, b)| a == b) {
            return last.1;
        }
        let Some(id) = self.spellings.get(bytes).copied().or_else(|| self.learn(named, bytes))
        else {
            self.names.refuse();
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

    /// The table that names go to, also after names were evicted.
    #[must_use]
    pub fn current_names(&self) -> CurrentNames {
        self.current.clone()
    }

    /// Whether there are as many names of a kind as are kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held.iter().zip(MAXIMA).any(|(held, most)| *held >= most)
    }

    /// Evicts every name that is not in use, by a new table, and returns how many these were. Their ids are
    /// given again.
    ///
    /// `used` must have all ids that this interner gave and that will be looked up in the new table.
    pub fn evict_unused(&mut self, used: &UsedNames) -> usize {
        let evicted: Vec<_> = self.ids.values().copied().filter(|id| !used.contains(*id)).collect();
        if evicted.is_empty() {
            return 0;
        }
        for id in &evicted {
            self.held[self.kinds[usize::from(id.index())] as usize] -= 1;
        }
        let count = evicted.len();
        self.free.extend(evicted);
        // The lowest first: which id a name gets does not depend on the order of a map.
        self.free.sort_unstable_by(|one, other| other.cmp(one));
        self.ids.retain(|_, id| used.contains(*id));
        self.spellings.retain(|_, id| used.contains(*id));
        for last in self.last.iter_mut().filter(|(_, id)| !used.contains(*id)) {
            *last = (Vec::new(), NameId::EMPTY);
        }
        self.names = self.names.without_unused(used);
        self.current.set(self.names.clone());
        count
    }

    /// A spelling that is new; `None` when there are as many names of this kind as are kept.
    #[cold]
    fn learn(&mut self, named: Named, bytes: &[u8]) -> Option<NameId> {
        let text = clean(bytes);
        let id = if let Some(&id) = self.ids.get(text.as_str()) {
            id
        } else {
            let id = self.add(named.kind(), &text)?;
            self.ids.insert(text.into(), id);
            id
        };
        if self.spellings.len() < 2 * MAX_NAMES && bytes.len() <= 2 * MAX_LENGTH {
            self.spellings.insert(bytes.into(), id);
        }
        Some(id)
    }

    /// Gives a new name an id.
    fn add(&mut self, kind: Kind, text: &str) -> Option<NameId> {
        if self.held[kind as usize] >= MAXIMA[kind as usize] {
            return None;
        }
        let id = if let Some(id) = self.free.pop() {
            self.kinds[usize::from(id.index())] = kind;
            id
        } else {
            let id = NameId::from_index(u16::try_from(self.kinds.len()).ok()?);
            self.kinds.push(kind);
            id
        };
        self.held[kind as usize] += 1;
        self.names.put(id, text);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn used(ids: &[NameId]) -> UsedNames {
        let mut used = UsedNames::default();
        for id in ids {
            used.mark(*id);
        }
        used
    }

    #[test]
    fn a_full_table_has_room_again_after_unused_names_went() {
        let mut interner = Interner::new(Names::default());
        let current = interner.current_names();
        fill(&mut interner, Named::Prefix, MAX_PREFIXES);
        assert!(interner.is_full());
        let before = current.get();
        let kept = interner.intern(Named::Prefix, b"Prefix7");
        let gone = interner.intern(Named::Prefix, b"Prefix8");
        assert_eq!(interner.evict_unused(&used(&[kept])), MAX_PREFIXES - 1);
        assert!(!interner.is_full());
        assert_eq!(current.get().len(), 3);
        for number in 0..MAX_PREFIXES - 1 {
            let name = format!("new {number}");
            let id = interner.intern(Named::Prefix, name.as_bytes());
            assert_eq!(*current.get().text(id), *name);
        }
        assert!(interner.is_full() && interner.names.refused() == 1);
        // Whoever took the table before goes on seeing the names that were.
        assert_eq!(&*before.text(gone), "Prefix8");
        assert_eq!((&*before.text(kept), &*current.get().text(kept)), ("Prefix7", "Prefix7"));
        assert_eq!(interner.intern(Named::Prefix, b"Prefix7"), kept);
        assert_eq!(interner.intern(Named::Prefix, b"Prefix8"), NameId::OTHER);
    }

    #[test]
    fn the_last_spelling_goes_with_its_name() {
        let mut interner = Interner::new(Names::default());
        let id = interner.intern(Named::Prefix, b"drop ");
        assert_eq!(interner.evict_unused(&used(&[])), 1);
        assert_eq!(interner.intern(Named::InDevice, b"eth0"), id);
        let again = interner.intern(Named::Prefix, b"drop ");
        assert_ne!(again, id);
        assert_eq!(&*interner.names().text(again), "drop");
    }

    #[test]
    fn nothing_evicted_is_no_new_table() {
        let mut interner = Interner::new(Names::default());
        let id = interner.intern(Named::Prefix, b"drop");
        let before = interner.names();
        assert_eq!(interner.evict_unused(&used(&[id])), 0);
        assert!(interner.names().is(&before));
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

        /// Whatever is interned, kept, copied, dropped and evicted in whatever order: an id reads as the name that it was
        /// interned with, in the current table for as long as it is kept, and in the table of a copy for ever.
        #[test]
        fn an_id_in_use_keeps_its_name(
            steps in proptest::collection::vec((0..8_u8, 0..3_u8, 0..12_usize), 0..300),
        ) {
            let mut interner = Interner::new(Names::default());
            let current = interner.current_names();
            let mut kept = Vec::<(NameId, String)>::new();
            let mut copies = Vec::new();
            for (step, kind, number) in steps {
                let named = [Named::Prefix, Named::InDevice, Named::OutDevice][usize::from(kind)];
                match step {
                    0..=3 => {
                        let name = format!("name{number}");
                        let id = interner.intern(named, format!("{name}{}", " ".repeat(number % 3)).as_bytes());
                        assert!(kept.iter().all(|(held, text)| (*held == id) == (*text == name)));
                        kept.push((id, name));
                    }
                    4 | 5 => drop((!kept.is_empty()).then(|| kept.swap_remove(number % kept.len()))),
                    6 => copies.push((kept.clone(), current.get())),
                    _ => {
                        let ids: Vec<_> = kept.iter().map(|(id, _)| *id).collect();
                        interner.evict_unused(&used(&ids));
                        let distinct: std::collections::HashSet<_> = ids.into_iter().collect();
                        assert_eq!(current.get().len(), distinct.len() + 2);
                        assert_eq!(interner.held.iter().sum::<usize>(), distinct.len());
                    }
                }
                copies.push((kept.clone(), current.get()));
                for (ids, names) in &copies {
                    assert!(ids.iter().all(|(id, text)| *names.text(*id) == **text));
                }
                copies.pop();
            }
        }
    }
}
