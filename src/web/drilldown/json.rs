//! The drill-down as JSON: a page of rows, and where the next one begins.

use serde_json::{Map, Number, Value, json};

use super::{
    List,
    query::{Request, next},
};
use crate::mirror::{
    rows_query::{Column, ColumnKind, PACKET_COLUMNS, RowPosition, SOURCE_COLUMNS},
    time_text::time_text,
};

/// A page. `rows` has one row more than the page if there is a next one.
pub(super) fn write(
    list: List,
    request: &Request,
    mut rows: Vec<(Vec<Option<String>>, Option<RowPosition>)>,
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
            Value::Object(values.collect::<Map<_, _>>())
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
