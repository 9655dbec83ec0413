//! The older text format, 0.0.4, out of the `OpenMetrics` text.
//!
//! Samples and escapes are the same in both, for counters and gauges. The older format names a
//! counter with its `_total` in HELP and TYPE too, and knows neither UNIT nor EOF.

/// Text format 0.0.4 of what [`super::render`] wrote.
#[must_use]
pub fn to_plain(openmetrics: &str) -> String {
    let mut plain = String::with_capacity(openmetrics.len() + 1024);
    // HELP comes before the TYPE that tells how to name it.
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
