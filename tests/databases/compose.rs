//! The database user of Grafana that `packaging/compose/grafana_user.sh` creates, in a real MariaDB.

use std::{fs, process::Command};

use nflog_exporter::mirror::store::{Batch, MySql, Store as _, Writer};

use crate::support::{
    documents::root,
    mariadb::MariaDb,
    sample_rows::tcp,
    server::{attempt, run},
};

#[tokio::test]
async fn grafana_can_read_the_rows_and_change_nothing() {
    // The name of the user is not free to choose, so it needs a server of its own.
    let server = MariaDb::start();
    server.query("mysql", "CREATE DATABASE firewall");
    let home = tempfile::tempdir().unwrap();
    let socket = format!("[client]\nsocket = {}\n", server.socket().display());
    fs::write(home.path().join(".my.cnf"), socket).unwrap();
    // As the entry point of the image calls it, before the exporter creates its tables.
    run(Command::new(root().join("packaging/compose/grafana_user.sh"))
        .env("HOME", home.path())
        .env("MARIADB_ROOT_PASSWORD", "")
        .env("MARIADB_DATABASE", "firewall")
        .env("NFLOG_MYSQL_PASSWORD", "0123456789abcdef"));
    let mut store = MySql::connect(&server.target("firewall")).await.unwrap();
    let writer = Writer { id: [7; 16], host: "gate".to_owned() };
    store.prepare().await.unwrap();
    store.position(&writer, 0).await.unwrap();
    let rows = [tcp(1_700_000_000_000_000)];
    store.write(&writer, Batch { from: 0, to: 1, rows: &rows }).await.unwrap();

    let as_grafana = |password: &str, sql: &str| {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=grafana"]);
        client.arg(format!("--port={}", server.port())).args(["--batch", "--skip-column-names"]);
        client.env("MYSQL_PWD", password).args(["firewall", "--execute", sql]);
        attempt(&mut client).map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let password = "0123456789abcdef";
    assert_eq!(as_grafana(password, "SELECT COUNT(*) FROM packets").unwrap(), "1\n");
    for sql in [
        "DELETE FROM packets",
        "UPDATE packets SET weight = 2",
        "DROP TABLE packets",
        "CREATE TABLE other (a INT)",
        "SELECT * FROM mysql.user",
        "SELECT 1 INTO OUTFILE '/tmp/nflog-grafana'",
    ] {
        let error = as_grafana(password, sql).unwrap_err();
        assert!(error.contains("denied"), "{sql}: {error}");
    }
    let error = as_grafana("another", "SELECT 1").unwrap_err();
    assert!(error.contains("Access denied"), "{error}");
}
