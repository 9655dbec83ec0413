//! Unusual conditions of an exporter, in its words.

use super::{
    figures::{Figures, ListEntry, ListKind, UnusualCondition},
    rates::rounded,
    text,
};

/// Between two conditions.
const SEPARATOR: &str = " | ";

impl UnusualCondition {
    /// The words with their number and subject, after the severity.
    fn words(&self, figures: &Figures) -> String {
        let value = match &*self.unit {
            "share" => format!("{:.1}%", self.value.clamp(0.0, 1.0) * 100.0),
            "per_second" => text::rate(self.value),
            "seconds" => text::span(self.value),
            _ => text::packets(rounded(self.value)),
        };
        let subject = self.subject.as_deref().map(|subject| self.subject_name(subject, figures));
        // Cut before, because the text can name the subject many times.
        let mut words = text::safe_message(&self.text).replace("{value}", &value);
        // The subject is last, because it can contain anything.
        words = words.replace("{subject}", &subject.unwrap_or_default());
        let more = match self.more {
            0 => String::new(),
            more => format!(", and {} more", text::packets(more)),
        };
        text::safe_message(&format!("{}: {words}{more}", self.severity.to_uppercase()))
    }

    /// The subject, as the lists name it if it is a value of a list.
    fn subject_name(&self, subject: &str, figures: &Figures) -> String {
        let Some(kind) = self.dimension.as_deref().and_then(ListKind::with_label) else {
            return text::safe(subject);
        };
        let listed = figures.list(kind).0.iter().find(|entry| entry.value == subject);
        let unlisted = || ListEntry { value: subject.to_owned(), ..ListEntry::default() };
        let name = text::name(kind, &listed.cloned().unwrap_or_else(unlisted));
        name.trim_end().to_owned()
    }
}

/// As many of the conditions as fit on `most` lines of a width, the most urgent first, and the number of the others.
pub(super) fn lines(figures: &Figures, width: usize, most: usize) -> Vec<String> {
    let all: Vec<_> = figures.conditions.iter().map(|condition| condition.words(figures)).collect();
    let others = |shown: usize| match all.len() - shown {
        0 => String::new(),
        others => format!("{SEPARATOR}{others} more"),
    };
    // Each has more than 10 characters, so at most a screen of them fits.
    for shown in (1..=all.len().min(most * width / 10)).rev() {
        let text = all[..shown].join(SEPARATOR) + &others(shown);
        if text::wrapped(&text, width, usize::MAX).len() <= most {
            return text::wrapped(&text, width, most);
        }
    }
    let Some(first) = all.first() else { return Vec::new() };
    let mut lines = text::wrapped(first, width, most);
    let others = others(1);
    if let Some(last) = lines.last_mut() {
        let room = width.saturating_sub(text::columns(&others));
        let used = text::columns(last).min(room);
        *last = text::left(last, used) + &others;
    }
    lines
}

/// Whether the most urgent condition is critical.
pub(super) fn is_critical(figures: &Figures) -> bool {
    figures.conditions.first().is_some_and(|first| first.severity == "critical")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture;

    fn condition(
        dimension: Option<&str>,
        text: &str,
        subject: &str,
        value: f64,
        unit: &str,
    ) -> UnusualCondition {
        UnusualCondition {
            severity: "warning".into(),
            text: text.into(),
            subject: Some(subject.into()),
            dimension: dimension.map(str::to_owned),
            value,
            unit: unit.into(),
            more: 0,
        }
    }

    #[test]
    fn conditions_are_sentences() {
        let figures = fixture::live();
        let check = |condition: &UnusualCondition, expect: &str| {
            assert_eq!(condition.words(&figures), expect);
        };
        let sweep = "One source sent packets with prefix {subject} to {value} ports";
        check(
            &condition(Some("prefix"), sweep, "", 131.4, "count"),
            "WARNING: One source sent packets with prefix (no prefix) to 131 ports",
        );
        let new = "{value} packets from {subject}";
        let mut other = condition(Some("country"), new, "DE", 5000.0, "count");
        other.more = 2;
        check(&other, "WARNING: 5,000 packets from DE Germany, and 2 more");
        check(&condition(Some("country"), new, "FJ", 5.0, "count"), "WARNING: 5 packets from FJ");
        let force = "{value} packets per second to login port {subject}";
        check(
            &condition(Some("port"), force, "22", 12.34, "per_second"),
            "WARNING: 12.3 packets per second to login port 22 ssh",
        );
        check(&condition(None, "{value} old", "", 700.0, "seconds"), "WARNING: 12 min old");
        check(
            &condition(None, "{value} of {subject}", "{value}", 0.0512, "share"),
            "WARNING: 5.1% of {value}",
        );
        // 100 GB if neither is cut.
        let long = condition(None, &"{subject}".repeat(100_000), &"s".repeat(1_000_000), 0.0, "");
        check(&long, &format!("WARNING: {}", "s".repeat(991)));
        let later = Some("later");
        check(&condition(later, "{subject}", "22", 0.0, "count"), "WARNING: 22");
        check(&condition(None, "{subject}", "a\x1b[2Jb\n", 0.0, "later"), "WARNING: a\u{fffd}[2Jb");
    }

    #[test]
    fn as_many_as_fit_are_shown_and_the_others_counted() {
        let mut figures = fixture::live();
        assert!(lines(&figures, 80, 2).is_empty());
        let long = "a long condition of twelve words that needs more than one line";
        figures.conditions = vec![condition(None, long, "", 0.0, "count"); 3];
        let shown = |width, most| lines(&figures, width, most);
        assert_eq!(shown(100, 1), [format!("WARNING: {long} | 2 more")]);
        assert_eq!(
            shown(100, 2),
            [
                format!("WARNING: {long} | WARNING: a long condition"),
                "of twelve words that needs more than one line | 1 more".into()
            ]
        );
        assert_eq!(shown(30, 1), ["WARNING: a long cond… | 2 more"]);
        for width in 1..250 {
            for most in 1..4 {
                let lines = shown(width, most);
                assert!(lines.len() <= most, "{lines:?}");
            }
        }
    }
}
