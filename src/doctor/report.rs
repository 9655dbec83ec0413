//! The findings as text or JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::system::untrusted_text::with_spaces;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Healthy.
    Ok,
    /// Faulty.
    Failed,
    /// Possibly faulty: no packet or no scrape yet, or conditions that were not evaluated.
    Hint,
    /// Not applicable, or not possible.
    Skipped,
}

/// The result of one check, with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// The result.
    pub status: Status,
    /// What was observed.
    pub message: String,
    /// How to fix it; only for failures and hints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Whether a skipped check was not possible, rather than not applicable.
    #[serde(skip)]
    is_unknown: bool,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, message.into())
    }

    /// A check that is not applicable.
    pub(super) fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Skipped, message.into())
    }

    /// A check that was not possible. It must not count as healthy.
    pub(super) fn unknown(check: &'static str, message: impl Into<String>) -> Self {
        Self { is_unknown: true, ..Self::skipped(check, message) }
    }

    pub(super) fn failed(
        check: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(check, Status::Failed, message.into()) }
    }

    /// A possible fault: something that a new or idle host does not have yet, or that depends on conditions
    /// that are not evaluated.
    pub(super) fn hint(
        check: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { status: Status::Hint, ..Self::failed(check, message, fix) }
    }

    fn new(check: &'static str, status: Status, message: String) -> Self {
        Self { check, status, message, fix: None, is_unknown: false }
    }
}

/// One line per check, and one for the fix of each failure or hint. Control characters are replaced, so text
/// from outside cannot add lines.
#[must_use]
pub fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, status, message, fix, .. } in findings {
        let status = match status {
            Status::Ok => "ok",
            Status::Failed => "FAILED",
            Status::Hint => "hint",
            Status::Skipped => "skipped",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{status:<8} {check:<16} {}", with_spaces(message));
        if let Some(fix) = fix {
            let _ = writeln!(text, "{:>8} {:<16} {}", "", "  fix:", with_spaces(fix));
        }
    }
    let _ = writeln!(text, "{}", summary(findings));
    text
}

/// The last line: `all checks passed` only if every check was possible and none is a hint.
fn summary(findings: &[Finding]) -> String {
    let some = |count: usize, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    if let Some(failed) = some(count(findings, Status::Failed), "check failed", "checks failed") {
        return failed;
    }
    let unknown = findings.iter().filter(|finding| finding.is_unknown).count();
    let rest: Vec<String> = [
        some(unknown, "check was not possible", "checks were not possible"),
        some(count(findings, Status::Hint), "hint", "hints"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if rest.is_empty() {
        return "all checks passed".into();
    }
    format!("no check failed, {}", rest.join(", "))
}

/// `{"ok": …, "skipped": …, "checks": […]}`: whether no check failed, the number of skipped checks, and each
/// check with `check`, `status`, `message` and, for failures and hints, `fix`.
#[must_use]
pub fn to_json(findings: &[Finding]) -> String {
    let ok = count(findings, Status::Failed) == 0;
    let skipped = count(findings, Status::Skipped);
    format!("{:#}\n", serde_json::json!({ "ok": ok, "skipped": skipped, "checks": findings }))
}

fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json() {
        let findings = [
            Finding::ok("kernel", "available"),
            Finding::failed("rules", "none\nok all", "make one"),
            Finding::skipped("mirror", "no database"),
        ];
        let text = to_text(&findings);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok       kernel           available");
        assert_eq!(lines[1], "FAILED   rules            none ok all");
        assert_eq!(lines[2], "           fix:           make one");
        assert_eq!(lines[4], "1 check failed");
        let json: serde_json::Value = serde_json::from_str(&to_json(&findings)).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["skipped"], 1);
        assert_eq!(json["checks"][1]["status"], "failed");
        assert_eq!(json["checks"][1]["fix"], "make one");
        assert!(json["checks"][0].get("fix").is_none());
    }

    #[test]
    fn the_last_line_counts_impossible_checks() {
        let last = |findings: &[Finding]| {
            to_text(findings).lines().last().map(ToOwned::to_owned).unwrap_or_default()
        };
        let [ok, nothing] = [Finding::ok("kernel", ""), Finding::skipped("mirror", "")];
        let [packets, rules] = ["packets", "rules"].map(|check| Finding::unknown(check, ""));
        let failed = Finding::failed("port", "", "");
        let hint = Finding::hint("prometheus", "", "");
        assert_eq!(last(&[ok.clone(), nothing]), "all checks passed");
        assert_eq!(last(&[ok.clone(), hint.clone()]), "no check failed, 1 hint");
        let one = [ok, packets.clone()];
        assert_eq!(last(&one), "no check failed, 1 check was not possible");
        let all = [packets, rules, hint.clone(), hint, failed];
        assert_eq!(last(&all[..2]), "no check failed, 2 checks were not possible");
        assert_eq!(last(&all[..4]), "no check failed, 2 checks were not possible, 2 hints");
        assert_eq!(last(&all), "1 check failed");
    }
}
