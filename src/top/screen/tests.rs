//! The terminal after a panic, in a pseudo-terminal of `script`: each test starts itself again in it.

use std::{env, fs, path::Path, process::Command};

use super::*;

/// The variable that makes a test the program in the terminal.
const IN_TERMINAL: &str = "NFLOG_EXPORTER_TEST_IN_TERMINAL";

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Runs a test of this file in a terminal. Returns what was written to it, and the mode of the terminal before and after.
fn in_terminal(test: &str) -> (String, [String; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let program = env::current_exe().unwrap();
    let shell = format!(
        "stty -g >{}; {} --exact top::screen::tests::{test} --nocapture; stty -g >{}",
        path("before").display(),
        program.display(),
        path("after").display(),
    );
    let mut command = Command::new("script");
    command.arg("--quiet").arg("--command").arg(shell).arg(path("written"));
    let output = command.env(IN_TERMINAL, "1").env("RUST_BACKTRACE", "0").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (read(&path("written")), [read(&path("before")), read(&path("after"))])
}

/// Checks that the terminal is restored once, and then the message is written.
fn check(test: &str, message: &str) {
    let (written, [before, after]) = in_terminal(test);
    assert_eq!(before, after, "{written:?}");
    let of = |text: &str| written.match_indices(text).map(|(at, _)| at).collect::<Vec<_>>();
    let ([entered], [left]) = (&*of(ENTER), &*of(LEAVE)) else { panic!("{written:?}") };
    let [said] = &*of(message) else { panic!("{written:?}") };
    assert!(entered < left && left < said, "{written:?}");
    assert!(of(SHOW_CURSOR).iter().any(|shown| left < shown && shown < said), "{written:?}");
}

#[test]
fn a_panic_while_drawing_restores_the_terminal() {
    const MESSAGE: &str = "drawing failed";
    if env::var_os(IN_TERMINAL).is_some() {
        let mut screen = Screen::open().unwrap();
        let _ = screen.terminal.draw(|_| panic!("{MESSAGE}"));
    } else {
        check("a_panic_while_drawing_restores_the_terminal", MESSAGE);
    }
}

#[test]
fn a_panic_of_another_thread_restores_the_terminal() {
    const MESSAGE: &str = "reading failed";
    if env::var_os(IN_TERMINAL).is_some() {
        let mut screen = Screen::open().unwrap();
        screen
            .terminal
            .draw(|frame| {
                let area = frame.area();
                frame.buffer_mut().set_style(area, ratatui::style::Color::Red);
            })
            .unwrap();
        assert!(thread::spawn(|| panic!("{MESSAGE}")).join().is_err());
        assert!(Screen::has_panicked());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Screen::panicked());
    } else {
        check("a_panic_of_another_thread_restores_the_terminal", MESSAGE);
    }
}
