//! Runs `doctor` on a host in a namespace.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{Namespace, Wire, frame, program::EXPORTER};

/// The doctor's report.
pub struct Report {
    pub checks: Vec<Value>,
    pub code: Option<i32>,
}

impl Report {
    /// Parses the output, and checks that its parts are consistent.
    pub fn of(output: &Output) -> Self {
        let all: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|why| panic!("{why}: {output:?}"));
        let report =
            Self { checks: all["checks"].as_array().unwrap().clone(), code: output.status.code() };
        let count = |status: &str| report.checks.iter().filter(|it| it["status"] == status).count();
        let failed = count("failed") > 0;
        assert_eq!(all["ok"], !failed);
        assert_eq!(all["skipped"], count("skipped"));
        assert_eq!(report.code, Some(i32::from(failed)));
        for check in &report.checks {
            let has_fix = check["status"] == "failed" || check["status"] == "hint";
            assert_eq!(has_fix, check.get("fix").is_some(), "{check}");
        }
        report
    }

    /// Message and fix of all checks with this name and status.
    pub fn all(&self, name: &str, status: &str) -> Vec<String> {
        let matches = |check: &&Value| check["check"] == name && check["status"] == status;
        let value = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let line = |check: &Value| value(check, "message") + " / " + &value(check, "fix");
        self.checks.iter().filter(matches).map(line).collect()
    }

    #[track_caller]
    fn has(&self, name: &str, status: &str, text: &str) {
        let found = self.all(name, status).iter().any(|line| line.contains(text));
        assert!(found, "no {status} {name} with {text:?}: {:#?}", self.checks);
    }

    /// Asserts that a check of this name failed, with this text in its message or fix.
    #[track_caller]
    pub fn failed(&self, name: &str, text: &str) {
        self.has(name, "failed", text);
    }

    /// Asserts that no check of this name failed, and that one succeeded with this text.
    #[track_caller]
    pub fn ok(&self, name: &str, text: &str) {
        self.has(name, "ok", text);
        self.did_not_fail(name);
    }

    /// Asserts that no check of this name failed, and that one is a hint with this text in its message or fix.
    #[track_caller]
    pub fn hints(&self, name: &str, text: &str) {
        self.has(name, "hint", text);
        self.did_not_fail(name);
    }

    #[track_caller]
    pub fn skipped(&self, name: &str, text: &str) {
        self.has(name, "skipped", text);
        self.did_not_fail(name);
    }

    #[track_caller]
    pub fn did_not_fail(&self, name: &str) {
        assert_eq!(self.all(name, "failed"), [""; 0]);
    }

    /// Asserts that no check has this name, which only failures and hints have.
    #[track_caller]
    pub fn has_none(&self, name: &str) {
        assert!(self.checks.iter().all(|check| check["check"] != name), "{:#?}", self.checks);
    }
}

/// Runs the doctor with these arguments.
pub fn doctor(namespace: &Namespace, arguments: &[&str]) -> Report {
    Report::of(&asked(namespace.command(EXPORTER), arguments))
}

/// Runs the doctor with a command that starts the program.
pub fn asked(mut command: Command, arguments: &[&str]) -> Output {
    command.args(["doctor", "--json", "--wait", "2s"]).args(arguments).output().unwrap()
}

/// The last line of the text output.
pub fn last_line(mut command: Command, arguments: &[&str]) -> String {
    let output = command.arg("doctor").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
}

/// Runs the doctor with a configuration file that all users can read.
pub fn doctor_with(namespace: &Namespace, config: &str) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let open = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(directory.path(), 0o755);
    let file = directory.path().join("config.toml");
    fs::write(&file, config).unwrap();
    open(&file, 0o644);
    doctor(namespace, &["--config.file", file.to_str().unwrap()])
}

/// Runs `work` while packets arrive at port 80, one every 20 ms.
pub fn in_traffic<T: Send>(wire: &Wire, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let working = scope.spawn(work);
        while !working.is_finished() {
            wire.send(frame::spoofed(1, 80));
            thread::sleep(Duration::from_millis(20));
        }
        working.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
    })
}
