//! Apostrophes in quoted values of log lines.

/// The line without the backslashes that the library for logfmt puts before apostrophes: no reader of logfmt expects them,
/// and some reject the line. JSON has none.
pub(super) fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut is_quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => match characters.next() {
                Some('\'') => {
                    text.push('\'');
                    continue;
                }
                Some(escaped) => {
                    text.extend(['\\', escaped]);
                    continue;
                }
                None => {}
            },
            _ => {}
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        assert_eq!(unescaped(line), expect);
    }

    #[test]
    fn only_quoted_apostrophes_change() {
        check(
            r#"level=warn message="the program\'s user" file=a"#,
            r#"level=warn message="the program's user" file=a"#,
        );
        check(
            r#"message="a \"b\'c\" d\\'e \\\'" other=f\'g"#,
            r#"message="a \"b'c\" d\\'e \\'" other=f\'g"#,
        );
        check(r#"{"message":"it's \\'","file":"a\\"}"#, r#"{"message":"it's \\'","file":"a\\"}"#);
        check("", "");
        check(r#"cut="\"#, r#"cut="\"#);
    }
}
