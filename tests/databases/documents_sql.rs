//! Runs each SQL block of the README and `docs` in its database. Requires MariaDB, PostgreSQL and
//! SQLite's shell from Debian's packages, and PyPI's chdb.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use nflog_exporter::mirror::{
    Target,
    store::{Batch, ClickHouse, MySql, Postgres, Sqlite, Store, Writer},
};

use crate::support::{
    clickhouse::ClickHouseServer, documents, mariadb::MariaDb, postgres_server::PostgresServer,
    sample_rows::tcp,
};

/// The statements of the blocks in the README and in `docs` whose first line names this database.
fn statements(database: &str) -> Vec<String> {
    let blocks = documents::blocks("sql").into_iter();
    let blocks = blocks.filter(|(page, _)| page == "README.md" || page.starts_with("docs/"));
    let blocks: Vec<String> = blocks.map(|(_, block)| block).collect();
    let known = ["-- MySQL, MariaDB", "-- PostgreSQL", "-- SQLite", "-- ClickHouse"];
    for block in &blocks {
        assert!(known.iter().any(|known| block.starts_with(known)), "which database?\n{block}");
    }
    let of_this = blocks.iter().filter(|block| block.starts_with(&format!("-- {database}")));
    let statements: Vec<_> = of_this
        .flat_map(|block| block.split_once('\n').unwrap().1.split_inclusive(";\n"))
        .map(str::to_owned)
        .collect();
    assert!(statements.len() >= 4, "{database}: {statements:?}");
    statements
}

/// Rows of the last minute.
async fn filled<S: Store>(target: &Target) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let start = u64::try_from(now).unwrap() - 30_000_000;
    let rows: Vec<_> = (0..20).map(|number| tcp(start + number)).collect();
    let writer = Writer { id: [7; 16], host: "gate".to_owned() };
    let mut store = S::connect(target).await.unwrap();
    store.prepare().await.unwrap();
    store.position(&writer, 0).await.unwrap();
    store.write(&writer, Batch { from: 0, to: 20, rows: &rows }).await.unwrap();
}

/// Each statement has a result, with the source as text.
fn check(database: &str, ask: impl Fn(&str) -> String) {
    for statement in statements(database) {
        let answer = ask(&statement);
        assert!(answer.contains("192.0.2.1"), "{database}: {statement}\n{answer}");
    }
}

#[tokio::test]
async fn the_statements_run_in_mariadb() {
    let server = MariaDb::shared();
    let database = server.database();
    filled::<MySql>(&server.target(&database)).await;
    check("MySQL, MariaDB", |sql| server.query(&database, sql));
}

#[tokio::test]
async fn the_statements_run_in_postgres() {
    let server = PostgresServer::shared();
    let database = server.database();
    filled::<Postgres>(&server.target(&database)).await;
    check("PostgreSQL", |sql| server.psql(&database, sql));
}

#[tokio::test]
async fn the_statements_run_in_clickhouse() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    filled::<ClickHouse>(&server.target(&database)).await;
    check("ClickHouse", |sql| server.query(&database, sql));
}

#[tokio::test]
async fn the_statements_run_in_sqlite_while_the_exporter_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("packets.db");
    let target: Target = format!("sqlite:{}", path.display()).parse().unwrap();
    filled::<Sqlite>(&target).await;
    // Keep the file open, as the exporter does.
    let mut store = Sqlite::connect(&target).await.unwrap();
    store.ping().await.unwrap();
    let ask = |sql: &str| {
        let output = Command::new("sqlite3").arg("-readonly").arg(&path).arg(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    check("SQLite", ask);
    let copy = directory.path().join("copy.db");
    ask(&format!(".backup {}", copy.display()));
    assert!(fs::metadata(copy).unwrap().len() > 0);
}
