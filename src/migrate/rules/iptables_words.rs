//! Splits a line as iptables-restore does.

use std::ops::Range;

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Its place in the text, quotes included.
    pub(super) place: Range<usize>,
    /// Its value, without quotes and escapes.
    pub(super) value: Vec<u8>,
}

/// The words of a line that begins at `start` of the text. As in iptables-restore, only double quotes are quotes, they
/// may begin within a word, and a backslash escapes the next byte between them.
pub(super) fn words(line: &[u8], start: usize) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, &byte) in line.iter().enumerate() {
        let place = start + index;
        if !is_quoted && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_with(|| Word { place: place..place, value: Vec::new() });
        word.place.end = place + 1;
        match byte {
            _ if is_escaped => {
                is_escaped = false;
                word.value.push(byte);
            }
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => word.value.push(byte),
        }
    }
    words.extend(word);
    words
}
