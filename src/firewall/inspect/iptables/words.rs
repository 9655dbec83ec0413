//! Splits the output of iptables-save(8) into lines and words, and quotes words.

/// Splits a text into lines. A quoted comment may contain line breaks, so a rule ends at the first line break
/// outside quotes.
pub(super) fn logical_lines(text: &str) -> Vec<&str> {
    let mut whole = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (mut is_quoted, mut is_escaped) = (false, false);
        let can_be_quoted = rest.starts_with("-A ");
        let ends = |letter: char| {
            let is_end = letter == '\n' && !is_quoted;
            is_quoted ^= can_be_quoted && letter == '"' && !is_escaped;
            is_escaped = is_quoted && letter == '\\' && !is_escaped;
            is_end
        };
        let (line, further) = rest.split_once(ends).unwrap_or((rest, ""));
        whole.push(line);
        rest = further;
    }
    whole
}

/// Splits a line into words, with double quotes and backslashes as iptables-save writes them.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(letters.next()),
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Quotes a word for iptables-restore(8) and [`words`].
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\' | '#');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quotes() {
        let line = r#"-A INPUT --comment "a \"b\" c" --nflog-prefix "" -j X"#;
        let expect = ["-A", "INPUT", "--comment", "a \"b\" c", "--nflog-prefix", "", "-j", "X"];
        assert_eq!(words(line), expect);
        let written: Vec<String> = expect.iter().map(|word| quoted(word)).collect();
        assert_eq!(words(&written.join(" ")), expect);
    }
}
