//! The running exporter without privileges, in a namespace with real packets and a real database.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::{TcpListener, UdpSocket},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
};

use nix::sys::signal::Signal;

use crate::support::{
    Namespace, Wire, frame,
    mariadb::MariaDb,
    program::{
        EXPORTER, Exporter, PATIENCE, Program, get, open_to_all, samples, sum, wait_for, whole,
    },
    report_traffic::week,
};

const RULES: &str = "
    table inet t {
        chain in {
            type filter hook prerouting priority -100;
            iifname wan0 tcp dport 22 log prefix \"ssh\" group 1 drop
        }
    }
";

/// A field of every thread's `/proc/PID/task/TID/status`.
fn of_each_thread(pid: u32, field: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let values = tasks.filter_map(|task| {
        // A thread can end meanwhile.
        let status = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        Some(line.split_once(':').unwrap().1.trim().to_owned())
    });
    values.collect()
}

/// Checks that every thread has this user, no capability, and the filters.
fn assert_confined(pid: u32, user: u32, group: u32) {
    let four = |number: u32| [number; 4].map(|number| number.to_string()).join("\t");
    let none = "0000000000000000";
    let expected = [
        ("Uid:", four(user)),
        ("Gid:", four(group)),
        ("Groups:", group.to_string()),
        ("CapInh:", none.into()),
        ("CapPrm:", none.into()),
        ("CapEff:", none.into()),
        ("CapBnd:", none.into()),
        ("CapAmb:", none.into()),
        ("NoNewPrivs:", "1".into()),
        ("Seccomp:", "2".into()),
    ];
    for (field, expected) in expected {
        let values = of_each_thread(pid, field);
        assert!(values.len() >= 4, "{values:?}");
        assert!(values.iter().all(|value| *value == expected), "{field} {values:?}");
    }
}

/// The process of the program itself, a descendant of `ip netns exec` and other programs.
fn pid_of(program: &Program) -> u32 {
    let own = |pid: u32| {
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "nflog_exporter")
    };
    wait_for("the program's process", || {
        let mut pids = vec![program.pid()];
        while let Some(pid) = pids.pop() {
            if own(pid) {
                return Some(pid);
            }
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            pids.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
        }
        None
    })
}

fn layers(exporter: &Exporter) -> BTreeMap<String, u64> {
    let samples = samples(&exporter.scrape(), "nflog_exporter_confinement");
    samples.into_iter().map(|(labels, value)| (labels["layer"].clone(), whole(value))).collect()
}

fn reloads(exporter: &Exporter, result: &str) -> u64 {
    let samples = samples(&exporter.scrape(), "nflog_exporter_geoip_reloads_total");
    let chosen = samples.iter().filter(|(labels, _)| labels["result"] == result);
    whole(chosen.map(|(_, value)| value).sum())
}

#[test]
fn everything_works_without_privileges() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = MariaDb::start();
    database.query("mysql", "CREATE DATABASE log");
    let directory = tempfile::tempdir().unwrap();
    let geoip = directory.path().join("geoip.mmdb");
    let data = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/geoip").join(name);
    fs::copy(data("GeoLite2-ASN-Test.mmdb"), &geoip).unwrap();
    let spool = directory.path().join("spool");
    let config = |series: u32| {
        format!(
            "[geoip]\ndatabases = ['{}']\n[mirror]\nurl = 'mysql://root@localhost/log?socket={}'\n\
             [mirror.spool]\ndirectory = '{}'\n[[family]]\nname = 'traffic'\nmax_series = {series}\n",
            geoip.display(),
            database.socket().display(),
            spool.display(),
        )
    };
    let exporter = Exporter::start(&wire.host, &config(1000), &["--rules.install"]);
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (user, group) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let pid = pid_of(&exporter.program);
    assert_confined(pid, user, group);
    let all = ["capabilities", "landlock", "landlock_ports", "no_new_privs", "seccomp", "user"];
    assert_eq!(layers(&exporter), all.map(|layer| (layer.to_owned(), 1)).into());
    assert_eq!(fs::metadata(&spool).unwrap().uid(), user);

    // Packets become rows.
    let sent = Cell::new(0);
    let go_out = |first: u16| {
        let frames = (first..first + 100).map(|port| frame::syn([133, 11, 0, 7], port, 22));
        sent.set(sent.get() + wire.send(frames));
    };
    let flow = || {
        go_out(1000);
        wait_for("packets as rows", || {
            let text = exporter.scrape();
            // The rule and the exporter's own table both log them.
            let received = sum(&text, "nflog_exporter_received_packets_total");
            let written = sum(&text, "nflog_exporter_mirror_written_rows_total");
            (received >= 2 * sent.get() && written == received).then_some(())
        });
    };
    flow();

    // A GeoIP file is replaced.
    let newer = directory.path().join("newer.mmdb");
    fs::copy(data("GeoIP2-City-Test.mmdb"), &newer).unwrap();
    fs::rename(&newer, &geoip).unwrap();
    wait_for("the newer database", || (reloads(&exporter, "success") == 1).then_some(()));

    // The database is killed and started again; rows wait on disk.
    database.kill_9();
    go_out(2000);
    wait_for("rows in the spool", || {
        (sum(&exporter.scrape(), "nflog_exporter_mirror_spooled_rows") >= 200).then_some(())
    });
    database.restart();
    flow();

    // SIGHUP loads the new configuration; the file was replaced, as editors do.
    let file = exporter.directory.path().join("config.toml");
    fs::write(exporter.directory.path().join("new"), config(500)).unwrap();
    fs::rename(exporter.directory.path().join("new"), &file).unwrap();
    exporter.program.signal(Signal::SIGHUP);
    wait_for("the new limit", || {
        let text = exporter.scrape();
        let limit = samples(&text, "nflog_exporter_series_limit")
            .into_iter()
            .find(|(labels, _)| labels["family"] == "traffic");
        (whole(limit?.1) == 500).then_some(())
    });
    flow();
    assert_confined(pid, user, group);

    let mut exporter = exporter;
    exporter.program.signal(Signal::SIGTERM);
    assert_eq!(exporter.program.wait().code(), Some(0));
    assert!(!wire.host.exec("nft", &["list", "tables"]).contains("nflog_exporter"));
    let log = exporter.program.log();
    assert!(!log.contains("level=error"), "{log}");
    // The log at level info contains no source address.
    assert!(!log.contains("133.11.0."), "{log}");
}

#[test]
fn the_configured_user_and_group_are_used_without_a_sandbox() {
    let wire = Wire::new();
    let config = "[privileges]\nuser = 'daemon'\ngroup = 'mail'\nsandbox = false\n";
    let exporter = Exporter::start(&wire.host, config, &[]);
    let pid = pid_of(&exporter.program);
    let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap().uid.to_string();
    for user in of_each_thread(pid, "Uid:") {
        assert!(user.split_whitespace().all(|id| id == daemon), "{user}");
    }
    let layers = layers(&exporter);
    assert_eq!((layers["user"], layers["landlock"], layers["seccomp"]), (1, 0, 0));
    assert_eq!(layers["capabilities"], 1);
}

/// As under systemd with `AmbientCapabilities=`: never root, and the capability is dropped.
#[test]
fn an_exporter_started_with_one_capability_drops_it() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let mut command = wire.host.command("setpriv");
    command
        .args(["--reuid=daemon", "--regid=daemon", "--clear-groups"])
        .args(["--inh-caps=+net_admin", "--ambient-caps=+net_admin"])
        .arg(EXPORTER)
        .arg("--rules.install");
    let program = Program::start(&mut command, directory.path().join("log"));
    wait_for("the exporter to be ready", || {
        get(&wire.host, 10239, "/-/ready").filter(|(status, _)| *status == 200)
    });
    let pid = pid_of(&program);
    for field in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        let values = of_each_thread(pid, field);
        assert!(values.iter().all(|value| value == "0000000000000000"), "{field} {values:?}");
    }
    assert!(of_each_thread(pid, "NoNewPrivs:").iter().all(|value| value == "1"));
    wire.send([frame::syn([133, 11, 0, 7], 1000, 22)]);
    wait_for("the packet", || {
        let (_, text) = get(&wire.host, 10239, "/metrics")?;
        (sum(&text, "nflog_exporter_received_packets_total") > 0).then_some(())
    });
}

#[test]
fn errors_about_the_user_name_the_reason() {
    let wire = Wire::new();
    let run = |user: &str, become_user: &[&str]| {
        let mut command = match become_user {
            [] => wire.host.command(EXPORTER),
            [first, rest @ ..] => {
                let mut command = wire.host.command(first);
                command.args(rest).arg(EXPORTER);
                command
            }
        };
        let output = command.args(["--privileges.user", user]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let unknown = run("nobody-at-all", &[]);
    let mut check = Command::new(EXPORTER);
    check.args(["config", "check", "--privileges.user", "nobody-at-all"]);
    assert_eq!(check.status().unwrap().code(), Some(2));
    assert!(unknown.contains("privileges.user = \"nobody-at-all\""), "{unknown}");
    let daemon = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups"];
    let with = [&daemon[..], &["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]].concat();
    let other = run("mail", &with);
    assert!(other.contains("cannot change users"), "{other}");
}

/// Typical containers: root with one capability; a file system without a list of users.
#[test]
fn it_starts_in_containers_without_other_users() {
    let wire = Wire::new();
    let started = |command: &mut Command, user: u32| {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::start(command, directory.path().join("log"));
        wait_for("the exporter to be ready", || {
            get(&wire.host, 10239, "/-/ready").filter(|(status, _)| *status == 200)
        });
        for line in of_each_thread(pid_of(&program), "Uid:") {
            assert!(line.split_whitespace().all(|id| id == user.to_string()), "{line}");
        }
    };
    let mut command = wire.host.command("setpriv");
    command.args(["--bounding-set", "-all,+net_admin", EXPORTER, "--privileges.user", "root"]);
    started(&mut command, 0);

    let empty = tempfile::tempdir().unwrap();
    let script = format!("mount --bind {} /etc && exec \"$@\"", empty.path().display());
    for (user, number) in [("", 65534), ("4711", 4711)] {
        let mut command = wire.host.command("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh", EXPORTER]);
        command.args(["--privileges.user", user]);
        started(&mut command, number);
    }
}

/// A capture is not read as root.
#[test]
fn a_capture_is_read_without_privileges() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("own.pcap");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures");
    fs::copy(data.join("mixed.pcap"), &capture).unwrap();
    fs::set_permissions(&capture, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = wire.host.command(EXPORTER);
    command.args(["replay", "--serve"]).arg(&capture);
    let program = Program::start(&mut command, directory.path().join("log"));
    wait_for("the packets", || {
        let (_, text) = get(&wire.host, 10239, "/metrics")?;
        (sum(&text, "nflog_packets_total") > 0).then_some(())
    });
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_confined(pid_of(&program), nobody.uid.as_raw(), nobody.gid.as_raw());
}

/// A report is written without privileges. With an output file, its user stays, without capabilities.
#[test]
fn a_report_is_made_without_privileges() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let output = directory.path().join("report.html");
    for writes_file in [false, true] {
        let pipe = directory.path().join(format!("pipe-{writes_file}"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        // A writer that has not written yet.
        let mut writer = fs::File::options().read(true).write(true).open(&pipe).unwrap();
        let mut command = wire.host.command(EXPORTER);
        command.arg("report").arg(&pipe);
        if writes_file {
            command.arg("--format=html").arg("--output").arg(&output);
        }
        let mut program = Program::start(&mut command, directory.path().join("log"));
        let pid = pid_of(&program);
        let threads = || of_each_thread(pid, "Seccomp:").len();
        wait_for("the reading threads", || (threads() >= 4).then_some(()));
        if writes_file {
            for (field, expected) in
                [("Uid:", "0\t0\t0\t0"), ("CapEff:", "0000000000000000"), ("Seccomp:", "2")]
            {
                let values = of_each_thread(pid, field);
                assert!(values.iter().all(|value| value == expected), "{field} {values:?}");
            }
        } else {
            assert_confined(pid, nobody.uid.as_raw(), nobody.gid.as_raw());
        }
        writer.write_all(week().bytes()).unwrap();
        drop(writer);
        assert!(program.wait().success(), "{}", program.log());
        let report = if writes_file { fs::read_to_string(&output).unwrap() } else { program.log() };
        assert!(report.contains("Firewall log report"), "{report}");
    }
}

/// A name server that returns the same address for every name.
fn answer_names(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut query) {
        // The header, the name's labels up to the empty one, type and class: RFC 1035, 4.1.
        let name = query[12..length].iter().position(|byte| *byte == 0).unwrap();
        let question = &query[12..12 + name + 5];
        let is_address = question[name + 1..name + 3] == [0, 1];
        let mut answer =
            [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]].concat();
        answer.extend(question);
        if is_address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        socket.send_to(&answer, client).unwrap();
    }
}

#[test]
fn a_database_is_found_by_its_host_name() {
    let wire = Wire::new();
    let etc = wire.host.copy_etc("hosts");
    fs::write(etc.path("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    fs::write(etc.path("nsswitch.conf"), "hosts: files dns\n").unwrap();
    let (names, database) = wire.host.run(|| {
        (UdpSocket::bind("127.0.0.1:53").unwrap(), TcpListener::bind("127.0.0.1:3306").unwrap())
    });
    names.set_read_timeout(Some(PATIENCE)).unwrap();
    std::thread::spawn(move || answer_names(&names));
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool").display().to_string();
    let config = format!(
        "[mirror]\nurl = 'mysql://u@db.example/log?sslmode=disable'\nspool.directory = '{spool}'\n"
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    assert_eq!(layers(&exporter)["seccomp"], 1);
    database.set_nonblocking(true).unwrap();
    wait_for("a connection of the exporter", || database.accept().ok());
}

/// The exporter owns all directories that it creates, so that it can access them.
#[test]
fn nested_directories_are_created() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let (deep, open) = (directory.path().join("deep"), directory.path().join("open"));
    fs::create_dir(&open).unwrap();
    open_to_all(&open);
    open_to_all(directory.path());
    let config = |directory: &Path| {
        let directory = directory.display();
        format!(
            "[mirror]\nurl = 'sqlite:{directory}/a/rows.db'\nspool.directory = '{directory}/b/spool'\n"
        )
    };
    let up = |metrics: &str| sum(metrics, "nflog_exporter_mirror_up") == 1;
    let exporter = Exporter::start(&wire.host, &config(&deep), &[]);
    wait_for("the mirror", || up(&exporter.scrape()).then_some(()));
    drop(exporter);

    // The same for an exporter that was never root, as under a service manager.
    let file = directory.path().join("config.toml");
    fs::write(&file, config(&open)).unwrap();
    let mut command = wire.host.command("setpriv");
    command
        .args(["--reuid=daemon", "--regid=daemon", "--clear-groups"])
        .args(["--inh-caps=+net_admin", "--ambient-caps=+net_admin", EXPORTER, "--config.file"])
        .arg(&file);
    let _program = Program::start(&mut command, directory.path().join("log"));
    wait_for("the mirror", || {
        get(&wire.host, 10239, "/metrics").filter(|(_, metrics)| up(metrics))
    });
}

/// The path of the database is a symbolic link to another directory, whose file exists or not. The rules of the sandbox allow
/// the directory of its target.
#[test]
fn a_database_is_written_through_a_link() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("big")).unwrap();
    open_to_all(&path("big"));
    for (exists, link) in [(true, "first.db"), (false, "second.db")] {
        let target = path("big").join(link);
        if exists {
            fs::write(&target, "").unwrap();
            open_to_all(&target);
        }
        std::os::unix::fs::symlink(&target, path(link)).unwrap();
        let config = format!(
            "[mirror]\nurl = 'sqlite:{}'\nspool.directory = '{}'\n",
            path(link).display(),
            path("spool").display()
        );
        let config = config + "spool.other_target = 'drop'\n";
        let exporter = Exporter::start(&host, &config, &[]);
        wait_for("the mirror", || {
            (sum(&exporter.scrape(), "nflog_exporter_mirror_up") == 1).then_some(())
        });
        assert_eq!(layers(&exporter)["landlock"], 1, "{:?}", layers(&exporter));
        assert!(path(link).is_symlink() && fs::metadata(&target).unwrap().len() > 0);
    }
}

/// A host name of any bytes, as `sethostname(2)` allows, is one line in rows and outputs.
#[test]
fn a_host_name_with_a_line_break_is_one_line() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name);
    let config = format!(
        "[mirror]\nurl = 'sqlite:{0}/rows.db'\nspool.directory = '{0}/spool'\n\
         [[output]]\nname = 'ecs'\nformat = 'ecs'\ntarget = 'file://{0}/packets.json'\n",
        directory.path().display()
    );
    let file = path("config.toml");
    fs::write(&file, config).unwrap();
    let script = "import os, socket, sys; socket.sethostname(b'gate\\nevil\\x1b'); os.execv(sys.argv[1], sys.argv[1:])";
    let mut command = wire.host.command("unshare");
    command.args(["--uts", "python3", "-c", script, EXPORTER, "--config.file"]).arg(&file);
    let _program = Program::start(&mut command, path("log"));
    wait_for("the exporter", || get(&wire.host, 10239, "/-/ready"));
    wire.send((1..=3).map(|port| frame::syn([133, 11, 0, 7], port, 22)));
    wait_for("rows", || {
        let (_, metrics) = get(&wire.host, 10239, "/metrics")?;
        let written = ["mirror_written_rows_total", "output_written_rows_total"];
        written
            .iter()
            .all(|name| sum(&metrics, &format!("nflog_exporter_{name}")) == 3)
            .then_some(())
    });
    let mut command = Command::new("sqlite3");
    command.arg(path("rows.db")).arg("SELECT DISTINCT host FROM packets");
    let found = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(found, "gate\u{fffd}evil\u{fffd}\n");
    let lines = fs::read_to_string(path("packets.json")).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.lines().all(|line| line.contains("\"gate\u{fffd}evil\u{fffd}\"")), "{lines}");
}

/// The owner of a directory does not change if other users can write to it. A directory with files of others ends the
/// start.
#[test]
fn only_the_programs_own_directories_change_their_owner() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let (shared, full) = (directory.path().join("shared"), directory.path().join("full"));
    fs::create_dir(&shared).unwrap();
    open_to_all(&shared);
    fs::write(shared.join("secret"), "").unwrap();
    fs::create_dir_all(&full).unwrap();
    fs::write(full.join("accounts.csv"), "").unwrap();
    let config = |spool: &Path| {
        format!(
            "[mirror]\nurl = 'sqlite:{}'\n[mirror.spool]\ndirectory = '{}'\n",
            directory.path().join("new/rows.db").display(),
            spool.display()
        )
    };
    let exporter = Exporter::start(&wire.host, &config(&shared), &[]);
    assert_eq!(fs::metadata(&shared).unwrap().uid(), 0);
    drop(exporter);
    let file = directory.path().join("config.toml");
    fs::write(&file, config(&full)).unwrap();
    let output = wire.host.command(EXPORTER).arg("--config.file").arg(&file).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let why = "it belongs to root and has accounts.csv, which this program did not write: set another directory, or run: chown";
    assert!(!output.status.success() && error.contains(why), "{error}");
    for path in [full.clone(), full.join("accounts.csv")] {
        assert_eq!(fs::metadata(path).unwrap().uid(), 0);
    }
    assert_eq!(fs::metadata(shared.join("secret")).unwrap().uid(), 0);
    // It owns a directory that it created.
    assert_ne!(fs::metadata(directory.path().join("new")).unwrap().uid(), 0);
}

/// The program's own user can use what a first start as root wrote.
#[test]
fn a_start_as_root_does_not_lock_out_the_user() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let own = directory.path().join("own");
    fs::write(directory.path().join("kern.log"), "").unwrap();
    let config = |user: &str| {
        let (logs, own) = (directory.path().display(), own.display());
        format!(
            "[privileges]\nuser = '{user}'\n[mirror]\nurl = 'sqlite:{own}/rows.db'\nspool.directory = '{own}'\n\
             [kernel_log]\nfiles = ['{logs}/kern.log']\nstate_file = '{own}/positions'\n"
        )
    };
    let up = |metrics: &str| sum(metrics, "nflog_exporter_mirror_up") == 1;
    for user in ["root", "daemon"] {
        let exporter = Exporter::start(&wire.host, &config(user), &[]);
        wait_for("the mirror", || up(&exporter.scrape()).then_some(()));
        let log = exporter.program.log();
        assert!(!log.contains("level=warn") && !log.contains("level=error"), "{log}");
    }
    assert_ne!(fs::metadata(own.join("positions")).unwrap().uid(), 0);
}

/// Hides the list of users from a program in a separate mount namespace.
#[test]
fn root_needs_no_list_of_users() {
    let host = Namespace::new("host");
    let script = "mount -t tmpfs none /etc && ! getent passwd root && exec \"$@\"";
    for (user, group) in [("root", "root"), ("root", ""), ("nobody", "nogroup"), ("7", "8")] {
        let mut command = host.command("unshare");
        command.args(["--mount", "sh", "-c", script, "sh", EXPORTER]);
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.toml");
        fs::write(&config, format!("[privileges]\nuser = '{user}'\ngroup = '{group}'\n")).unwrap();
        command.arg("--config.file").arg(&config);
        let mut program = Program::start(&mut command, directory.path().join("log"));
        wait_for("the exporter to be ready", || {
            get(&host, 10239, "/-/ready").filter(|(status, _)| *status == 200)
        });
        let id = |name| match name {
            "nobody" | "nogroup" => "65534",
            "root" | "" => "0",
            number => number,
        };
        let pid = pid_of(&program);
        let first = |field| {
            let values = of_each_thread(pid, field);
            values.iter().map(|value| value.split_whitespace().next().unwrap().to_owned()).next()
        };
        assert_eq!(first("Uid:").as_deref(), Some(id(user)));
        assert_eq!(first("Gid:").as_deref(), Some(id(group)));
        program.signal(Signal::SIGTERM);
        assert_eq!(program.wait().code(), Some(0), "{}", program.log());
    }
    let mut command = host.command("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", EXPORTER, "--privileges.user=alice"]);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("there is no such user"), "{error}");
    assert_eq!(output.status.code(), Some(2));
}
