//! Splits a ruleset of nft into tokens.

use std::ops::Range;

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, a keyword or a number.
    Word,
    /// A text in double quotes.
    Quoted,
    /// The end of a line, unless it is continued.
    NewLine,
    /// Any other character.
    Sign,
}

/// A token of a ruleset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Its place in the text.
    pub(super) place: Range<usize>,
    /// The number of its line, from 1.
    pub(super) line: usize,
}

/// The tokens of a ruleset, without white space and comments. As in nft's scanner, a quoted text has no escapes, and
/// a backslash before a newline continues the line.
pub(super) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        let length_while = |accept: fn(u8) -> bool| {
            rest.iter().position(|&byte| !accept(byte)).unwrap_or(rest.len())
        };
        let (kind, length) = match byte {
            b'\n' => (Some(TokenKind::NewLine), 1),
            b'\\' if rest.get(1) == Some(&b'\n') => (None, 2),
            b' ' | b'\t' | b'\r' => (None, 1),
            b'#' => (None, length_while(|byte| byte != b'\n')),
            b'"' => {
                let end = rest[1..].iter().position(|&byte| byte == b'"');
                (Some(TokenKind::Quoted), end.map_or(rest.len(), |end| end + 2))
            }
            _ if is_word(byte) => (Some(TokenKind::Word), length_while(is_word)),
            _ => (Some(TokenKind::Sign), 1),
        };
        let place = at..at + length;
        if let Some(kind) = kind {
            tokens.push(Token { kind, place: place.clone(), line });
        }
        line += text[place.clone()].split(|&byte| byte == b'\n').count() - 1;
        at = place.end;
    }
    tokens
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'*' | b'$' | b'@')
        || byte >= 0x80
}
