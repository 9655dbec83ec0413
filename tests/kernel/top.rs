//! `top` in a terminal of tmux: screens, keys, sizes, lost connections, signals and job control.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    Namespace,
    golden::check_golden,
    program::{EXPORTER, Exporter, Program, get, wait_for},
    tmux::Tmux,
};

const UTF8: [(&str, &str); 1] = [("LC_ALL", "C.UTF-8")];

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures/mixed.pcap");

/// The directory of the capture.
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures");

/// Serves the capture at the default address; returns when it was read.
fn serve(namespace: &Namespace, tmux: &Tmux<'_>) -> Program {
    let mut command = namespace.command(EXPORTER);
    command.args(["replay", "--serve", CAPTURE]);
    let program = Program::start(&mut command, tmux.directory.path().join("exporter.log"));
    wait_for("the end of the capture", || {
        let (_, body) = get(namespace, 10239, "/overview.json")?;
        body.contains("\"received\":189,").then_some(())
    });
    program
}

/// Starts `top` in the shell, which then prints its exit code, and whether the mode of the terminal is as before.
fn start(tmux: &Tmux<'_>, words: &str) {
    let directory = tmux.directory.path().display();
    tmux.type_line(&format!(
        "clear; stty -g >{directory}/before; sh -c 'echo $$ >{directory}/pid; exec {EXPORTER} top {words}'; \
         echo \"exit code $?\"; stty -g | cmp - {directory}/before && echo same mode"
    ));
}

/// The process id of `top`.
fn pid(tmux: &Tmux<'_>) -> Pid {
    let text = fs::read_to_string(tmux.directory.path().join("pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}

/// Waits for the end of `top`; the shell is visible again, and nothing of the view.
fn ended(tmux: &Tmux<'_>, code: i32) {
    let screen = tmux.wait_text("same mode");
    assert!(screen.contains(&format!("exit code {code}\n")), "{screen}");
    assert!(!screen.contains("Countries"), "{screen}");
}

fn check(name: &str, screen: &str) {
    check_golden(&format!("tests/data/top/{name}.txt"), screen);
}

#[test]
fn keys_change_the_view_and_the_terminal_is_restored() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    let _exporter = serve(&namespace, &tmux);
    start(&tmux, "");
    check("served", &tmux.wait_text("189 packets in"));
    tmux.send(&["Tab", "Down", "Enter"]);
    check("port", &tmux.wait_text("37 packets in"));
    tmux.send(&["Tab", "j", "Enter"]);
    tmux.wait_text("filter port 53 dns");
    tmux.send(&["s"]);
    tmux.wait_text("per s▽");
    tmux.send(&["S", "BSpace"]);
    tmux.wait("one filter, by packets", |screen| {
        screen.contains("37 packets in") && screen.contains("packets▽")
    });
    tmux.send(&["Escape"]);
    tmux.wait_text("189 packets in");
    tmux.send(&["Space"]);
    tmux.wait_text("PAUSED");
    // Filters apply while the view is paused.
    tmux.send(&["BTab", "g", "Enter"]);
    check("paused", &tmux.wait_text("56 packets in"));
    tmux.send(&["Space", "2"]);
    tmux.wait_text("a recording is shown as a whole: it has no ranges of time");
    tmux.send(&["?"]);
    check("help", &tmux.wait_text("Any key returns."));
    tmux.send(&["q"]);
    tmux.wait_text("q quit");
    tmux.send(&["q"]);
    ended(&tmux, 0);
}

#[test]
fn a_terminal_can_be_resized_down_to_nothing() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    let _exporter = serve(&namespace, &tmux);
    start(&tmux, "");
    tmux.wait_text("Protocols");
    tmux.resize(40, 12);
    check(
        "small",
        // Before the view draws, tmux cuts off the first rows.
        &tmux.wait("a small view", |screen| {
            screen.starts_with("http://") && screen.contains("q quit")
        }),
    );
    tmux.resize(30, 8);
    tmux.wait_text("40x10 are needed");
    tmux.resize(120, 40);
    check("large", &tmux.wait_text("sorted by packets"));
    tmux.send(&["q"]);
    ended(&tmux, 0);
}

#[test]
fn colours_and_ascii() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    let _exporter = serve(&namespace, &tmux);
    // Cyan, as a colour of the palette: bars.
    let has_colours = |tmux: &Tmux<'_>| tmux.styled_screen().contains("[38;5;6m");
    for (words, expect) in [("", true), ("--color never", false), ("--color always", true)] {
        start(&tmux, words);
        tmux.wait_text("189 packets in");
        assert_eq!(has_colours(&tmux), expect, "{words}: {:?}", tmux.styled_screen());
        tmux.send(&["q"]);
        ended(&tmux, 0);
    }
    for variables in
        [[("NO_COLOR", "1"), ("LC_ALL", "C.UTF-8")], [("TERM", "dumb"), ("LC_ALL", "C")]]
    {
        let assignments: Vec<_> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        tmux.type_line(&format!("clear; export {}", assignments.join(" ")));
        start(&tmux, "");
        let screen = tmux.wait_text("189 packets in");
        assert!(!has_colours(&tmux), "{variables:?}");
        if variables[1].1 == "C" {
            check("ascii", &screen);
        }
        tmux.send(&["C-c"]);
        ended(&tmux, 0);
    }
}

/// The view retries, and marks figures that are old.
#[test]
fn a_lost_exporter_is_shown_until_it_is_back() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    start(&tmux, "");
    check("no-exporter", &tmux.wait_text("Retrying"));
    let exporter = serve(&namespace, &tmux);
    tmux.wait_text("189 packets in");
    drop(exporter);
    let screen = tmux.wait_text("OLD FIGURES");
    assert!(screen.contains("189 packets in") && screen.contains("Connection refused"), "{screen}");
    let _exporter = serve(&namespace, &tmux);
    tmux.wait("new figures", |screen| {
        screen.contains("189 packets in") && !screen.contains("OLD FIGURES")
    });
    tmux.send(&["q"]);
    ended(&tmux, 0);
}

/// An exporter that receives packets: ranges of time, and no packets yet.
#[test]
fn a_running_exporter_has_ranges() {
    let namespace = Namespace::new("top");
    let history = tempfile::tempdir().unwrap();
    crate::support::program::open_to_all(history.path());
    let config = format!("[history]\ndirectory = \"{}\"\n", history.path().display());
    let _exporter = Exporter::start(&namespace, &config, &[]);
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    start(&tmux, "--range 1h");
    tmux.wait_text("0 packets in the last 60 min");
    tmux.send(&["4"]);
    let screen = tmux.wait_text("0 packets in the last 7 d");
    assert!(screen.contains("[7d]") && screen.contains("nflog_exporter doctor"), "{screen}");
    tmux.send(&["1"]);
    tmux.wait_text("0 packets in the last 10 min");
    tmux.send(&["q"]);
    ended(&tmux, 0);
}

#[test]
fn signals_end_the_view_and_restore_the_terminal() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    let _exporter = serve(&namespace, &tmux);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        start(&tmux, "");
        tmux.wait_text("q quit");
        kill(pid(&tmux), signal).unwrap();
        ended(&tmux, 0);
    }
}

/// Many keys make the view draw all the time.
#[test]
fn a_signal_while_the_view_draws_restores_the_terminal() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    let _exporter = serve(&namespace, &tmux);
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTERM] {
        start(&tmux, "");
        tmux.wait_text("q quit");
        tmux.send(&["Tab"; 500]);
        kill(pid(&tmux), signal).unwrap();
        // The shell gets the keys that the view did not read.
        tmux.wait("the end of the view", |screen| {
            screen.contains("exit code 0")
                && screen.contains("same mode")
                && !screen.contains("Countries")
        });
        tmux.send(&["C-c"]);
    }
}

/// Files are read without privileges, in a sandbox that allows to suspend.
#[test]
fn files_and_job_control() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    let directory = tmux.directory.path().display();
    for words in ["mixed.pcap", "- <mixed.pcap"] {
        tmux.type_line(&format!(
            "clear; cd {CAPTURES}; stty -g >{directory}/before; {EXPORTER} top {words}"
        ));
        let screen = tmux.wait_text("complete");
        assert!(screen.contains("189 packets in"), "{screen}");
        if !words.starts_with('-') {
            check("file", &screen);
        }
        for _ in 0..2 {
            tmux.send(&["C-z"]);
            let screen = tmux.wait_text("Stopped");
            assert!(!screen.contains("Countries"), "{screen}");
            tmux.type_line(&format!("clear; stty -g | cmp - {directory}/before && echo same mode"));
            tmux.wait("the mode", |screen| {
                screen.contains("\nsame mode\n") || screen.starts_with("same mode\n")
            });
            tmux.type_line("fg");
            tmux.wait_text("189 packets in");
        }
        tmux.send(&["Tab"]);
        tmux.wait_text("Ports (69)");
        tmux.send(&["q"]);
        tmux.type_line(&format!("clear; stty -g | cmp - {directory}/before && echo same mode"));
        tmux.wait("the mode", |screen| screen.starts_with("same mode\n"));
    }
}

/// The view does nothing while nothing changes.
#[test]
fn an_idle_view_needs_little_processor_time() {
    let namespace = Namespace::new("top");
    let tmux = Tmux::start(&namespace, (80, 24), &UTF8);
    let _exporter = serve(&namespace, &tmux);
    start(&tmux, "");
    tmux.wait_text("189 packets in");
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid(&tmux))).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    let start = std::time::Instant::now();
    wait_for("some polls", || (start.elapsed().as_secs() >= 5).then_some(()));
    // At most 0.5 of 5 seconds, also without optimization and on a busy host.
    assert!(ticks() - before < 50, "{} ticks", ticks() - before);
    tmux.send(&["q"]);
    ended(&tmux, 0);
}
