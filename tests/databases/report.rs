//! `report --mirror` with each database: the same report as on the capture of the rows, read by a user without
//! other rights than to read.

use std::{
    os::unix::fs::MetadataExt as _,
    process::{Command, Output},
};

use nflog_exporter::mirror::Target;
use nflog_exporter::mirror::store::{Batch, ClickHouse, MySql, Postgres, Sqlite, Store, Writer};

use crate::support::{
    clickhouse::ClickHouseServer,
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    program::{EXPORTER, run_with_input},
    report_traffic::{rows, week},
};

fn report(arguments: &[&str], capture: &[u8]) -> Output {
    let mut command = Command::new(EXPORTER);
    command.arg("report").args(arguments).env("LC_ALL", "C.UTF-8");
    run_with_input(&mut command, capture)
}

/// The report of a run that succeeds, and writes nothing else.
#[track_caller]
fn text(arguments: &[&str], capture: &[u8]) -> String {
    let output = report(arguments, capture);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Writes the rows of a week, in transactions as the exporter does.
fn fill<S: Store>(target: &Target) {
    let rows = rows(&week());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut store = S::connect(target).await.unwrap();
        store.prepare().await.unwrap();
        let writer = Writer { id: [7; 16], host: "gate".to_owned() };
        store.position(&writer, 0).await.unwrap();
        let mut from = 0;
        for rows in rows.chunks(1_000) {
            let to = from + rows.len() as u64;
            store.write(&writer, Batch { from, to, rows }).await.unwrap();
            from = to;
        }
    });
}

/// Compares the reports on the rows with those on the packets.
fn compare(url: &str) {
    let capture = week();
    let url = format!("--mirror.url={url}");
    for format in ["terminal", "json", "html"] {
        let format = format!("--format={format}");
        let of_packets = text(&["-", &format, "--top=500"], capture.bytes());
        assert_eq!(text(&["--mirror", &url, &format, "--top=500"], &[]), of_packets);
    }
    let packets = |host: &str| text(&["--mirror", &url, host, "--format=json"], &[]);
    assert!(packets("--host=gate").contains("\"packets\": 3200,\n  \"bytes\""));
    assert!(packets("--host=other").contains("\"packets\": 0,\n  \"bytes\""));
    // Half of a microsecond step at both ends: packets have the times 17 + n * 201,600,000 µs.
    let since = "--since=2026-11-16T12:00:00.000017Z";
    for (until, packets) in [("12:03:21.600017", 1), ("12:03:21.600018", 2)] {
        let until = format!("--until=2026-11-16T{until}Z");
        let text = text(&["--mirror", &url, since, &until, "--format=json"], &[]);
        assert!(text.contains(&format!("\"packets\": {packets},\n  \"bytes\"")), "{until} {text}");
    }
}

#[test]
fn rows_of_mariadb() {
    let server = MariaDb::shared();
    let database = server.database();
    fill::<MySql>(&server.target(&database));
    server.load(&database, &format!("CREATE USER {database}_r IDENTIFIED BY 'secret'; GRANT SELECT ON {database}.packets TO {database}_r"));
    compare(&server.url(&format!("{database}_r"), "secret", &database));
    server.load(&database, &format!("DROP USER {database}_r"));
}

#[test]
fn rows_of_postgresql() {
    let server = PostgresServer::shared();
    let database = server.database();
    fill::<Postgres>(&server.target(&database));
    server.psql(
        &database,
        &format!(
            "CREATE USER {database}_r PASSWORD 'secret'; GRANT SELECT ON packets TO {database}_r"
        ),
    );
    compare(&server.url(&format!("{database}_r"), "secret", &database));
    server.psql(&database, &format!("DROP OWNED BY {database}_r; DROP USER {database}_r"));
}

#[test]
fn rows_of_clickhouse() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    fill::<ClickHouse>(&server.target(&database));
    compare(&server.url(&database));
    let empty = server.database();
    fails(&server.url(&empty));
    assert_eq!(server.query(&empty, "SHOW TABLES"), "");
}

/// SQLite creates companion files, also for a reader. They belong to the owner of the file, who can still write.
#[test]
fn a_report_by_root_leaves_the_file_to_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packets.db");
    let target: Target = format!("sqlite:{}", path.display()).parse().unwrap();
    fill::<Sqlite>(&target);
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    for file in [directory.path(), &path] {
        std::os::unix::fs::chown(file, Some(nobody.uid.as_raw()), None).unwrap();
    }
    compare(&format!("sqlite:{}", path.display()));
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(file.metadata().unwrap().uid(), nobody.uid.as_raw(), "{file:?}");
    }
}

/// Without the tables, the report fails and creates nothing.
#[test]
fn an_empty_database_stays_empty() {
    let maria = MariaDb::shared();
    let database = maria.database();
    let user = format!("{database}_r");
    maria.load(
        &database,
        &format!("CREATE USER {user} IDENTIFIED BY 'secret'; GRANT ALL ON {database}.* TO {user}"),
    );
    fails(&maria.url(&user, "secret", &database));
    assert_eq!(maria.query(&database, "SHOW TABLES"), "");
    maria.load(&database, &format!("DROP USER {user}"));
    let postgres = PostgresServer::shared();
    let database = postgres.database();
    let user = format!("{database}_r");
    postgres.psql(&database, &format!("CREATE USER {user} PASSWORD 'secret' SUPERUSER"));
    fails(&postgres.url(&user, "secret", &database));
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(postgres.psql(&database, tables), "0");
    postgres.psql(&database, &format!("DROP USER {user}"));
}

#[track_caller]
fn fails(url: &str) {
    let output = report(&["--mirror", "--mirror.url", url], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("cannot read rows") && said.contains("packets"), "{said}");
}
