//! The databases of the test suite.

use std::{process::Command, sync::Arc};

use nflog_exporter::mirror::{
    store::{ClickHouse, MySql, Postgres, Sqlite, Store},
    target::Target,
};
use tempfile::TempDir;

use crate::support::{
    clickhouse::ClickHouseServer, mariadb::MariaDb, postgres_server::PostgresServer,
};

/// A new, empty database of one kind.
pub trait Database {
    /// The store under test.
    type Store: Store;

    /// Makes every row with the prefix `bad` invalid.
    const REFUSE_BAD: &str;

    /// Drops the table `packets`.
    const DROP_PACKETS: &str = "DROP TABLE packets";

    /// Reads the version of the schema.
    const VERSION: &str = "SELECT version FROM nflog_schema";

    /// Whether a store can report that another one holds a lock.
    const MAY_BE_LOCKED: bool = false;

    /// Starts a server where needed, and creates the database.
    fn create() -> Self;

    /// The connection parameters.
    fn target(&self) -> Target;

    /// Runs SQL with the database's own client; returns its output without headings.
    fn query(&self, sql: &str) -> String;
}

/// A database that earlier programs supported.
pub trait HasFirstSchema: Database {
    /// The tables as the first program created them.
    const FIRST_SCHEMA: &str;
}

/// A MariaDB database.
pub struct Maria(Arc<MariaDb>, String);

impl Database for Maria {
    type Store = MySql;

    const REFUSE_BAD: &str = "ALTER TABLE packets ADD CONSTRAINT test CHECK (prefix <> 'bad')";

    fn create() -> Self {
        let server = MariaDb::shared();
        let name = server.database();
        Self(server, name)
    }

    fn target(&self) -> Target {
        self.0.target(&self.1)
    }

    fn query(&self, sql: &str) -> String {
        self.0.query(&self.1, sql)
    }
}

impl HasFirstSchema for Maria {
    const FIRST_SCHEMA: &str = include_str!("../../data/schema/first_mysql.sql");
}

/// A MariaDB that reports to be a MySQL, so that the bulk statement is not used.
pub struct MySqlServer(MariaDb, String);

impl Database for MySqlServer {
    type Store = MySql;

    const REFUSE_BAD: &str = Maria::REFUSE_BAD;

    fn create() -> Self {
        let server = MariaDb::start_with(&["--version=8.0.36"]);
        let name = server.database();
        Self(server, name)
    }

    fn target(&self) -> Target {
        self.0.target(&self.1)
    }

    fn query(&self, sql: &str) -> String {
        self.0.query(&self.1, sql)
    }
}

impl HasFirstSchema for MySqlServer {
    const FIRST_SCHEMA: &str = Maria::FIRST_SCHEMA;
}

/// A PostgreSQL database.
pub struct PostgreSql(Arc<PostgresServer>, String);

impl Database for PostgreSql {
    type Store = Postgres;

    const REFUSE_BAD: &str = Maria::REFUSE_BAD;
    const DROP_PACKETS: &str = "DROP TABLE packets CASCADE";

    fn create() -> Self {
        let server = PostgresServer::shared();
        let name = server.database();
        Self(server, name)
    }

    fn target(&self) -> Target {
        self.0.target(&self.1)
    }

    fn query(&self, sql: &str) -> String {
        self.0.psql(&self.1, sql)
    }
}

impl HasFirstSchema for PostgreSql {
    const FIRST_SCHEMA: &str = include_str!("../../data/schema/first_postgres.sql");
}

/// A ClickHouse database.
pub struct Click(Arc<ClickHouseServer>, String);

impl Database for Click {
    type Store = ClickHouse;

    const REFUSE_BAD: &str = Maria::REFUSE_BAD;
    const DROP_PACKETS: &str = "DROP TABLE packets SYNC";
    const VERSION: &str = "SELECT extract(comment, '^nflog_exporter, schema version ([0-9]+)$') FROM system.tables \
                           WHERE name = 'packets' AND database = currentDatabase()";

    fn create() -> Self {
        let server = ClickHouseServer::shared();
        let name = server.database();
        Self(server, name)
    }

    fn target(&self) -> Target {
        self.0.target(&self.1)
    }

    fn query(&self, sql: &str) -> String {
        self.0.query(&self.1, sql)
    }
}

/// A SQLite file.
pub struct File(TempDir);

impl Database for File {
    type Store = Sqlite;

    const REFUSE_BAD: &str = "CREATE TRIGGER test BEFORE INSERT ON packets WHEN new.prefix = 'bad' \
                              BEGIN SELECT RAISE(ABORT, 'rejected'); END";
    const MAY_BE_LOCKED: bool = true;

    fn create() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn target(&self) -> Target {
        format!("sqlite:{}", self.0.path().join("packets.db").display()).parse().unwrap()
    }

    fn query(&self, sql: &str) -> String {
        let output = Command::new("sqlite3")
            .args(["-cmd", ".timeout 5000"])
            .arg(self.0.path().join("packets.db"))
            // Not an option, if it begins with a comment.
            .arg(format!("\n{sql}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl HasFirstSchema for File {
    const FIRST_SCHEMA: &str = include_str!("../../data/schema/first_sqlite.sql");
}
