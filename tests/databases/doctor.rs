//! `doctor` on faulty hosts: every failure that it detects, produced for real. Needs root.
//! `doctor_rules` has the firewall rules, `doctor_exporter` the running exporter.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use nflog_exporter::source::nflog::{Nflog, NflogConfig, NflogError};
use nix::unistd::Group;

use crate::support::{
    Namespace, Wire,
    doctor::{Report, asked, doctor, doctor_with, in_traffic, last_line},
    mariadb::MariaDb,
    plan,
    postgres_server::PostgresServer,
    program::{EXPORTER, Exporter, open_to_all, wait_for},
    tmpfs::Tmpfs,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/geoip").join(name)
}

const RULES: &str = "table inet filter {
    chain input {
        type filter hook input priority 0
        log prefix \"web\" group 1
    }
}";

#[test]
fn a_healthy_host_passes_all_checks() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let report = in_traffic(&wire, || doctor(&wire.host, &[]));
    assert_eq!(report.code, Some(0), "{:?}", report.checks);
    report.ok("config", "no file");
    report.skipped("exporter", "no exporter is running");
    report.ok("kernel", "NFLOG");
    report.ok("capability", "CAP_NET_ADMIN");
    report.ok("rights", "the user nobody can");
    report.ok("group", "group 1 is free");
    report.ok("rules", "\"web\" in inet filter input to group 1");
    report.ok("receive_buffer", "16777216");
    report.ok("interfaces", "wan0");
    report.ok("packets", "\"web\"");
    report.ok("geoip", "embedded");
    report.ok("port", "127.0.0.1:10239 is free");
    report.skipped("mirror", "no database");
    report.skipped("spool", "no database");
    report.skipped("prometheus", "no exporter");
    let last = in_traffic(&wire, || last_line(wire.host.command(EXPORTER), &[]));
    assert_eq!(last, "no check failed, 1 check was not possible");

    // A host without packets yet is healthy.
    let output = wire.host.command(EXPORTER).arg("doctor").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ok       config           no file: defaults"), "{text}");
    assert!(text.contains("\nhint     packets          waited 4s: no packet arrived\n"), "{text}");
    assert!(text.ends_with("no check failed, 1 check was not possible, 1 hint\n"), "{text}");
    assert!(output.status.success());
}

/// Packets are parsed by a thread without privileges.
#[test]
fn packets_are_not_parsed_as_root() {
    let wire = Wire::new();
    let mut command = wire.host.command(EXPORTER);
    let mut asked = command.arg("doctor").stdout(Stdio::null()).spawn().unwrap();
    let confined = |status: String| {
        ["Uid:\t65534\t65534", "CapEff:\t0000000000000000", "Seccomp:\t2"]
            .iter()
            .all(|line| status.contains(line))
    };
    wait_for("a thread without privileges", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", asked.id())).ok()?;
        let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status"));
        tasks.flatten().filter_map(|task| status(task).ok()).any(confined).then_some(())
    });
    assert_eq!(asked.wait().unwrap().code(), Some(1));
}

#[test]
fn an_invalid_configuration_is_reported() {
    let host = Namespace::new("host");
    doctor_with(&host, "[nflog]\ngroup = 1\n").failed("config", "group");
    doctor_with(&host, "[nflog]\ngroups = [1]\n").ok("config", "config.toml is valid");
    doctor_with(&host, "").hints("config", "config.toml is empty");
}

/// The doctor applies the rules of `config check`.
#[test]
fn invalid_files_of_the_configuration_are_reported() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let file = directory.path().join("file");
    fs::write(&file, "not a network\n").unwrap();
    let lists = format!("[[list]]\nname = 'bad'\nfile = '{}'\n", file.display());
    let networks = format!("[networks]\nfile = '{}'\n", file.display());
    for (config, key) in [(&lists, "list.bad.file: "), (&networks, "networks.file: ")] {
        let report = doctor_with(&host, config);
        report.failed("config", key);
        report.failed("config", &file.display().to_string());
        // The other checks run all the same.
        report.ok("kernel", "");
    }
    fs::write(&file, "192.0.2.0/24,office\n").unwrap();
    doctor_with(&host, &networks).ok("config", "is valid");
    fs::write(&file, "192.0.2.0/24\n").unwrap();
    doctor_with(&host, &lists).ok("config", "is valid");
}

#[test]
fn an_invalid_web_configuration_is_reported() {
    let host = Namespace::new("host");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    fs::write(file.path(), "basic_auth_users: {alice: secret}").unwrap();
    doctor(&host, &["--web.config.file", path]).failed("web_config", "expected a bcrypt hash");
    fs::write(file.path(), "rate_limit: {interval: 1s, burst: 5}").unwrap();
    doctor(&host, &["--web.config.file", path]).ok("web_config", "is valid");
}

#[test]
fn a_kernel_without_nflog_is_reported() {
    let host = Namespace::new("host");
    let script = format!("mount -t tmpfs none /proc && exec {EXPORTER} doctor --json");
    let look = || {
        let mut command = host.command("unshare");
        Report::of(&command.args(["--mount", "sh", "-c", &script]).output().unwrap())
    };
    // Without /proc the doctor binds a group, which loads the module.
    look().ok("kernel", "NFLOG is available");
    let without = thread::scope(|scope| {
        let within = scope.spawn(|| {
            // A kernel without netlink's netfilter: socket(AF_NETLINK, …, NETLINK_NETFILTER).
            let is = |argument, value| {
                SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
                    .unwrap()
            };
            let (netlink, netfilter) = (libc::AF_NETLINK as u64, libc::NETLINK_NETFILTER as u64);
            let rule = SeccompRule::new(vec![is(0, netlink), is(2, netfilter)]).unwrap();
            let filter = SeccompFilter::new(
                [(libc::SYS_socket, vec![rule])].into(),
                SeccompAction::Allow,
                SeccompAction::Errno(libc::EPROTONOSUPPORT as u32),
                std::env::consts::ARCH.try_into().unwrap(),
            );
            let program: BpfProgram = filter.unwrap().try_into().unwrap();
            seccompiler::apply_filter(&program).unwrap();
            look()
        });
        within.join().unwrap()
    });
    without.failed("kernel", "does not support NFLOG");
}

/// What the check finds is what the exporter finds at its start: this kernel adds connections, or it does not.
#[test]
fn a_kernel_that_cannot_add_connections_is_reported() {
    let host = Namespace::new("host");
    let config = "[nflog]\nconntrack = true\n";
    let with_connections = NflogConfig { conntrack: true, ..plan(&[7]) };
    let opened = host.run(|| Nflog::open(&with_connections).map(drop));
    // Also while another program reads the group.
    let other = host.run(|| Nflog::open(&plan(&[1])).unwrap());
    let report = doctor_with(&host, config);
    host.release(other);
    match opened {
        Ok(()) => report.ok("conntrack", "adds the connection"),
        Err(error) => {
            assert!(matches!(error, NflogError::NoConntrack { group: 7 }), "{error}");
            report.failed("conntrack", "the exporter cannot start");
            report.failed("conntrack", "modprobe nf_conntrack_netlink");
            report.failed("conntrack", "nflog.conntrack = false");
            let mut exporter = Exporter::spawn(&host, config, &[]);
            assert!(!exporter.program.wait().success());
            assert!(exporter.program.log().contains("cannot add connections"));
        }
    }
    doctor_with(&host, "[nflog]\nconntrack = false\n").has_none("conntrack");
}

#[test]
fn missing_capabilities_are_reported() {
    let host = Namespace::new("host");
    let mut command = host.command("setpriv");
    command.args(["--bounding-set", "-net_admin", EXPORTER]);
    let report = Report::of(&asked(command, &["--nflog.group", "7"]));
    report.failed("capability", "CAP_NET_ADMIN is missing");
    report.failed("receive_buffer", "bursts of packets may be lost");
    report.skipped("packets", "not permitted");
    // No tool lists its rules without the capability.
    report.skipped("rules", "not all rules can be listed");
    // The same without /proc.
    let script = format!(
        "mount -t tmpfs none /proc && exec setpriv --bounding-set -net_admin {EXPORTER} doctor --json"
    );
    let output = host.command("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let report = Report::of(&output);
    report.failed("capability", "CAP_NET_ADMIN is missing");
    report.skipped("kernel", "cannot check for NFLOG");
}

#[test]
fn the_holder_of_the_group_is_named() {
    let wire = Wire::new();
    let other = wire.host.run(|| Nflog::open(&plan(&[1])).unwrap());
    let report = doctor(&wire.host, &[]);
    report.failed("group", &format!("(pid {}, netlink port", std::process::id()));
    report.skipped("packets", "is held by");
    wire.host.release(other);
}

#[test]
fn missing_interfaces_are_reported() {
    let alone = Namespace::new("alone");
    doctor(&alone, &[]).failed("interfaces", "no interface except lo:");
    let wire = Wire::new();
    doctor(&wire.host, &["--rules.interface", "eth7"])
        .failed("interfaces", "has eth7, which does not exist");
    wire.host.ip("link add spare0 type veth peer name spare1");
    doctor(&wire.host, &[]).ok("interfaces", "wan0; down: spare1, spare0");
    wire.host.ip("link set wan0 down");
    doctor(&wire.host, &[]).failed("interfaces", "no interface except lo is up");
}

#[test]
fn missing_and_outdated_geoip_databases_are_reported() {
    let host = Namespace::new("host");
    let of = |file: &Path| doctor(&host, &["--geoip.database", file.to_str().unwrap()]);
    of(Path::new("/nowhere/x.mmdb")).failed("geoip", "/nowhere/x.mmdb");
    of(&data("unexpected-bytes.mmdb")).failed("geoip", "unexpected-bytes.mmdb");
    let report = of(&data("GeoLite2-ASN-Test.mmdb"));
    report.failed("geoip", "days old");
    report.failed("geoip", "run `nflog_exporter geoip update`");
    // A downloaded file that the exporter ignores.
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    fs::write(&config, format!("[geoip]\ndirectory = '{}'", directory.path().display())).unwrap();
    fs::write(directory.path().join("country.mmdb"), "<html>").unwrap();
    let report = doctor(&host, &["--config.file", config.to_str().unwrap()]);
    report.failed("geoip", "country.mmdb is not a usable MaxMind DB file");
    report.failed("geoip", "`nflog_exporter geoip update --force`");
    let mut later = host.command("faketime");
    later.args(["-f", "+2y", EXPORTER]);
    let report = Report::of(&asked(later, &[]));
    report.failed("geoip", "embedded");
    report.failed("geoip", "run `nflog_exporter geoip update`");
}

#[test]
fn a_port_in_use_is_reported() {
    let host = Namespace::new("host");
    let listener =
        host.run(|| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 10239))).unwrap());
    let report = doctor(&host, &[]);
    report.failed("port", &format!("(pid {})", std::process::id()));
    report.failed("port", "stop that program");
    report.skipped("exporter", "no exporter is running");
    host.release(listener);
    let report = doctor(&host, &["--web.listen-address", "192.0.2.1:10239"]);
    report.failed("port", "add the address to this host");
    let report = doctor(&host, &["--web.listen-address", ":443"]);
    report.ok("port", ":443 is free; a service that does not start as root needs");
}

#[test]
fn files_that_the_exporters_user_cannot_access_are_reported() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(directory.path(), 0o755);
    let [config, url, key] = ["config.toml", "url", "key"].map(|name| directory.path().join(name));
    let rows = directory.path().join("rows");
    fs::create_dir(&rows).unwrap();
    fs::write(&url, format!("sqlite:{}/rows.db", rows.display())).unwrap();
    fs::write(&key, "0".repeat(64)).unwrap();
    fs::write(
        &config,
        format!(
            "[mirror]\nurl_file = '{}'\nanonymize = 'cryptopan'\nanonymize_key_file = '{}'\n\
             spool.directory = '{}/spool'\n",
            url.display(),
            key.display(),
            directory.path().display(),
        ),
    )
    .unwrap();
    let look = |arguments: &[&str]| {
        doctor(&host, &[&["--config.file", config.to_str().unwrap()], arguments].concat())
    };
    for file in [&config, &url, &key] {
        mode(file, 0o600);
        let who =
            format!("the exporter runs as the user nobody, which cannot read {}", file.display());
        look(&[]).failed("rights", &who);
        mode(file, 0o644);
    }
    look(&[]).failed("rights", &format!("cannot write to {}:", rows.display()));
    // Root without capabilities is checked like any other user.
    look(&["--privileges.user", "root"]).ok("rights", "the user root can");
    chown(&rows, Some(65534), None).unwrap();
    look(&[]).ok("rights", "");
    look(&["--privileges.user", "root"]).failed("rights", "cannot write to");
    look(&["--privileges.user", "nosuch"]).failed("rights", "there is no such user");

    // Without root, the current user's access is checked.
    let mut command = host.command("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", EXPORTER]);
    let report = Report::of(&asked(command, &["--config.file", config.to_str().unwrap()]));
    report.ok("rights", "this user can");
}

/// Started as root, the exporter joins the groups of its log files; another user must be a member.
#[test]
fn a_log_that_its_group_can_read_is_no_failure_for_root() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let file = directory.path().join("kern.log");
    fs::write(&file, "").unwrap();
    let adm = Group::from_name("adm").unwrap().unwrap().gid.as_raw();
    chown(&file, Some(0), Some(adm)).unwrap();
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    let config = directory.path().join("config.toml");
    let (shown, positions) = (file.display(), state.join("positions"));
    let text =
        format!("[kernel_log]\nfiles = ['{shown}']\nstate_file = '{}'\n", positions.display());
    fs::write(&config, text).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let arguments = ["--config.file", config.to_str().unwrap()];
    // At its start it also becomes the owner of the directory of the positions.
    doctor(&host, &arguments).ok("rights", "the user nobody can access all files");
    let by_nobody = |groups: &str| {
        let mut command = host.command("setpriv");
        command.args(["--reuid", "65534", groups, EXPORTER]);
        Report::of(&asked(command, &arguments))
    };
    by_nobody("--clear-groups").failed("rights", "usermod -aG adm ");
    open_to_all(&state);
    by_nobody(&format!("--groups={adm}")).ok("rights", "");
    mode(0o600);
    doctor(&host, &arguments).failed("rights", "make the file readable by its group");
    // The exporter does not join root's group.
    mode(0o640);
    chown(&file, Some(0), Some(0)).unwrap();
    doctor(&host, &arguments).failed("rights", "make the file readable by its group");
}

#[test]
fn a_full_disk_of_the_spool_is_reported() {
    let host = Namespace::new("host");
    let disk = Tmpfs::mount(16 << 20);
    open_to_all(disk.directory.path());
    let config = |size: &str| {
        format!(
            "[mirror]\nurl = 'sqlite:{0}/rows.db'\nspool.directory = '{0}/spool'\nspool.max_size = '{size}'\n",
            disk.directory.path().display()
        )
    };
    doctor_with(&host, &config("1GiB")).failed("spool", "may need 1.0 GiB more");
    // The doctor does not create the file: it would belong to root.
    let report = doctor_with(&host, &config("1MiB"));
    report.skipped("mirror", "the exporter creates it");
    let file = disk.directory.path().join("rows.db");
    assert!(!file.exists());
    let schema = Command::new(EXPORTER).args(["schema", "--for", "sqlite"]).output().unwrap();
    let sql = disk.directory.path().join("schema.sql");
    fs::write(&sql, schema.stdout).unwrap();
    let created = Command::new("sqlite3").arg(&file).stdin(File::open(&sql).unwrap()).status();
    assert!(created.unwrap().success());
    let report = doctor_with(&host, &config("1MiB"));
    report.ok("spool", "enough");
    report.failed("rights", "cannot write to");
    report.ok("mirror", "answers");
    report.ok("mirror_schema", "up to date /");
    report.ok("mirror_rights", "written");
    report.ok("mirror_days", "");
    report.ok("mirror_clock", "UTC");
}

const MIRROR: [&str; 5] =
    ["mirror", "mirror_schema", "mirror_rights", "mirror_days", "mirror_clock"];

/// Runs the doctor in the namespace of this machine, where the database servers run, with an unused group.
fn look_at_mirror(command: Command, url: &str) -> Report {
    let url = format!("{url}?sslmode=disable");
    Report::of(&asked(command, &["--nflog.group", "41000", "--mirror.url", &url]))
}

#[test]
fn missing_privileges_in_the_database_are_reported() {
    let server = MariaDb::start();
    let database = server.database();
    let look_by = |command: Command, user: &str, password: &str| {
        look_at_mirror(command, &server.url(user, password, &database))
    };
    let look = |user: &str, password: &str| look_by(Command::new(EXPORTER), user, password);
    let look_at = |time: &str, user: &str| {
        let mut command = Command::new("faketime");
        command.args(["-f", time, EXPORTER]);
        look_by(command, user, "secret")
    };
    let grant = |user: &str, rights: &str| {
        server.query("mysql", &format!("CREATE USER {user}@'%' IDENTIFIED BY 'secret'"));
        server.query("mysql", &format!("GRANT {rights} ON {database}.* TO {user}@'%'"));
    };
    grant("reader", "SELECT");
    grant("owner", "ALL");
    grant("writer", "SELECT, INSERT, UPDATE, DELETE");
    grant("half", "SELECT, INSERT");

    let report = look("owner", "wrong");
    report.failed("mirror", "Access denied");
    assert!(!report.all("mirror", "failed")[0].contains("wrong"));
    look("reader", "secret").failed("mirror_schema", "");
    let report = look("owner", "secret");
    for check in MIRROR {
        report.ok(check, "");
    }
    look("half", "secret").failed("mirror_rights", "");
    // With a wrong clock no partitions are created; missing ones need the right to create them.
    look_at("+30d", "writer").failed("mirror_clock", "behind this host's");
    server.query(&database, "ALTER TABLE packets REMOVE PARTITIONING");
    server.query(
        &database,
        "ALTER TABLE packets PARTITION BY RANGE COLUMNS (time) \
         (PARTITION pmax VALUES LESS THAN (MAXVALUE))",
    );
    let report = look("writer", "secret");
    report.ok("mirror_rights", "");
    report.failed("mirror_days", "");
    assert_eq!(server.query(&database, "SELECT count(*) FROM nflog_writers"), "0");

    // Hosts that share a database may run the doctor at the same time.
    thread::scope(|scope| {
        let doctors: Vec<_> = (0..4).map(|_| scope.spawn(|| look("writer", "secret"))).collect();
        for report in doctors {
            report.join().unwrap().ok("mirror_rights", "");
        }
    });
    assert_eq!(server.query(&database, "SELECT count(*) FROM nflog_writers"), "0");

    // ulogd's view of the same name is reported, but is not a failure.
    server.query(&database, "DROP VIEW ulog; CREATE TABLE ulog (id INT)");
    look("owner", "secret")
        .ok("mirror_schema", "`ulog` in this database belongs to another program");
    let report = look_at("-2h", "owner");
    report.failed("mirror_clock", "s ahead of this host's");
    server.kill_9();
    wait_for("the failure", || {
        let report = look("owner", "secret");
        (!report.all("mirror", "failed").is_empty()).then_some(())
    });
}

#[test]
fn a_mirror_in_postgresql_is_checked() {
    let server = PostgresServer::shared();
    let database = server.database();
    server.psql("postgres", "ALTER USER postgres PASSWORD 'secret'");
    let look = || {
        let url = server.url("postgres", "secret", &database);
        look_at_mirror(Command::new(EXPORTER), &url)
    };
    let report = look();
    for check in MIRROR {
        report.ok(check, "");
    }
    report.ok("mirror_schema", "up to date /");
    server.psql(&database, "DROP VIEW ulog CASCADE; CREATE VIEW ulog AS SELECT 1 AS id");
    look().ok("mirror_schema", "`ulog` in this database belongs to another program");
}
