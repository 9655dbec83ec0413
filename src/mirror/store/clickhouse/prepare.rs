//! Creates the schema when it is missing, rejects a foreign or newer one, and tests it.

use super::{
    super::StoreError,
    error::GRANTS,
    http::{Client, Statement},
    lines, one, rows, unexpected,
};
use crate::mirror::{schema, store::Kind};

/// The oldest supported version.
const MIN_VERSION: (u32, u32) = (24, 8);

/// The beginning of the comment of our tables, before the version of the schema.
const COMMENT: &str = "nflog_exporter, schema version ";

/// What the store needs to know about the table `packets`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Whether the log of tokens and the rows change together, on several servers.
    pub(super) is_replicated: bool,
    /// Whether other tables have the rows.
    pub(super) is_distributed: bool,
    /// Its engine with keys, TTL and settings.
    pub(super) engine: String,
}

/// Rejects a server that is too old.
pub(super) async fn check_version(client: &mut Client) -> Result<(), StoreError> {
    let doing = "read the server's version";
    let version = one(client, doing, "SELECT version()").await?;
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(unexpected(doing, &version));
    };
    if (major, minor) >= MIN_VERSION {
        return Ok(());
    }
    let (major, minor) = MIN_VERSION;
    Err(StoreError::Denied(format!(
        "ClickHouse: the server has version {version}: upgrade it to {major}.{minor} or later"
    )))
}

/// Creates the schema when it is missing, and tests what the store will do.
pub(super) async fn prepare(client: &mut Client) -> Result<Table, StoreError> {
    let table = if let Some(table) = find(client).await? {
        table
    } else {
        make(client).await?;
        find(client).await?.ok_or_else(|| {
            StoreError::Denied(format!(
                "ClickHouse: database {} has no table packets after it was created{GRANTS}",
                client.database()
            ))
        })?
    };
    try_out(client).await?;
    Ok(table)
}

/// The table `packets`; an error when it is not ours, newer, or cannot keep rows exactly once.
pub(super) async fn find(client: &mut Client) -> Result<Option<Table>, StoreError> {
    let doing = "read the schema";
    let query = "SELECT engine, comment, engine_full FROM system.tables \
        WHERE database = currentDatabase() AND name = 'packets'";
    let Some(line) = lines(client, doing, query).await?.into_iter().next() else {
        return Ok(None);
    };
    let [engine, comment, full] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else {
        return Err(unexpected(doing, &line));
    };
    let database = client.database();
    let version = comment.strip_prefix(COMMENT).and_then(|version| version.parse::<u32>().ok());
    let Some(version) = version else {
        return Err(StoreError::Denied(format!(
            "ClickHouse: database {database} has a table packets that nflog_exporter did not create: use another \
             database, or rename that table"
        )));
    };
    if version > schema::VERSION {
        return Err(StoreError::Denied(format!(
            "ClickHouse: the schema of database {database} has version {version}, and this program supports {}: \
             upgrade nflog_exporter, or use another database",
            schema::VERSION
        )));
    }
    let is_distributed = engine == "Distributed";
    let is_replicated =
        is_distributed || engine.starts_with("Replicated") || engine.starts_with("Shared");
    if !engine.ends_with("MergeTree") && !is_distributed {
        return Err(StoreError::Denied(format!(
            "ClickHouse: packets in database {database} has the engine {engine}, which does not drop duplicate \
             inserts: use MergeTree, ReplicatedMergeTree or Distributed, as in `nflog_exporter schema --for clickhouse`"
        )));
    }
    let window = setting(full, "non_replicated_deduplication_window");
    if !is_replicated && window.is_none_or(|window| window == 0) {
        return Err(StoreError::Denied(format!(
            "ClickHouse: packets in database {database} does not drop duplicate inserts: run ALTER TABLE \
             {database}.packets MODIFY SETTING non_replicated_deduplication_window = 1000"
        )));
    }
    Ok(Some(Table { is_replicated, is_distributed, engine: full.to_owned() }))
}

/// The number of a setting in the description of a table's engine.
fn setting(engine: &str, name: &str) -> Option<u64> {
    let (_, value) = engine.split_once(&format!("{name} = "))?;
    value.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Creates the table and the views. Several exporters may do so at the same time.
async fn make(client: &mut Client) -> Result<(), StoreError> {
    for text in schema::tables(Kind::ClickHouse) {
        client.run(Statement { doing: "create the schema", text, settings: &[] }).await?;
    }
    // The views are for people, not for the exporter: another program's `ulog` stays.
    let views = std::iter::once(schema::view(Kind::ClickHouse));
    for text in views.chain(schema::ulogd_views(Kind::ClickHouse)) {
        let made = client.run(Statement { doing: "create a view", text, settings: &[] }).await;
        if let Err(error) = made {
            tracing::warn!(%error, "the view ulog could not be created; everything else works without it. \
                `nflog_exporter schema --for clickhouse` prints it");
            break;
        }
    }
    Ok(())
}

/// Reads and writes no row, so that missing rights show now.
async fn try_out(client: &mut Client) -> Result<(), StoreError> {
    let doing = "test the schema";
    one(client, doing, "SELECT time, writer, sequence FROM packets LIMIT 0").await?;
    let text = rows::insert();
    client.insert(Statement { doing, text: &text, settings: &super::INSERT }, Vec::new()).await
}

/// See [`super::Store::advice`].
pub(super) async fn advice(client: &mut Client) -> Result<Vec<&'static str>, StoreError> {
    let query = "SELECT count(), countIf(name IN ('country', 'asn', 'weight')) FROM system.columns \
        WHERE database = currentDatabase() AND table = 'ulog'";
    let counts = one(client, "read the view ulog", query).await?;
    let foreign = !counts.starts_with("0\t") && !counts.ends_with("\t3");
    let advice = foreign.then_some(
        "`ulog` in this database belongs to another program, and does not show the rows that are written now: run \
         RENAME TABLE ulog TO ulogd_ulog, then `nflog_exporter schema --for clickhouse | clickhouse-client \
         --multiquery --database DATABASE`",
    );
    Ok(advice.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_table() {
        let engine =
            "MergeTree PARTITION BY x ORDER BY y SETTINGS a = 0, ttl_only_drop_parts = 1, b = 12";
        assert_eq!(setting(engine, "ttl_only_drop_parts"), Some(1));
        assert_eq!(setting(engine, "b"), Some(12));
        assert_eq!(setting(engine, "c"), None);
    }
}
