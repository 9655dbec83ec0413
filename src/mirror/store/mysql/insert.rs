//! Encodes rows as parameters, and inserts many at once.
//!
//! MariaDB has a bulk statement for many rows of parameters, the fastest of the safe ways. Other servers get
//! statements of many rows, in sizes that are powers of two, so that a few prepared ones fit every batch.

use std::net::IpAddr;

use mysql_async::{Conn, Params, Statement, Value, prelude::Queryable};

use super::{super::StoreError, column, error::failure, settings};
use crate::mirror::{
    day::{Day, LATEST},
    row::{Row, sixteen_bytes},
    schema::{WIDTH, columns},
};

/// Maximum rows of a statement, as a power of two. 512 rows of the longest texts take 900 kB: they fit
/// the smallest `max_allowed_packet` in use, 1 MiB, and the 65,535 parameters of a statement.
const MAX_POWER: usize = 9;

/// The statements, prepared on first use.
#[derive(Debug)]
pub(super) enum Inserts {
    /// MariaDB's bulk statement: one row, executed for many.
    Bulk(Option<Statement>),
    /// Statements of 1, 2, 4 … rows.
    Many(Vec<Option<Statement>>),
}

impl Inserts {
    /// Detects which way the server supports.
    pub(super) async fn new(connection: &mut Conn) -> Result<Self, StoreError> {
        let doing = "read the version";
        let row = column::first(connection, "SELECT VERSION(), @@max_allowed_packet").await;
        let row = row.map_err(|error| failure(doing, &error))?.ok_or_else(|| {
            StoreError::Unavailable("MySQL: the server returned no version".into())
        })?;
        let version: String = column::value(&row, 0, doing)?;
        let packet: u64 = column::value(&row, 1, doing)?;
        // The driver sends the types of the parameters with the first packet of a call only, so each call must fit
        // into one packet.
        let bulk = version.to_lowercase().contains("mariadb")
            && packet >= 1 << 20
            && !settings::logs_statements(connection).await?
            // MariaDB 10.11 reports success for a bulk statement whose transaction another node's has aborted, so that
            // the next one would be committed alone.
            && !settings::is_node(connection).await?;
        Ok(if bulk { Self::Bulk(None) } else { Self::Many(vec![None; MAX_POWER + 1]) })
    }

    pub(super) async fn insert(
        &mut self,
        connection: &mut Conn,
        host: &str,
        rows: &[Row],
    ) -> Result<(), StoreError> {
        match self {
            Self::Bulk(statement) => {
                let statement = prepared(connection, statement, 1).await?;
                for rows in rows.chunks(1 << MAX_POWER) {
                    let rows = rows.iter().map(|row| {
                        let mut values = Vec::with_capacity(WIDTH);
                        parameters(host, row, &mut values);
                        Params::Positional(values)
                    });
                    connection
                        .exec_batch(statement, rows)
                        .await
                        .map_err(|error| failure("insert rows", &error))?;
                }
            }
            Self::Many(statements) => {
                let mut rest = rows;
                while !rest.is_empty() {
                    let size = MAX_POWER.min(rest.len().ilog2() as usize);
                    let (now, later) = rest.split_at(1 << size);
                    rest = later;
                    let mut values = Vec::with_capacity(WIDTH * now.len());
                    for row in now {
                        parameters(host, row, &mut values);
                    }
                    let statement = prepared(connection, &mut statements[size], now.len()).await?;
                    connection
                        .exec_drop(statement, Params::Positional(values))
                        .await
                        .map_err(|error| failure("insert rows", &error))?;
                }
            }
        }
        Ok(())
    }
}

async fn prepared<'a>(
    connection: &mut Conn,
    statement: &'a mut Option<Statement>,
    rows: usize,
) -> Result<&'a Statement, StoreError> {
    let made = match statement.take() {
        Some(made) => made,
        None => connection
            .prep(text(rows))
            .await
            .map_err(|error| failure("prepare the insertion of rows", &error))?,
    };
    Ok(statement.insert(made))
}

fn text(rows: usize) -> String {
    let row = format!("({})", vec!["?"; WIDTH].join(","));
    format!("INSERT INTO packets ({}) VALUES {}", columns(), vec![row; rows].join(","))
}

/// The values of a row. Each column always has the same type: MariaDB reads the types once for each batch.
fn parameters(host: &str, row: &Row, values: &mut Vec<Value>) {
    values.extend([
        time(row.time),
        Value::from(row.host(host)),
        Value::UInt(row.group.into()),
        Value::from(row.prefix.as_str()),
        // The values of an ENUM count from 1.
        number(row.hook.map(|hook| hook as u8 + 1)),
        number(row.direction.map(|direction| direction as u8 + 1)),
        Value::from(row.in_device.as_str()),
        Value::from(row.out_device.as_str()),
        Value::UInt(row.mark.into()),
        number(row.uid),
        some_bytes(row.hardware_address.as_bytes()),
        number(row.ip_version),
        address(row.source),
        address(row.destination),
        number(row.protocol),
        Value::UInt(row.length.into()),
        Value::UInt(row.captured_length.into()),
        number(row.ttl),
        number(row.source_port),
        number(row.destination_port),
        number(row.tcp_flags),
        number(row.icmp_type),
        number(row.icmp_code),
        number(row.issue.map(|issue| issue as u8 + 1)),
        Value::from(row.country.as_str()),
        some_bytes(row.city.as_bytes()),
        row.latitude.map_or(Value::NULL, Value::Double),
        row.longitude.map_or(Value::NULL, Value::Double),
        number(row.asn),
        Value::UInt(row.weight.into()),
        number(row.context.ct_state.map(|state| state as u8 + 1)),
        number(row.context.ct_zone),
        some_bytes(row.context.source_network_name.as_bytes()),
        some_bytes(row.context.destination_network_name.as_bytes()),
        some_bytes(row.context.list.as_bytes()),
    ]);
}

/// Microseconds since 1970 as a DATETIME, capped at the end of the year 9999.
#[expect(clippy::cast_possible_truncation, reason = "within the ranges of a clock")]
fn time(micros: u64) -> Value {
    let micros = micros.min(LATEST);
    let day = Day::of_micros(micros);
    let (year, month, date) = day.date();
    let rest = micros - day.start_micros();
    let seconds = rest / 1_000_000;
    Value::Date(
        u16::try_from(year).unwrap_or(9999),
        month,
        date,
        (seconds / 3_600) as u8,
        (seconds / 60 % 60) as u8,
        (seconds % 60) as u8,
        (rest % 1_000_000) as u32,
    )
}

fn number<T: Into<u64>>(value: Option<T>) -> Value {
    value.map_or(Value::NULL, |value| Value::UInt(value.into()))
}

fn some_bytes(bytes: &[u8]) -> Value {
    if bytes.is_empty() { Value::NULL } else { Value::Bytes(bytes.to_vec()) }
}

fn address(address: Option<IpAddr>) -> Value {
    address.map_or(Value::NULL, |address| Value::Bytes(sixteen_bytes(address).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{ConnectionState, Hook},
        mirror::{schema, store::Kind},
        packet::{DecodeIssue, Direction},
    };

    #[test]
    fn as_many_values_as_columns() {
        assert_eq!(columns().split(',').count(), WIDTH);
        assert_eq!(text(2).matches('?').count(), 2 * WIDTH);
    }

    #[test]
    fn enums_match_the_order_of_their_numbers() {
        let listed = |names: Vec<&str>| format!("ENUM('{}')", names.join("', '"));
        let ddl = schema::ddl(Kind::MySql);
        let states = listed(ConnectionState::ALL.map(ConnectionState::name).to_vec());
        assert!(ddl.contains(&states.replace('\'', "''")), "the added column {states}");
        let lists = [
            ("ct_state", states),
            ("hook", listed(Hook::ALL.map(Hook::name).to_vec())),
            ("direction", listed(Direction::ALL.map(Direction::name).to_vec())),
            ("flaw", listed(DecodeIssue::ALL.map(DecodeIssue::name).to_vec())),
        ];
        for (column, list) in lists {
            assert!(ddl.contains(&format!("  {column} {list},")), "{column} {list}");
        }
        assert!(Hook::ALL.iter().enumerate().all(|(number, hook)| *hook as usize == number));
        assert!(
            DecodeIssue::ALL.iter().enumerate().all(|(number, issue)| *issue as usize == number)
        );
    }

    #[test]
    fn times() {
        assert_eq!(time(0), Value::Date(1970, 1, 1, 0, 0, 0, 0));
        assert_eq!(time(951_827_696_789_012), Value::Date(2000, 2, 29, 12, 34, 56, 789_012));
        assert_eq!(time(u64::MAX), Value::Date(9999, 12, 31, 23, 59, 59, 999_999));
    }
}
