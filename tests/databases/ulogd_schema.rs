//! Compares our view `ulog`, and the others of ulogd2's schema, with the schemas that Debian ships with ulogd2: names,
//! types, and the statements of the shipped views, run on our rows. Requires MariaDB, PostgreSQL, SQLite's shell and
//! ulogd2 of Debian's packages.

use std::{collections::BTreeMap, process::Command};

use nflog_exporter::mirror::{
    Target,
    store::{Batch, Kind, MySql, Postgres, Sqlite, Store, Writer},
    target::{Endpoint, Tls},
};

use crate::support::{
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    sample_rows::{NOON, every_kind},
};

/// The part of ulogd2's schema that our schema contains.
const OFFERED: [&str; 15] = [
    "ulog",
    "ulog2",
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmpv6",
    "mac",
    "hwhdr",
    "view_tcp",
    "view_udp",
    "view_icmp",
    "view_icmpv6",
    "view_tcp_quad",
    "view_udp_quad",
];

/// Columns that are wider than ulogd2's type: marks and times beyond 31 bits, lengths beyond 15.
const WIDER: [&str; 9] = [
    "oob_time_sec",
    "oob_mark",
    "ip_totlen",
    "sctp_sport",
    "sctp_dport",
    "oob_protocol",
    "mac_protocol",
    "raw_type",
    "ip6_payloadlen",
];

fn shipped(name: &str) -> String {
    let path = format!("/usr/share/doc/ulogd2/{name}.gz");
    let output = Command::new("zcat").arg(&path).output().unwrap();
    assert!(output.status.success(), "{path}: install ulogd2");
    String::from_utf8(output.stdout).unwrap()
}

/// The views of a shipped schema, each with its statement.
fn shipped_views(schema: &str) -> Vec<(String, String)> {
    let statements = schema.split(';').filter_map(|statement| {
        let (_, view) = statement.split_once(" VIEW ")?;
        let (name, select) = view.split_once(" AS")?;
        let name = name.trim().trim_matches('`').to_owned();
        (select.trim_start().starts_with("SELECT") && OFFERED.contains(&&*name))
            .then(|| (name, select.trim().to_owned()))
    });
    let views: Vec<_> = statements.collect();
    assert_eq!(views.len(), 7, "{views:?}");
    views
}

async fn filled<S: Store>(target: &Target) {
    let writer = Writer { id: [7; 16], host: "gate".to_owned() };
    let mut store = S::connect(target).await.unwrap();
    store.prepare().await.unwrap();
    store.position(&writer, 0).await.unwrap();
    let rows = every_kind(NOON);
    store.write(&writer, Batch { from: 0, to: 1, rows: &rows }).await.unwrap();
    assert_eq!(store.advice().await.unwrap(), [""; 0]);
}

/// Columns and their types by table, from lines of table, column and type.
fn columns(lines: &str, separator: char) -> BTreeMap<String, Vec<(String, String)>> {
    let mut tables = BTreeMap::<String, Vec<_>>::new();
    for line in lines.lines() {
        let [table, column, kind] = line.split(separator).collect::<Vec<_>>().try_into().unwrap();
        tables.entry(table.to_owned()).or_default().push((column.to_owned(), kind.to_owned()));
    }
    tables
}

/// Checks that ours has every column of theirs, in the same order, with none in between.
fn compare(theirs: &str, ours: &str, separator: char, same: impl Fn(&str, &str) -> bool) {
    let (theirs, ours) = (columns(theirs, separator), columns(ours, separator));
    for table in OFFERED {
        let (theirs, ours) = (&theirs[table], &ours[table]);
        let names = |columns: &[(String, String)]| -> Vec<String> {
            columns.iter().map(|(name, _)| name.clone()).collect()
        };
        assert!(names(ours).starts_with(&names(theirs)), "{table}: {theirs:?}\n{ours:?}");
        for ((name, their), (_, our)) in theirs.iter().zip(ours) {
            let wide = WIDER.contains(&name.as_str()) && our.contains("int");
            assert!(same(their, our) || wide, "{table}.{name}: expected {their}, found {our}");
        }
    }
}

#[tokio::test]
async fn mysql_has_the_names_types_and_views() {
    let server = MariaDb::shared();
    let (theirs, ours) = (server.database(), server.database());
    let schema = shipped("mysql-ulogd2.sql");
    server.load(&theirs, &schema);
    filled::<MySql>(&server.target(&ours)).await;
    let types = |database: &str| {
        let query = format!(
            "SELECT table_name, column_name, CASE WHEN data_type LIKE '%int' THEN 'int' \
             WHEN data_type IN ('timestamp', 'datetime') THEN 'time' \
             WHEN data_type LIKE '%text' THEN 'varchar' ELSE data_type END \
             FROM information_schema.columns WHERE table_schema = '{database}' \
             ORDER BY table_name, ordinal_position"
        );
        server.query(database, &query)
    };
    compare(&types(&theirs), &types(&ours), '\t', |their, our| their == our);

    for (name, select) in shipped_views(&schema) {
        // The function comes from ulogd2's schema; the tables and views are ours.
        let select = select.replace("BIN_TO_IPV6", "INET6_NTOA");
        let count = |from: &str| server.query(&ours, &format!("SELECT COUNT(*) FROM {from}"));
        let rows = count(&format!("({select}) asked"));
        assert_eq!(rows, count(&name), "{name}");
        assert_ne!(rows, "0", "{name}");
    }
    // Addresses have the format of their function.
    let quads = "SELECT ip_saddr_str, tcp_sport, ip_daddr_str, tcp_dport FROM view_tcp_quad ORDER BY _id LIMIT 1";
    assert_eq!(server.query(&ours, quads), "::ffff:192.0.2.1\t50000\t::ffff:198.51.100.255\t80");
    for (column, bytes) in [("udp", "2001:db8::ff00:42:8329"), ("tcp", "::ffff:192.0.2.1")] {
        let theirs = server.query(&theirs, &format!("SELECT BIN_TO_IPV6(INET6_ATON('{bytes}'))"));
        let found = format!("SELECT ip_saddr_str FROM view_{column}_quad ORDER BY _id LIMIT 1");
        assert_eq!(server.query(&ours, &found), theirs);
    }
}

#[tokio::test]
async fn postgres_has_the_names_types_and_views() {
    let server = PostgresServer::shared();
    let (theirs, ours) = (server.database(), server.database());
    let schema = shipped("pgsql-ulogd2.sql");
    server.psql(&theirs, &schema);
    filled::<Postgres>(&server.target(&ours)).await;
    let types = |database: &str| {
        let query = "SELECT table_name, column_name, replace(data_type, 'text', 'character varying') \
            FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
        server.psql(database, query)
    };
    // An integer can be wider.
    let width =
        |kind: &str| ["smallint", "integer", "bigint"].iter().position(|name| *name == kind);
    compare(&types(&theirs), &types(&ours), '|', |their, our| {
        their == our
            || matches!((width(their), width(our)), (Some(their), Some(our)) if our >= their)
    });
    for (name, select) in shipped_views(&schema) {
        let rows = server.psql(&ours, &select).lines().count().to_string();
        assert_eq!(rows, server.psql(&ours, &format!("SELECT count(*) FROM {name}")), "{name}");
        assert_ne!(rows, "0", "{name}");
    }
}

/// ulogd2 ships no such views for SQLite: ours have the names of MySQL's schema.
#[tokio::test]
async fn sqlite_has_the_names_and_views() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows.db");
    let target = Target {
        kind: Kind::Sqlite,
        endpoint: Endpoint::File(path.clone()),
        user: String::new(),
        password: String::new(),
        database: String::new(),
        tls: Tls::Off,
    };
    filled::<Sqlite>(&target).await;
    let ask = |sql: &str| {
        let output = Command::new("sqlite3").arg("-readonly").arg(&path).arg(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let server = MariaDb::shared();
    let theirs = server.database();
    let schema = shipped("mysql-ulogd2.sql");
    server.load(&theirs, &schema);
    for table in OFFERED {
        let names = server.query(&theirs, &format!(
            "SELECT GROUP_CONCAT(column_name ORDER BY ordinal_position) FROM information_schema.columns \
             WHERE table_schema = '{theirs}' AND table_name = '{table}'"
        ));
        let ours = ask(&format!("SELECT group_concat(name) FROM pragma_table_info('{table}')"));
        assert!(ours.starts_with(&names), "{table}: {names}\n{ours}");
    }
    for (name, select) in shipped_views(&schema) {
        let select = select.replace("BIN_TO_IPV6", "hex");
        let rows = ask(&format!("SELECT count(*) FROM ({select})"));
        assert_eq!(rows, ask(&format!("SELECT count(*) FROM {name}")), "{name}");
    }
}

/// An existing object with one of the names stays; the others are created.
#[tokio::test]
async fn another_object_of_that_name_stays() {
    let maria = MariaDb::shared();
    let database = maria.database();
    maria.query(&database, "CREATE TABLE tcp (a INT); INSERT INTO tcp VALUES (42)");
    filled::<MySql>(&maria.target(&database)).await;
    maria.load(&database, nflog_exporter::mirror::schema::ddl(Kind::MySql));
    assert_eq!(maria.query(&database, "SELECT a FROM tcp"), "42");
    assert_ne!(maria.query(&database, "SELECT COUNT(*) FROM view_tcp"), "0");

    let postgres = PostgresServer::shared();
    let database = postgres.database();
    postgres.psql(&database, "CREATE TABLE tcp (a int); INSERT INTO tcp VALUES (42)");
    filled::<Postgres>(&postgres.target(&database)).await;
    postgres.psql(&database, nflog_exporter::mirror::schema::ddl(Kind::Postgres));
    assert_eq!(postgres.psql(&database, "SELECT a FROM tcp"), "42");
    assert_ne!(postgres.psql(&database, "SELECT count(*) FROM view_tcp"), "0");
}
