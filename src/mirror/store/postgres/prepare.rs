//! The schema in the database: made when missing, refused when foreign or newer, tried out.

use tokio_postgres::Error;

use super::{
    Postgres, StoreError,
    failure::{failure, value},
    rows,
};
use crate::mirror::{schema, store::Kind};

/// Taken by the one exporter that makes the schema: our number (`nflg`), and what for.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1852206183, 1)";

/// Writes of a writer that nobody is, each of a kind that the store does.
const TRIAL: &str = "\
    INSERT INTO nflog_writers (writer, host, delivered, updated) \
      VALUES (int4send(pg_backend_pid()), '', 0, now()) \
      ON CONFLICT (writer) DO UPDATE SET delivered = 0 RETURNING delivered; \
    UPDATE nflog_writers SET delivered = 0 WHERE writer = int4send(pg_backend_pid()); \
    DELETE FROM nflog_writers WHERE writer = int4send(pg_backend_pid())";

/// Makes the schema when there is none, and tries out what the store will do.
pub(super) async fn prepare(store: &mut Postgres) -> Result<(), StoreError> {
    check_encoding(store).await?;
    if version(store).await? != Some(schema::VERSION) {
        make(store).await?;
    }
    try_out(store).await
}

/// An encoding that cannot hold every prefix would drop rows: they wait instead. `SQL_ASCII` takes all
/// bytes.
async fn check_encoding(store: &Postgres) -> Result<(), StoreError> {
    let doing = "read the encoding of the database";
    let row = store.client.query_one("SHOW server_encoding", &[]).await;
    let row = row.map_err(|error| failure(doing, &error))?;
    let encoding: String = row.try_get(0).map_err(|error| failure(doing, &error))?;
    if ["UTF8", "SQL_ASCII"].contains(&encoding.as_str()) {
        return Ok(());
    }
    Err(StoreError::Denied(format!(
        "PostgreSQL: database {} has the encoding {encoding}, which cannot hold every log prefix: name \
         one made by CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'; rows wait in the spool until \
         then, and mirror.spool.other_target = \"deliver\" gives them to it",
        database(store).await?
    )))
}

/// The version that is there; an error when it is newer than ours.
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
            "PostgreSQL: database {} has version {version} of the schema, and this program knows \
             {}: install a later nflog_exporter, or name another database",
            database(store).await?,
            schema::VERSION
        ))),
        // A table that somebody dropped is made anew, as by a version before the first.
        Some(_) if !(exists(store, "packets").await? && exists(store, "nflog_writers").await?) => {
            Ok(Some(0))
        }
        found => Ok(found),
    }
}

/// Whether the session finds a table by its bare name. From the table of tables: `to_regclass`
/// may answer out of a memory older than the lock.
async fn exists(store: &Postgres, table: &str) -> Result<bool, StoreError> {
    let query =
        "SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid))";
    let row = store.client.query_one(query, &[&table]).await;
    value(&row.map_err(|error| failure("look for the schema", &error))?, 0, "look for the schema")
}

/// The name of the database, for messages.
async fn database(store: &Postgres) -> Result<String, StoreError> {
    let row = store.client.query_one("SELECT current_database()::text", &[]).await;
    value(&row.map_err(|error| failure("look for the schema", &error))?, 0, "look for the schema")
}

/// Makes the schema in one transaction, unless somebody else made it while we waited.
///
/// Only under the lock is a table without a version somebody else's: before, it may be one that is
/// being made.
async fn make(store: &Postgres) -> Result<(), StoreError> {
    let doing = "make the schema";
    store.run(doing, "BEGIN; SET LOCAL lock_timeout = '30s'").await?;
    store.run(doing, LOCK).await?;
    match version(store).await? {
        Some(schema::VERSION) => return store.run(doing, "COMMIT").await,
        None if exists(store, "packets").await? => {
            return Err(StoreError::Denied(format!(
                "PostgreSQL: database {} has a table packets that nflog_exporter did not make: \
                 name another database, or rename that table",
                database(store).await?
            )));
        }
        _ => {}
    }
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
    let wide: i64 = value(
        &row.map_err(|error| failure("look at the indexes", &error))?,
        0,
        "look at the indexes",
    )?;
    let index = (wide == 0).then_some(
        "the index packets_by_source is missing or a short one, with which the dashboards are slow: DROP \
         INDEX IF EXISTS packets_by_source, then run `nflog_exporter schema --for postgres | psql DATABASE`, \
         which holds up rows for a while on a full table",
    );
    Ok(view.into_iter().chain(index).collect())
}

/// What to do about a view or table `ulog` without the columns that only ours has: it is another's,
/// and who asks it would miss the rows.
async fn foreign_view(store: &Postgres) -> Result<Option<&'static str>, StoreError> {
    if !exists(store, "ulog").await? {
        return Ok(None);
    }
    let query = "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
        WHERE c.relname = 'ulog' AND pg_table_is_visible(c.oid) AND NOT a.attisdropped \
        AND a.attname IN ('country', 'asn', 'weight')";
    let row = store.client.query_one(query, &[]).await;
    let ours: i64 = value(
        &row.map_err(|error| failure("look at the view ulog", &error))?,
        0,
        "look at the view ulog",
    )?;
    Ok((ours != 3).then_some(
        "`ulog` in this database is another's, ulogd's perhaps: it does not show the rows that are written \
         now. ALTER TABLE ulog RENAME TO ulogd_ulog, then run \
         `nflog_exporter schema --for postgres | psql DATABASE`",
    ))
}

/// The view serves people, not the exporter: a database that has another `ulog` keeps it.
async fn make_view(store: &Postgres) -> Result<(), StoreError> {
    let doing = "make the view ulog";
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
        tracing::warn!(%error, "the view ulog could not be made; everything else works without it. \
            `nflog_exporter schema --for postgres` prints it");
        store.run(doing, "ROLLBACK TO SAVEPOINT view").await?;
    }
    Ok(())
}

/// Does what the store does, and takes it back: so a lack of rights shows now.
async fn try_out(store: &mut Postgres) -> Result<(), StoreError> {
    let doing = "try out the schema";
    let transaction = store.client.transaction().await.map_err(|error| failure(doing, &error))?;
    transaction.batch_execute(TRIAL).await.map_err(|error| lacking(doing, &error))?;
    rows::copy(&transaction, "", &[]).await.map_err(|error| match error {
        StoreError::Denied(text) => StoreError::Denied(with_mend(&text)),
        error => error,
    })?;
    transaction.rollback().await.map_err(|error| failure(doing, &error))
}

/// The error, with what to run when rights or the schema are missing.
fn lacking(doing: &str, error: &Error) -> StoreError {
    match failure(doing, error) {
        StoreError::Denied(text) => StoreError::Denied(with_mend(&text)),
        error => error,
    }
}

fn with_mend(text: &str) -> String {
    format!(
        "{text}. As the owner of the database, run: nflog_exporter schema --for postgres | psql \
         DATABASE, then, with the name of our user: GRANT SELECT, INSERT ON packets TO …; GRANT \
         SELECT, INSERT, UPDATE, DELETE ON nflog_writers TO …; GRANT SELECT ON nflog_schema TO …; \
         and for retention: ALTER TABLE packets OWNER TO …"
    )
}
