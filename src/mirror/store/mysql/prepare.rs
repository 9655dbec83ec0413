//! Creates the schema where it is missing, and checks it.

use mysql_async::{Conn, Error, prelude::Queryable};

use super::{
    super::{Kind, StoreError},
    alter::alter,
    column,
    error::{answer, code, failure, lacks_right},
    settings::is_node,
};
use crate::mirror::schema;

/// No such table; without a right to it, MySQL reports that instead.
const MISSING: [u16; 2] = [NO_SUCH_TABLE, 1142];

/// `ER_NO_SUCH_TABLE`
const NO_SUCH_TABLE: u16 = 1146;

/// `ER_TABLE_EXISTS_ERROR`
const EXISTS: u16 = 1050;

/// `ER_BAD_FIELD_ERROR`
const NO_SUCH_COLUMN: u16 = 1054;

/// Held by the one exporter that creates the schema. A name has 64 characters at most.
const LOCK: &str = "CONCAT('nflog_exporter ', LEFT(DATABASE(), 41), ' schema')";

/// Maximum wait for it, seconds.
const LOCK_WAIT: u32 = 30;

pub(super) async fn prepare(connection: &mut Conn) -> Result<(), StoreError> {
    if is_made(connection).await? { check(connection).await } else { make_alone(connection).await }
}

/// Whether the schema exists; a dropped table counts as missing.
async fn is_made(connection: &mut Conn) -> Result<bool, StoreError> {
    match version(connection).await? {
        Some(newer) if newer > schema::VERSION => Err(StoreError::Denied(format!(
            "MySQL: the schema has version {newer}, and this program supports {}: upgrade \
             nflog_exporter, or use another database",
            schema::VERSION
        ))),
        Some(schema::VERSION) => {
            Ok(!lacks_table(connection).await? && has_added_columns(connection).await?)
        }
        _ => Ok(false),
    }
}

/// Creates what is missing, under the lock.
async fn make_alone(connection: &mut Conn) -> Result<(), StoreError> {
    // Clusters without named locks create it twice: each statement skips existing objects.
    optional(connection.query_drop(format!("DO GET_LOCK({LOCK}, {LOCK_WAIT})")).await)?;
    // Another exporter may have created it meanwhile, and writes to it already.
    let made = match is_made(connection).await {
        Ok(true) => check(connection).await,
        Ok(false) => make(connection).await,
        Err(error) => Err(error),
    };
    optional(connection.query_drop(format!("DO RELEASE_LOCK({LOCK})")).await)?;
    made
}

/// Creates the views and indexes that people and dashboards use, and the exporter does not need.
///
/// No views on a node of a Galera cluster, where exporters can start on other nodes at the same time: `MariaDB` 10.11 never
/// ends a `CREATE VIEW` that waits for its turn while it holds a lock on a table that an earlier change needs.
async fn make_extras(connection: &mut Conn) -> Result<(), StoreError> {
    let rows = column::first(connection, "SELECT 1 FROM packets LIMIT 1")
        .await
        .map_err(|error| failure("check for rows", &error))?;
    // With rows this takes too long for a start: the advice explains how.
    if rows.is_none() {
        for statement in schema::mysql_index().map(without_comments) {
            optional(alter(connection, statement).await)?;
        }
    }
    if is_node(connection).await? {
        return Ok(());
    }
    make_view(connection).await?;
    if foreign_view(connection).await?.is_none() {
        for statement in schema::ulogd_views(Kind::MySql).map(without_comments) {
            optional(alter(connection, statement).await)?;
        }
    }
    Ok(())
}

/// See [`super::Store::advice`].
pub(super) async fn advice(connection: &mut Conn) -> Result<Vec<&'static str>, StoreError> {
    let mut view = foreign_view(connection).await?;
    if view.is_none() && is_node(connection).await? {
        view = missing_view(connection).await?;
    }
    let doing = "read the indexes";
    let query = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() \
                 AND table_name = 'packets' AND index_name = 'by_source'";
    let row = column::first(connection, query).await.map_err(|error| failure(doing, &error))?;
    let columns: Option<u64> = row.map(|row| column::value(&row, 0, doing)).transpose()?;
    let index = columns.is_some_and(|columns| columns < 3).then_some(
        "the index `by_source` of `packets` is too short, which makes the dashboards slow: run \
         `nflog_exporter schema --for mysql | mysql DATABASE`, which takes a while on a full table",
    );
    Ok(view.into_iter().chain(index).collect())
}

/// The result of a statement that a server may reject.
fn optional(ran: Result<(), Error>) -> Result<(), StoreError> {
    match ran {
        Ok(()) | Err(Error::Server(_)) => Ok(()),
        Err(error) => Err(failure("create the schema", &error)),
    }
}

/// Whether a table is missing.
async fn lacks_table(connection: &mut Conn) -> Result<bool, StoreError> {
    for table in ["packets", "nflog_writers"] {
        match connection.query_drop(format!("SELECT 1 FROM {table} LIMIT 0")).await {
            Err(error) if code(&error) == Some(NO_SUCH_TABLE) => return Ok(true),
            Err(error @ Error::Io(_)) => return Err(failure("check the schema", &error)),
            // The check reports other errors.
            _ => {}
        }
    }
    Ok(false)
}

/// Whether the table `packets` has the columns that its first form did not have: one statement adds all of them.
async fn has_added_columns(connection: &mut Conn) -> Result<bool, StoreError> {
    let query = format!("SELECT {} FROM packets LIMIT 0", schema::ADDED_COLUMNS);
    match connection.query_drop(query).await {
        Err(error) if code(&error) == Some(NO_SUCH_COLUMN) => Ok(false),
        Err(error @ Error::Io(_)) => Err(failure("check the schema", &error)),
        // The check reports other errors.
        _ => Ok(true),
    }
}

/// Adds the columns that the first form of the table `packets` does not have. Waits for the transactions that use the
/// table, a second at most.
async fn add_columns(connection: &mut Conn) -> Result<(), StoreError> {
    // Another program's table is not changed.
    check_columns(connection, "packets", schema::FIRST_COLUMNS).await?;
    for statement in schema::added_columns(Kind::MySql).map(without_comments) {
        alter(connection, statement).await.map_err(|error| {
            let doing = "add columns to the table `packets`";
            if lacks_right(&error) { lacks_schema(&error) } else { failure(doing, &error) }
        })?;
    }
    Ok(())
}

/// The version of the schema, `None` when there is none.
async fn version(connection: &mut Conn) -> Result<Option<u32>, StoreError> {
    let found = column::first(connection, "SELECT MAX(version) FROM nflog_schema").await;
    match found {
        Ok(Some(row)) => column::value(&row, 0, "read the schema's version"),
        Ok(None) => Ok(None),
        Err(error) if code(&error).is_some_and(|code| MISSING.contains(&code)) => Ok(None),
        Err(error) => Err(failure("read the schema's version", &error)),
    }
}

async fn make(connection: &mut Conn) -> Result<(), StoreError> {
    for statement in schema::tables(Kind::MySql).map(without_comments) {
        if statement.starts_with("INSERT") {
            if !has_added_columns(connection).await? {
                add_columns(connection).await?;
            }
            // Before the version is recorded: existing tables may belong to another program.
            check(connection).await?;
            // Also before: with the version, other exporters use the schema and write rows.
            make_extras(connection).await?;
        }
        connection.query_drop(statement).await.map_err(|error| {
            if lacks_right(&error) {
                lacks_schema(&error)
            } else {
                failure("create the schema", &error)
            }
        })?;
    }
    Ok(())
}

/// The view is for people: a database may lack it, or have another program's.
async fn make_view(connection: &mut Conn) -> Result<(), StoreError> {
    match connection.query_drop(without_comments(schema::view(Kind::MySql))).await {
        Ok(()) => Ok(()),
        // Ours, perhaps just created by another host, or another program's.
        Err(error) if code(&error) == Some(EXISTS) => Ok(()),
        Err(error @ Error::Server(_)) => {
            tracing::warn!(
                %error,
                "the view `ulog` could not be created; everything else works without it. \
                 `nflog_exporter schema --for mysql` prints it"
            );
            Ok(())
        }
        Err(error) => Err(failure("create the view ulog", &error)),
    }
}

/// Advice about a view or table `ulog` without our own columns: it belongs to another program, and does not show
/// our rows.
async fn foreign_view(connection: &mut Conn) -> Result<Option<&'static str>, StoreError> {
    match connection.query_drop("SELECT country, asn, weight FROM ulog LIMIT 0").await {
        Err(error) if code(&error) == Some(NO_SUCH_COLUMN) => Ok(Some(
            "`ulog` in this database belongs to another program, perhaps ulogd, and does not show the rows that \
             are written now: run RENAME TABLE ulog TO ulogd_ulog, then \
             `nflog_exporter schema --for mysql | mysql DATABASE`",
        )),
        // A missing or inaccessible view does not matter.
        Ok(()) | Err(Error::Server(_)) => Ok(None),
        Err(error) => Err(failure("read the view ulog", &error)),
    }
}

/// Advice about a missing view on a node of a Galera cluster.
async fn missing_view(connection: &mut Conn) -> Result<Option<&'static str>, StoreError> {
    match connection.query_drop("SELECT 1 FROM ulog LIMIT 0").await {
        Err(error) if code(&error) == Some(NO_SUCH_TABLE) => Ok(Some(
            "the view `ulog` is missing, which exporters do not create on a Galera cluster: run \
             `nflog_exporter schema --for mysql | mysql DATABASE` once",
        )),
        Ok(()) | Err(Error::Server(_)) => Ok(None),
        Err(error) => Err(failure("read the view ulog", &error)),
    }
}

/// Whether the tables are ours: they have every column that is written.
async fn check(connection: &mut Conn) -> Result<(), StoreError> {
    check_columns(connection, "packets", &schema::columns()).await?;
    check_columns(connection, "nflog_writers", "writer, host, delivered, updated").await?;
    check_defaults(connection).await
}

async fn check_columns(
    connection: &mut Conn,
    table: &str,
    columns: &str,
) -> Result<(), StoreError> {
    let query = format!("SELECT {columns} FROM {table} LIMIT 0");
    connection.query_drop(query).await.map_err(|error| match code(&error) {
        Some(NO_SUCH_COLUMN) => StoreError::Denied(format!(
            "MySQL: the table `{table}` is not nflog_exporter's: {}. Use another database",
            answer(&error)
        )),
        Some(code) if MISSING.contains(&code) => lacks_schema(&error),
        _ => failure("check the schema", &error),
    })
}

/// Checks what a server's defaults or an administrator can have changed: exactly-once depends on transactions,
/// and texts on UTF-8.
async fn check_defaults(connection: &mut Conn) -> Result<(), StoreError> {
    let checks = [
        (
            "SELECT CONCAT('the table `', t.TABLE_NAME, '` has the engine ', t.ENGINE, ', which has no \
             transactions: rows could be lost or duplicated. Run ALTER TABLE ', t.TABLE_NAME, ' ENGINE=InnoDB') \
             FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
             WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME IN ('packets', 'nflog_writers') \
             AND e.TRANSACTIONS <> 'YES' LIMIT 1",
            "check the engine of the tables",
        ),
        (
            "SELECT CONCAT('the column ', COLUMN_NAME, ' of `packets` has the character set ', \
             CHARACTER_SET_NAME, ', which cannot hold every prefix. Run ALTER TABLE packets MODIFY ', \
             COLUMN_NAME, ' ', COLUMN_TYPE, ' CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', \
             IF(IS_NULLABLE = 'NO', ' NOT NULL', '')) \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'packets' \
             AND COLUMN_NAME IN ('host', 'prefix', 'in_device', 'out_device', 'city', \
             'source_network_name', 'destination_network_name', 'list') \
             AND CHARACTER_SET_NAME <> 'utf8mb4' LIMIT 1",
            "check the character set of the table packets",
        ),
    ];
    for (query, doing) in checks {
        match column::first(connection, query).await {
            Ok(Some(row)) => {
                let text: String = column::value(&row, 0, doing)?;
                return Err(StoreError::Denied(format!("MySQL: {text}")));
            }
            // A cluster may lack these tables.
            Ok(None) | Err(Error::Server(_)) => {}
            Err(error) => return Err(failure(doing, &error)),
        }
    }
    Ok(())
}

/// The error, with the commands for an administrator.
fn lacks_schema(error: &Error) -> StoreError {
    StoreError::Denied(format!(
        "MySQL: the schema is missing or incomplete, and cannot be created: {}. As an administrator run \
         `nflog_exporter schema --for mysql | mysql -u ADMIN DATABASE` and \
         `GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO USER` (for retention `GRANT \
         ALTER, CREATE, DROP ON DATABASE.packets TO USER` as well)",
        answer(error)
    ))
}

fn without_comments(statement: &str) -> &str {
    let mut rest = statement;
    while let Some((first, later)) = rest.split_once('\n') {
        if !first.starts_with("--") && !first.is_empty() {
            break;
        }
        rest = later;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_create_the_schema_in_order() {
        let statements: Vec<_> = schema::tables(Kind::MySql).map(without_comments).collect();
        let begin = |number: usize, text: &str| {
            assert!(statements[number].starts_with(text), "{}", statements[number]);
        };
        begin(0, "CREATE TABLE IF NOT EXISTS packets (");
        begin(1, "CREATE TABLE IF NOT EXISTS nflog_writers (");
        begin(2, "CREATE TABLE IF NOT EXISTS nflog_schema (");
        begin(
            3,
            &format!(
                "INSERT IGNORE INTO nflog_schema (version, installed) VALUES ({},",
                schema::VERSION
            ),
        );
        assert_eq!(statements.len(), 4);
        let view = without_comments(schema::view(Kind::MySql));
        assert!(view.starts_with("CREATE SQL SECURITY INVOKER VIEW ulog AS"), "{view}");
    }
}
