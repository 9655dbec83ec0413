//! Parses PostgreSQL's connection strings as libpq does: `connstring` in a `ulogd.conf`.

/// The parameters of a connection string in the form `key=value key='a value'`; `None` if it is invalid. See
/// "Keyword/Value Connection Strings" in PostgreSQL's documentation of libpq.
pub(super) fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        parameters.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Some(parameters)
}

/// The value at the start of a text, and the rest. `\` escapes the next character.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let text = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, next)| next)),
            '\'' if quoted.is_some() => return Some((value, &text[at + 1..])),
            blank if quoted.is_none() && blank.is_whitespace() => {
                return Some((value, &text[at..]));
            }
            other => value.push(other),
        }
    }
    quoted.is_none().then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(&str, &str)]) {
        let expect = expect.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        assert_eq!(parameters(text), Some(expect.collect()), "{text}");
    }

    #[test]
    fn connection_strings() {
        check("", &[]);
        check("host=h  port = 5\tdbname=d", &[("host", "h"), ("port", "5"), ("dbname", "d")]);
        check("password='a b\\'c' user=u", &[("password", "a b'c"), ("user", "u")]);
        check("password=a\\ b\\\\", &[("password", "a b\\")]);
        check("password='' user=", &[("password", ""), ("user", "")]);
        for wrong in ["x", "x y=1", "=1", "x='1"] {
            assert_eq!(parameters(wrong), None, "{wrong}");
        }
    }
}
