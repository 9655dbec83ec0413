//! What `doctor` says, of a host in a namespace.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{Namespace, Wire, frame, program::EXPORTER};

/// What the doctor said.
pub struct Said {
    pub checks: Vec<Value>,
    pub code: Option<i32>,
}

impl Said {
    /// Reads it, and holds its parts against each other.
    pub fn of(output: &Output) -> Self {
        let all: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|why| panic!("{why}: {output:?}"));
        let said =
            Self { checks: all["checks"].as_array().unwrap().clone(), code: output.status.code() };
        let count = |status: &str| said.checks.iter().filter(|it| it["status"] == status).count();
        let failed = count("failed") > 0;
        assert_eq!(all["ok"], !failed);
        assert_eq!(all["skipped"], count("skipped"));
        assert_eq!(said.code, Some(i32::from(failed)));
        for check in &said.checks {
            let has_fix = check["status"] == "failed" || check["status"] == "hint";
            assert_eq!(has_fix, check.get("fix").is_some(), "{check}");
        }
        said
    }

    /// Of all checks of this name, what those that ended so have to say.
    pub fn all(&self, name: &str, status: &str) -> Vec<String> {
        let told = |check: &&Value| check["check"] == name && check["status"] == status;
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let line = |check: &Value| text(check, "message") + " / " + &text(check, "fix");
        self.checks.iter().filter(told).map(line).collect()
    }

    #[track_caller]
    fn has(&self, name: &str, status: &str, words: &str) {
        let found = self.all(name, status).iter().any(|line| line.contains(words));
        assert!(found, "no {status} {name} with {words:?}: {:#?}", self.checks);
    }

    /// One of this name failed, with these words in what it says or its fix.
    #[track_caller]
    pub fn failed(&self, name: &str, words: &str) {
        self.has(name, "failed", words);
    }

    /// None of this name failed, and one is well and says so.
    #[track_caller]
    pub fn ok(&self, name: &str, words: &str) {
        self.has(name, "ok", words);
        self.did_not_fail(name);
    }

    /// None of this name failed, and one is a hint with these words in what it says or its fix.
    #[track_caller]
    pub fn hints(&self, name: &str, words: &str) {
        self.has(name, "hint", words);
        self.did_not_fail(name);
    }

    #[track_caller]
    pub fn skipped(&self, name: &str, words: &str) {
        self.has(name, "skipped", words);
        self.did_not_fail(name);
    }

    #[track_caller]
    pub fn did_not_fail(&self, name: &str) {
        assert_eq!(self.all(name, "failed"), [""; 0]);
    }

    /// No check has this name, which only a fault or a hint has.
    #[track_caller]
    pub fn has_none(&self, name: &str) {
        assert!(self.checks.iter().all(|check| check["check"] != name), "{:#?}", self.checks);
    }
}

/// Asked with these arguments.
pub fn doctor(namespace: &Namespace, arguments: &[&str]) -> Said {
    Said::of(&asked(namespace.command(EXPORTER), arguments))
}

/// Asked by a command that starts the program.
pub fn asked(mut command: Command, arguments: &[&str]) -> Output {
    command.args(["doctor", "--json", "--wait", "2s"]).args(arguments).output().unwrap()
}

/// What it writes for a person: the last line.
pub fn last_line(mut command: Command, arguments: &[&str]) -> String {
    let output = command.arg("doctor").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
}

/// Asked with a configuration that everybody may read.
pub fn doctor_with(namespace: &Namespace, config: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let open = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(folder.path(), 0o755);
    let file = folder.path().join("config.toml");
    fs::write(&file, config).unwrap();
    open(&file, 0o644);
    doctor(namespace, &["--config.file", file.to_str().unwrap()])
}

/// Does something while packets come to port 80, one every 20 ms.
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
