//! Splits the text after a header into tokens.

/// One field or word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    /// At least one byte.
    pub text: &'a [u8],
    /// Whether a blank follows. The kernel writes one after each field, so the last token of a line that was cut
    /// has none; nor has that of a line whose trailing blank was removed.
    pub is_ended: bool,
}

/// The tokens of a text, up to its end or its first control character.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// Skips to the end of the brackets that begin with this token, the last one that was returned. Returns the text
    /// in them.
    pub fn skip_brackets(&mut self, opening: Token<'a>, text: &'a [u8]) -> &'a [u8] {
        let start =
            text.len() - self.rest.len() - opening.text.len() - usize::from(opening.is_ended);
        let text = &text[start..];
        let mut depth = 0_usize;
        for (index, byte) in text.iter().enumerate() {
            match byte {
                b'[' => depth += 1,
                b']' if depth == 1 => {
                    self.rest = &text[index + 1..];
                    return &text[1..index];
                }
                b']' => depth -= 1,
                0..b' ' => break,
                _ => {}
            }
        }
        self.rest = &[];
        &text[1..]
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let length = self.rest.iter().position(|byte| *byte <= b' ').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(length);
        let is_ended = rest.first() == Some(&b' ');
        self.rest = if is_ended { &rest[1..] } else { &[] };
        (!text.is_empty()).then_some(Token { text, is_ended })
    }
}
