//! The rows that a running exporter writes to each database for packets on a wire, field by field. Requires
//! root, and MariaDB and PostgreSQL of Debian's packages.

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    Wire,
    doctor::doctor_with,
    frame,
    mariadb::MariaDb,
    netns::{HOST, HOST_V6, PEER_MAC},
    postgres_server::PostgresServer,
    program::{Exporter, open_to_all, sum, wait_for},
};

/// Prefixes of rules, and how the rows show them.
const PREFIXES: [(&[u8], &str); 9] = [
    (b"plain: ", "plain:"),
    (b"'; DROP TABLE packets; -- ", "'; DROP TABLE packets; --"),
    (br#""double" `back` 'single'"#, r#""double" `back` 'single'"#),
    (br"\", r"\"),
    (br"\N", r"\N"),
    (br"\.", r"\."),
    (b"\xff\xfe a\xc3", "\u{fffd}\u{fffd} a\u{fffd}"),
    ("münchen 🔥 <b>%s".as_bytes(), "münchen 🔥 <b>%s"),
    (b"tab\tescape\x1b[2Jbell\x07", "tab\u{fffd}escape\u{fffd}[2Jbell\u{fffd}"),
];

/// First port of the rules with these prefixes.
const FIRST_PORT: u16 = 7_000;

/// The fields of a packet's row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    prefix: String,
    hook: String,
    direction: String,
    in_device: String,
    hardware_address: String,
    source: String,
    destination: String,
    protocol: String,
    length: String,
    captured: String,
    ttl: String,
    source_port: String,
    destination_port: String,
    flags: String,
    icmp_type: String,
    icmp_code: String,
    country: String,
    weight: String,
    host: String,
}

/// The columns in this order: of the table `p` and the view `u`, in SQL that all three databases accept. Texts are in
/// hexadecimal, so that the clients' escapes do not matter.
fn columns(hex: impl Fn(&str) -> String, address: impl Fn(&str) -> String) -> String {
    [
        &hex("p.prefix"),
        "p.hook",
        "p.direction",
        "p.in_device",
        "u.mac_saddr_str",
        &address("u.ip_saddr_str"),
        &address("u.ip_daddr_str"),
        "p.protocol",
        "p.length",
        "p.captured_length",
        "p.ttl",
        "p.source_port",
        "p.destination_port",
        "p.tcp_flags",
        "p.icmp_type",
        "p.icmp_code",
        "p.country",
        "p.weight",
        "p.host",
    ]
    .map(|column| format!("COALESCE(CAST({column} AS CHAR(200)), '-')"))
    .join(", ")
}

/// A database, initially empty.
enum Database {
    Maria(MariaDb),
    Postgres(PostgresServer),
    Sqlite(PathBuf),
}

impl Database {
    fn url(&self) -> String {
        match self {
            Self::Maria(server) => {
                server.query("mysql", "CREATE DATABASE log");
                format!("mysql://root@localhost/log?socket={}", server.socket().display())
            }
            Self::Postgres(server) => {
                server.psql("postgres", "CREATE DATABASE log");
                let (directory, port) = (server.directory().display(), server.port());
                format!("postgres://postgres@localhost:{port}/log?host={directory}")
            }
            Self::Sqlite(file) => format!("sqlite:{}", file.display()),
        }
    }

    /// The output of the client, columns divided by `separator`.
    fn query(&self, sql: &str) -> (String, char) {
        match self {
            Self::Maria(server) => (server.query("log", sql), '\t'),
            Self::Postgres(server) => (server.psql("log", sql), '|'),
            Self::Sqlite(file) => {
                let output = Command::new("sqlite3").arg(file).arg(sql).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                (String::from_utf8(output.stdout).unwrap().trim_end().to_owned(), '|')
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let columns = match self {
            Self::Postgres(_) => columns(
                |text| format!("encode(convert_to({text}, 'UTF8'), 'hex')"),
                |address| format!("host({address})"),
            ),
            _ => columns(|text| format!("hex({text})"), str::to_owned),
        };
        let sql = format!("SELECT {columns} FROM packets p JOIN ulog u ON u.id = p.id");
        let (text, separator) = self.query(&sql);
        text.lines().map(|line| row(&line.split(separator).collect::<Vec<_>>())).collect()
    }
}

fn row(columns: &[&str]) -> Row {
    let mut columns = columns.iter().map(|column| column.trim().to_owned());
    let mut next = || columns.next().unwrap();
    // In any notation of an address.
    let address = |text: String| match text.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text,
    };
    Row {
        prefix: unhex(&next()),
        hook: next(),
        direction: next(),
        in_device: next(),
        hardware_address: next(),
        source: address(next()),
        destination: address(next()),
        protocol: next(),
        length: next(),
        captured: next(),
        ttl: next(),
        source_port: next(),
        destination_port: next(),
        flags: next(),
        icmp_type: next(),
        icmp_code: next(),
        country: next(),
        weight: next(),
        host: next(),
    }
}

fn unhex(digits: &str) -> String {
    let bytes = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    String::from_utf8(bytes.collect()).unwrap()
}

/// Rules with hostile prefixes for UDP, one for each port; and a plain one for everything else.
fn load_rules(wire: &Wire) {
    for (number, (prefix, _)) in (FIRST_PORT..).zip(PREFIXES) {
        for tool in ["iptables", "ip6tables"] {
            let status = wire
                .host
                .command(tool)
                .args(["-w", "-t", "raw", "-A", "PREROUTING", "-i", "wan0", "-p", "udp"])
                .args(["--dport", &number.to_string(), "-j", "NFLOG", "--nflog-group", "1"])
                .args([OsStr::new("--nflog-prefix"), OsStr::from_bytes(prefix)])
                .status();
            assert!(status.unwrap().success(), "{tool} {prefix:?}");
        }
    }
    wire.host.nft(
        "table inet t {
            chain in {
                type filter hook prerouting priority -100;
                iifname wan0 tcp dport 1-65535 log prefix \"tcp\" group 1 drop
                iifname wan0 icmp type echo-request log prefix \"ping\" group 1 drop
                iifname wan0 icmpv6 type echo-request log prefix \"ping\" group 1 drop
                iifname wan0 meta l4proto udp drop
            }
        }",
    );
}

/// The packets that are sent, and their rows.
fn packets() -> (Vec<Vec<u8>>, Vec<Row>) {
    let v4 = Ipv4Addr::new(133, 11, 0, 7);
    let v6 = Ipv6Addr::new(0x2001, 0x200, 0, 0, 0, 0, 0, 7);
    let plain = Row {
        prefix: String::new(),
        hook: "prerouting".into(),
        direction: "in".into(),
        in_device: "wan0".into(),
        hardware_address: PEER_MAC.map(|byte| format!("{byte:02x}")).join(":"),
        source: v4.to_string(),
        destination: Ipv4Addr::from(HOST).to_string(),
        protocol: "17".into(),
        length: "29".into(),
        captured: "29".into(),
        ttl: "64".into(),
        source_port: "40000".into(),
        destination_port: "-".into(),
        flags: "-".into(),
        icmp_type: "-".into(),
        icmp_code: "-".into(),
        country: "JP".into(),
        weight: "1".into(),
        host: "gate.example.net".into(),
    };
    let from_v6 = Row {
        source: v6.to_string(),
        destination: Ipv6Addr::from(HOST_V6).to_string(),
        ..plain.clone()
    };
    let long = |row: &Row, length: &str| Row {
        length: length.into(),
        captured: length.into(),
        ..row.clone()
    };
    let (mut frames, mut rows) = (Vec::new(), Vec::new());
    for (number, (_, shown)) in (FIRST_PORT..).zip(PREFIXES) {
        let named =
            |row: Row| Row { prefix: shown.into(), destination_port: number.to_string(), ..row };
        frames.push(frame::udp(v4.octets(), 40_000, number, b"x"));
        rows.push(named(plain.clone()));
        frames.push(frame::udp_v6(v6.octets(), 40_000, number, b"x"));
        rows.push(named(long(&from_v6, "49")));
    }
    for (row, frame, length) in [
        (&plain, frame::syn(v4.octets(), 40_000, 22), "40"),
        (&from_v6, frame::syn_v6(v6.octets(), 40_000, 22), "60"),
    ] {
        frames.push(frame);
        rows.push(Row {
            prefix: "tcp".into(),
            protocol: "6".into(),
            destination_port: "22".into(),
            flags: "2".into(),
            ..long(row, length)
        });
    }
    for (row, frame, length, protocol, kind) in [
        (&plain, frame::ping(v4.octets()), "28", "1", "8"),
        (&from_v6, frame::ping_v6(v6.octets()), "48", "58", "128"),
    ] {
        frames.push(frame);
        rows.push(Row {
            prefix: "ping".into(),
            protocol: protocol.into(),
            source_port: "-".into(),
            icmp_type: kind.into(),
            icmp_code: "0".into(),
            ..long(row, length)
        });
    }
    // More than one transaction of one kind.
    for _ in 0..12_000 {
        frames.push(frame::syn(v4.octets(), 40_000, 443));
        rows.push(Row {
            prefix: "tcp".into(),
            protocol: "6".into(),
            destination_port: "443".into(),
            flags: "2".into(),
            ..long(&plain, "40")
        });
    }
    rows.sort();
    (frames, rows)
}

fn check(database: &Database) {
    let wire = Wire::new();
    load_rules(&wire);
    let spool = tempfile::tempdir().unwrap();
    let config = config(&database.url(), spool.path(), "");
    let mut exporter = Exporter::start(&wire.host, &config, &[]);
    let (frames, expected) = packets();
    let sent = wire.send(frames);
    wait_until_written(&exporter, sent);
    let mut rows = database.rows();
    rows.sort();
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    // A normal shutdown leaves no rows in the spool, and no writer in the database.
    exporter.program.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(exporter.program.wait().success());
    assert_eq!(database.query("SELECT COUNT(*) FROM nflog_writers").0, "0");
}

fn config(url: &str, spool: &Path, more: &str) -> String {
    format!(
        "[mirror]\nurl = '{url}'\nhost = 'gate.example.net'\n{more}\n\
         [mirror.spool]\ndirectory = '{}'\n",
        spool.display()
    )
}

fn wait_until_written(exporter: &Exporter<'_>, rows: u64) {
    wait_for("the rows", || {
        let written = sum(&exporter.scrape(), "nflog_exporter_mirror_written_rows_total");
        (written >= rows).then_some(())
    });
}

#[test]
fn mariadb_has_every_field_of_the_packets() {
    check(&Database::Maria(MariaDb::start()));
}

#[test]
fn postgres_has_every_field_of_the_packets() {
    check(&Database::Postgres(PostgresServer::start()));
}

#[test]
fn sqlite_has_every_field_of_the_packets() {
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    check(&Database::Sqlite(directory.path().join("rows.db")));
}

/// Data that must not be stored is not stored, and filtered packets are counted.
#[test]
fn anonymised_and_filtered_data_is_not_stored() {
    let wire = Wire::new();
    load_rules(&wire);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let database = Database::Sqlite(directory.path().join("rows.db"));
    let more =
        "prefixes = ['tcp ', 'ping']\ncountries = ['JP']\nsample = 10\nanonymize = 'truncate'\n";
    let config = config(&database.url(), &directory.path().join("spool"), more);
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let (mut frames, all) = packets();
    let unlike = frames.len();
    frames.extend((0..100).map(|_| frame::syn([130, 75, 1, 1], 40_000, 22)));
    let sent = wire.send(frames);
    let chosen = all.iter().filter(|row| ["tcp", "ping"].contains(&&*row.prefix)).count() as u64;
    let text = wait_for("all packets", || {
        let text = exporter.scrape();
        let rows = |what: &str| sum(&text, &format!("nflog_exporter_mirror_{what}_rows"));
        let waiting = rows("queued") + rows("spooled");
        let received = sum(&text, "nflog_exporter_received_packets_total");
        (received == sent && waiting == 0).then_some(text)
    });
    let rows = database.rows();
    let kept = rows.len() as u64;
    assert!(kept == chosen / 10 || kept == chosen / 10 + 1, "{kept} of {chosen}");
    assert_eq!(sum(&text, "nflog_exporter_mirror_written_rows_total"), kept);
    let filtered = |reason: &str| {
        sum(&text, &format!("nflog_exporter_mirror_filtered_rows_total{{reason=\"{reason}\"}}"))
    };
    assert_eq!(filtered("prefix"), unlike as u64 - chosen);
    assert_eq!(filtered("country"), 100);
    assert_eq!(filtered("sample"), chosen - kept);
    for row in rows {
        assert_eq!((row.weight.as_str(), row.hardware_address.as_str()), ("10", "-"));
        assert!(["133.11.0.0", "2001:200::"].contains(&&*row.source), "{}", row.source);
        assert!(["198.51.100.0", "2001:db8::"].contains(&&*row.destination), "{}", row.destination);
    }
}

/// Rows for one database are not delivered to another that is configured after it.
#[test]
fn rows_wait_for_their_own_database() {
    let wire = Wire::new();
    load_rules(&wire);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let spool = directory.path().join("spool");
    // The first database cannot be created where a file is in place of its directory.
    let in_the_way = directory.path().join("first");
    std::fs::write(&in_the_way, "").unwrap();
    let first = Database::Sqlite(in_the_way.join("rows.db"));
    let second = Database::Postgres(PostgresServer::start());
    let second_url = second.url();
    let start = |url: &str, more: &str| {
        let config = config(url, &spool, "") + more;
        Exporter::start(&wire.host, &config, &[])
    };
    let metric = |text: &str, name: &str| sum(text, &format!("nflog_exporter_mirror_{name}"));
    let end = |mut exporter: Exporter<'_>| {
        exporter.program.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(exporter.program.wait().success());
    };

    let exporter = start(&first.url(), "");
    let waiting = wire.send((0..500).map(|_| frame::syn([133, 11, 0, 7], 40_000, 22)));
    wait_for("the rows to wait", || {
        (metric(&exporter.scrape(), "spooled_rows") == waiting).then_some(())
    });
    end(exporter);

    let exporter = start(&second_url, "");
    let sent = wire.send((0..100).map(|_| frame::syn([130, 75, 1, 1], 40_000, 80)));
    wait_until_written(&exporter, sent);
    let text = exporter.scrape();
    assert_eq!(metric(&text, "other_target_rows"), waiting);
    let counts = ["recovered_rows_total", "spooled_rows", "written_rows_total"];
    assert_eq!(counts.map(|name| metric(&text, name)), [0, 0, sent]);
    let log = exporter.program.log();
    assert!(log.contains("rows for another database stay in the spool"), "{log}");
    assert!(log.contains(&in_the_way.join("rows.db").display().to_string()), "{log}");
    end(exporter);
    assert_eq!(second.query("SELECT COUNT(*) FROM packets").0, sent.to_string());
    let advice = doctor_with(&wire.host, &config(&second_url, &spool, ""));
    advice.failed("spool", &format!("{waiting} rows in {}", spool.display()));
    advice.failed("spool", "rows.db");

    // The URL is changed back, and the database can be created.
    std::fs::remove_file(&in_the_way).unwrap();
    let exporter = start(&first.url(), "");
    wait_until_written(&exporter, waiting);
    assert_eq!(metric(&exporter.scrape(), "other_target_rows"), 0);
    end(exporter);
    assert_eq!(first.query("SELECT COUNT(*) FROM packets").0, waiting.to_string());
    assert_eq!(second.query("SELECT COUNT(*) FROM packets").0, sent.to_string());

    // With `drop` they are removed and counted.
    let third = format!("sqlite:{}", in_the_way.join("rows.db/none.db").display());
    let exporter = start(&third, "");
    let lost = wire.send((0..50).map(|_| frame::syn([133, 11, 0, 7], 40_000, 22)));
    wait_for("the rows to wait", || {
        (metric(&exporter.scrape(), "spooled_rows") == lost).then_some(())
    });
    end(exporter);
    let exporter = start(&second_url, "other_target = 'drop'\n");
    let text = exporter.scrape();
    let dropped = metric(&text, "dropped_rows_total{reason=\"other_target\"}");
    assert_eq!((metric(&text, "recovered_rows_total"), dropped), (lost, lost));
    end(exporter);
}

/// A password is not in any command line, log or page.
#[test]
fn passwords_are_not_in_command_lines_logs_or_pages() {
    let wire = Wire::new();
    let spool = tempfile::tempdir().unwrap();
    let config = format!("[mirror.spool]\ndirectory = '{}'\n", spool.path().display());
    let url = "mysql://ann:s3cr3t@127.0.0.1:9/log";
    let arguments = ["--mirror.url", url, "--log.level", "trace"];
    let exporter = Exporter::start(&wire.host, &config, &arguments);
    wait_for("a line about the database", || {
        exporter.program.log().contains("rows wait in the spool").then_some(())
    });
    let pid = exporter.program.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for pid in children.split_whitespace().chain([pid.to_string().as_str()]) {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!String::from_utf8_lossy(&line).contains("s3cr3t"));
    }
    let log = exporter.program.log();
    assert!(log.contains("mysql://ann@127.0.0.1:9/log"), "{log}");
    for text in [log, exporter.get("/").unwrap().1, exporter.scrape()] {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

/// A host whose clock is years ahead drops no rows of others, and creates no days of future years.
fn check_wrong_clock(database: &Database) {
    let wire = Wire::new();
    load_rules(&wire);
    let spool = tempfile::tempdir().unwrap();
    let config = config(&database.url(), spool.path(), "retention = '14d'\nmax_size = '1MiB'\n");
    let syns = |count| (0..count).map(|_| frame::syn([133, 11, 0, 7], 40_000, 22));
    let exporter = Exporter::start(&wire.host, &config, &[]);
    wire.send(syns(500));
    wait_until_written(&exporter, 500);
    drop(exporter);
    let count = || database.query("SELECT COUNT(*) FROM packets").0.trim().to_owned();
    assert_eq!(count(), "500");

    let exporter = Exporter::spawn_with_clock(&wire.host, "+3y", &config);
    wait_for("the detection of the wrong clock", || {
        let (_, text) = exporter.get("/metrics")?;
        (sum(&text, "nflog_exporter_mirror_retention_held") == 1).then_some(())
    });
    wire.send(syns(6));
    wait_until_written(&exporter, 6);
    assert_eq!(count(), "506");
    assert!(exporter.program.log().contains("no rows are dropped"), "{}", exporter.program.log());
    drop(exporter);
    if let Database::Maria(_) = database {
        let ahead = "SELECT COUNT(*) FROM information_schema.PARTITIONS WHERE TABLE_NAME = 'packets' \
                     AND PARTITION_NAME > CONCAT('p', DATE_FORMAT(NOW() + INTERVAL 10 DAY, '%Y%m%d')) \
                     AND PARTITION_NAME <> 'pmax'";
        assert_eq!(database.query(ahead).0.trim(), "0");
    }
}

#[test]
fn a_wrong_clock_drops_no_rows_of_mariadb() {
    check_wrong_clock(&Database::Maria(MariaDb::start()));
}

#[test]
fn a_wrong_clock_drops_no_rows_of_postgres() {
    check_wrong_clock(&Database::Postgres(PostgresServer::start()));
}

#[test]
fn a_wrong_clock_drops_no_rows_of_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    check_wrong_clock(&Database::Sqlite(directory.path().join("rows.db")));
}
