//! A log whose reader is blocked: a full pipe, a full socket, a stopped terminal. Requires root.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    net::TcpListener,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    pty::openpty,
    sys::{
        signal::{Signal, kill},
        socket::{AddressFamily, SockFlag, SockType, socketpair},
        termios::{FlowArg, tcflow},
    },
    unistd::{Pid, pipe},
};

use crate::support::{
    Namespace, Wire, frame,
    program::{EXPORTER, get, samples, sum, wait_for, whole},
};

const RULES: &str = "
    table inet t {
        chain in {
            type filter hook prerouting priority -100;
            iifname wan0 meta l4proto udp log prefix \"udp in\" group 1 drop
        }
    }
";

/// An unknown key of 30 KiB, which the error quotes: 9 such lines exceed the buffer.
fn wrong_config() -> String {
    format!("{} = 1\n", "x".repeat(30 << 10))
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes until the descriptor accepts no more, then makes writes block again.
fn fill(end: &OwnedFd) {
    let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL).unwrap());
    fcntl(end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    let mut file = File::from(end.try_clone().unwrap());
    for length in [4096, 1] {
        loop {
            match file.write(&vec![b'.'; length]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    fcntl(end, FcntlArg::F_SETFL(flags)).unwrap();
}

fn scrape(host: &Namespace) -> String {
    get(host, 10239, "/metrics").filter(|(status, _)| *status == 200).expect("a response").1
}

fn reloaded(host: &Namespace) -> u64 {
    sum(&scrape(host), "nflog_exporter_config_last_reload_successful")
}

/// Runs the exporter with this as its standard error, which accepts nothing until `read` is called. `read`
/// returns what can be read from then on.
fn check<R: Read + Send>(stderr: OwnedFd, read: impl FnOnce() -> R) {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    fs::write(&config, "").unwrap();
    let mut command = wire.host.command(EXPORTER);
    command.args(["--privileges.user=root", "--config.file"]).arg(&config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let mut exporter = Running(command.spawn().unwrap());
    // Its copy of the descriptor would hide the end of the log.
    drop(command);
    let host = &wire.host;
    wait_for("the exporter to be ready", || {
        get(host, 10239, "/-/ready").filter(|(status, _)| *status == 200)
    });

    let sent = wire.send((0..500).map(|port| frame::udp([133, 11, 0, 1], 40_000, port, b"x")));
    wait_for("every packet to be counted", || {
        (sum(&scrape(host), "nflog_exporter_received_packets_total") == sent).then_some(())
    });
    fs::write(&config, wrong_config()).unwrap();
    exporter.signal(Signal::SIGHUP);
    wait_for("the invalid configuration to be rejected", || (reloaded(host) == 0).then_some(()));
    wait_for("lines to be dropped", || {
        exporter.signal(Signal::SIGHUP);
        let left_out = sum(&scrape(host), "nflog_exporter_log_lines_dropped_total");
        (left_out > 0).then_some(())
    });
    fs::write(&config, "").unwrap();
    exporter.signal(Signal::SIGHUP);
    wait_for("the configuration to be reloaded", || (reloaded(host) == 1).then_some(()));

    let mut reader = read();
    let mut log = String::new();
    thread::scope(|scope| {
        let mut pieces = [0; 4096];
        while !log.contains("dropped log lines") {
            let length = reader.read(&mut pieces).unwrap();
            assert_ne!(length, 0, "the end of the log: {log}");
            log.push_str(&String::from_utf8_lossy(&pieces[..length]));
        }
        // Continue to read, so that there is space for the last line.
        let rest = scope.spawn(move || {
            let mut rest = Vec::new();
            // A closed terminal is an error.
            let _ = reader.read_to_end(&mut rest);
            String::from_utf8_lossy(&rest).into_owned()
        });
        assert!(whole(samples(&scrape(host), "nflog_exporter_log_lines_dropped_total")[0].1) > 0);
        exporter.signal(Signal::SIGTERM);
        assert!(wait_for("the end", || exporter.0.try_wait().unwrap()).success());
        log.push_str(&rest.join().unwrap());
    });
    for line in ["reading the packet log", "reload failed", "dropped log lines", "stopped"] {
        assert!(log.contains(line), "no line with {line:?}: {log}");
    }
}

#[test]
fn a_full_pipe_blocks_nothing() {
    let (read, write) = pipe().unwrap();
    fill(&write);
    check(write, || File::from(read));
}

#[test]
fn a_full_socket_blocks_nothing() {
    let pair = |flags| socketpair(AddressFamily::Unix, SockType::Stream, None, flags).unwrap();
    let (read, write) = pair(SockFlag::empty());
    fill(&write);
    check(write, || File::from(read));
}

#[test]
fn a_stopped_terminal_blocks_nothing() {
    let pty = openpty(None, None).unwrap();
    tcflow(&pty.slave, FlowArg::TCOOFF).unwrap();
    let resumed = pty.slave.try_clone().unwrap();
    check(pty.slave, || {
        tcflow(&resumed, FlowArg::TCOON).unwrap();
        drop(resumed);
        File::from(pty.master)
    });
}

#[test]
fn a_signal_ends_the_exporter_without_a_log_reader() {
    let host = Namespace::new("unread");
    host.ip("link set lo up");
    let (_read, write) = pipe().unwrap();
    fill(&write);
    let mut command = host.command(EXPORTER);
    command.arg("--privileges.user=root").stdout(Stdio::null()).stderr(write);
    let mut exporter = Running(command.spawn().unwrap());
    wait_for("the exporter to be ready", || {
        get(&host, 10239, "/-/ready").filter(|(status, _)| *status == 200)
    });
    let begin = Instant::now();
    exporter.signal(Signal::SIGTERM);
    assert!(wait_for("the end", || exporter.0.try_wait().unwrap()).success());
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_failed_start_logs_the_reason_and_ends_in_time() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let command = || {
        let mut command = Command::new(EXPORTER);
        command.args(["--web.listen-address", &address]).stdout(Stdio::null());
        command
    };
    let output = command().output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&format!("cannot listen on {address}")), "{message}");
    assert_eq!(output.status.code(), Some(1));

    let (_read, write) = pipe().unwrap();
    fill(&write);
    let mut exporter = Running(command().stderr(write).spawn().unwrap());
    assert_eq!(wait_for("the end", || exporter.0.try_wait().unwrap()).code(), Some(1));
}
