//! A terminal of tmux, whose screen a test reads.

use std::{cell::RefCell, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::{Namespace, program::wait_for};

/// A shell in a terminal inside a namespace. The server of tmux ends with the value.
pub struct Tmux<'n> {
    namespace: &'n Namespace,
    pub directory: TempDir,
}

impl<'n> Tmux<'n> {
    /// Starts a shell with the prompt `$ ` and variables of the environment.
    pub fn start(
        namespace: &'n Namespace,
        (width, height): (u16, u16),
        variables: &[(&str, &str)],
    ) -> Self {
        let tmux = Self { namespace, directory: tempfile::tempdir().unwrap() };
        let mut command = tmux.command();
        command.envs(variables.iter().copied()).env("PS1", "$ ").env_remove("NO_COLOR");
        command.args([
            "-u",
            "new-session",
            "-d",
            "-x",
            &width.to_string(),
            "-y",
            &height.to_string(),
        ]);
        command.args(["bash", "--norc", "--noprofile"]);
        run(&mut command);
        tmux.wait("the prompt", |screen| screen.starts_with("$ ") || screen.starts_with("$\n"));
        tmux
    }

    /// Sends keys by their names in tmux: `Enter`, `C-c`, or text.
    pub fn send(&self, keys: &[&str]) {
        run(self.command().arg("send-keys").args(keys));
    }

    /// Types a line into the shell.
    pub fn type_line(&self, line: &str) {
        run(self.command().args(["send-keys", "-l", line]));
        self.send(&["Enter"]);
    }

    /// Changes the size of the terminal.
    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        run(self.command().args(["resize-window", "-x", &width, "-y", &height]));
    }

    /// The text of the screen, without spaces at the ends of lines.
    pub fn screen(&self) -> String {
        let screen = run(self.command().args(["capture-pane", "-p"]));
        let lines: Vec<_> = screen.lines().map(str::trim_end).collect();
        lines.join("\n") + "\n"
    }

    /// The screen with escape codes for colours and styles.
    pub fn styled_screen(&self) -> String {
        run(self.command().args(["capture-pane", "-p", "-e"]))
    }

    /// Waits until the screen is as described and no longer changes; returns it.
    pub fn wait(&self, what: &str, is_reached: impl Fn(&str) -> bool) -> String {
        let last = RefCell::new(String::new());
        wait_for(&format!("{what} on the screen"), || {
            let screen = self.screen();
            let is_stable = last.replace(screen.clone()) == screen;
            (is_stable && is_reached(&screen)).then_some(screen)
        })
    }

    /// Waits for a text on the screen.
    pub fn wait_text(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("tmux")
    }

    fn command(&self) -> Command {
        let mut command = self.namespace.command("tmux");
        command.arg("-S").arg(self.socket()).args(["-f", "/dev/null"]).env_remove("TMUX");
        command
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(output) = self.command().args(["capture-pane", "-p"]).output()
        {
            eprintln!("--- screen\n{}", String::from_utf8_lossy(&output.stdout));
        }
        let _ = self.command().arg("kill-server").output();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("install tmux");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
