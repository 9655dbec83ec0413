//! The columns of answers: how each database returns them as text, and what the text means.

use std::net::{IpAddr, Ipv6Addr};

use super::statement::Dialect;
use crate::packet::protocol;

/// A column of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: ColumnKind,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A text, which may come from a packet or a rule.
    Text,
    /// A non-negative whole number.
    Number,
    /// A time in UTC, `YYYY-MM-DD HH:MM:SS.ffffff`.
    Time,
    /// An IP address.
    Address,
    /// The name of an upper-layer protocol, otherwise its number, as in the label `proto`.
    Protocol,
}

impl Column {
    pub(super) const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind }
    }

    /// The SQL expression for the value of `column` as text.
    pub(super) fn expression(self, dialect: Dialect, column: &str) -> String {
        match (dialect, self.kind) {
            (Dialect::ClickHouse, _) => format!("toString({column})"),
            (Dialect::Postgres, ColumnKind::Time) => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
            }
            (Dialect::Postgres, ColumnKind::Address) => format!("host({column})"),
            (Dialect::Postgres, _) => format!("{column}::text"),
            (Dialect::MySql, ColumnKind::Time) => format!("CAST({column} AS CHAR)"),
            (Dialect::MySql | Dialect::Sqlite, ColumnKind::Address) => format!("HEX({column})"),
            (Dialect::MySql | Dialect::Sqlite, _) => column.to_owned(),
        }
    }

    /// The value of a text that a database returned for this column.
    pub(in crate::mirror) fn value(self, text: Option<String>) -> Option<String> {
        match self.kind {
            ColumnKind::Address => Some(address(&text?)?.to_string()),
            ColumnKind::Protocol => Some(protocol::name(text?.parse().ok()?).into_owned()),
            ColumnKind::Text | ColumnKind::Number | ColumnKind::Time => text,
        }
    }
}

/// The address of 32 hexadecimal digits, or of its usual text. IPv4 can be `::ffff:a.b.c.d`.
fn address(text: &str) -> Option<IpAddr> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let bits = u128::from_str_radix(text, 16).ok()?;
        return Some(IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical());
    }
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_text_in_all_databases() {
        for (text, expect) in [
            ("00000000000000000000FFFFCB007107", "203.0.113.7"),
            ("20010db8000000000000000000000001", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("203.0.113.7", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let column = Column::new("source", ColumnKind::Address);
            assert_eq!(column.value(Some(text.into())).as_deref(), Some(expect));
            // SQLite's HEX() of NULL is empty.
            assert_eq!(column.value(Some(String::new())), None);
        }
    }
}
