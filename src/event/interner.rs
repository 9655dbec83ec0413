//! Assigns ids to log prefixes, device names and host names, and evicts unused names.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    name_table::{NameField, OpenBatch, SharedTable},
    names::{CurrentNames, MAX_LENGTH, MAX_NAMES, NameId, Names, UsedNames, clean},
};

/// Assigns ids to names, for one thread. Bounded like the table.
///
/// Interners of several threads share a table ([`Self::sharing`]); each has the spellings that it has seen, so a name that
/// repeats takes no lock. The first name after [`Self::close_batch`] opens a batch, and no name is evicted while the batch
/// of another interner is open. So an id can be used until the batch was handed over.
#[derive(Debug)]
pub struct Interner {
    table: Arc<SharedTable>,
    /// Spellings as received. A name can have several, such as with trailing spaces.
    spellings: HashMap<Box<[u8]>, NameId>,
    /// The last spelling and id, by [`NameField`].
    last: [(Vec<u8>, NameId); 5],
    /// The evictions before the spellings were learned.
    evictions: u64,
    open: Option<OpenBatch>,
}

impl Interner {
    /// Creates an interner for a table that no other interner writes to.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self::of(Arc::new(SharedTable::new(names)))
    }

    /// Creates an interner for another thread that shares the table of this one.
    #[must_use]
    pub fn sharing(&self) -> Self {
        Self::of(Arc::clone(&self.table))
    }

    fn of(table: Arc<SharedTable>) -> Self {
        Self {
            table,
            spellings: HashMap::new(),
            last: std::array::from_fn(|_| (Vec::new(), NameId::EMPTY)),
            evictions: 0,
            open: None,
        }
    }

    /// Returns the id of a name given as untrusted bytes, which are cleaned by [`clean`]. While its kind has
    /// reached its maximum, a new name is [`NameId::OTHER`].
    pub fn intern(&mut self, named: NameField, bytes: &[u8]) -> NameId {
        if self.open.is_none() {
            self.open_batch();
        }
        let last = &self.last[named as usize];
        // Byte by byte: for these few bytes, a vector compare took 60 ns, measured in the whole route.
        if last.0.len() == bytes.len() && last.0.iter().zip(bytes).all(|(a, b)| a == b) {
            return last.1;
        }
        let Some(id) = self.spellings.get(bytes).copied().or_else(|| self.learn(named, bytes))
        else {
            return NameId::OTHER;
        };
        let last = &mut self.last[named as usize];
        last.0.clear();
        last.0.extend_from_slice(bytes);
        last.1 = id;
        id
    }

    /// Marks the end of a batch: its ids were handed over to their owners, and are not used any more.
    pub fn close_batch(&mut self) {
        self.open = None;
    }

    /// Number of evictions before this batch. Ids from before an eviction must not be used after it.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// The table that new names are added to.
    #[must_use]
    pub fn names(&self) -> Names {
        self.table.names()
    }

    /// The table that new names are added to, also after evictions.
    #[must_use]
    pub fn current_names(&self) -> CurrentNames {
        self.table.current_names()
    }

    /// Whether a kind has reached its maximum.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.table.is_full()
    }

    /// Evicts every unused name by switching to a new table, and returns their number. Their ids are reused.
    ///
    /// Closes the batch of this interner, waits until no other one has an open batch, and keeps new ones from being opened
    /// until the end. `used` must return all ids that will be looked up in the new table.
    pub fn evict_unused(&mut self, used: impl FnOnce() -> UsedNames) -> usize {
        self.close_batch();
        self.table.evict_unused(used)
    }

    /// Opens a batch, and forgets the spellings if a name was evicted since the last one.
    #[cold]
    fn open_batch(&mut self) {
        let open = OpenBatch::new(&self.table);
        if open.evictions() != self.evictions {
            self.evictions = open.evictions();
            self.spellings.clear();
            self.last.fill((Vec::new(), NameId::EMPTY));
        }
        self.open = Some(open);
    }

    /// Adds a new spelling; `None` if its kind has reached its maximum.
    #[cold]
    fn learn(&mut self, named: NameField, bytes: &[u8]) -> Option<NameId> {
        let id = self.table.id(named.kind(), clean(bytes))?;
        if self.spellings.len() < 2 * MAX_NAMES && bytes.len() <= 2 * MAX_LENGTH {
            self.spellings.insert(bytes.into(), id);
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{MAX_DEVICES, MAX_HOSTS, MAX_NETWORKS, MAX_PREFIXES};

    #[test]
    fn the_same_label_is_the_same_id() {
        let mut interner = Interner::new(Names::default());
        let id = interner.intern(NameField::Prefix, b"drop");
        assert_eq!(interner.intern(NameField::Prefix, b"drop "), id);
        assert_eq!(interner.intern(NameField::Prefix, b" drop"), id);
        assert_ne!(interner.intern(NameField::Prefix, b"accept"), id);
        assert_eq!(interner.intern(NameField::Prefix, b"drop"), id);
        assert_eq!(interner.intern(NameField::Prefix, b"other"), NameId::OTHER);
        assert_eq!(interner.intern(NameField::Prefix, b" other "), NameId::OTHER);
        assert_eq!(interner.intern(NameField::Prefix, b""), NameId::EMPTY);
    }

    fn fill(interner: &mut Interner, field: NameField, count: usize) {
        for number in 0..count {
            interner.intern(field, format!("{field:?}{number}").as_bytes());
        }
        assert_eq!(interner.names().rejected(), 0);
        let id = interner.intern(field, b"one more");
        assert_eq!((id, interner.names().rejected()), (NameId::OTHER, 1));
    }

    #[test]
    fn a_new_name_above_the_maximum_is_other_and_counted() {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        fill(&mut interner, NameField::Prefix, MAX_PREFIXES);
        assert_eq!(names.len(), MAX_PREFIXES + 2);
        assert_ne!(interner.intern(NameField::Prefix, b"Prefix7"), NameId::OTHER);
    }

    #[test]
    fn devices_leave_room_for_prefixes_and_hosts() {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        fill(&mut interner, NameField::InDevice, MAX_DEVICES);
        assert_eq!(interner.intern(NameField::OutDevice, b"veth1"), NameId::OTHER);
        for number in 0..MAX_PREFIXES {
            let prefix = format!("rule {number}");
            let id = interner.intern(NameField::Prefix, prefix.as_bytes());
            assert_eq!(*names.text(id), *prefix);
        }
        for number in 0..MAX_HOSTS {
            let host = format!("router {number}");
            let id = interner.intern(NameField::Host, host.as_bytes());
            assert_eq!(*names.text(id), *host);
        }
        for number in 0..MAX_NETWORKS {
            let network = format!("network {number}");
            let id = interner.intern(NameField::Network, network.as_bytes());
            assert_eq!(*names.text(id), *network);
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
    fn a_full_table_has_room_again_after_an_eviction() {
        let mut interner = Interner::new(Names::default());
        let current = interner.current_names();
        fill(&mut interner, NameField::Prefix, MAX_PREFIXES);
        assert!(interner.is_full());
        let before = current.get();
        let kept = interner.intern(NameField::Prefix, b"Prefix7");
        let gone = interner.intern(NameField::Prefix, b"Prefix8");
        assert_eq!(interner.evict_unused(|| used(&[kept])), MAX_PREFIXES - 1);
        assert!(!interner.is_full());
        assert_eq!(current.get().len(), 3);
        for number in 0..MAX_PREFIXES - 1 {
            let name = format!("new {number}");
            let id = interner.intern(NameField::Prefix, name.as_bytes());
            assert_eq!(*current.get().text(id), *name);
        }
        assert!(interner.is_full() && interner.names().rejected() == 1);
        // A copy of the previous table keeps its names.
        assert_eq!(&*before.text(gone), "Prefix8");
        assert_eq!((&*before.text(kept), &*current.get().text(kept)), ("Prefix7", "Prefix7"));
        assert_eq!(interner.intern(NameField::Prefix, b"Prefix7"), kept);
        assert_eq!(interner.intern(NameField::Prefix, b"Prefix8"), NameId::OTHER);
    }

    #[test]
    fn the_last_spelling_is_removed_with_its_name() {
        let mut interner = Interner::new(Names::default());
        let id = interner.intern(NameField::Prefix, b"drop ");
        assert_eq!(interner.evict_unused(|| used(&[])), 1);
        assert_eq!(interner.intern(NameField::InDevice, b"eth0"), id);
        let again = interner.intern(NameField::Prefix, b"drop ");
        assert_ne!(again, id);
        assert_eq!(&*interner.names().text(again), "drop");
    }

    #[test]
    fn without_an_eviction_the_table_stays_the_same() {
        let mut interner = Interner::new(Names::default());
        let id = interner.intern(NameField::Prefix, b"drop");
        let before = interner.names();
        assert_eq!(interner.evict_unused(|| used(&[id])), 0);
        assert!(interner.names().is(&before));
    }

    proptest::proptest! {
        /// For any sequence of names: an id keeps its text, and no two ids have the same text.
        #[test]
        fn each_id_has_one_text(sequence in proptest::collection::vec((0..3_u8, "[a-c ]{0,3}"), 0..200)) {
            let names = Names::default();
            let mut interner = Interner::new(names.clone());
            let mut known = HashMap::<String, NameId>::new();
            for (kind, text) in sequence {
                let named = [NameField::Prefix, NameField::InDevice, NameField::OutDevice][usize::from(kind)];
                let id = interner.intern(named, text.as_bytes());
                assert_eq!(*names.text(id), *text.trim());
                assert_eq!(*known.entry(text.trim().to_owned()).or_insert(id), id);
            }
            let ids: std::collections::HashSet<_> = known.values().collect();
            assert_eq!(ids.len(), known.len());
        }

        /// For any sequence of interning, copying, dropping and evicting: an id resolves to its name in the current
        /// table while it is used, and always in the table of a copy.
        #[test]
        fn an_id_in_use_keeps_its_name(
            steps in proptest::collection::vec((0..8_u8, 0..3_u8, 0..12_usize), 0..300),
        ) {
            let mut interner = Interner::new(Names::default());
            let current = interner.current_names();
            let mut kept = Vec::<(NameId, String)>::new();
            let mut copies = Vec::new();
            for (step, kind, number) in steps {
                let named = [NameField::Prefix, NameField::InDevice, NameField::OutDevice][usize::from(kind)];
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
                        interner.evict_unused(|| used(&ids));
                        let distinct: std::collections::HashSet<_> = ids.into_iter().collect();
                        assert_eq!(current.get().len(), distinct.len() + 2);
                        assert_eq!(interner.table.len(), distinct.len());
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
