//! Conversion of `OpenMetrics` text to the older text format 0.0.4.
//!
//! For counters and gauges, both formats have the same samples and escapes. The older format includes `_total` in
//! the HELP and TYPE lines of a counter, and has neither UNIT nor EOF.

/// Converts the output of [`super::render`] to text format 0.0.4.
#[must_use]
pub fn to_plain(openmetrics: &str) -> String {
    let mut plain = String::with_capacity(openmetrics.len() + 1024);
    // HELP comes before TYPE, which decides the suffix.
    let mut help = None;
    for line in openmetrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            write_line(&mut plain, &[line]);
            continue;
        };
        if let Some(rest) = comment.strip_prefix("HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) =
            comment.strip_prefix("TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((helped, text)) = help.take() {
                write_line(&mut plain, &["# HELP ", helped, suffix, " ", text]);
            }
            write_line(&mut plain, &["# TYPE ", name, suffix, " ", kind]);
        }
    }
    plain
}

fn write_line(text: &mut String, parts: &[&str]) {
    text.extend(parts.iter().copied());
    text.push('\n');
}
