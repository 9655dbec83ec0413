use rusqlite::Connection;

use super::*;
use crate::mirror::{kind::Kind, schema};

const DIALECTS: [Dialect; 4] =
    [Dialect::MySql, Dialect::Postgres, Dialect::Sqlite, Dialect::ClickHouse];

/// A text that would change a statement that contains it.
const HOSTILE: &str = "'; DROP TABLE packets; --";

fn question(conditions: Vec<RowCondition>, subject: Subject) -> Question {
    Question {
        period: 1_795_435_200_000_000..=1_795_438_800_000_000,
        conditions,
        subject,
        limit: 101,
    }
}

/// Every kind of condition, with texts that would change a statement.
fn conditions() -> Vec<RowCondition> {
    let network = "203.0.113.0".parse().unwrap()..="203.0.113.255".parse().unwrap();
    vec![
        RowCondition::Host(HOSTILE.into()),
        RowCondition::Country(HOSTILE.into()),
        RowCondition::Prefix(HOSTILE.into()),
        RowCondition::Protocol(Some(6)),
        RowCondition::Port(Some(22)),
        RowCondition::Port(None),
        RowCondition::Protocol(None),
        RowCondition::Source(Some(network)),
        RowCondition::Source(None),
    ]
}

fn position() -> RowPosition {
    RowPosition { time: 1_795_435_200_000_001, number: 7, writer: HOSTILE.into() }
}

/// All statements of a dialect.
fn statements(dialect: Dialect, conditions: Vec<RowCondition>) -> Vec<Statement> {
    let of_packets = question(conditions.clone(), Subject::Packets { before: None });
    let order = SourceOrder::default();
    let of_sources = question(conditions, Subject::Sources { order, skip: 0 });
    let before = position();
    let before = Some(&before);
    [Access::ByTime, Access::BySource]
        .into_iter()
        .flat_map(|access| {
            [
                sources::statement(dialect, &of_sources, order, 100, access),
                packets::statement(dialect, &of_packets, None, access),
                packets::statement(dialect, &of_packets, before, access),
            ]
        })
        .chain([
            packets::newest(dialect, &of_packets, before, 20_000),
            packets::count(dialect, &of_packets, before, 20_000),
        ])
        .collect()
}

#[test]
fn values_are_parameters_and_never_part_of_the_text() {
    for dialect in DIALECTS {
        for Statement { text, parameters, .. } in statements(dialect, conditions()) {
            assert!(text.starts_with("SELECT ") && !text.contains(';'), "{text}");
            assert!(!text.contains("DROP") && !text.contains("203."), "{text}");
            let place = |number: usize| match dialect {
                Dialect::Postgres => format!("${number}::text"),
                Dialect::Sqlite => format!("?{number}"),
                Dialect::ClickHouse => format!("{{p{number}:"),
                Dialect::MySql => "?".into(),
            };
            if dialect == Dialect::MySql {
                assert_eq!(text.matches('?').count(), parameters.len(), "{text}");
                continue;
            }
            assert!((1..=parameters.len()).all(|number| text.contains(&place(number))), "{text}");
            assert!(!text.contains(&place(parameters.len() + 1)), "{text}");
        }
    }
}

/// The plan of a statement in a database with our schema.
fn plan(statement: &Statement) -> String {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(schema::ddl(Kind::Sqlite)).unwrap();
    let query = format!("EXPLAIN QUERY PLAN {}", statement.text);
    let mut prepared = connection.prepare(&query).unwrap();
    let values = vec![rusqlite::types::Value::Null; statement.parameters.len()];
    let lines = prepared
        .query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3))
        .unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

/// A sort of all rows, or a group for each source in memory, would need memory without a limit.
#[test]
fn sqlite_reads_covering_indexes_in_their_order() {
    let of_filter = || {
        vec![
            RowCondition::Host("gate".into()),
            RowCondition::Country("NL".into()),
            RowCondition::Prefix("drop".into()),
            RowCondition::Port(Some(22)),
            RowCondition::Protocol(Some(6)),
        ]
    };
    for order in SourceOrder::all() {
        let of_sources = question(of_filter(), Subject::Sources { order, skip: 0 });
        let access = Access::BySource;
        let plan = plan(&sources::statement(Dialect::Sqlite, &of_sources, order, 0, access));
        assert!(plan.contains("COVERING INDEX packets_by_source"), "{plan}");
        assert!(!plan.contains("GROUP BY"), "{plan}");
    }
    let of_packets = question(of_filter(), Subject::Packets { before: None });
    let by_source = packets::statement(Dialect::Sqlite, &of_packets, None, Access::BySource);
    let by_source = plan(&by_source);
    assert!(by_source.contains("COVERING INDEX packets_by_source"), "{by_source}");
    let by_time =
        packets::statement(Dialect::Sqlite, &of_packets, Some(&position()), Access::ByTime);
    let by_time = plan(&by_time);
    assert!(by_time.contains("SEARCH packets USING INDEX packets_by_time"), "{by_time}");
    assert!(!by_time.contains("ORDER BY"), "{by_time}");
    let count = packets::count(Dialect::Sqlite, &of_packets, None, 20_000);
    assert!(plan(&count).contains("COVERING INDEX packets_by_time"), "{}", plan(&count));
}
