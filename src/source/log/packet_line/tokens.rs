//! Splits the text after a header into tokens.

/// One field or word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    /// At least one byte.
    pub text: &'a [u8],
    /// Whether a blank follows. The kernel writes one after each field, so the last token of a line that was cut
    /// has none; nor has that of a line whose trailing blank was removed.
    pub is_ended: bool,
    /// Offset in the text.
    at: usize,
}

/// The tokens of a text, up to its end or its first control character.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    /// Offset of the text that is not read yet.
    at: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        let end = text.iter().position(|byte| *byte < b' ');
        Self { text: &text[..end.unwrap_or(text.len())], at: 0 }
    }

    /// Skips to the end of the brackets that open in this token. Returns the text in them.
    pub fn skip_brackets(&mut self, opening: Token<'a>) -> &'a [u8] {
        let rest = &self.text[opening.at..];
        let start = rest.iter().position(|byte| *byte == b'[').map_or(rest.len(), |at| at + 1);
        let rest = &rest[start..];
        let mut depth = 1_usize;
        let end = rest.iter().position(|byte| {
            match byte {
                b'[' => depth += 1,
                b']' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let inner = &rest[..end.unwrap_or(rest.len())];
        self.at = (opening.at + start + inner.len() + 1).min(self.text.len());
        inner
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = &self.text[self.at..];
        let start = rest.iter().position(|byte| *byte != b' ')?;
        let rest = &rest[start..];
        let length = rest.iter().position(|byte| *byte == b' ');
        let text = &rest[..length.unwrap_or(rest.len())];
        let at = self.at + start;
        let is_ended = length.is_some();
        self.at = at + text.len() + usize::from(is_ended);
        Some(Token { text, is_ended, at })
    }
}
