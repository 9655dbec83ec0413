//! Caches a value for each interned name, to read it without a lock.

use crate::event::{NameId, Names};

/// A value for each name. Bounded as the table of names is.
#[derive(Debug)]
pub(super) struct PerName<T> {
    names: Names,
    /// By the number of the id.
    values: Vec<Option<T>>,
}

impl<T> PerName<T> {
    /// An empty cache for the names of this table.
    pub(super) fn new(names: Names) -> Self {
        Self { names, values: Vec::new() }
    }

    /// Switches to the table of the names of the next ids. Values of another table are removed.
    pub(super) fn turn_to(&mut self, names: &Names) {
        if !self.names.is(names) {
            *self = Self::new(names.clone());
        }
    }

    /// The value of a name, which `make` computes from its text at the first call.
    #[inline]
    pub(super) fn get(&mut self, id: NameId, make: impl Fn(&str) -> T) -> &T {
        let place = usize::from(id.index());
        if place >= self.values.len() {
            self.values.resize_with(place + 1, || None);
        }
        self.values[place].get_or_insert_with(|| make(&self.names.text(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Interner, MAX_DEVICES, NameField, UsedNames};

    #[test]
    fn new_names_get_their_values() {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        let mut lengths = PerName::new(names);
        assert_eq!(*lengths.get(NameId::OTHER, str::len), 5);
        assert_eq!(*lengths.get(NameId::EMPTY, str::len), 0);
        for number in 0..MAX_DEVICES + 2 {
            let name = format!("eth{number}");
            let id = interner.intern(NameField::InDevice, name.as_bytes());
            let expect = if id == NameId::OTHER { 5 } else { name.len() };
            assert_eq!(*lengths.get(id, str::len), expect, "{name}");
        }
        assert_eq!(lengths.values.len(), MAX_DEVICES + 2);
        assert_eq!(*lengths.get(NameId::from_index(u16::MAX), str::len), 5);
    }

    #[test]
    fn an_id_that_is_given_again_has_the_value_of_its_new_name() {
        let mut interner = Interner::new(Names::default());
        let mut lengths = PerName::new(interner.names());
        let id = interner.intern(NameField::Prefix, b"abc");
        assert_eq!(*lengths.get(id, str::len), 3);
        assert_eq!(interner.evict_unused(UsedNames::default), 1);
        lengths.turn_to(&interner.names());
        // Not yet given again.
        assert_eq!(*lengths.get(NameId::EMPTY, str::len), 0);
        assert_eq!(interner.intern(NameField::Prefix, b"abcdef"), id);
        lengths.turn_to(&interner.names());
        assert_eq!(*lengths.get(id, str::len), 6);
    }

    #[test]
    fn a_value_is_computed_once() {
        let names = Names::default();
        let mut values = PerName::new(names);
        assert!(*values.get(NameId::EMPTY, |_| true));
        assert!(*values.get(NameId::EMPTY, |_| false));
    }
}
