//! Parses lists of addresses, in the formats in which they are published and saved.
//!
//! - a prefix, an address or a range on each line, with comments after `#` or `;`: `FireHOL`, Spamhaus DROP, plain lists
//! - JSON lines with the key `cidr`: Spamhaus DROP as JSON
//! - `add NAME PREFIX` of `ipset save`
//! - `elements = { … }` of `nft list set`, and `add element … { … }` of its scripts

use std::path::Path;

use super::{
    address_table::AddressTable,
    file::{NetworksError, read_lines},
    prefix::AddressRange,
    range_table::union,
};
use crate::system::files::Fingerprint;

/// Maximum number of entries of a list.
const MAX_ENTRIES: usize = 2_000_000;

/// The addresses of a list.
#[derive(Debug)]
pub(super) struct AddressSet {
    pub(super) table: AddressTable<()>,
    /// Number of entries of the file.
    pub(super) entries: usize,
}

impl AddressSet {
    /// Reads a list.
    pub(super) fn read(path: &Path) -> Result<(Self, Fingerprint), NetworksError> {
        let mut parser = Parser::default();
        let fingerprint = read_lines(path, |line| parser.line(line))?;
        Ok((parser.set(), fingerprint))
    }
}

/// The state of parsing.
#[derive(Debug, Default)]
struct Parser {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    /// Whether a block of nftables was seen: its other lines describe tables and sets.
    is_nft: bool,
    /// Whether the elements of a set have begun and not ended.
    in_elements: bool,
}

impl Parser {
    fn set(self) -> AddressSet {
        let entries = self.v4.len() + self.v6.len();
        AddressSet { table: AddressTable::new(union(self.v4), union(self.v6)), entries }
    }

    /// Parses a line without white space around it.
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with('{') && !self.in_elements {
            return self.json(line);
        }
        let line = match line.find(['#', ';']) {
            Some(comment) if !self.in_elements => line[..comment].trim_end(),
            _ => line,
        };
        if line.is_empty() || line.starts_with("//") {
            return Ok(());
        }
        if self.in_elements {
            return self.elements(line);
        }
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("create" | "flush" | "destroy" | "COMMIT") if !self.is_nft => Ok(()),
            Some("add") if !line.contains('{') && !line.ends_with("element") => {
                let entry = words.nth(1).unwrap_or_default();
                if words.any(|word| word == "nomatch") {
                    return Err("exceptions (nomatch) are not supported: remove the line".into());
                }
                self.entry(entry)
            }
            Some("table" | "set" | "add" | "elements") => self.nft(line),
            Some(_) if self.is_nft => self.nft(line),
            _ => self.entry(line),
        }
    }

    /// A line of nftables outside of elements.
    fn nft(&mut self, line: &str) -> Result<(), String> {
        self.is_nft = true;
        let has_elements = line.starts_with("elements") || line.starts_with("add element");
        let Some((_, elements)) = line.split_once('{').filter(|_| has_elements) else {
            return Ok(());
        };
        self.in_elements = true;
        self.elements(elements)
    }

    /// Elements separated by commas, up to the end of the line or of the elements.
    fn elements(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text;
        while !rest.is_empty() {
            let end = end_of_element(rest);
            let element = rest[..end].trim();
            // Timeouts, counters and comments follow the address.
            if let Some(address) = element.split_ascii_whitespace().next() {
                self.entry(address)?;
            }
            if rest[end..].starts_with('}') {
                self.in_elements = false;
                return Ok(());
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        Ok(())
    }

    /// A line of JSON: an object with the key `cidr`, or metadata.
    fn json(&mut self, line: &str) -> Result<(), String> {
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("not valid JSON: {error}"))?;
        match value.get("cidr") {
            Some(serde_json::Value::String(prefix)) => self.entry(prefix),
            None if value.get("type").is_some_and(|kind| kind == "metadata") => Ok(()),
            _ => Err("the object has no \"cidr\" with a prefix".into()),
        }
    }

    fn entry(&mut self, text: &str) -> Result<(), String> {
        match AddressRange::parse(text) {
            Some(AddressRange::V4(start, end)) => self.v4.push((start, end)),
            Some(AddressRange::V6(start, end)) => self.v6.push((start, end)),
            None => {
                let shown: String = text.chars().take(64).collect();
                return Err(format!(
                    "invalid entry {shown:?}: use an address, a prefix such as 192.0.2.0/24 or a range such as \
                     192.0.2.1-192.0.2.9"
                ));
            }
        }
        if self.v4.len() + self.v6.len() > MAX_ENTRIES {
            return Err(format!("a list has at most {MAX_ENTRIES} entries: split or shorten it"));
        }
        Ok(())
    }
}

/// The end of an element: its comma, the brace after the last one, or the end of the text. A comment is in quotes.
fn end_of_element(text: &str) -> usize {
    let mut quoted = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' | b'}' if !quoted => return index,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AddressSet, String> {
        let mut parser = Parser::default();
        text.lines().try_for_each(|line| parser.line(line.trim()))?;
        Ok(parser.set())
    }

    /// Checks the number of entries, and which addresses the list has.
    #[track_caller]
    fn check(text: &str, entries: usize, has: &[&str], has_not: &[&str]) {
        let set = parse(text).unwrap();
        assert_eq!(set.entries, entries);
        let is_on = |address: &&&str| set.table.get(address.parse().unwrap()).is_some();
        assert_eq!(has.iter().find(|it| !is_on(it)), None);
        assert_eq!(has_not.iter().find(is_on), None);
    }

    #[test]
    fn published_formats() {
        check(
            "; Spamhaus DROP List 2026/11/28\n; Expires: x\n1.10.16.0/20 ; SBL256894\n2a06:e480::/29 ; SBL301771\n",
            2,
            &["1.10.16.0", "1.10.31.255", "2a06:e480::1"],
            &["1.10.32.0", "1.10.15.255", "2a06:e488::"],
        );
        check(
            "{\"cidr\":\"1.10.16.0/20\",\"sblid\":\"SBL256894\",\"rir\":\"apnic\"}\n\
             {\"type\":\"metadata\",\"timestamp\":1,\"records\":1}\n",
            1,
            &["1.10.31.255"],
            &["1.10.32.0"],
        );
        check(
            "#\n# firehol_level1\n#\n0.0.0.0/8\n1.19.0.0/16\n5.134.128.1\n",
            3,
            &["0.1.2.3", "1.19.255.255", "5.134.128.1"],
            &["5.134.128.2", "1.0.0.0"],
        );
        check(
            "\n  # mine\n192.0.2.1 - 192.0.2.9 # range\n2001:db8::1-2001:db8::f\n// end\n",
            2,
            &["192.0.2.1", "192.0.2.9", "2001:db8::f"],
            &["192.0.2.10", "192.0.2.0", "2001:db8::10"],
        );
    }

    #[test]
    fn saved_sets() {
        check(
            "create bad hash:net family inet hashsize 1024 maxelem 65536 timeout 0\n\
             add bad 192.0.2.0/24 timeout 300\nadd bad 198.51.100.7 comment \"x\"\n",
            2,
            &["192.0.2.77", "198.51.100.7"],
            &["198.51.100.8"],
        );
        check(
            "table inet filter {\n\tset bad {\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n\t\tauto-merge\n\
             \t\telements = { 192.0.2.0/24 timeout 1d expires 2h comment \"a, b } c\",\n\
             \t\t\t     198.51.100.1-198.51.100.9,\n\t\t\t     203.0.113.5 }\n\t}\n\
             \tset six {\n\t\ttype ipv6_addr\n\t\telements = { 2001:db8::/32 }\n\t}\n}\n",
            4,
            &["192.0.2.77", "198.51.100.9", "203.0.113.5", "2001:db8::1"],
            &["198.51.100.10", "203.0.113.6"],
        );
        check(
            "add set inet t bad { type ipv4_addr; flags interval; }\n\
             add element inet t bad { 192.0.2.1, 192.0.2.3 }\nadd element inet t bad { 192.0.2.5 }\n",
            3,
            &["192.0.2.1", "192.0.2.3", "192.0.2.5"],
            &["192.0.2.2"],
        );
    }

    #[test]
    fn invalid_lines_are_explained() {
        let check = |text: &str, expect: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expect), "{text:?}: {error}");
        };
        check("example.net", "invalid entry \"example.net\": use an address,");
        check("192.0.2.1 192.0.2.2", "invalid entry");
        check("<html>", "invalid entry");
        check("add bad 192.0.2.0/24 nomatch", "exceptions (nomatch)");
        check("add bad 192.0.2.0/24,tcp:80", "invalid entry");
        check("add bad", "invalid entry \"\"");
        check("{\"cidr\": 7}", "the object has no");
        check("{\"ip\": \"192.0.2.1\"}", "the object has no");
        check("{", "not valid JSON");
        check("elements = { 192.0.2.1, x }", "invalid entry \"x\"");
    }

    proptest::proptest! {
        /// No text makes the parser panic, and an accepted entry is in the set.
        #[test]
        fn any_text(text in "(\\PC|\n|[0-9./:;,#{}\" -]|elements = \\{|add ){0,80}") {
            let _ = parse(&text);
        }
    }
}
