//! MariaDB and `LOAD DATA LOCAL INFILE`.

use std::{path::Path, process::Command, time::Duration};

use nflog_exporter::mirror::{Target, row::Row, store::MySql};

use crate::{
    bulk::Database,
    figures::cpu,
    file::{self, COLUMNS, Format},
    support::mariadb::MariaDb,
};

impl Database for MariaDb {
    type Store = MySql;

    const NAMES: (&str, &str) = ("MariaDB", "LOAD DATA LOCAL");

    fn create(&self) -> String {
        self.database()
    }

    fn target(&self, database: &str) -> Target {
        self.target(database)
    }

    fn url(&self, database: &str) -> String {
        format!("mysql://root@localhost/{database}?socket={}", self.socket().display())
    }

    fn write_file(&self, rows: &[Row], path: &Path) {
        let format = Format {
            null: "\\N",
            numbered: false,
            address: |address| escaped(&file::sixteen(address)),
            bytes: escaped,
        };
        file::write(rows, path, &format);
    }

    fn load(&self, database: &str, file: &Path) {
        let statement = format!(
            "LOAD DATA LOCAL INFILE '{}' INTO TABLE packets CHARACTER SET binary ({COLUMNS})",
            file.display()
        );
        let status = Command::new("mariadb")
            .args(["--no-defaults", "--user=root", "--local-infile=1"])
            .arg(format!("--socket={}", self.socket().display()))
            .args([database, "--init-command=SET time_zone = '+00:00'", "--execute", &statement])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn count(&self, database: &str) -> u64 {
        self.query(database, "SELECT COUNT(*) FROM packets").parse().unwrap()
    }

    fn remove(&self, database: &str) {
        self.query(database, &format!("DROP DATABASE {database}"));
    }

    fn server(&self) -> Duration {
        cpu(self.pid())
    }
}

/// Bytes with special characters escaped.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in bytes {
        match byte {
            0 => escaped.extend(b"\\0"),
            b'\t' | b'\n' | b'\\' => escaped.extend([b'\\', *byte]),
            _ => escaped.push(*byte),
        }
    }
    escaped
}
