//! Rows in ClickHouse, over its HTTP interface.
//!
//! ClickHouse has no transactions, and drops a duplicate insert by its token. So each insert has rows of one day, which
//! is one partition and stored whole or not at all; its token has the numbers of its rows; and the rows hold their
//! writer and number, from which the position is read back.

mod error;
mod http;
mod maintenance;
mod numbered;
mod prepare;
mod read;
mod rows;
mod select;
mod written;

pub use read::read;
pub(in crate::mirror) use select::ClickHouseReader;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use self::{
    http::{Client, Statement},
    prepare::Table,
    written::Written,
};
use super::{
    Batch, Kind, Maintenance, MaintenanceReport, ServerClock, Store, StoreError, WriteRules, Writer,
};
use crate::{
    mirror::{day::Day, row::Row, target::Target},
    system::{
        clock::{micros_since_1970, time_since_1970},
        random,
    },
};

/// Typical bytes of an encoded row.
const ROW_BYTES: usize = 200;

/// Settings of each insert, except its token.
///
/// An insert ends before its answer, in all shards. Each block is whole, because it has fewer rows than a block of the
/// server. A materialized view gets each block once, too.
const INSERT: [(&str, &str); 6] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("insert_distributed_sync", "1"),
    ("max_insert_block_size", "1048576"),
    ("max_execution_time", "60"),
];

/// A ClickHouse server. Must be made and used inside one tokio runtime.
pub struct ClickHouse {
    client: Client,
    table: Table,
    /// The writer whose position was read last, and its rows on the server.
    written: Option<Written>,
}

/// A row and its number.
pub(in crate::mirror) type Numbered<'a> = (u64, &'a Row);

impl Store for ClickHouse {
    fn rules(_: Kind) -> WriteRules {
        WriteRules {
            writes_whole_batches: false,
            // `max_execution_time`, and the time until the server notices it.
            max_write_time: Duration::from_secs(75),
            // Each insert makes a part that the server has to merge.
            gathering: Duration::from_secs(5),
            ..WriteRules::default()
        }
    }

    async fn connect(target: &Target) -> Result<Self, StoreError> {
        let mut client = Client::new(target)?;
        prepare::check_version(&mut client).await?;
        Ok(Self { client, table: Table::default(), written: None })
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        self.table = prepare::prepare(&mut self.client).await?;
        Ok(())
    }

    async fn position(&mut self, writer: &Writer, at_least: u64) -> Result<u64, StoreError> {
        let written = Written::read(&mut self.client, writer.id, at_least).await?;
        let position = written.position();
        self.written = Some(written);
        Ok(position)
    }

    async fn write(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        let Some(written) = self.written.as_mut().filter(|it| it.is_at(writer, batch.from)) else {
            return Err(StoreError::Moved);
        };
        let first = batch.to.saturating_sub(batch.rows.len() as u64);
        let numbered = (first..).zip(batch.rows).filter(|(number, _)| !written.has(*number));
        let mut days = BTreeMap::<Day, Vec<Numbered<'_>>>::new();
        for (number, row) in numbered {
            days.entry(Day::of_micros(row.time)).or_default().push((number, row));
        }
        for rows in days.values() {
            let token = token(writer, rows);
            insert(&mut self.client, writer, rows, &token).await?;
            // The rest can be rejected, and is then sent again in other parts.
            written.add(rows.iter().map(|(number, _)| *number));
        }
        if written.is_unverified() && !self.table.is_replicated {
            let rows: Vec<_> = days.into_values().flatten().collect();
            store_missing(&mut self.client, writer, &rows).await?;
        }
        written.pass(batch.to);
        Ok(())
    }

    async fn try_rows(&mut self, writer: &Writer, rows: &[Row]) -> Result<(), StoreError> {
        let doing = "test rows";
        // A table of this session only, with the columns and constraints of `packets`.
        let session = format!("nflog_exporter-{}", hex(&random::id()));
        let settings = [("session_id", session.as_str()), ("session_timeout", "60")];
        let mut data = Vec::with_capacity(rows.len() * ROW_BYTES);
        for (number, row) in (0..).zip(rows) {
            rows::encode(&mut data, writer, number, row)?;
        }
        let text = "CREATE TEMPORARY TABLE nflog_trial AS packets ENGINE = Memory";
        self.client.run(Statement { doing, text, settings: &settings }).await?;
        let text = rows::insert().replacen("INTO packets", "INTO nflog_trial", 1);
        let tried =
            self.client.insert(Statement { doing, text: &text, settings: &settings }, data).await;
        let text = "DROP TEMPORARY TABLE nflog_trial";
        self.client.run(Statement { doing, text, settings: &settings }).await?;
        tried
    }

    async fn forget(&mut self, _: &Writer) -> Result<(), StoreError> {
        // The rows hold the position.
        Ok(())
    }

    async fn maintain(
        &mut self,
        maintenance: &Maintenance,
        now: SystemTime,
    ) -> Result<MaintenanceReport, StoreError> {
        maintenance::maintain(&mut self.client, &self.table, maintenance, now).await
    }

    async fn newest_row(&mut self, until: SystemTime) -> Result<Option<SystemTime>, StoreError> {
        let until = micros_since_1970(until);
        // The first is read from the partitions' limits, the second from rows.
        let all = "SELECT count(), toUnixTimestamp64Micro(max(time)) FROM packets";
        let filtered = format!("{all} WHERE time <= fromUnixTimestamp64Micro(toInt64({until}))");
        let doing = "read the newest row";
        for query in [all, &filtered] {
            let answer = one(&mut self.client, doing, query).await?;
            let newest = match answer.split_once('\t') {
                Some(("0", _)) => return Ok(None),
                Some((_, newest)) => newest.parse().ok(),
                None => None,
            };
            let newest: u64 = newest.ok_or_else(|| unexpected(doing, &answer))?;
            if newest <= until {
                return Ok(Some(time_since_1970(Duration::from_micros(newest))));
            }
        }
        Ok(None)
    }

    async fn clock(&mut self) -> Result<ServerClock, StoreError> {
        let doing = "read the time";
        let query = "SELECT toUnixTimestamp64Micro(now64(6)), serverTimezone()";
        let answer = one(&mut self.client, doing, query).await?;
        let read = answer.split_once('\t').and_then(|(now, zone)| Some((now.parse().ok()?, zone)));
        let (now, zone) = read.ok_or_else(|| unexpected(doing, &answer))?;
        Ok(ServerClock { now: time_since_1970(Duration::from_micros(now)), zone: zone.to_owned() })
    }

    async fn advice(&mut self) -> Result<Vec<&'static str>, StoreError> {
        prepare::advice(&mut self.client).await
    }

    async fn ping(&mut self) -> Result<(), StoreError> {
        one(&mut self.client, "ping", "SELECT 1").await.map(drop)
    }
}

/// Inserts rows of one day. The server drops them if it has an insert with this token.
async fn insert(
    client: &mut Client,
    writer: &Writer,
    rows: &[Numbered<'_>],
    token: &str,
) -> Result<(), StoreError> {
    let mut data = Vec::with_capacity(rows.len() * ROW_BYTES);
    for (number, row) in rows {
        rows::encode(&mut data, writer, *number, row)?;
    }
    let settings: Vec<_> =
        INSERT.into_iter().chain([("insert_deduplication_token", token)]).collect();
    let (doing, text) = ("write rows", rows::insert());
    client.insert(Statement { doing, text: &text, settings: &settings }, data).await
}

/// The token of an insert: the same whenever the same rows are sent.
fn token(writer: &Writer, rows: &[Numbered<'_>]) -> String {
    let number = |row: Option<&Numbered<'_>>| row.map_or(0, |(number, _)| *number);
    let (first, last) = (number(rows.first()), number(rows.last()));
    format!("{}-{first}-{last}-{}", hex(&writer.id), rows.len())
}

/// Inserts those of the rows again that the server does not have, although it reported success.
///
/// A server without replication notes the token before it stores the rows. If it is killed in between, it drops the
/// rows of the next attempt. The log of tokens and the rows of a replicated table change together.
async fn store_missing(
    client: &mut Client,
    writer: &Writer,
    rows: &[Numbered<'_>],
) -> Result<(), StoreError> {
    let Some((first, _)) = rows.iter().min_by_key(|(number, _)| number) else { return Ok(()) };
    let stored = Written::read(client, writer.id, *first).await?;
    let mut days = BTreeMap::<Day, Vec<Numbered<'_>>>::new();
    for (number, row) in rows.iter().filter(|(number, _)| !stored.has(*number)) {
        days.entry(Day::of_micros(row.time)).or_default().push((*number, row));
    }
    for rows in days.values() {
        tracing::warn!(
            rows = rows.len(),
            "mirror: ClickHouse knows the token of an insert, but does not have its rows; they are sent again"
        );
        let token = format!("{}-{}", token(writer, rows), hex(&random::id()));
        insert(client, writer, rows, &token).await?;
    }
    Ok(())
}

/// Runs a query with a result of one row; returns its columns, separated by tabs.
async fn one(client: &mut Client, doing: &str, text: &str) -> Result<String, StoreError> {
    lines(client, doing, text).await.map(|lines| lines.into_iter().next().unwrap_or_default())
}

/// Runs a query; returns the rows of its result, with columns separated by tabs.
async fn lines(client: &mut Client, doing: &str, text: &str) -> Result<Vec<String>, StoreError> {
    let answer = client.run(Statement { doing, text, settings: &[] }).await?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().map(str::to_owned).collect())
}

fn unexpected(doing: &str, answer: &str) -> StoreError {
    let answer: String = answer.chars().take(100).collect();
    StoreError::Denied(format!("ClickHouse: cannot {doing}: unexpected answer {answer:?}"))
}

fn hex(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}
