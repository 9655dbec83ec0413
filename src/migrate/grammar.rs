//! Parses `ulogd.conf` as ulogd does (`src/conffile.c`): lines, words, sections, numbers.

use super::MigrateError;

/// Maximum length of a line that ulogd reads at once, bytes (`LINE_LEN` without the NUL of `fgets`).
const LINE: usize = 254;

/// Maximum length of a value, bytes (`CONFIG_VAL_STRING_LEN` without its NUL).
const VALUE: usize = 224;

/// Separators of words in settings and in section headers.
pub(super) const BETWEEN_WORDS: &[u8] = b" =\t\n\r";
pub(super) const AROUND_NAMES: &[u8] = b" \t\n\r[]";

/// The settings of a section that ulogd parses, in order.
pub(super) struct ConfSection {
    name: String,
    /// Whether the file has the section.
    pub(super) exists: bool,
    settings: Vec<Setting>,
    /// Notes on what ulogd ignores: unknown keys, and lines after a duplicate key.
    pub(super) ignored: Vec<String>,
}

/// A key with its value.
struct Setting {
    line: usize,
    key: String,
    /// The word after the key; `None` if there is none.
    value: Option<Vec<u8>>,
}

impl ConfSection {
    /// Parses the first section of this name. Only the keys in `repeatable` may be repeated; at another
    /// duplicate key, ulogd stops parsing the section.
    ///
    /// # Errors
    /// A line before the section's end that ulogd does not parse.
    pub(super) fn read(
        text: &[u8],
        name: &str,
        keys: &[&str],
        repeatable: &[&str],
    ) -> Result<Self, MigrateError> {
        Self::read_from(text, name, false, keys, repeatable)
    }

    /// Parses the lines of a file that has no section headers.
    ///
    /// # Errors
    /// A line that ulogd does not parse.
    pub(super) fn read_without_header(
        text: &[u8],
        keys: &[&str],
        repeatable: &[&str],
    ) -> Result<Self, MigrateError> {
        Self::read_from(text, "global", true, keys, repeatable)
    }

    fn read_from(
        text: &[u8],
        name: &str,
        exists: bool,
        keys: &[&str],
        repeatable: &[&str],
    ) -> Result<Self, MigrateError> {
        let mut section =
            Self { name: name.to_owned(), exists, settings: Vec::new(), ignored: Vec::new() };
        for (line, piece) in pieces(text) {
            if piece.starts_with(b"#") {
                continue;
            }
            if !piece.ends_with(b"\n") {
                return Err(MigrateError::Line { line });
            }
            if !section.exists {
                let first = word(piece, AROUND_NAMES).map(|(word, _)| word);
                section.exists = first == Some(name.as_bytes());
                continue;
            }
            let Some((key, rest)) = word(piece, BETWEEN_WORDS) else {
                if !piece.trim_ascii().is_empty() {
                    section.ignored.push(format!("[{name}] line {line}: ulogd finds no key in it"));
                }
                continue;
            };
            if key.starts_with(b"[") {
                break;
            }
            let key = String::from_utf8_lossy(key).into_owned();
            if !keys.contains(&key.as_str()) {
                // The value is not quoted: it could be a password.
                section
                    .ignored
                    .push(format!("[{name}] {key} (line {line}): ulogd does not have this key"));
                continue;
            }
            let is_known = section.settings.iter().any(|setting| setting.key == key);
            if is_known && !repeatable.contains(&key.as_str()) {
                section.ignored.push(format!(
                    "[{name}] {key} (line {line}): it is duplicated, and ulogd ignores the rest of the section"
                ));
                break;
            }
            let value = word(rest, BETWEEN_WORDS).map(|(value, _)| value.to_owned());
            section.settings.push(Setting { line, key, value });
        }
        Ok(section)
    }

    /// The settings whose keys begin with a prefix, as a section with the keys after it.
    pub(super) fn with_prefix(&self, prefix: &str, name: &str) -> Self {
        let settings = self.settings.iter().filter_map(|Setting { line, key, value }| {
            let key = key.strip_prefix(prefix)?.to_owned();
            Some(Setting { line: *line, key, value: value.clone() })
        });
        let settings: Vec<_> = settings.collect();
        let exists = !settings.is_empty();
        Self { name: name.to_owned(), exists, settings, ignored: Vec::new() }
    }

    /// The keys in the section, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(|setting| setting.key.as_str())
    }

    /// The text of a key.
    ///
    /// # Errors
    /// It has no value, one that is too long for ulogd, or one that is not UTF-8.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, MigrateError> {
        self.all(key).next().transpose()
    }

    /// The texts of a repeatable key.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = Result<String, MigrateError>> {
        let of_key = self.settings.iter().filter(move |setting| setting.key == key);
        of_key.map(|setting| {
            let value = self.value(setting)?;
            String::from_utf8(value.to_owned())
                .map_err(|_| self.unreadable(setting, "is not UTF-8; write it in UTF-8".into()))
        })
    }

    /// The number of a key, parsed like `strtoul(…, 0)`; and its text, if that looks like another number.
    ///
    /// # Errors
    /// There is no number, or it is out of range, so that ulogd would use another one.
    pub(super) fn number(
        &self,
        key: &str,
        most: u32,
    ) -> Result<Option<(u32, Option<String>)>, MigrateError> {
        let Some(setting) = self.settings.iter().find(|setting| setting.key == key) else {
            return Ok(None);
        };
        let value = self.value(setting)?;
        let text = String::from_utf8_lossy(value).into_owned();
        match strtoul(value) {
            Some(number) if (0..=i128::from(most)).contains(&number) => {
                let number = u32::try_from(number).unwrap_or(most);
                let differs = text != number.to_string();
                Ok(Some((number, differs.then_some(text))))
            }
            Some(_) => {
                let what = format!("is {text}, outside of 0 to {most}; use a number in this range");
                Err(self.unreadable(setting, what))
            }
            None => Err(self
                .unreadable(setting, format!("is {text:?}, which is not a number; use a number"))),
        }
    }

    fn value<'s>(&self, setting: &'s Setting) -> Result<&'s [u8], MigrateError> {
        match &setting.value {
            Some(value) if value.len() <= VALUE => Ok(value),
            Some(_) => {
                let what = format!(
                    "is longer than {VALUE} bytes, which ulogd does not accept; shorten it"
                );
                Err(self.unreadable(setting, what))
            }
            None => {
                let what =
                    "has no value, or its closing quote is missing; add it, or remove the line";
                Err(self.unreadable(setting, what.into()))
            }
        }
    }

    fn unreadable(&self, setting: &Setting, what: String) -> MigrateError {
        MigrateError::Value {
            line: setting.line,
            section: self.name.clone(),
            key: setting.key.clone(),
            what,
        }
    }
}

/// Splits a file like `fgets`: pieces up to a newline, or of [`LINE`] bytes, each with its line number and
/// truncated at a zero byte.
pub(super) fn pieces(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = text;
    let mut line = 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let newline = rest.iter().take(LINE).position(|byte| *byte == b'\n');
        let length = newline.map_or(LINE.min(rest.len()), |at| at + 1);
        let (piece, after) = rest.split_at(length);
        let number = line;
        line += usize::from(newline.is_some());
        rest = after;
        Some((number, piece.split(|byte| *byte == 0).next().unwrap_or_default()))
    })
}

/// The first word and the rest (`get_word`): a quoted word, or one that ends at one of these bytes.
pub(super) fn word<'t>(text: &'t [u8], ends: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let start = text.iter().position(|byte| !ends.contains(byte))?;
    let text = &text[start..];
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        return Some((&quoted[..end], &quoted[end + 1..]));
    }
    let end = text.iter().position(|byte| ends.contains(byte))?;
    Some(text.split_at(end))
}

/// The number at the start of a text, like `strtoul` with base 0: decimal, octal after `0`, hexadecimal after
/// `0x`; the rest is ignored. `None` without a digit.
fn strtoul(text: &[u8]) -> Option<i128> {
    let text = text.trim_ascii_start();
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let hexadecimal =
        text.len() > 2 && text[..2].eq_ignore_ascii_case(b"0x") && text[2].is_ascii_hexdigit();
    let (base, digits) = match text {
        _ if hexadecimal => (16, &text[2..]),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut number = None;
    for byte in digits {
        let Some(digit) = char::from(*byte).to_digit(base) else { break };
        // Clamped: larger numbers are out of every range.
        let higher = number.unwrap_or(0_i128).saturating_mul(i128::from(base));
        number = Some(higher.saturating_add(i128::from(digit)).min(i128::from(u64::MAX)));
    }
    number.map(|number| if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<i128>) {
        assert_eq!(strtoul(text.as_bytes()), expect, "{text}");
    }

    #[test]
    fn numbers_are_those_of_strtoul() {
        check("5", Some(5));
        check("5#", Some(5));
        check("5x7", Some(5));
        check("+5", Some(5));
        check("-1", Some(-1));
        check("010", Some(8));
        check("08", Some(0));
        check("0x05", Some(5));
        check("0XfF", Some(255));
        check("0xg", Some(0));
        check("0b101", Some(0));
        check("99999999999999999999", Some(i128::from(u64::MAX)));
        check("", None);
        check("x", None);
        check("-", None);
        check("#5", None);
    }

    fn words(text: &str, ends: &[u8]) -> Option<(String, String)> {
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        word(text.as_bytes(), ends).map(|(word, rest)| (text_of(word), text_of(rest)))
    }

    #[test]
    fn words_end_at_a_blank_or_a_quote() {
        let found = |word: &str, rest: &str| Some((word.to_owned(), rest.to_owned()));
        assert_eq!(words(" a = b\n", BETWEEN_WORDS), found("a", " = b\n"));
        assert_eq!(words("=b\n", BETWEEN_WORDS), found("b", "\n"));
        assert_eq!(words("\t\"a b\"c\n", BETWEEN_WORDS), found("a b", "c\n"));
        assert_eq!(words("a\"b c\"\n", BETWEEN_WORDS), found("a\"b", " c\"\n"));
        assert_eq!(words("\"\"\n", BETWEEN_WORDS), found("", "\n"));
        assert_eq!(words("\"a\n", BETWEEN_WORDS), None);
        assert_eq!(words(" \n", BETWEEN_WORDS), None);
        assert_eq!(words(" [ l ] x\n", AROUND_NAMES), found("l", " ] x\n"));
    }

    #[test]
    fn lines_come_in_pieces() {
        let long = [b"#".repeat(LINE), b"group=6\n\nx".to_vec()].concat();
        let found: Vec<_> = pieces(&long).collect();
        assert_eq!(found[0].1.len(), LINE);
        assert_eq!(&found[1..], [(1, &b"group=6\n"[..]), (2, b"\n"), (3, b"x")]);
        assert_eq!(pieces(b"a\0b\n").next(), Some((1, &b"a"[..])));
    }
}
