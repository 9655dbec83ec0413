//! Rules in the format of iptables-restore: iptables-save, ip6tables-save and the files of ufw.

use std::{collections::HashSet, ops::Range};

use super::{
    RulesError,
    edits::Edits,
    iptables_jump::{Jump, is_text_option, jump},
    iptables_targets::{Change, LOG, Target, ULOG, ULOG_GROUP},
    iptables_words::{Word, words},
};

/// Longest prefix that NFLOG accepts, bytes.
const MAX_PREFIX: usize = 63;

/// Converts each rule. Rules with LOG get the group.
pub(super) fn convert(text: &[u8], group: u16, edits: &mut Edits<'_>) -> Result<(), RulesError> {
    let chains = own_chains(text);
    let mut table = &b""[..];
    for (number, line, start) in lines(text) {
        match line.trim_ascii_start().first() {
            Some(b'*') => table = line.trim_ascii(),
            None | Some(b'#' | b':') => {}
            Some(_) => {
                let words = words(line, start);
                let Some(Jump { index, place, name }) = jump(&words) else { continue };
                let target = match name {
                    b"LOG" => &LOG,
                    b"ULOG" => &ULOG,
                    _ => continue,
                };
                if chains.contains(&(table, target.name.as_bytes())) {
                    continue;
                }
                Rule { number, text, words: &words[index..], target }
                    .convert(place, group, edits)?;
            }
        }
    }
    if text.windows(20).any(|part| part == b"-A ufw-after-logging") {
        edits.note(1, "ufw writes its logging rules again at each `ufw logging LEVEL`; migrate them again then");
    }
    Ok(())
}

/// The lines of a text: number from 1, bytes, and place of the first byte.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8], usize)> {
    let mut start = 0;
    text.split_inclusive(|&byte| byte == b'\n').enumerate().map(move |(index, line)| {
        let place = start;
        start += line.len();
        (index + 1, line, place)
    })
}

/// The chains that the text itself creates, with their tables: `-j LOG` jumps to a chain of that name.
fn own_chains(text: &[u8]) -> HashSet<(&[u8], &[u8])> {
    let mut table = &b""[..];
    let mut chains = HashSet::new();
    for (_, line, _) in lines(text) {
        let line = line.trim_ascii();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        match line.first() {
            Some(b'*') => table = line,
            Some(b':') => chains.extend(words.next().map(|word| (table, &word[1..]))),
            Some(b'-') => {
                if matches!(words.next(), Some(b"-N" | b"--new-chain" | b"--new")) {
                    chains.extend(words.next().map(|word| (table, word)));
                }
            }
            _ => {}
        }
    }
    chains
}

/// A rule whose target logs.
struct Rule<'a> {
    number: usize,
    text: &'a [u8],
    /// The words from the target on.
    words: &'a [Word],
    target: &'static Target,
}

impl Rule<'_> {
    fn convert(
        &self,
        place: Range<usize>,
        group: u16,
        edits: &mut Edits<'_>,
    ) -> Result<(), RulesError> {
        let group = if self.target.name == ULOG.name { self.ulog_group()? } else { group };
        edits.changed(self.number, self.target.name, group);
        edits.replace(place, format!("NFLOG --nflog-group {group}").as_bytes());
        let mut index = 1;
        while let Some(word) = self.words.get(index) {
            match self.option(word) {
                Some((name, change)) => index += self.change(index, name, change, edits)?,
                None if is_text_option(&word.value) => index += 2,
                None => index += 1,
            }
        }
        Ok(())
    }

    /// The option that a word names, also abbreviated and with `=VALUE`, as getopt accepts it.
    fn option(&self, word: &Word) -> Option<(&'static str, Change)> {
        let name = option_name(&word.value);
        let minimum = if self.target.name == LOG.name { "--log-".len() } else { "--ulog-".len() };
        let mut found = self
            .target
            .options
            .iter()
            .filter(|(option, _)| name.len() > minimum && option.as_bytes().starts_with(name));
        let exact = self.target.options.iter().find(|(option, _)| option.as_bytes() == name);
        match (exact, found.next(), found.next()) {
            (Some(exact), ..) => Some(*exact),
            (None, Some(only), None) => Some(*only),
            _ => None,
        }
    }

    /// Changes the option at an index. Returns its number of words.
    fn change(
        &self,
        index: usize,
        name: &'static str,
        change: Change,
        edits: &mut Edits<'_>,
    ) -> Result<usize, RulesError> {
        let word = &self.words[index];
        let (value, last) = self.value(index);
        let mut rename = |to: &[u8]| {
            let length = option_name(&word.value).len();
            edits.replace(word.place.start..word.place.start + length, to);
        };
        let removed = self.words[index - 1].place.end..last.place.end;
        match change {
            // Without a prefix, NFLOG sends an empty one; it rejects an empty value.
            Change::Prefix if value.is_empty() => edits.replace(removed, b""),
            Change::Prefix => {
                rename(b"--nflog-prefix");
                if value.len() > MAX_PREFIX {
                    let why = format!("iptables accepts at most {MAX_PREFIX} bytes; shorten it");
                    edits.not_migrated(self.number, value, &why);
                }
            }
            // The group is part of the new target.
            Change::Group => edits.replace(removed, b""),
            Change::Size => {
                if self.number_of(name, value, "a number of bytes")? == 0 {
                    edits.replace(removed, b"");
                } else {
                    rename(b"--nflog-size");
                }
            }
            Change::Threshold => {
                self.number_of(name, value, "1 to 50")?;
                rename(b"--nflog-threshold");
            }
            Change::NoneWithValue(why) => {
                edits.not_migrated(self.number, &self.text[word.place.start..last.place.end], why);
                edits.replace(removed, b"");
            }
            Change::None(why) => {
                edits.not_migrated(self.number, &word.value, why);
                edits.replace(self.words[index - 1].place.end..word.place.end, b"");
                return Ok(1);
            }
        }
        Ok(if std::ptr::eq(word, last) { 1 } else { 2 })
    }

    /// The value of the option at an index, and the word that holds it.
    fn value(&self, index: usize) -> (&[u8], &Word) {
        let word = &self.words[index];
        match (word.value.iter().position(|&byte| byte == b'='), self.words.get(index + 1)) {
            (Some(at), _) => (&word.value[at + 1..], word),
            (None, Some(next)) => (&next.value, next),
            (None, None) => (b"", word),
        }
    }

    fn ulog_group(&self) -> Result<u16, RulesError> {
        const EXPECT: &str = "1 to 32";
        let is_group = |word: &Word| {
            self.option(word).is_some_and(|(_, change)| matches!(change, Change::Group))
        };
        let Some(index) = self.words.iter().position(is_group) else { return Ok(ULOG_GROUP) };
        let (value, _) = self.value(index);
        match self.number_of("--ulog-nlgroup", value, EXPECT)? {
            group @ 1..=32 => Ok(u16::try_from(group).unwrap_or(ULOG_GROUP)),
            _ => Err(self.invalid("--ulog-nlgroup", value, EXPECT)),
        }
    }

    /// The number that a value is: decimal, or hexadecimal with 0x, or octal with 0, as iptables reads it.
    fn number_of(
        &self,
        option: &'static str,
        value: &[u8],
        expect: &'static str,
    ) -> Result<u32, RulesError> {
        let text = str::from_utf8(value).unwrap_or_default();
        let parsed = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
            (Some(digits), _) => u32::from_str_radix(digits, 16),
            (None, Some(digits)) if !digits.is_empty() => u32::from_str_radix(digits, 8),
            _ => text.parse(),
        };
        parsed.map_err(|_| self.invalid(option, value, expect))
    }

    fn invalid(&self, option: &'static str, value: &[u8], expect: &'static str) -> RulesError {
        RulesError::Value {
            line: self.number,
            option,
            value: value.escape_ascii().to_string(),
            expect,
        }
    }
}

/// The name of an option, without `=VALUE`.
fn option_name(word: &[u8]) -> &[u8] {
    word.split(|&byte| byte == b'=').next().unwrap_or_default()
}
