//! The statement for sources: addresses with the number of their packets and ports.

use super::{
    Question, SourceOrder,
    columns::{Column, ColumnKind},
    statement::{Access, Dialect, Statement},
};

/// The columns of an answer about sources.
pub const COLUMNS: [Column; 8] = [
    Column::new("address", ColumnKind::Address),
    Column::new("packets", ColumnKind::Number),
    Column::new("ports", ColumnKind::Number),
    Column::new("first_seen", ColumnKind::Time),
    Column::new("last_seen", ColumnKind::Time),
    Column::new("country", ColumnKind::Text),
    Column::new("city", ColumnKind::Text),
    Column::new("asn", ColumnKind::Number),
];

/// The place of each value in the grouped rows.
const VALUES: [&str; 6] = [
    "top.source",
    "top.packets",
    "top.ports",
    "top.first_seen",
    "top.last_seen",
    "top.last_country",
];

/// The statement for a question about sources in an order, of which the first `skip` are left out.
pub(in crate::mirror) fn statement(
    dialect: Dialect,
    question: &Question,
    order: SourceOrder,
    skip: u32,
    access: Access,
) -> Statement {
    let mut statement = Statement::new(dialect);
    statement.add("SELECT ");
    for (column, value) in COLUMNS.iter().zip(VALUES) {
        statement.add(&column.expression(dialect, value)).add(", ");
    }
    let [.., city, asn] = COLUMNS;
    if dialect == Dialect::ClickHouse {
        statement.add(&city.expression(dialect, "top.last_city")).add(", ");
        statement.add(&asn.expression(dialect, "top.last_asn"));
    } else {
        statement.add(&city.expression(dialect, &last(dialect, "city"))).add(", ");
        statement.add(&asn.expression(dialect, &last(dialect, "asn")));
    }
    statement.add(
        " FROM (SELECT source, SUM(weight) AS packets, COUNT(DISTINCT destination_port) AS ports, \
         MIN(time) AS first_seen, MAX(time) AS last_seen, MAX(country) AS last_country",
    );
    if dialect == Dialect::ClickHouse {
        statement.add(", argMax(city, time) AS last_city, argMax(asn, time) AS last_asn");
    }
    statement.add(" FROM ").add_table(access).add(" WHERE ").add_period(question);
    statement.add_conditions(question).add(" AND source IS NOT NULL GROUP BY source");
    statement.add(&format!(
        "{} LIMIT {} OFFSET {skip}) AS top{}",
        order.clause(""),
        question.limit,
        order.clause("top.")
    ));
    statement
}

/// The value of a column in the last packet of a source: the index of sources does not have it.
fn last(dialect: Dialect, column: &str) -> String {
    let mut row = Statement::new(dialect);
    row.add("(SELECT ").add(column).add(" FROM ").add_table(Access::ByTime);
    row.add(" WHERE packets.time = top.last_seen AND packets.source = top.source LIMIT 1)");
    row.text
}
