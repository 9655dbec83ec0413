//! The drill-down as CSV, RFC 4180.

use super::{List, json::rfc_3339};
use crate::mirror::rows_query::{Column, ColumnKind, PACKET_COLUMNS, SOURCE_COLUMNS};

/// Characters with which a spreadsheet begins a formula (OWASP, "CSV Injection").
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

fn columns(list: List) -> &'static [Column] {
    match list {
        List::Sources => &SOURCE_COLUMNS,
        List::Packets => &PACKET_COLUMNS,
    }
}

/// The first line: the names of the columns.
pub(super) fn header(list: List) -> String {
    let names: Vec<_> = columns(list).iter().map(|column| column.name).collect();
    names.join(",") + "\r\n"
}

/// Adds the line of a row.
pub(super) fn write(text: &mut String, list: List, cells: Vec<Option<String>>) {
    for (at, (column, cell)) in columns(list).iter().zip(cells).enumerate() {
        if at > 0 {
            text.push(',');
        }
        let cell = cell.unwrap_or_default();
        match column.kind {
            ColumnKind::Number | ColumnKind::Address | ColumnKind::Protocol => text.push_str(&cell),
            ColumnKind::Time if cell.is_empty() => {}
            ColumnKind::Time => text.push_str(&rfc_3339(&cell)),
            ColumnKind::Text => write_text(text, &cell),
        }
    }
    text.push_str("\r\n");
}

/// Adds a text from a packet, a rule or a database: quoted if necessary, and never a formula.
fn write_text(text: &mut String, cell: &str) {
    let guard = if cell.starts_with(FORMULA) { "'" } else { "" };
    if cell.contains(['"', ',', '\r', '\n']) {
        text.push('"');
        text.push_str(guard);
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(guard);
        text.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_never_formulas() {
        for (cell, expect) in [
            ("", ""),
            ("drop", "drop"),
            ("a b'c", "a b'c"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-2+3", "'-2+3"),
            ("+1", "'+1"),
            ("\tx", "'\tx"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
        ] {
            let mut text = String::new();
            write_text(&mut text, cell);
            assert_eq!(text, expect);
        }
    }

    #[test]
    fn a_row_has_all_columns_of_the_header() {
        let mut text = header(List::Sources);
        let cells = ["203.0.113.7", "12", "2", "2026-11-23 12:00:00.000000"];
        let mut cells: Vec<_> = cells.map(|cell| Some(cell.to_owned())).into();
        cells.resize(SOURCE_COLUMNS.len(), None);
        write(&mut text, List::Sources, cells);
        assert_eq!(
            text,
            "address,packets,ports,first_seen,last_seen,country,city,asn\r\n\
             203.0.113.7,12,2,2026-11-23T12:00:00.000000Z,,,,\r\n"
        );
    }
}
