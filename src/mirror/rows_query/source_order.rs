//! The orders of sources.

/// An order of sources. Equal ones are in the order of their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceOrder {
    /// Index of the column in [`COLUMNS`].
    column: usize,
    is_descending: bool,
}

/// The columns that sources can have the order of: their names in an answer, and in the grouped rows.
const COLUMNS: [(&str, &str); 5] = [
    ("packets", "packets"),
    ("address", "source"),
    ("ports", "ports"),
    ("first_seen", "first_seen"),
    ("last_seen", "last_seen"),
];

impl SourceOrder {
    /// The name of every order, separated by commas.
    pub const NAMES: &str =
        "packets, address, ports, first_seen or last_seen, with - before it for a descending order";

    /// Every order.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = |column| [true, false].map(|is_descending| Self { column, is_descending });
        (0..COLUMNS.len()).flat_map(both)
    }

    /// The order of this name: a column, with `-` before it for a descending order.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|order| order.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        let sign = if self.is_descending { "-" } else { "" };
        format!("{sign}{}", COLUMNS[self.column].0)
    }

    /// The clause of a statement; `table` is before each column.
    pub(super) fn clause(self, table: &str) -> String {
        let direction = if self.is_descending { "DESC" } else { "ASC" };
        let column = COLUMNS[self.column].1;
        format!(" ORDER BY {table}{column} {direction}, {table}source")
    }
}

impl Default for SourceOrder {
    /// The most packets first.
    fn default() -> Self {
        Self { column: 0, is_descending: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_names() {
        for order in SourceOrder::all() {
            assert_eq!(SourceOrder::from_name(&order.name()), Some(order));
        }
        let check = |name: &str, expect: Option<&str>| {
            let clause = SourceOrder::from_name(name).map(|order| order.clause("top."));
            assert_eq!(clause.as_deref(), expect);
        };
        check("-packets", Some(" ORDER BY top.packets DESC, top.source"));
        check("address", Some(" ORDER BY top.source ASC, top.source"));
        check("last_seen", Some(" ORDER BY top.last_seen ASC, top.source"));
        for name in ["", "-", "--packets", "Packets", "source", "city", "packets DESC", "1"] {
            check(name, None);
        }
        assert_eq!(SourceOrder::default().name(), "-packets");
    }
}
