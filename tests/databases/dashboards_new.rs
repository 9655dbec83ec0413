//! What the drill-down dashboards mark as new: sources, countries and ports without packets in the period before the time
//! range. Requires MariaDB and PostgreSQL of Debian's packages, and PyPI's chdb.

use nflog_exporter::mirror::{
    row::{Row, RowContext},
    store::{ClickHouse, MySql, Postgres},
};

use crate::support::{
    clickhouse::ClickHouseServer,
    dashboards::{Choice, Dashboard, fill},
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    sample_rows::{NOON, fill_store, tcp},
};

const SECOND: u64 = 1_000_000;

/// A row some seconds before noon. The time range begins 300 seconds before noon, and the period before it 660 seconds.
fn row(seconds: u64, source: [u8; 4], country: &str, (protocol, port): (u8, u16)) -> Row {
    Row {
        source: Some(source.into()),
        country: country.into(),
        protocol: Some(protocol),
        destination_port: Some(port),
        tcp_flags: None,
        ..tcp(NOON - seconds * SECOND)
    }
}

/// Rows, with or without those before the time range.
fn rows(has_earlier: bool) -> Vec<Row> {
    let later = RowContext { host: "later".into(), ..RowContext::default() };
    let earlier = vec![
        // Before the period: counts as new.
        row(700, [203, 0, 113, 3], "FR", (6, 443)),
        row(500, [203, 0, 113, 1], "DE", (6, 80)),
        // With a country that has no more packets.
        row(500, [203, 0, 113, 4], "NL", (17, 53)),
    ];
    let current = vec![
        row(200, [203, 0, 113, 1], "DE", (6, 80)),
        row(200, [203, 0, 113, 1], "DE", (17, 80)),
        row(100, [203, 0, 113, 2], "DE", (6, 22)),
        row(90, [203, 0, 113, 3], "FR", (6, 443)),
        row(80, [203, 0, 113, 4], "SE", (17, 53)),
        Row { context: later, ..row(60, [203, 0, 113, 5], "DE", (6, 80)) },
    ];
    earlier.into_iter().filter(|_| has_earlier).chain(current).collect()
}

/// The marked rows of a panel: the values in the columns at these positions.
fn marked(
    file: &str,
    panel: &str,
    columns: &[usize],
    chosen: &[(&'static str, &str)],
    query: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let dashboard = Dashboard::all().into_iter().find(|dashboard| dashboard.file == file).unwrap();
    let nothing = vec!["-".to_owned()];
    let mut choice = Choice::from([
        ("network_first", nothing.clone()),
        ("network_last", nothing),
        ("index", vec!["PRIMARY".to_owned()]),
    ]);
    choice.extend(chosen.iter().map(|(name, value)| (*name, vec![(*value).to_owned()])));
    let targets = dashboard.targets();
    let target = targets.iter().find(|target| target.place.ends_with(panel)).unwrap();
    let answer = query(&fill(&dashboard, target, &choice, NOON / SECOND));
    let mut marked: Vec<_> = answer
        .lines()
        .map(|line| line.split(['\t', '|']).collect::<Vec<_>>())
        .filter(|cells| cells.last() == Some(&"new"))
        .map(|cells| columns.iter().map(|at| cells[*at]).collect::<Vec<_>>().join(" "))
        .collect();
    marked.sort();
    marked
}

/// Checks the marks of a dashboard, with or without rows before the time range.
fn check(file: &str, has_earlier: bool, query: &dyn Fn(&str) -> String) {
    let marked =
        |panel, columns: &[usize], chosen: &[_]| marked(file, panel, columns, chosen, query);
    let sources = |chosen: &[_]| marked(": Top sources", &[0], chosen);
    let countries = |chosen: &[_]| marked(": Top countries", &[1], chosen);
    let ports = |chosen: &[_]| marked(": Top ports", &[0, 1], chosen);
    if !has_earlier {
        // Everything would be new.
        assert_eq!((sources(&[]), countries(&[]), ports(&[])), (vec![], vec![], vec![]), "{file}");
        return;
    }
    assert_eq!(sources(&[]), ["203.0.113.2", "203.0.113.3", "203.0.113.5"], "{file}");
    assert_eq!(countries(&[]), ["FR", "SE"], "{file}");
    assert_eq!(ports(&[]), ["22 tcp", "443 tcp", "80 udp"], "{file}");
    // The filter applies to both periods.
    assert_eq!(sources(&[("country", "SE")]), ["203.0.113.4"], "{file}");
    assert_eq!(countries(&[("port", "22")]), ["DE"], "{file}");
    assert_eq!(ports(&[("country", "SE")]), ["53 udp"], "{file}");
    // A host without rows of that time has nothing new.
    assert_eq!(sources(&[("host", "later")]), [""; 0], "{file}");
}

#[tokio::test]
async fn mariadb() {
    const FILE: &str = "drilldown-mysql.json";
    let server = MariaDb::shared();
    for has_earlier in [true, false] {
        let database = server.database();
        fill_store::<MySql>(&server.target(&database), &rows(has_earlier)).await;
        let mode = "SET time_zone = '+00:00', sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'";
        check(FILE, has_earlier, &|sql| server.query(&database, &format!("{mode}; {sql}")));
    }
}

#[tokio::test]
async fn postgres() {
    const FILE: &str = "drilldown-postgres.json";
    let server = PostgresServer::shared();
    for has_earlier in [true, false] {
        let database = server.database();
        fill_store::<Postgres>(&server.target(&database), &rows(has_earlier)).await;
        check(FILE, has_earlier, &|sql| server.psql(&database, sql));
    }
}

#[tokio::test]
async fn clickhouse() {
    const FILE: &str = "drilldown-clickhouse.json";
    let server = ClickHouseServer::shared();
    for has_earlier in [true, false] {
        let database = server.database();
        fill_store::<ClickHouse>(&server.target(&database), &rows(has_earlier)).await;
        check(FILE, has_earlier, &|sql| server.query(&database, sql));
    }
}
