//! Answers questions of the drill-down, with statements that can only read.

use std::{net::IpAddr, time::Duration};

use super::{
    super::{RowReader, Stop, StoreError},
    http::{Client, Statement as Request},
    unexpected,
};
use crate::mirror::{
    rows_query::{Dialect, Parameter, Statement},
    target::Target,
};

const DOING: &str = "read rows";

/// Time by which the server's own limit is longer than ours.
const MARGIN: Duration = Duration::from_secs(1);

/// Maximum bytes of a row as JSON.
const MAX_LINE: usize = 64 << 10;

/// A client of a ClickHouse server whose statements can only read.
pub struct ClickHouseReader {
    client: Client,
    stop: Stop,
}

impl RowReader for ClickHouseReader {
    const DIALECT: Dialect = Dialect::ClickHouse;

    async fn open(target: &Target, stop: &Stop) -> Result<Self, StoreError> {
        let mut client = Client::new(target)?;
        client.run(Request { doing: DOING, text: "SELECT 1", settings: &[] }).await?;
        Ok(Self { client, stop: stop.clone() })
    }

    async fn select(
        &mut self,
        statement: &Statement,
        take: &mut (dyn FnMut(Vec<Option<String>>) + Send),
    ) -> Result<(), StoreError> {
        let limit = (self.stop.remaining() + MARGIN).as_secs_f64().to_string();
        let parameters = (1..).zip(&statement.parameters);
        let parameters: Vec<_> = parameters
            .map(|(number, parameter)| (format!("param_p{number}"), text(parameter)))
            .collect();
        let mut settings = vec![
            // Otherwise than 1, it allows the settings that follow.
            ("readonly", "2"),
            ("max_execution_time", &limit),
            // A dropped call closes the connection, which ends the statement.
            ("cancel_http_readonly_queries_on_client_close", "1"),
        ];
        settings.extend(parameters.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        let query = format!("{} FORMAT JSONCompactEachRow", statement.text);
        let mut rest = Vec::new();
        let request = Request { doing: DOING, text: &query, settings: &settings };
        self.client.stream(request, |bytes| decode(&mut rest, bytes, take)).await?;
        if rest.is_empty() { Ok(()) } else { Err(unexpected(DOING, "a row without its end")) }
    }

    async fn abandon(self) {}
}

/// A parameter as ClickHouse parses it: texts are escaped.
fn text(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Text(text) => text
            .replace('\\', "\\\\")
            .replace('\t', "\\t")
            .replace('\n', "\\n")
            .replace('\r', "\\r"),
        Parameter::Time(text) => text.clone(),
        Parameter::Number(number) => number.to_string(),
        Parameter::Address(IpAddr::V4(address)) => address.to_ipv6_mapped().to_string(),
        Parameter::Address(IpAddr::V6(address)) => address.to_string(),
    }
}

/// Decodes the rows of the bytes that were left and of the next ones. Leaves the beginning of a row.
fn decode(
    rest: &mut Vec<u8>,
    bytes: &[u8],
    take: &mut (dyn FnMut(Vec<Option<String>>) + Send),
) -> Result<(), StoreError> {
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        rest.extend(part);
        if rest.len() > MAX_LINE {
            return Err(unexpected(DOING, "a row that is too long"));
        }
        if part.ends_with(b"\n") {
            let row = serde_json::from_slice(rest)
                .map_err(|_| unexpected(DOING, &String::from_utf8_lossy(rest)))?;
            take(row);
            rest.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_decoded_from_any_pieces() {
        let data = b"[\"a\\n\",null]\n[\"1\",\"\"]\n";
        let expect =
            [vec![Some("a\n".to_owned()), None], vec![Some("1".into()), Some(String::new())]];
        for size in [1, 5, data.len()] {
            let (mut rest, mut rows) = (Vec::new(), Vec::new());
            for piece in data.chunks(size) {
                decode(&mut rest, piece, &mut |row| rows.push(row)).unwrap();
            }
            assert_eq!((rest.len(), &*rows), (0, &expect[..]), "{size}");
        }
        assert!(decode(&mut Vec::new(), b"<html>\n", &mut drop).is_err());
        assert!(decode(&mut Vec::new(), &vec![b'['; MAX_LINE + 1], &mut drop).is_err());
    }

    #[test]
    fn texts_are_escaped_and_addresses_have_one_version() {
        assert_eq!(text(&Parameter::Text("a\\n\t'".into())), "a\\\\n\\t'");
        assert_eq!(text(&Parameter::Address([192, 0, 2, 1].into())), "::ffff:192.0.2.1");
    }
}
