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
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, message: message.into(), mend: None }
    }

    pub(super) fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, status: Status::Skipped, message: message.into(), mend: None }
    }

    pub(super) fn failed(
        check: &'static str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let mend = Some(mend.into());
        Self { check, status: Status::Failed, message: message.into(), mend }
    }
}

/// One line a check, and how to mend it under each that failed. What comes from outside cannot
/// write lines of its own.
#[must_use]
pub fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, status, message, mend } in findings {
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
    let failed = findings.iter().filter(|finding| finding.status == Status::Failed).count();
    let _ = match failed {
        0 => writeln!(text, "all is well"),
        1 => writeln!(text, "1 check failed"),
        failed => writeln!(text, "{failed} checks failed"),
    };
    text
}

/// `{"ok": …, "checks": […]}`, a check with `check`, `status`, `message` and perhaps `mend`.
#[must_use]
pub fn to_json(findings: &[Finding]) -> String {
    let ok = findings.iter().all(|finding| finding.status != Status::Failed);
    format!("{:#}\n", serde_json::json!({ "ok": ok, "checks": findings }))
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
        assert_eq!(json["checks"][1]["status"], "failed");
        assert_eq!(json["checks"][1]["mend"], "make one");
        assert!(json["checks"][0].get("mend").is_none());
    }
}
