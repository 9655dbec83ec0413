//! The tables of a source: which one has ulogd's rows, which columns it has, and the query that reads them.

use std::fmt::Write as _;

use super::{
    ImportError,
    fields::{Column, Field, UlogdRow},
    mysql::MySqlSource,
    postgres::PostgresSource,
    sqlite::SqliteSource,
};
use crate::mirror::{kind::Kind, store::StoreError, target::Target};

/// Names of ulogd's tables, in the order in which they are tried. Our documentation renames `ulog` to the last.
const TABLES: [&str; 3] = ["ulog2", "ulog", "ulogd_ulog"];

/// Tables of ulogd2's split schema, with the column that refers to a row's `_id`.
const PARTS: [(&str, &str); 6] = [
    ("tcp", "_tcp_id"),
    ("udp", "_udp_id"),
    ("sctp", "_sctp_id"),
    ("icmp", "_icmp_id"),
    ("icmpv6", "_icmpv6_id"),
    ("hwhdr", "_hw_id"),
];

/// Table of hardware addresses, which rows share: its id, and the column of a row that refers to it.
const MAC: (&str, &str, &str) = ("mac", "_mac_id", "mac_id");

/// Maximum length of a value that is read, characters or bytes: more than any column of `packets` holds.
const MAX_VALUE: usize = 512;

/// Columns that only this program's tables and views have.
const OWN: [&str; 2] = ["country", "weight"];

/// The database's part of a source.
enum Connection {
    MySql(MySqlSource),
    Postgres(PostgresSource),
    Sqlite(SqliteSource),
}

/// Calls a function of the connection.
macro_rules! ask {
    ($connection:expr, $method:ident($($argument:expr),*)) => {
        match $connection {
            Connection::MySql(source) => source.$method($($argument),*).await,
            Connection::Postgres(source) => source.$method($($argument),*).await,
            Connection::Sqlite(source) => source.$method($($argument),*).await,
        }
    };
}

impl Connection {
    async fn open(from: &Target) -> Result<Self, StoreError> {
        Ok(match from.kind {
            Kind::MySql => Self::MySql(MySqlSource::open(from).await?),
            Kind::Postgres => Self::Postgres(PostgresSource::open(from).await?),
            Kind::Sqlite => Self::Sqlite(SqliteSource::open(from)?),
            Kind::ClickHouse => {
                let text = format!("{from}: ulogd has no tables in ClickHouse");
                return Err(StoreError::Denied(text));
            }
        })
    }

    /// The columns of a table; empty if there is no such table or view.
    async fn columns(&mut self, table: &str) -> Result<Vec<Column>, StoreError> {
        ask!(self, columns(table))
    }

    /// Whether a name is a view.
    async fn is_view(&mut self, table: &str) -> Result<bool, StoreError> {
        ask!(self, is_view(table))
    }

    /// Identifies the server, whatever name its URL has.
    async fn identity(&mut self) -> Result<String, StoreError> {
        ask!(self, identity())
    }

    /// The expression of a number as the driver reads it.
    fn bigint(&self, number: &str) -> String {
        match self {
            Self::Postgres(_) => format!("{number}::bigint"),
            _ => number.to_owned(),
        }
    }

    /// The name of a column or table, quoted.
    fn quoted(&self, name: &str) -> String {
        match self {
            Self::MySql(_) => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }
}

/// An open table of ulogd.
pub(super) struct Source {
    connection: Connection,
    table: String,
    identity: String,
    is_first_version: bool,
    /// Reads rows after an id.
    query: String,
    /// Reads the greatest id.
    last: String,
    /// Reads the id that is a number of rows before another one.
    before: String,
}

impl Source {
    /// Opens a table, or the one that is found.
    pub(super) async fn open(from: &Target, table: Option<&str>) -> Result<Self, ImportError> {
        let failure = |error| ImportError::Store { what: format!("the source {from}"), error };
        let mut connection = Connection::open(from).await.map_err(failure)?;
        let database = from.to_string();
        let (table, columns) = match table {
            Some(table) => {
                let columns = connection.columns(table).await.map_err(failure)?;
                if columns.is_empty() {
                    return Err(ImportError::Missing(database, table.to_owned()));
                }
                if is_own(&columns) {
                    return Err(ImportError::Own(table.to_owned(), database));
                }
                if connection.is_view(table).await.map_err(failure)? {
                    return Err(ImportError::View(table.to_owned(), database));
                }
                (table.to_owned(), columns)
            }
            None => find(&mut connection)
                .await
                .map_err(failure)?
                .ok_or(ImportError::NoTable(database.clone()))?,
        };
        let identity = connection.identity().await.map_err(failure)?;
        let Some(id) = id_column(&connection, &columns) else {
            return Err(ImportError::NoId(table, database));
        };
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        let is_first_version = !has("_id") && !has("oob_family") && (has("id") || has("raw_mac"));
        let mut parts = Vec::new();
        for (part, reference) in PARTS.into_iter().chain([(MAC.0, MAC.1)]) {
            let columns = connection.columns(part).await.map_err(failure)?;
            let is_part =
                columns.iter().any(|column| column.name == reference) && !is_own(&columns);
            if table == TABLES[0] && is_part && !connection.is_view(part).await.map_err(failure)? {
                parts.push((part, reference, columns));
            }
        }
        let query = query(&connection, &table, &id, &columns, &parts);
        let greatest = connection.bigint(&format!("MAX({id})"));
        let quoted = connection.quoted(&table);
        let last = format!("SELECT {greatest} FROM {quoted}");
        let first = connection.bigint("MIN(nflog_id)");
        let before = format!(
            "SELECT {first} FROM (SELECT {id} AS nflog_id FROM {quoted} WHERE {id} <= {{id}} ORDER BY {id} DESC \
             LIMIT {{count}}) AS k"
        );
        Ok(Self { connection, table, identity, is_first_version, query, last, before })
    }

    /// The name of the table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Whether it is a table of ulogd 1.
    pub(super) fn is_first_version(&self) -> bool {
        self.is_first_version
    }

    /// The writer of its rows in `nflog_writers`.
    pub(super) fn writer_id(&self) -> [u8; 16] {
        let name = format!("ulogd rows of {}, table {}", self.identity, self.table);
        let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        id
    }

    /// The greatest id; 0 in an empty table.
    pub(super) async fn last_id(&mut self) -> Result<u64, StoreError> {
        ask!(&mut self.connection, id(&self.last))
    }

    /// The id before the last `count` rows that end with `id`.
    pub(super) async fn before(&mut self, id: u64, count: usize) -> Result<u64, StoreError> {
        if id == 0 || count == 0 {
            return Ok(id);
        }
        let query = self.before.replace("{id}", &id.to_string());
        let query = query.replace("{count}", &count.to_string());
        Ok(ask!(&mut self.connection, id(&query))?.saturating_sub(1))
    }

    /// The next rows after an id, in the order of their ids.
    pub(super) async fn read(
        &mut self,
        after: u64,
        count: usize,
    ) -> Result<Vec<UlogdRow>, StoreError> {
        let query = self.query.replace("{after}", &after.to_string());
        let query = query.replace("{count}", &count.to_string());
        ask!(&mut self.connection, read(&query))
    }
}

/// Whether the columns are those of our table or views.
fn is_own(columns: &[Column]) -> bool {
    OWN.iter().all(|own| columns.iter().any(|column| column.name == *own))
}

/// The first table of ulogd. Its own views, and ours, are not tables: they show rows of tables.
async fn find(connection: &mut Connection) -> Result<Option<(String, Vec<Column>)>, StoreError> {
    for table in TABLES {
        let columns = connection.columns(table).await?;
        let is_ulogd = columns.iter().any(|column| column.name == Field::Seconds.name());
        if is_ulogd && !is_own(&columns) && !connection.is_view(table).await? {
            return Ok(Some((table.to_owned(), columns)));
        }
    }
    Ok(None)
}

/// The column that identifies a row, quoted.
fn id_column(connection: &Connection, columns: &[Column]) -> Option<String> {
    if matches!(connection, Connection::Sqlite(_)) {
        return Some("rowid".into());
    }
    let has = |id: &&str| columns.iter().any(|column| column.name == *id);
    ["_id", "id"].into_iter().find(has).map(|name| connection.quoted(name))
}

/// The query that reads `{count}` rows after the id `{after}`: the id, and each field as text.
fn query(
    connection: &Connection,
    table: &str,
    id: &str,
    columns: &[Column],
    parts: &[(&str, &str, Vec<Column>)],
) -> String {
    let mut values = String::new();
    for (field, names) in Field::ALL {
        let place = names.iter().find_map(|name| {
            let tables = [("p", columns)].into_iter();
            let mut tables =
                tables.chain(parts.iter().map(|(part, _, columns)| (*part, &columns[..])));
            tables.find_map(|(table, columns)| {
                let column = columns.iter().find(|column| column.name == *name)?;
                Some((format!("{table}.{}", connection.quoted(name)), column.is_binary))
            })
        });
        let value = match place {
            None => "NULL".to_owned(),
            Some((column, is_binary)) => text(connection, field, &column, is_binary),
        };
        // Writing to a String never fails.
        let _ = write!(values, ", {value}");
    }
    let mut joins = String::new();
    for (part, reference, _) in parts {
        let key = if *part == MAC.0 { connection.quoted(MAC.2) } else { "nflog_id".to_owned() };
        let of = if *part == MAC.0 { "p" } else { "k" };
        let _ = write!(
            joins,
            " LEFT JOIN {part} ON {part}.{} = {of}.{key}",
            connection.quoted(reference)
        );
    }
    let table = connection.quoted(table);
    // The rows are limited before they are joined, and by their ids only: their values can be long.
    format!(
        "SELECT {}{values} FROM (SELECT {id} AS nflog_id FROM {table} WHERE {id} > {{after}} \
         ORDER BY {id} LIMIT {{count}}) AS k JOIN {table} AS p ON p.{id} = k.nflog_id{joins} ORDER BY k.nflog_id",
        connection.bigint("k.nflog_id")
    )
}

/// The expression of a column's value as text, of at most [`MAX_VALUE`] characters or bytes.
fn text(connection: &Connection, field: Field, column: &str, is_binary: bool) -> String {
    match (connection, field == Field::Inserted, is_binary) {
        (Connection::MySql(_), true, _) => format!("UNIX_TIMESTAMP({column})"),
        (Connection::Postgres(_), true, _) => {
            // The column is in the zone of the server, or of ulogd's user.
            let zone = "(SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')";
            format!("floor(extract(epoch FROM {column} AT TIME ZONE {zone}))::bigint::text")
        }
        (Connection::MySql(_), false, true) => {
            format!("CONCAT('x', HEX(LEFT({column}, {MAX_VALUE})))")
        }
        (Connection::MySql(_), false, false) => format!("LEFT({column}, {MAX_VALUE})"),
        (Connection::Postgres(_), false, true) => {
            format!("'x' || encode(substring({column} FROM 1 FOR {MAX_VALUE}), 'hex')")
        }
        (Connection::Postgres(_), false, false) => format!("left({column}::text, {MAX_VALUE})"),
        (Connection::Sqlite(_), ..) => {
            format!(
                "CASE typeof({column}) WHEN 'blob' THEN 'x' || hex(substr({column}, 1, {MAX_VALUE})) \
                 ELSE substr(CAST({column} AS TEXT), 1, {MAX_VALUE}) END"
            )
        }
    }
}
