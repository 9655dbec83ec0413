//! Caches a value for each interned name, to read it without a lock.

use crate::event::{NameId, Names};

/// A value for each name. Bounded as the table of names is.
#[derive(Debug)]
pub(super) struct PerName<T> {
    names: Names,
    /// By [`NameId::index`].
    values: Vec<T>,
}

impl<T> PerName<T> {
    /// An empty cache for the names of this table.
    pub(super) fn new(names: Names) -> Self {
        Self { names, values: Vec::new() }
    }

    /// The value of a name, computed from its text by `make` once.
    #[inline]
    pub(super) fn get(&mut self, id: NameId, make: impl Fn(&str) -> T) -> &T {
        if usize::from(id.index()) >= self.values.len() {
            self.learn(make);
        }
        // An id of another table counts as `other`, which is always the first.
        self.values.get(usize::from(id.index())).unwrap_or(&self.values[0])
    }

    /// Computes the values of new names; ids never change.
    #[cold]
    fn learn(&mut self, make: impl Fn(&str) -> T) {
        let known = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        for index in self.values.len()..usize::from(known) {
            let id = NameId::from_index(u16::try_from(index).unwrap_or(u16::MAX));
            self.values.push(make(&self.names.text(id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Interner, MAX_DEVICES, Named};

    #[test]
    fn new_names_get_their_values() {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        let mut lengths = PerName::new(names);
        assert_eq!(*lengths.get(NameId::OTHER, str::len), 5);
        assert_eq!(*lengths.get(NameId::EMPTY, str::len), 0);
        for number in 0..MAX_DEVICES + 2 {
            let name = format!("eth{number}");
            let id = interner.intern(Named::InDevice, name.as_bytes());
            let expect = if id == NameId::OTHER { 5 } else { name.len() };
            assert_eq!(*lengths.get(id, str::len), expect, "{name}");
        }
        assert_eq!(lengths.values.len(), MAX_DEVICES + 2);
        assert_eq!(*lengths.get(NameId::from_index(u16::MAX), str::len), 5);
    }

    #[test]
    fn a_value_is_computed_once() {
        let names = Names::default();
        let mut values = PerName::new(names);
        assert!(*values.get(NameId::EMPTY, |_| true));
        assert!(*values.get(NameId::EMPTY, |_| false));
    }
}
