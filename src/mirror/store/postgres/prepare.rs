//! Creates the schema when it is missing, rejects a foreign or newer one, and tests it.

use tokio_postgres::Error;

use super::{
    Postgres, StoreError,
    error::{failure, value},
    rows,
};
use crate::mirror::{schema, store::Kind};

/// Held by the one exporter that creates the schema: our number (`nflg`), and the purpose.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1852206183, 1)";

/// All kinds of writes of the store, by a writer that does not exist.
const TRIAL: &str = "\
    INSERT INTO nflog_writers (writer, host, delivered, updated) \
      VALUES (int4send(pg_backend_pid()), '', 0, now()) \
      ON CONFLICT (writer) DO UPDATE SET delivered = 0 RETURNING delivered; \
    UPDATE nflog_writers SET delivered = 0 WHERE writer = int4send(pg_backend_pid()); \
    DELETE FROM nflog_writers WHERE writer = int4send(pg_backend_pid())";

/// Creates the schema when it is missing, and tests what the store will do.
pub(super) async fn prepare(store: &mut Postgres) -> Result<(), StoreError> {
    check_encoding(store).await?;
    if version(store).await? != Some(schema::VERSION) {
        make(store).await?;
    }
    try_out(store).await
}

/// With an encoding that cannot represent every prefix, the server would reject rows, so they wait. `SQL_ASCII` accepts
/// all bytes.
async fn check_encoding(store: &Postgres) -> Result<(), StoreError> {
    let doing = "read the encoding of the database";
    let row = store.client.query_one("SHOW server_encoding", &[]).await;
    let row = row.map_err(|error| failure(doing, &error))?;
    let encoding: String = row.try_get(0).map_err(|error| failure(doing, &error))?;
    if ["UTF8", "SQL_ASCII"].contains(&encoding.as_str()) {
        return Ok(());
    }
    Err(StoreError::Denied(format!(
        "PostgreSQL: database {} has the encoding {encoding}, which cannot hold every log prefix: use \
         one created by CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'; rows wait in the spool until \
         then, and mirror.spool.other_target = \"deliver\" delivers them to it",
        database(store).await?
    )))
}

/// The installed version; an error when it is newer than ours.
async fn version(store: &Postgres) -> Result<Option<u32>, StoreError> {
    let doing = "read the schema's version";
    if !exists(store, "nflog_schema").await? {
        return Ok(None);
    }
    let query = "SELECT max(version) FROM nflog_schema";
    let row = store.client.query_one(query, &[]).await.map_err(|error| lacking(doing, &error))?;
    let version: Option<i32> = row.try_get(0).map_err(|error| failure(doing, &error))?;
    match version.and_then(|version| u32::try_from(version).ok()) {
        Some(version) if version > schema::VERSION => Err(StoreError::Denied(format!(
            "PostgreSQL: the schema of database {} has version {version}, and this program supports \
             {}: upgrade nflog_exporter, or use another database",
            database(store).await?,
            schema::VERSION
        ))),
        // A dropped table is created again, and missing columns are added, as for a version before the first.
        Some(_)
            if !(exists(store, "packets").await?
                && exists(store, "nflog_writers").await?
                && has_added_columns(store).await?) =>
        {
            Ok(Some(0))
        }
        found => Ok(found),
    }
}

/// Whether the session resolves a table by its bare name. Reads the catalogue: `to_regclass` may answer from a
/// cache that is older than the lock.
async fn exists(store: &Postgres, table: &str) -> Result<bool, StoreError> {
    let query =
        "SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid))";
    let row = store.client.query_one(query, &[&table]).await;
    value(&row.map_err(|error| failure("check the schema", &error))?, 0, "check the schema")
}

/// Whether the table `packets` has the columns that its first form did not have: one statement adds all of them.
async fn has_added_columns(store: &Postgres) -> Result<bool, StoreError> {
    let query = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
        WHERE c.relname = 'packets' AND pg_table_is_visible(c.oid) AND a.attname = 'list' AND NOT a.attisdropped)";
    let row = store.client.query_one(query, &[]).await;
    value(&row.map_err(|error| failure("check the schema", &error))?, 0, "check the schema")
}

/// The name of the database, for messages.
async fn database(store: &Postgres) -> Result<String, StoreError> {
    let row = store.client.query_one("SELECT current_database()::text", &[]).await;
    value(&row.map_err(|error| failure("check the schema", &error))?, 0, "check the schema")
}

/// Creates the schema in one transaction, unless another exporter did meanwhile.
///
/// Only under the lock is a table without a version another program's: before, it may be under construction.
async fn make(store: &Postgres) -> Result<(), StoreError> {
    let doing = "create the schema";
    store.run(doing, "BEGIN; SET LOCAL lock_timeout = '30s'").await?;
    store.run(doing, LOCK).await?;
    match version(store).await? {
        Some(schema::VERSION) => return store.run(doing, "COMMIT").await,
        None if exists(store, "packets").await? => {
            return Err(StoreError::Denied(format!(
                "PostgreSQL: database {} has a table packets that nflog_exporter did not create: \
                 use another database, or rename that table",
                database(store).await?
            )));
        }
        _ => {}
    }
    // Rows wait behind a lock that waits for a long query.
    store.run(doing, "SET LOCAL lock_timeout = '5s'").await?;
    for statement in schema::tables(Kind::Postgres) {
        if let Err(error) = store.client.batch_execute(statement).await {
            return Err(lacking(doing, &error));
        }
    }
    make_view(store).await?;
    store.run(doing, "COMMIT").await
}

/// See [`super::Store::advice`].
pub(super) async fn advice(store: &Postgres) -> Result<Vec<&'static str>, StoreError> {
    let view = foreign_view(store).await?;
    let query = "SELECT count(*) FROM pg_index WHERE indrelid = to_regclass('packets') \
        AND indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = 'source') \
        AND indnatts > 2";
    let row = store.client.query_one(query, &[]).await;
    let wide: i64 =
        value(&row.map_err(|error| failure("read the indexes", &error))?, 0, "read the indexes")?;
    let index = (wide == 0).then_some(
        "the index packets_by_source is missing or too short, which makes the dashboards slow: run DROP \
         INDEX IF EXISTS packets_by_source, then `nflog_exporter schema --for postgres | psql DATABASE`, \
         which blocks rows for a while on a full table",
    );
    Ok(view.into_iter().chain(index).collect())
}

/// Advice about a view or table `ulog` without our own columns: it belongs to another program, and does not show
/// our rows.
async fn foreign_view(store: &Postgres) -> Result<Option<&'static str>, StoreError> {
    if !exists(store, "ulog").await? {
        return Ok(None);
    }
    let query = "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
        WHERE c.relname = 'ulog' AND pg_table_is_visible(c.oid) AND NOT a.attisdropped \
        AND a.attname IN ('country', 'asn', 'weight')";
    let row = store.client.query_one(query, &[]).await;
    let ours: i64 = value(
        &row.map_err(|error| failure("read the view ulog", &error))?,
        0,
        "read the view ulog",
    )?;
    Ok((ours != 3).then_some(
        "`ulog` in this database belongs to another program, perhaps ulogd, and does not show the rows that are \
         written now: run ALTER TABLE ulog RENAME TO ulogd_ulog, then \
         `nflog_exporter schema --for postgres | psql DATABASE`",
    ))
}

/// The view is for people, not for the exporter: another program's `ulog` stays.
async fn make_view(store: &Postgres) -> Result<(), StoreError> {
    let doing = "create the view ulog";
    if foreign_view(store).await?.is_some() {
        return Ok(());
    }
    store.run(doing, "SAVEPOINT view").await?;
    let mut made = store.run(doing, schema::view(Kind::Postgres)).await;
    for statement in schema::ulogd_views(Kind::Postgres) {
        if made.is_ok() {
            made = store.run(doing, statement).await;
        }
    }
    if let Err(error) = made {
        tracing::warn!(%error, "the view ulog could not be created; everything else works without it. \
            `nflog_exporter schema --for postgres` prints it");
        store.run(doing, "ROLLBACK TO SAVEPOINT view").await?;
    }
    Ok(())
}

/// Runs what the store will do, and rolls back: so missing rights show now.
async fn try_out(store: &mut Postgres) -> Result<(), StoreError> {
    let doing = "test the schema";
    let transaction = store.client.transaction().await.map_err(|error| failure(doing, &error))?;
    transaction.batch_execute(TRIAL).await.map_err(|error| lacking(doing, &error))?;
    rows::copy(&transaction, "", &[]).await.map_err(|error| match error {
        StoreError::Denied(text) => StoreError::Denied(with_fix(&text)),
        error => error,
    })?;
    transaction.rollback().await.map_err(|error| failure(doing, &error))
}

/// The error, with the commands for missing rights or a missing schema.
fn lacking(doing: &str, error: &Error) -> StoreError {
    match failure(doing, error) {
        StoreError::Denied(text) => StoreError::Denied(with_fix(&text)),
        error => error,
    }
}

fn with_fix(text: &str) -> String {
    format!(
        "{text}. As the owner of the database, run: nflog_exporter schema --for postgres | psql \
         DATABASE, then, with the name of our user: GRANT SELECT, INSERT ON packets TO …; GRANT \
         SELECT, INSERT, UPDATE, DELETE ON nflog_writers TO …; GRANT SELECT ON nflog_schema TO …; \
         and for retention: ALTER TABLE packets OWNER TO …"
    )
}
