//! What was found, as lines for a person or as JSON for a program.

use std::fmt::Write as _;

use serde::Serialize;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Failed,
    /// Nothing to look at, or no way to look.
    Skipped,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// How it went.
    pub status: Status,
    /// What was seen.
    pub message: String,
    /// What to do; only where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// Whether there was no way to look, rather than nothing to look at.
    #[serde(skip)]
    is_unknown: bool,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, message.into())
    }

    /// There is nothing to look at.
    pub(super) fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Skipped, message.into())
    }

    /// There is no way to look at what should be looked at: nobody may take that for well.
    pub(super) fn unknown(check: &'static str, message: impl Into<String>) -> Self {
        Self { is_unknown: true, ..Self::skipped(check, message) }
    }

    pub(super) fn failed(
        check: &'static str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { mend: Some(mend.into()), ..Self::new(check, Status::Failed, message.into()) }
    }

    fn new(check: &'static str, status: Status, message: String) -> Self {
        Self { check, status, message, mend: None, is_unknown: false }
    }
}

/// One line a check, and how to mend it under each that failed. What comes from outside cannot
/// write lines of its own.
#[must_use]
pub fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, status, message, mend, .. } in findings {
        let status = match status {
            Status::Ok => "ok",
            Status::Failed => "FAILED",
            Status::Skipped => "skipped",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{status:<8} {check:<16} {}", one_line(message));
        if let Some(mend) = mend {
            let _ = writeln!(text, "{:>8} {:<16} {}", "", "  to mend it:", one_line(mend));
        }
    }
    let unknown = findings.iter().filter(|finding| finding.is_unknown).count();
    let _ = match (count(findings, Status::Failed), unknown) {
        (0, 0) => writeln!(text, "all is well"),
        (0, 1) => writeln!(text, "nothing failed, 1 check could not be made"),
        (0, unknown) => writeln!(text, "nothing failed, {unknown} checks could not be made"),
        (1, _) => writeln!(text, "1 check failed"),
        (failed, _) => writeln!(text, "{failed} checks failed"),
    };
    text
}

/// `{"ok": …, "skipped": …, "checks": […]}`: whether nothing failed, how many were skipped, and each
/// with `check`, `status`, `message` and perhaps `mend`.
#[must_use]
pub fn to_json(findings: &[Finding]) -> String {
    let ok = count(findings, Status::Failed) == 0;
    let skipped = count(findings, Status::Skipped);
    format!("{:#}\n", serde_json::json!({ "ok": ok, "skipped": skipped, "checks": findings }))
}

fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_json() {
        let findings = [
            Finding::ok("kernel", "it is there"),
            Finding::failed("rules", "none\nok all", "make one"),
            Finding::skipped("mirror", "no database"),
        ];
        let text = to_text(&findings);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok       kernel           it is there");
        assert_eq!(lines[1], "FAILED   rules            none ok all");
        assert_eq!(lines[2], "           to mend it:    make one");
        assert_eq!(lines[4], "1 check failed");
        let json: serde_json::Value = serde_json::from_str(&to_json(&findings)).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["skipped"], 1);
        assert_eq!(json["checks"][1]["status"], "failed");
        assert_eq!(json["checks"][1]["mend"], "make one");
        assert!(json["checks"][0].get("mend").is_none());
    }

    #[test]
    fn well_is_only_what_was_looked_at() {
        let last = |findings: &[Finding]| {
            to_text(findings).lines().last().map(ToOwned::to_owned).unwrap_or_default()
        };
        let [ok, nothing] = [Finding::ok("kernel", ""), Finding::skipped("mirror", "")];
        let [packets, rules] = ["packets", "rules"].map(|check| Finding::unknown(check, ""));
        let failed = Finding::failed("port", "", "");
        assert_eq!(last(&[ok.clone(), nothing]), "all is well");
        let one = [ok, packets.clone()];
        assert_eq!(last(&one), "nothing failed, 1 check could not be made");
        let two = [packets, rules, failed];
        assert_eq!(last(&two[..2]), "nothing failed, 2 checks could not be made");
        assert_eq!(last(&two), "1 check failed");
    }
}
