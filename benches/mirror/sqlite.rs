//! SQLite and `.import`.
//!
//! `.import` writes texts only, which a strict table rejects in a column of numbers, and neither nulls nor bytes. So its
//! table is not strict, and addresses are hexadecimal digits; the columns and the indexes are the same.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nflog_exporter::mirror::{
    Target,
    row::Row,
    schema,
    store::{Kind, Sqlite},
};
use tempfile::TempDir;

use crate::{
    bulk::Database,
    file::{self, Format},
    support::server::run,
};

/// A directory of database files.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, database: &str) -> PathBuf {
        self.0.path().join(database)
    }
}

impl Database for Files {
    type Store = Sqlite;

    const NAMES: (&str, &str) = ("SQLite", ".import");

    fn create(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("{}.db", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn target(&self, database: &str) -> Target {
        self.url(database).parse().unwrap()
    }

    fn url(&self, database: &str) -> String {
        format!("sqlite:{}", self.path(database).display())
    }

    fn write_file(&self, rows: &[Row], path: &Path) {
        let format = Format {
            null: "",
            numbered: true,
            address: |address| file::hex(&file::sixteen(address)).into_bytes(),
            bytes: |bytes| file::hex(bytes).into_bytes(),
        };
        file::write(rows, path, &format);
    }

    fn load(&self, database: &str, file: &Path) {
        let path = self.path(database);
        fs::remove_file(&path).unwrap();
        let table = schema::ddl(Kind::Sqlite).replacen(") STRICT;", ");", 1);
        let mut child = Command::new("sqlite3")
            .args(["-batch", "-bail"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // A warning for each line: the last columns have no values.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = format!(
            "PRAGMA journal_mode = WAL;\nPRAGMA synchronous = FULL;\nPRAGMA cache_size = -32768;\n\
             {table}\n.mode tabs\n.import '{}' packets\n",
            file.display()
        );
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn count(&self, database: &str) -> u64 {
        let mut sqlite = Command::new("sqlite3");
        sqlite.arg(self.path(database)).arg("SELECT count(*) FROM packets");
        String::from_utf8(run(&mut sqlite).stdout).unwrap().trim().parse().unwrap()
    }

    fn remove(&self, database: &str) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.path(&format!("{database}{suffix}")));
        }
    }

    fn server(&self) -> Duration {
        Duration::ZERO
    }
}
