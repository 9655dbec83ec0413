//! Markers as XML.

use std::fmt::Write as _;

use super::{
    search::{Marker, MarkerList},
    seconds,
};

/// Bytes of a typical marker.
const MARKER_LENGTH: usize = 128;

/// Writes the markers.
pub(in crate::web) fn write(found: &MarkerList) -> String {
    let MarkerList { markers, left_out, held, reach } = found;
    let mut page = String::with_capacity(256 + markers.len() * MARKER_LENGTH);
    page.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<markers");
    attribute(&mut page, "entries", &markers.len().to_string());
    attribute(&mut page, "left_out", &left_out.to_string());
    attribute(&mut page, "held", &held.to_string());
    if let Some((oldest, newest)) = *reach {
        attribute(&mut page, "oldest", &seconds(oldest).to_string());
        attribute(&mut page, "newest", &seconds(newest).to_string());
    }
    page.push_str(">\n");
    for Marker { country, latitude, longitude, city } in markers {
        let info = country.info();
        page.push_str("<marker");
        attribute(&mut page, "country_code", info.code);
        attribute(&mut page, "country_name", info.name);
        attribute(&mut page, "lng", &longitude.to_string());
        attribute(&mut page, "lat", &latitude.to_string());
        if !city.is_empty() {
            attribute(&mut page, "city", city);
        }
        page.push_str("/>\n");
    }
    page.push_str("</markers>\n");
    page
}

/// Writes an attribute. A parser reads back the same text, except for characters that XML 1.0 cannot
/// represent.
fn attribute(page: &mut String, name: &str, value: &str) {
    page.push(' ');
    page.push_str(name);
    page.push_str("=\"");
    for character in value.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&apos;"),
            // Parsers read them as spaces when they are not escaped. Writing to a string does not fail.
            '\t' | '\n' | '\r' => {
                let _ = write!(page, "&#{};", u32::from(character));
            }
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => page.push(char::REPLACEMENT_CHARACTER),
            other => page.push(other),
        }
    }
    page.push('"');
}
