//! The drill-down as JSON: a page of rows, and where the next one begins.

use compact_str::CompactString;
use serde_json::{Map, Number, Value, json};

use super::{
    List,
    query::{Request, next},
};
use crate::mirror::{
    rows_query::{Column, ColumnKind, PACKET_COLUMNS, RowPosition, SOURCE_COLUMNS},
    time_text::time_text,
};

/// The field with the name of the autonomous system, which no column has.
const AS_NAME: &str = "as_name";

/// A page. `rows` has one row more than the page if there is a next one. `as_name` finds the name of a source's autonomous
/// system.
pub(super) fn write(
    list: List,
    request: &Request,
    mut rows: Vec<(Vec<Option<String>>, Option<RowPosition>)>,
    as_name: impl Fn(u32) -> Option<CompactString>,
) -> String {
    let page = request.page as usize;
    let has_next = rows.len() > page;
    rows.truncate(page);
    let end = rows.last().and_then(|(_, position)| position.clone());
    let (name, columns): (_, &[Column]) = match list {
        List::Sources => ("sources", &SOURCE_COLUMNS),
        List::Packets => ("packets", &PACKET_COLUMNS),
    };
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|(cells, _)| {
            let values = columns.iter().zip(cells);
            let values =
                values.map(|(column, cell)| (column.name.to_owned(), value(*column, cell)));
            let mut row: Map<_, _> = values.collect();
            if list == List::Sources {
                let number = row.get("asn").and_then(Value::as_u64);
                let number = number.and_then(|number| number.try_into().ok());
                row.insert(AS_NAME.into(), number.and_then(&as_name).as_deref().into());
            }
            Value::Object(row)
        })
        .collect();
    let period = &request.question.period;
    json!({
        "host": request.host,
        "since": rfc_3339(&time_text(*period.start())),
        "until": rfc_3339(&time_text(*period.end())),
        name: rows,
        "next": has_next.then(|| next(request, end.as_ref())).flatten(),
    })
    .to_string()
}

fn value(column: Column, cell: Option<String>) -> Value {
    let Some(text) = cell else { return Value::Null };
    match column.kind {
        ColumnKind::Number => {
            text.parse::<u64>().map_or(Value::Null, |number| Value::Number(Number::from(number)))
        }
        ColumnKind::Time => Value::String(rfc_3339(&text)),
        ColumnKind::Text | ColumnKind::Address | ColumnKind::Protocol => Value::String(text),
    }
}

/// The text of a time in RFC 3339.
pub(super) fn rfc_3339(text: &str) -> String {
    format!("{}Z", text.replacen(' ', "T", 1))
}
