//! The statements for packets: rows, newest first.

use super::{
    Question, RowPosition,
    columns::{Column, ColumnKind},
    statement::{Access, Dialect, Statement},
};

/// The columns of an answer about packets; they have the names of the table.
pub const COLUMNS: [Column; 21] = [
    Column::new("time", ColumnKind::Time),
    Column::new("host", ColumnKind::Text),
    Column::new("prefix", ColumnKind::Text),
    Column::new("direction", ColumnKind::Text),
    Column::new("in_device", ColumnKind::Text),
    Column::new("out_device", ColumnKind::Text),
    Column::new("source", ColumnKind::Address),
    Column::new("source_port", ColumnKind::Number),
    Column::new("destination", ColumnKind::Address),
    Column::new("destination_port", ColumnKind::Number),
    Column::new("protocol", ColumnKind::Protocol),
    Column::new("length", ColumnKind::Number),
    Column::new("ttl", ColumnKind::Number),
    Column::new("tcp_flags", ColumnKind::Number),
    Column::new("icmp_type", ColumnKind::Number),
    Column::new("icmp_code", ColumnKind::Number),
    Column::new("country", ColumnKind::Text),
    Column::new("city", ColumnKind::Text),
    Column::new("asn", ColumnKind::Number),
    Column::new("weight", ColumnKind::Number),
    Column::new("list", ColumnKind::Text),
];

/// Adds the columns, then the number and the writer of a [`RowPosition`].
fn add_columns(statement: &mut Statement) {
    let dialect = statement.dialect;
    for column in COLUMNS {
        statement.add(&column.expression(dialect, &format!("packets.{}", column.name))).add(", ");
    }
    statement.add(match dialect {
        Dialect::ClickHouse => "toString(packets.sequence), hex(packets.writer)",
        Dialect::Postgres => "packets.id::text, ''",
        Dialect::MySql | Dialect::Sqlite => "packets.id, ''",
    });
}

/// The order of rows: newest first.
fn order(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::ClickHouse => {
            // The table is sorted by hour first.
            " ORDER BY toStartOfHour(packets.time) DESC, packets.time DESC, packets.sequence DESC, \
             hex(packets.writer) DESC"
        }
        // Qualified: PostgreSQL would sort by the texts of the answer.
        _ => " ORDER BY packets.time DESC, packets.id DESC",
    }
}

/// The statement for a question about packets. With the index of sources, the numbers of the rows are found in the index
/// alone, and only the rows of the answer are read.
pub(in crate::mirror) fn statement(
    dialect: Dialect,
    question: &Question,
    before: Option<&RowPosition>,
    access: Access,
) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.add("SELECT ");
    add_columns(&mut statement);
    let is_joined =
        access == Access::BySource && matches!(dialect, Dialect::MySql | Dialect::Sqlite);
    statement.add(if is_joined { " FROM (SELECT time, id FROM " } else { " FROM " });
    statement.add_table(access).add(" WHERE ").add_period(question).add_conditions(question);
    if let Some(before) = before {
        statement.add_before(before);
    }
    statement.add(order(dialect)).add(&format!(" LIMIT {}", question.limit));
    if is_joined {
        statement.add(
            ") AS newest JOIN packets ON packets.time = newest.time AND packets.id = newest.id",
        );
        statement.add(order(dialect));
    }
    statement
}

/// The statement that looks only at the newest `window` rows of the period. It is fast if many of them meet the conditions.
pub(in crate::mirror) fn newest(
    dialect: Dialect,
    question: &Question,
    before: Option<&RowPosition>,
    window: u32,
) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.add("SELECT ");
    add_columns(&mut statement);
    statement.add(" FROM (SELECT * FROM ").add_table(Access::ByTime).add(" WHERE ");
    statement.add_period(question);
    if let Some(before) = before {
        statement.add_before(before);
    }
    statement.add(order(dialect)).add(&format!(" LIMIT {window}) AS packets WHERE 1 = 1"));
    statement.add_conditions(question).add(order(dialect));
    statement.add(&format!(" LIMIT {}", question.limit));
    statement
}

/// The statement that counts the rows of the period, up to `limit`.
pub(in crate::mirror) fn count(
    dialect: Dialect,
    question: &Question,
    before: Option<&RowPosition>,
    limit: u32,
) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.add("SELECT COUNT(*) FROM (SELECT 1 FROM ").add_table(Access::ByTime).add(" WHERE ");
    statement.add_period(question);
    if let Some(before) = before {
        statement.add_before(before);
    }
    statement.add(&format!(" LIMIT {limit}) AS few"));
    statement
}
