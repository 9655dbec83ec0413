//! ClickHouse and `INSERT … FORMAT TabSeparated`.

use std::{path::Path, process::Command, time::Duration};

use nflog_exporter::mirror::{Target, row::Row, store::ClickHouse};

use crate::{
    bulk::Database,
    figures::cpu,
    file::{self, COLUMNS, Format},
    support::clickhouse::ClickHouseServer,
};

impl Database for ClickHouseServer {
    type Store = ClickHouse;

    const NAMES: (&str, &str) = ("ClickHouse", "INSERT FORMAT TabSeparated");

    fn create(&self) -> String {
        self.database()
    }

    fn target(&self, database: &str) -> Target {
        self.target(database)
    }

    fn url(&self, database: &str) -> String {
        self.url(database)
    }

    fn write_file(&self, rows: &[Row], path: &Path) {
        let format = Format {
            null: "\\N",
            numbered: false,
            address: |address| address.to_string().into_bytes(),
            bytes: |bytes| {
                let escaped = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
                escaped.collect::<Vec<_>>().concat().into_bytes()
            },
        };
        file::write(rows, path, &format);
    }

    fn load(&self, database: &str, file: &Path) {
        let query = format!("INSERT INTO packets ({COLUMNS}) FORMAT TabSeparated");
        let query = query.replace(' ', "%20");
        let status = Command::new("curl")
            .args(["-s", "-S", "--fail-with-body", "-X", "POST", "-T"])
            .arg(file)
            .arg(format!("http://127.0.0.1:{}/?database={database}&query={query}", self.port()))
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn count(&self, database: &str) -> u64 {
        self.query(database, "SELECT count() FROM packets").parse().unwrap()
    }

    fn remove(&self, database: &str) {
        self.query("default", &format!("DROP DATABASE {database} SYNC"));
    }

    fn server(&self) -> Duration {
        cpu(self.pid())
    }
}
