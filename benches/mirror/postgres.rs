//! PostgreSQL and `COPY`.

use std::{fs, path::Path, process::Command, time::Duration};

use nflog_exporter::mirror::{Target, row::Row, store::Postgres};

use crate::{
    bulk::Database,
    figures::cpu_with_children,
    file::{self, COLUMNS, Format},
    support::postgres_server::PostgresServer,
};

impl Database for PostgresServer {
    type Store = Postgres;

    const NAMES: (&str, &str) = ("PostgreSQL", "COPY");

    fn create(&self) -> String {
        self.database()
    }

    fn target(&self, database: &str) -> Target {
        self.target(database)
    }

    fn url(&self, database: &str) -> String {
        let (directory, port) = (self.directory().display(), self.port());
        format!("postgres://postgres@localhost:{port}/{database}?host={directory}")
    }

    fn write_file(&self, rows: &[Row], path: &Path) {
        let format = Format {
            null: "\\N",
            numbered: false,
            address: |address| address.to_string().into_bytes(),
            bytes: |bytes| format!("\\\\x{}", file::hex(bytes)).into_bytes(),
        };
        file::write(rows, path, &format);
    }

    fn load(&self, database: &str, file: &Path) {
        let copy = format!("\\copy packets ({COLUMNS}) FROM '{}'", file.display());
        let status = Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
            .arg(self.directory())
            .args(["-p", &self.port().to_string(), "-d", database])
            .args(["-c", "SET TimeZone = 'UTC'", "-c", &copy])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn count(&self, database: &str) -> u64 {
        self.psql(database, "SELECT count(*) FROM packets").parse().unwrap()
    }

    fn remove(&self, database: &str) {
        self.psql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"));
    }

    fn server(&self) -> Duration {
        let file = fs::read_to_string(self.directory().join("data/postmaster.pid")).unwrap();
        cpu_with_children(file.lines().next().unwrap().parse().unwrap())
    }
}
