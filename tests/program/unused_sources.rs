//! `replay` and `report` of files with the configuration of an exporter: the sources of the configuration stay closed.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::support::program::{EXPORTER, wait_for};

const LINE: &str = "Nov 28 10:00:00 gw kernel: DROP IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=40 TOS=0x00 \
                    PREC=0x00 TTL=64 ID=1 PROTO=UDP SPT=7 DPT=53 LEN=20 \n";

/// The program with a configuration of all sources. As another user than root, it has no rights to open some of them.
fn program(directory: &Path, port: u16, arguments: &[&str]) -> Command {
    let name = |name: &str| directory.join(name).display().to_string();
    let config = format!(
        "[nflog]\ngroups = [4711]\nconntrack = true\n[rules]\ninstall = true\n\
         [kernel_log]\nkmsg = true\nfiles = ['{}']\nsyslog = ['udp://127.0.0.1:{port}']\nstate_file = '{}'\n\
         [mirror]\nurl = 'sqlite:{}'\nspool.directory = '{}'\n[web]\nlisten_addresses = ['127.0.0.1:0']\n",
        name("followed.log"),
        name("state/positions"),
        name("state/rows.db"),
        name("state/spool"),
    );
    fs::write(directory.join("config.toml"), config).unwrap();
    let mut command = Command::new(EXPORTER);
    command.arg("--config.file");
    command.arg(directory.join("config.toml")).args(arguments).arg(directory.join("kern.log"));
    command.env_remove("NFLOG_EXPORTER_MIRROR_URL").stdin(Stdio::null());
    command
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("state")).unwrap();
    fs::write(directory.path().join("kern.log"), LINE).unwrap();
    fs::write(directory.path().join("followed.log"), LINE.repeat(7)).unwrap();
    directory
}

/// A port that is free now.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[track_caller]
fn assert_no_state(directory: &Path) {
    assert_eq!(fs::read_dir(directory.join("state")).unwrap().count(), 0);
}

#[test]
fn counting_a_file_creates_nothing() {
    let directory = directory();
    for (arguments, expect) in [
        (&["replay"][..], "nflog_exporter_received_packets_total{group=\"0\"} 1\n"),
        (&["report", "--format=json"], "\"packets\": 1,"),
    ] {
        let output = program(directory.path(), free_port(), arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(expect), "{expect}\n{text}");
        assert_no_state(directory.path());
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// While a replay is served, the process has neither a netlink socket of netfilter, nor the kernel log, nor the address.
#[test]
fn a_served_replay_opens_no_source() {
    const NETFILTER: &str = "12";
    let directory = directory();
    let port = free_port();
    let log = directory.path().join("log");
    let mut command = program(directory.path(), port, &["replay", "--serve"]);
    command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let child = Killed(command.spawn().unwrap());
    wait_for("the replay", || {
        let text = fs::read_to_string(&log).unwrap();
        text.contains("metrics=http://").then_some(())
    });
    let process = format!("/proc/{}", child.0.id());
    let open: Vec<_> = fs::read_dir(format!("{process}/fd"))
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    assert!(!open.is_empty() && open.iter().all(|target| !target.contains("kmsg")), "{open:?}");
    assert!(open.iter().all(|target| !target.contains("followed.log")), "{open:?}");
    let sockets = fs::read_to_string(format!("{process}/net/netlink")).unwrap();
    for socket in sockets.lines().skip(1) {
        let columns: Vec<_> = socket.split_whitespace().collect();
        let name = format!("socket:[{}]", columns.last().unwrap());
        assert!(columns[1] != NETFILTER || !open.contains(&name), "{socket}");
    }
    UdpSocket::bind(("127.0.0.1", port)).unwrap();
    assert_no_state(directory.path());
}
