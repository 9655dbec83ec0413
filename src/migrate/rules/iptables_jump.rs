//! Finds the target of a rule of iptables.

use std::ops::Range;

use super::iptables_words::Word;

/// Options with an arbitrary text, which may look like another option.
const TEXT_OPTIONS: [&[u8]; 7] = [
    b"--comment",
    b"--string",
    b"--hex-string",
    b"--u32",
    b"--log-prefix",
    b"--ulog-prefix",
    b"--nflog-prefix",
];

/// Where a rule jumps to.
pub(super) struct Jump<'a> {
    /// Index of the word with the target.
    pub(super) index: usize,
    /// Place of the target in the text.
    pub(super) place: Range<usize>,
    /// The target.
    pub(super) name: &'a [u8],
}

/// The target of a rule: after `-j`, `-jTARGET`, `--jump`, also abbreviated, or `--jump=TARGET`.
pub(super) fn jump(words: &[Word]) -> Option<Jump<'_>> {
    let mut index = 0;
    while let Some(word) = words.get(index) {
        let (value, place) = (&word.value[..], &word.place);
        if is_text_option(value) {
            index += 2;
            continue;
        }
        let is_long = value.len() >= 3 && b"--jump".starts_with(value);
        if value == b"-j" || is_long {
            let target = words.get(index + 1)?;
            return Some(Jump {
                index: index + 1,
                place: target.place.clone(),
                name: &target.value,
            });
        }
        let attached = match value {
            [b'-', b'j', ..] => Some(2),
            [b'-', b'-', b'j', ..] => value.iter().position(|&byte| byte == b'=').map(|at| at + 1),
            _ => None,
        };
        if let Some(length) = attached {
            return Some(Jump {
                index,
                place: place.start + length..place.end,
                name: &value[length..],
            });
        }
        index += 1;
    }
    None
}

pub(super) fn is_text_option(word: &[u8]) -> bool {
    TEXT_OPTIONS.contains(&word)
}
