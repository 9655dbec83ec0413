//! Reads rows, hour by hour, decoding them as they arrive.

use std::net::Ipv6Addr;

use super::{
    super::{READ_COLUMNS, StoreError, stored},
    http::{Client, Statement},
    lines, prepare, unexpected,
};
use crate::mirror::{row::Row, row_selection::RowSelection, target::Target};

const DOING: &str = "read rows";

/// Passes the selected rows to `take`, in any order and one by one: memory does not grow with their number. Creates
/// neither a file nor a table. Only the fields that a report needs are set.
///
/// # Errors
/// The database cannot be opened or read, or a row is invalid.
pub async fn read(
    target: &Target,
    RowSelection { period, hosts }: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    let mut client = Client::new(target)?;
    prepare::check_version(&mut client).await?;
    let within = |start: u64, end: u64| {
        let time = |micros: u64| format!("fromUnixTimestamp64Micro(toInt64({micros}))");
        format!("time BETWEEN {} AND {}", time(start), time(end))
    };
    let (start, end) = (*period.start(), (*period.end()).min(LATEST));
    let query = format!(
        "SELECT DISTINCT toUnixTimestamp(toStartOfHour(time)) AS hour FROM packets WHERE {} ORDER BY hour",
        within(start, end)
    );
    let hosts = array(hosts);
    for hour in lines(&mut client, DOING, &query).await? {
        let hour: u64 = hour.parse().map_err(|_| unexpected(DOING, &hour))?;
        let (first, last) = (hour * 1_000_000, (hour + 3600) * 1_000_000 - 1);
        // The server keeps the result until it is complete, so that an error is not mixed into it.
        let text = format!(
            "SELECT time, {READ_COLUMNS} FROM packets WHERE {} AND ({{hosts:Array(String)}} = [] \
             OR has({{hosts:Array(String)}}, host)) FORMAT RowBinary",
            within(first.max(start), last.min(end))
        );
        let settings = [("param_hosts", hosts.as_str())];
        let mut rest = Vec::new();
        let statement = Statement { doing: DOING, text: &text, settings: &settings };
        client.stream(statement, |bytes| decode(&mut rest, bytes, take)).await?;
        if !rest.is_empty() {
            let text = format!("ClickHouse: cannot {DOING}: the answer ends within a row");
            return Err(StoreError::Unavailable(text));
        }
    }
    Ok(())
}

/// The end of the year 2299, after which ClickHouse has no times.
const LATEST: u64 = 10_413_791_999_999_999;

/// A list of texts as ClickHouse parses it.
fn array(texts: &[String]) -> String {
    let quoted = |text: &String| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(","))
}

/// Decodes the rows of the bytes that were left and of the next ones. Leaves the beginning of a row.
fn decode(
    rest: &mut Vec<u8>,
    bytes: &[u8],
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    rest.extend(bytes);
    let mut at = 0;
    loop {
        let mut columns = Columns(&rest[at..]);
        let Some(row) = row(&mut columns) else { break };
        at = rest.len() - columns.0.len();
        take(row);
    }
    rest.drain(..at);
    if rest.len() > MAX_ROW {
        return Err(StoreError::Denied(format!("ClickHouse: cannot {DOING}: a row is too long")));
    }
    Ok(())
}

/// Maximum bytes of a row.
const MAX_ROW: usize = 64 << 10;

/// The columns of a result in `RowBinary`. Each method returns `None` where the bytes end before the value.
struct Columns<'a>(&'a [u8]);

#[expect(clippy::option_option, reason = "no value yet, and NULL")]
impl Columns<'_> {
    fn fixed<const SIZE: usize>(&mut self) -> Option<[u8; SIZE]> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*value)
    }

    fn text(&mut self) -> Option<String> {
        let mut length = 0;
        for shift in (0..28).step_by(7) {
            let [byte] = self.fixed()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn nullable<T>(&mut self, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        let [is_null] = self.fixed()?;
        if is_null == 0 { value(self).map(Some) } else { Some(None) }
    }

    fn small(&mut self) -> Option<Option<u8>> {
        self.nullable(|columns| columns.fixed().map(u8::from_le_bytes))
    }
}

/// The next row; `None` when its end has not arrived.
fn row(columns: &mut Columns<'_>) -> Option<Row> {
    let time = i64::from_le_bytes(columns.fixed()?);
    let prefix = columns.text()?;
    let direction = columns.nullable(Columns::text)?;
    let source = columns.nullable(Columns::fixed::<16>)?;
    let destination = columns.nullable(Columns::fixed::<16>)?;
    let ip_version = columns.small()?;
    let address = |bytes: [u8; 16]| stored::address(Ipv6Addr::from(bytes), ip_version);
    let protocol = columns.small()?;
    let length = u32::from_le_bytes(columns.fixed()?);
    let port = |columns: &mut Columns<'_>| {
        columns.nullable(|columns| columns.fixed().map(u16::from_le_bytes))
    };
    let (source_port, destination_port) = (port(columns)?, port(columns)?);
    let (tcp_flags, icmp_type, icmp_code) = (columns.small()?, columns.small()?, columns.small()?);
    let issue = columns.nullable(Columns::text)?;
    let country = columns.text()?;
    let asn = columns.nullable(|columns| columns.fixed().map(u32::from_le_bytes))?;
    let weight = u32::from_le_bytes(columns.fixed()?);
    Some(Row {
        time: time.try_into().unwrap_or(0),
        prefix: prefix.into(),
        direction: direction.as_deref().and_then(stored::direction),
        source: source.map(address),
        destination: destination.map(address),
        ip_version,
        protocol,
        length,
        source_port,
        destination_port,
        tcp_flags,
        icmp_type,
        icmp_code,
        issue: issue.as_deref().and_then(stored::issue),
        country: country.into(),
        asn,
        weight,
        ..Row::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_decoded_from_any_pieces() {
        let mut data = Vec::new();
        data.extend(7_i64.to_le_bytes());
        data.extend(*b"\x04drop\0\x02in\0");
        data.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
        data.extend([1, 0, 4, 0, 6]);
        data.extend(60_u32.to_le_bytes());
        data.extend([1, 0, 80, 0, 0, 2, 1, 1, 1]);
        data.extend(*b"\x02DE\0");
        data.extend(64_496_u32.to_le_bytes());
        data.extend(1_u32.to_le_bytes());
        let two = [data.clone(), data.clone()].concat();
        for size in [1, 7, two.len()] {
            let (mut rest, mut rows) = (Vec::new(), Vec::new());
            for piece in two.chunks(size) {
                decode(&mut rest, piece, &mut |row| rows.push(row)).unwrap();
            }
            assert_eq!((rest.len(), rows.len()), (0, 2), "{size}");
            assert_eq!(rows[0], rows[1]);
            let row = &rows[0];
            assert_eq!((row.time, row.prefix.as_str(), row.country.as_str()), (7, "drop", "DE"));
            assert_eq!(row.source, Some([192, 0, 2, 1].into()));
            assert_eq!(
                (row.destination, row.source_port, row.destination_port),
                (None, None, Some(80))
            );
            assert_eq!((row.asn, row.weight, row.length), (Some(64_496), 1, 60));
        }
    }

    #[test]
    fn names_of_hosts_are_quoted() {
        assert_eq!(array(&["a'b\\".into(), "c".into()]), r"['a\'b\\','c']");
        assert_eq!(array(&[]), "[]");
    }
}
