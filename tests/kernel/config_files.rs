//! Configuration files that are pipes or devices, or on file systems that do not respond. Requires root.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    fcntl::AT_FDCWD,
    sys::{
        fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags},
        signal::Signal,
        stat::Mode,
    },
    unistd::mkfifo,
};

use crate::support::{
    Namespace,
    program::{EXPORTER, Exporter, Program, samples, sum, wait_for},
};

/// Replaces the file at the path with a named pipe.
fn put_pipe(path: &Path) {
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::S_IRWXU | Mode::S_IROTH).unwrap();
}

fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// Checks a configuration in which one file is a named pipe; `config` builds it from the path of the pipe.
fn check_start(config: impl Fn(&Path) -> String, expect: &str) {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    put_pipe(&pipe);
    let file = directory.path().join("config.toml");
    fs::write(&file, config(&pipe)).unwrap();
    let mut command = Command::new(EXPORTER);
    command.args(["config", "check", "--config.file"]).arg(&file);
    let mut program = Program::start(&mut command, directory.path().join("log"));
    assert_eq!(program.wait().code(), Some(2), "{}", program.log());
    let log = program.log();
    assert!(log.contains("it is a named pipe, not a regular file"), "{log}");
    assert!(log.contains(expect), "{log}");
}

#[test]
fn a_pipe_does_not_block_the_start() {
    let show = |path: &Path| path.display().to_string();
    check_start(|pipe| format!("[mirror]\nurl_file = '{}'", show(pipe)), "mirror.url_file");
    let anonymize = |pipe: &Path| {
        let key = show(pipe);
        format!("[mirror]\nanonymize = 'cryptopan'\nanonymize_key_file = '{key}'")
    };
    check_start(anonymize, "mirror.anonymize_key_file");
    check_start(|pipe| format!("[geoip]\ndatabases = ['{}']", show(pipe)), "GeoIP database");
    check_start(|pipe| format!("[web]\nconfig_file = '{}'", show(pipe)), "web.config_file");
    let certificate = |pipe: &Path| {
        let web = pipe.with_file_name("web.yml");
        let pipe = show(pipe);
        let tls = format!("tls_server_config: {{cert_file: {pipe}, key_file: {pipe}}}");
        fs::write(&web, tls).unwrap();
        format!("[web]\nconfig_file = '{}'", show(&web))
    };
    check_start(certificate, "cannot read");

    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("config.toml");
    put_pipe(&pipe);
    for file in [pipe.as_path(), Path::new("/dev/zero"), directory.path()] {
        let mut command = Command::new(EXPORTER);
        command.args(["config", "check", "--config.file"]).arg(file).stdin(Stdio::null());
        let mut program = Program::start(&mut command, directory.path().join("log"));
        assert_eq!(program.wait().code(), Some(2), "{}", program.log());
        assert!(program.log().contains("not a regular file"), "{}", program.log());
    }
}

fn reloaded(exporter: &Exporter) -> u64 {
    sum(&exporter.scrape(), "nflog_exporter_config_last_reload_successful")
}

fn reload(exporter: &Exporter, expect: u64) {
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the reload", || (reloaded(exporter) == expect).then_some(()));
}

#[test]
fn a_pipe_does_not_block_a_reload() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    crate::support::program::open_to_all(directory.path());
    let web = directory.path().join("web.yml");
    put(&web, "rate_limit: {interval: 1s, burst: 1000}\n");
    let arguments = ["--web.config.file", web.to_str().unwrap()];
    let exporter = Exporter::start(&host, "", &arguments);
    crate::support::program::open_to_all(exporter.directory.path());
    let file = exporter.directory.path().join("config.toml");

    put_pipe(&file);
    reload(&exporter, 0);
    put(&file, "");
    reload(&exporter, 1);

    let database = exporter.directory.path().join("pipe.mmdb");
    put_pipe(&database);
    put(&file, &format!("[geoip]\ndatabases = ['{}']\n", database.display()));
    reload(&exporter, 0);
    put(&file, "");
    reload(&exporter, 1);

    let current = || {
        let samples =
            samples(&exporter.scrape(), "nflog_exporter_web_config_last_reload_successful");
        samples.first().map(|(_, value)| *value > 0.0)
    };
    assert_eq!(current(), Some(true));
    put_pipe(&web);
    wait_for("the pipe to be rejected", || (current() == Some(false)).then_some(()));
    put(&web, "rate_limit: {interval: 1s, burst: 2000}\n");
    wait_for("the file to be used", || (current() == Some(true)).then_some(()));
    let log = exporter.program.log();
    assert!(log.matches("it is a named pipe, not a regular file").count() >= 3, "{log}");
}

/// Blocks processes that open the file until it is dropped, like a file system that does not respond.
fn hang(path: &Path) -> Fanotify {
    // The exporter itself could hold the group otherwise.
    let flags = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC;
    let group = Fanotify::init(flags, EventFFlags::O_RDONLY).unwrap();
    let open = MaskFlags::FAN_OPEN_PERM;
    group.mark(MarkFlags::FAN_MARK_ADD, open, AT_FDCWD, Some(path)).unwrap();
    group
}

#[test]
fn a_reload_fails_if_a_file_system_does_not_respond() {
    let host = Namespace::new("host");
    let mut exporter = Exporter::start(&host, "", &[]);
    let file = exporter.directory.path().join("config.toml");
    let hanging = hang(&file);
    reload(&exporter, 0);
    assert!(exporter.program.log().contains("took longer than 10 s"), "{}", exporter.program.log());
    // At most one thread is blocked.
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the next reload to fail", || {
        exporter.program.log().contains("an earlier reload is still being read").then_some(())
    });
    drop(hanging);
    wait_for("the next reload to succeed", || {
        exporter.program.signal(Signal::SIGHUP);
        (reloaded(&exporter) == 1).then_some(())
    });

    let _hanging = hang(&file);
    exporter.program.signal(Signal::SIGHUP);
    assert_eq!(exporter.get("/metrics").map(|(status, _)| status), Some(200));
    exporter.program.signal(Signal::SIGTERM);
    assert_eq!(exporter.program.wait().code(), Some(0));
}

/// The signals whose handlers a process has installed (`proc_pid_status(5)`).
fn handled_signals(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap()
}

/// A reload and the reopening of outputs are requested while the start waits for a file; their default action would end the
/// program, and `Restart=on-failure` of systemd does not restart it after a SIGHUP.
#[test]
fn requests_during_the_start_do_not_end_the_program() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    crate::support::program::open_to_all(directory.path());
    let web = directory.path().join("web.yml");
    put(&web, "");
    let hanging = hang(&web);
    let exporter = Exporter::spawn(&host, "", &["--web.config.file", web.to_str().unwrap()]);
    let requests = [Signal::SIGHUP, Signal::SIGUSR1];
    let bits = requests.map(|signal| 1_u64 << (signal as u64 - 1));
    wait_for("the handlers", || {
        let handled = handled_signals(exporter.program.pid());
        bits.iter().all(|bit| handled & bit != 0).then_some(())
    });
    for signal in requests {
        exporter.program.signal(signal);
    }
    assert!(exporter.get("/-/ready").is_none());
    drop(hanging);
    wait_for("the reload", || {
        exporter.get("/-/ready").filter(|(status, _)| *status == 200)?;
        exporter.program.log().contains("configuration reloaded").then_some(())
    });
}
