//! What is worked out once for each interned name, and then found without a lock.

use crate::event::{NameId, Names};

/// A value for each name. Bounded like the table of names.
#[derive(Debug)]
pub(super) struct PerName<T> {
    names: Names,
    /// By the number of the id.
    values: Vec<T>,
}

impl<T> PerName<T> {
    /// Values for the names of this table, none worked out yet.
    pub(super) fn new(names: Names) -> Self {
        Self { names, values: Vec::new() }
    }

    /// The value of a name, as `make` says of its text.
    #[inline]
    pub(super) fn get(&mut self, id: NameId, make: impl Fn(&str) -> T) -> &T {
        if usize::from(id.index()) >= self.values.len() {
            self.learn(make);
        }
        // An id that no table gave reads as `other`, which is the first and always there.
        self.values.get(usize::from(id.index())).unwrap_or(&self.values[0])
    }

    /// Catches up with the table: ids stay what they are, so only new ones are asked for.
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
    fn every_name_has_its_value_as_it_comes() {
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
    fn it_is_worked_out_once() {
        let names = Names::default();
        let mut values = PerName::new(names);
        assert!(*values.get(NameId::EMPTY, |_| true));
        assert!(*values.get(NameId::EMPTY, |_| false));
    }
}
