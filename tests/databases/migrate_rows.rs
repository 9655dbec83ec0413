//! `migrate rows`: the rows of ulogd's databases, with the schemas that Debian ships, arrive exactly once.

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    net::IpAddr,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nflog_exporter::mirror::Target;

use crate::support::{
    Namespace,
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    program::{EXPORTER, Exporter, sum, wait_for},
};

/// Id of the user nobody and of its group.
const NOBODY: u32 = 65534;

fn shipped(name: &str) -> String {
    let path = format!("/usr/share/doc/ulogd2/{name}.gz");
    let output = Command::new("zcat").arg(&path).output().unwrap();
    assert!(output.status.success(), "{path}: install ulogd2");
    String::from_utf8(output.stdout).unwrap()
}

/// The command that copies rows.
fn command(from: &str, to: &str, more: &[&str]) -> Command {
    let mut command = Command::new(EXPORTER);
    command.args(["migrate", "rows", from, "--mirror.url", to]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Copies rows; returns the output.
#[track_caller]
fn copy(from: &str, to: &str, more: &[&str]) -> String {
    let output = command(from, to, more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a copy.
#[track_caller]
fn rejected(from: &str, to: &str, more: &[&str]) -> String {
    let output = command(from, to, more).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A database for tests: of ulogd, or of the exporter.
enum Database {
    Maria(std::sync::Arc<MariaDb>, String),
    Postgres(std::sync::Arc<PostgresServer>, String),
    Sqlite(tempfile::TempDir),
}

impl Database {
    fn maria() -> Self {
        let server = MariaDb::shared();
        let name = server.database();
        Self::Maria(server, name)
    }

    fn postgres() -> Self {
        let server = PostgresServer::shared();
        let name = server.database();
        Self::Postgres(server, name)
    }

    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn path(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("rows.db")
    }

    fn url(&self) -> String {
        match self {
            Self::Maria(server, name) => {
                format!("mysql://root@localhost/{name}?socket={}", server.socket().display())
            }
            Self::Postgres(server, name) => {
                let Target { endpoint, .. } = server.target(name);
                let nflog_exporter::mirror::target::Endpoint::Socket { path, port } = endpoint
                else {
                    panic!("{endpoint:?}")
                };
                format!("postgres://postgres@localhost:{port}/{name}?host={}", path.display())
            }
            Self::Sqlite(directory) => format!("sqlite:{}", Self::path(directory).display()),
        }
    }

    fn load(&self, sql: &str) -> &Self {
        match self {
            Self::Maria(server, name) => server.load(name, sql),
            Self::Postgres(server, name) => drop(server.psql(name, sql)),
            Self::Sqlite(_) => drop(self.query(sql)),
        }
        self
    }

    fn query(&self, sql: &str) -> String {
        match self {
            Self::Maria(server, name) => server.query(name, sql),
            Self::Postgres(server, name) => server.psql(name, sql),
            Self::Sqlite(directory) => sqlite(&Self::path(directory), sql),
        }
    }

    fn count(&self) -> u64 {
        self.query("SELECT COUNT(*) FROM packets").parse().unwrap()
    }

    /// The rows of `packets` in the order of their times; columns that are the same for all kinds.
    fn rows(&self) -> Vec<String> {
        let mut columns = [
            "prefix",
            "hook",
            "direction",
            "in_device",
            "out_device",
            "mark",
            "uid",
            "MAC",
            "ip_version",
            "SOURCE",
            "DESTINATION",
            "protocol",
            "length",
            "captured_length",
            "ttl",
            "source_port",
            "destination_port",
            "tcp_flags",
            "icmp_type",
            "icmp_code",
            "country",
            "weight",
            "host",
            "TIME",
        ]
        .map(str::to_owned);
        let (text, mac, address, time) = match self {
            Self::Maria(..) => (
                "CAST(COALESCE(%, '-') AS CHAR)",
                "LOWER(HEX(hardware_address))",
                "LOWER(HEX(%))",
                "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', time)",
            ),
            Self::Postgres(..) => (
                "coalesce(%::text, '-')",
                "encode(hardware_address, 'hex')",
                "host(%)",
                "(extract(epoch FROM time) * 1000000)::bigint",
            ),
            Self::Sqlite(_) => (
                "coalesce(%, '-')",
                "nullif(lower(hex(hardware_address)), '')",
                "nullif(lower(hex(%)), '')",
                "strftime('%s', substr(time, 1, 19)) || substr(time, 21)",
            ),
        };
        for column in &mut columns {
            let value = match column.as_str() {
                "MAC" => mac.to_owned(),
                "SOURCE" | "DESTINATION" => address.replace('%', &column.to_lowercase()),
                "TIME" => time.to_owned(),
                name => name.to_owned(),
            };
            *column = text.replace('%', &value);
        }
        let join = match self {
            Self::Maria(..) => format!("CONCAT_WS('|', {})", columns.join(", ")),
            _ => columns.join(" || '|' || "),
        };
        let lines = self.query(&format!("SELECT {join} FROM packets ORDER BY time"));
        let host = host_name();
        lines.lines().map(|line| canonical(line).replace(&format!("|{host}|"), "|HOST|")).collect()
    }
}

/// The name of this host.
fn host_name() -> String {
    let output = Command::new("uname").arg("-n").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Addresses as 16 bytes in hexadecimal.
fn canonical(line: &str) -> String {
    let fields = line.split('|').map(|field| match field.parse::<IpAddr>() {
        Ok(address) => hex(address),
        Err(_) => field.to_owned(),
    });
    fields.collect::<Vec<_>>().join("|")
}

fn hex(address: IpAddr) -> String {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    format!("{:032x}", u128::from(address))
}

fn sqlite(path: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 5000"])
        .arg(path)
        .arg(sql)
        .output()
        .unwrap();
    assert!(output.status.success(), "{sql}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The packets that the tests store as ulogd does, by its keys.
const PACKETS: [&[(&str, &str)]; 5] = [
    &[
        ("oob_time_sec", "1795889420"),
        ("oob_time_usec", "9858"),
        ("oob_hook", "1"),
        ("oob_prefix", "drop in "),
        ("oob_mark", "7"),
        ("oob_in", "eth0"),
        ("oob_family", "2"),
        ("ip_protocol", "6"),
        ("ip_totlen", "60"),
        ("ip_ttl", "57"),
        ("saddr", "8.8.8.8"),
        ("daddr", "192.0.2.1"),
        ("mac_saddr", "02:00:00:00:00:01"),
        ("tcp_sport", "50000"),
        ("tcp_dport", "80"),
        ("tcp_urg", "0"),
        ("tcp_ack", "0"),
        ("tcp_psh", "0"),
        ("tcp_rst", "0"),
        ("tcp_syn", "1"),
        ("tcp_fin", "0"),
    ],
    &[
        ("oob_time_sec", "1795889421"),
        ("oob_hook", "2"),
        ("oob_prefix", "it''s \" \\\\ "),
        ("oob_mark", "0"),
        ("oob_in", "eth0"),
        ("oob_out", "eth1"),
        ("oob_family", "10"),
        ("ip_protocol", "17"),
        ("ip6_payloadlen", "100"),
        ("ip6_hoplimit", "60"),
        ("saddr", "fd00::1"),
        ("daddr", "2001:db8::1"),
        ("udp_sport", "53"),
        ("udp_dport", "65535"),
    ],
    &[
        ("oob_time_sec", "1795889422"),
        ("oob_time_usec", "999999"),
        ("oob_hook", "3"),
        ("oob_out", "eth0"),
        ("oob_family", "2"),
        ("ip_protocol", "1"),
        ("ip_totlen", "84"),
        ("ip_ttl", "64"),
        ("saddr", "192.0.2.1"),
        ("daddr", "8.8.8.8"),
        ("icmp_type", "8"),
        ("icmp_code", "0"),
    ],
    &[
        ("oob_time_sec", "1795889423"),
        ("oob_prefix", ""),
        ("oob_in", "eth0"),
        ("oob_family", "10"),
        ("ip_protocol", "58"),
        ("ip6_payloadlen", "32"),
        ("ip6_hoplimit", "255"),
        ("saddr", "fe80::1"),
        ("daddr", "ff02::1"),
        ("icmpv6_type", "135"),
        ("icmpv6_code", "0"),
    ],
    &[
        ("oob_time_sec", "1795889424"),
        ("oob_prefix", "sctp"),
        ("oob_hook", "1"),
        ("oob_in", "eth0"),
        ("oob_family", "2"),
        ("ip_protocol", "132"),
        ("ip_totlen", "100"),
        ("ip_ttl", "1"),
        ("saddr", "10.0.0.1"),
        ("daddr", "192.0.2.1"),
        ("sctp_sport", "1"),
        ("sctp_dport", "2"),
    ],
];

/// Where a schema of ulogd has the values.
struct Schema {
    /// The name of the table of a key; `None` if the schema lacks it.
    table: fn(&str) -> Option<&'static str>,
    /// Name and value of an address.
    address: fn(&str, IpAddr) -> Option<(String, String)>,
    /// Name of the column of the sender's hardware address in the main table.
    mac: Option<&'static str>,
    /// Whether booleans are words.
    words: bool,
}

/// The statements that store the packets.
fn inserts(schema: &Schema, tables: &[(&str, &str)]) -> String {
    let mut sql = String::new();
    for (index, packet) in PACKETS.iter().enumerate() {
        let id = index + 1;
        for (table, reference) in tables {
            let mut columns = vec![];
            for (key, value) in *packet {
                if (schema.table)(key) != Some(table) {
                    continue;
                }
                let column = match *key {
                    "saddr" | "daddr" => (schema.address)(key, value.parse().unwrap()),
                    "mac_saddr" => schema.mac.map(|name| (name.to_owned(), format!("'{value}'"))),
                    key if schema.words && key.starts_with("tcp_") && !key.ends_with("port") => {
                        Some((key.to_owned(), (*value == "1").to_string()))
                    }
                    key => Some((key.to_owned(), format!("'{value}'"))),
                };
                columns.extend(column);
            }
            if columns.is_empty() {
                continue;
            }
            if !reference.is_empty() {
                columns.push(((*reference).to_owned(), id.to_string()));
            }
            let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
            writeln!(
                sql,
                "INSERT INTO {table} ({}) VALUES ({});",
                names.join(", "),
                values.join(", ")
            )
            .unwrap();
        }
    }
    sql
}

/// The expected rows; `mac` if the schema stores hardware addresses.
fn expected(mac: bool) -> Vec<String> {
    let hex = |text: &str| hex(text.parse().unwrap());
    let mac = if mac { "020000000001" } else { "-" };
    vec![
        format!(
            "drop in|input|in|eth0||7|-|{mac}|4|{}|{}|6|60|60|57|50000|80|2|-|-|US|1|HOST|1795889420009858",
            hex("8.8.8.8"),
            hex("192.0.2.1")
        ),
        format!(
            "it's \" \\|forward|forward|eth0|eth1|0|-|-|6|{}|{}|17|140|140|60|53|65535|-|-|-|private|1|HOST|1795889421000000",
            hex("fd00::1"),
            hex("2001:db8::1")
        ),
        format!(
            "|output|out||eth0|0|-|-|4|{}|{}|1|84|84|64|-|-|-|8|0|US|1|HOST|1795889422999999",
            hex("192.0.2.1"),
            hex("8.8.8.8")
        ),
        format!(
            "|-|in|eth0||0|-|-|6|{}|{}|58|72|72|255|-|-|-|135|0|private|1|HOST|1795889423000000",
            hex("fe80::1"),
            hex("ff02::1")
        ),
        format!(
            "sctp|input|in|eth0||0|-|-|4|{}|{}|132|100|100|1|1|2|-|-|-|private|1|HOST|1795889424000000",
            hex("10.0.0.1"),
            hex("192.0.2.1")
        ),
    ]
}

/// ulogd2's tables of the split schema, with the columns that refer to a row.
const SPLIT: [(&str, &str); 6] = [
    ("ulog2", "_id"),
    ("tcp", "_tcp_id"),
    ("udp", "_udp_id"),
    ("icmp", "_icmp_id"),
    ("icmpv6", "_icmpv6_id"),
    ("sctp", "_sctp_id"),
];

fn split_table(key: &str) -> Option<&'static str> {
    Some(match key.split('_').next().unwrap() {
        "tcp" => "tcp",
        "udp" => "udp",
        "icmp" => "icmp",
        "icmpv6" => "icmpv6",
        "sctp" => "sctp",
        "mac" => return None,
        _ => "ulog2",
    })
}

fn name_of(key: &str) -> char {
    key.chars().next().unwrap()
}

fn binary(key: &str, address: IpAddr, suffix: &str) -> (String, String) {
    (format!("ip_{}addr{suffix}", name_of(key)), format!("x'{}'", hex(address)))
}

fn inet(key: &str, address: IpAddr) -> (String, String) {
    (format!("ip_{}addr_str", name_of(key)), format!("'{address}'"))
}

/// Copies into a target, twice, and compares.
#[track_caller]
fn check(from: &Database, to: &Database, mac: bool) {
    let said = copy(&from.url(), &to.url(), &[]);
    assert!(said.starts_with("copied 5 rows of "), "{said}");
    assert!(!said.contains("not copied"), "{said}");
    assert_eq!(to.rows(), expected(mac));
    let said = copy(&from.url(), &to.url(), &[]);
    assert!(said.starts_with("copied 0 rows of "), "{said}");
    assert_eq!(to.rows(), expected(mac));
}

#[test]
fn mysql_split_to_postgres() {
    let (from, to) = (Database::maria(), Database::postgres());
    let schema = Schema {
        table: split_table,
        address: |key, address| Some(binary(key, address, "")),
        mac: None,
        words: false,
    };
    from.load(&shipped("mysql-ulogd2.sql")).load(&inserts(&schema, &SPLIT)).load(
        "INSERT INTO mac (_mac_id, mac_saddr) VALUES (9, '02:00:00:00:00:01'); UPDATE ulog2 SET mac_id = 9 WHERE _id = 1",
    );
    check(&from, &to, true);
}

#[test]
fn mysql_flat_to_sqlite() {
    let (from, to) = (Database::maria(), Database::sqlite());
    let schema = Schema {
        table: |_| Some("ulog2"),
        address: |key, address| Some(binary(key, address, "_bin")),
        mac: Some("mac_saddr_str"),
        words: false,
    };
    from.load(&shipped("mysql-ulogd2-flat.sql")).load(&inserts(&schema, &[("ulog2", "")]));
    check(&from, &to, true);
}

#[test]
fn postgres_split_to_mysql() {
    let (from, to) = (Database::postgres(), Database::maria());
    let schema = Schema {
        table: split_table,
        address: |key, address| Some(inet(key, address)),
        mac: None,
        words: true,
    };
    let sql = inserts(&schema, &SPLIT).replace("\\\\", "\\");
    from.load(&shipped("pgsql-ulogd2.sql")).load(&sql).load(
        "INSERT INTO mac (_mac_id, mac_saddr) VALUES (9, '02:00:00:00:00:01'); UPDATE ulog2 SET mac_id = 9 WHERE _id = 1",
    );
    check(&from, &to, true);
}

#[test]
fn postgres_flat_to_sqlite() {
    let (from, to) = (Database::postgres(), Database::sqlite());
    let schema = Schema {
        table: |_| Some("ulog2"),
        address: |key, address| Some(inet(key, address)),
        mac: Some("mac_saddr_str"),
        words: true,
    };
    let sql = inserts(&schema, &[("ulog2", "")]).replace("\\\\", "\\");
    from.load(&shipped("pgsql-ulogd2-flat.sql")).load(&sql);
    check(&from, &to, true);
}

/// A table for ulogd2's plugin SQLITE3, which has no schema of its own for packets: any key can be a column.
#[test]
fn sqlite_to_mysql() {
    let (from, to) = (Database::sqlite(), Database::maria());
    let keys = PACKETS.iter().flat_map(|packet| packet.iter().map(|(key, _)| *key));
    let mut names: Vec<_> = keys.filter(|key| !key.ends_with("addr")).collect();
    names.sort_unstable();
    names.dedup();
    from.load(&format!(
        "CREATE TABLE ulog (ip_saddr_bin BLOB, ip_daddr_bin BLOB, mac_saddr_str TEXT, {})",
        names.join(", ")
    ));
    let schema = Schema {
        table: |_| Some("ulog"),
        address: |key, address| Some(binary(key, address, "_bin")),
        mac: Some("mac_saddr_str"),
        words: false,
    };
    from.load(&inserts(&schema, &[("ulog", "")]).replace("\\\\", "\\"));
    check(&from, &to, true);
}

/// Numbers as addresses: ulogd 1 stores them for `INET_NTOA`, ulogd2 as they are in memory. Missing columns.
#[test]
fn numbers_as_addresses() {
    let (first, second, to) = (Database::maria(), Database::sqlite(), Database::sqlite());
    first.load(
        "CREATE TABLE ulog (id INT UNSIGNED AUTO_INCREMENT UNIQUE, raw_mac VARCHAR(80), oob_time_sec INT UNSIGNED, \
         oob_prefix VARCHAR(32), ip_saddr INT UNSIGNED, ip_daddr INT UNSIGNED, ip_protocol TINYINT UNSIGNED, \
         udp_dport SMALLINT UNSIGNED);
         INSERT INTO ulog VALUES (NULL, 'ff:ff:ff:ff:ff:ff:02:00:00:00:00:01:08:00', 1795889420, 'one', \
         INET_ATON('192.0.2.1'), INET_ATON('255.0.0.1'), 17, 53)",
    );
    // As ulogd2's SQLITE3 writes 127.0.0.1 and, for IPv6, nothing.
    second.load(
        "CREATE TABLE ulog (oob_time_sec INT UNSIGNED, oob_family INT, oob_prefix TEXT, ip_saddr INT UNSIGNED);
         INSERT INTO ulog VALUES (1795889421, 2, 'two', 16777343), (1795889422, 10, 'three', 0)",
    );
    copy(&first.url(), &to.url(), &[]);
    copy(&second.url(), &to.url(), &[]);
    let found = to.query(
        "SELECT prefix, hex(source), hex(destination), hex(hardware_address), destination_port FROM packets ORDER BY time",
    );
    assert_eq!(
        found,
        "one|00000000000000000000FFFFC0000201|00000000000000000000FFFFFF000001|020000000001|53\n\
         two|00000000000000000000FFFF7F000001|||\nthree||||"
    );
}

/// Rows that cannot be read are counted by reason, those without a time of their own have that of their insertion.
#[test]
fn unreadable_rows_are_counted() {
    let (from, to) = (Database::sqlite(), Database::postgres());
    from.load(
        "CREATE TABLE ulog (oob_time_sec, ip_saddr_str, ip_protocol, oob_prefix, oob_mark);
         INSERT INTO ulog VALUES (1795889420, '192.0.2.1', 6, 'good', -1), (NULL, '192.0.2.1', 6, 'no time', 0),
         (1795889420, 'gate', 6, 'bad source', 0), (1795889420, NULL, 300, 'bad protocol', 0),
         (1795889420, NULL, 256, 'bad protocol', 0), (99999999999999, NULL, 6, 'bad time', 0)",
    );
    let said = copy(&from.url(), &to.url(), &[]);
    let expect = [
        "copied 1 rows of ulog from ",
        "not copied: 1: invalid ip_saddr_bin",
        "not copied: 2: invalid ip_protocol",
        "not copied: 1: invalid oob_time_sec",
        "not copied: 1: no time",
    ];
    for part in expect {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.matches("not copied").count(), expect.len() - 1, "{said}");
    assert_eq!(to.query("SELECT prefix, mark FROM packets"), "good|4294967295");

    let (from, to) = (Database::postgres(), Database::sqlite());
    let zone = "ALTER DATABASE DB SET timezone = 'Asia/Tokyo'";
    let Database::Postgres(_, name) = &from else { panic!() };
    from.load(&zone.replace("DB", name))
        .load(&shipped("pgsql-ulogd2.sql"))
        .load("INSERT INTO ulog2 (oob_prefix, timestamp) VALUES ('local', '2026-11-28 12:00:00')");
    copy(&from.url(), &to.url(), &[]);
    assert_eq!(to.query("SELECT prefix, time FROM packets"), "local|2026-11-28 03:00:00.000000");
}

/// Rows that only the target rejects do not stop the others.
#[test]
fn rows_that_the_target_rejects_are_counted() {
    let (from, to) = (Database::sqlite(), Database::maria());
    from.load("CREATE TABLE ulog (oob_time_sec, oob_prefix); INSERT INTO ulog VALUES (1795889420, 'first')");
    copy(&from.url(), &to.url(), &[]);
    to.load("ALTER TABLE packets ADD CONSTRAINT test CHECK (prefix <> 'bad')");
    from.load(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO ulog \
         SELECT 1795889420 + i, CASE WHEN i IN (1, 700, 3000) THEN 'bad' ELSE i END FROM n",
    );
    let said = copy(&from.url(), &to.url(), &[]);
    assert!(said.starts_with("copied 2997 rows"), "{said}");
    assert!(said.contains("not copied: 3: rejected by the target: MySQL: "), "{said}");
    assert_eq!(to.query("SELECT COUNT(*), COUNT(DISTINCT prefix) FROM packets"), "2998\t2998");
    assert!(copy(&from.url(), &to.url(), &[]).starts_with("copied 0 rows"));
}

/// Kills copies ten times, then runs two at the same time.
#[track_caller]
fn check_kills(from: &Database, to: &Database, more_rows: &str) {
    const ROWS: u64 = 120_000;
    let spawn = || command(&from.url(), &to.url(), &[]).spawn().unwrap();
    let kill = |mut child: Child| {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    // The schema.
    copy(&from.url(), &to.url(), &[]);
    from.load(more_rows);
    let mut seen = 0;
    for _ in 0..10 {
        let child = spawn();
        let before = seen;
        seen = wait_for("more rows", || {
            Some(to.count()).filter(|&count| count > before || count == ROWS)
        });
        kill(child);
    }
    assert!(seen < ROWS, "{seen}");
    let two = [spawn(), spawn()];
    for child in two {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let counts =
        "SELECT COUNT(*) AS a FROM packets UNION ALL SELECT COUNT(DISTINCT prefix) FROM packets";
    assert_eq!(to.query(counts), format!("{ROWS}\n{ROWS}"));
    assert!(copy(&from.url(), &to.url(), &[]).starts_with("copied 0 rows"));
}

#[test]
fn killed_copies_from_mysql_to_postgres_resume() {
    let (from, to) = (Database::maria(), Database::postgres());
    from.load(&shipped("mysql-ulogd2-flat.sql"));
    check_kills(
        &from,
        &to,
        "INSERT INTO ulog2 (oob_time_sec, oob_prefix) SELECT 1795889420 + seq DIV 10, seq FROM seq_1_to_120000",
    );
}

#[test]
fn killed_copies_from_sqlite_to_mysql_resume() {
    let (from, to) = (Database::sqlite(), Database::maria());
    from.load("CREATE TABLE ulog (oob_time_sec, oob_prefix)");
    check_kills(
        &from,
        &to,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000) \
         INSERT INTO ulog SELECT 1795889420 + i / 10, i FROM n",
    );
}

#[test]
fn killed_copies_from_postgres_to_sqlite_resume() {
    let (from, to) = (Database::postgres(), Database::sqlite());
    from.load(&shipped("pgsql-ulogd2.sql"));
    check_kills(
        &from,
        &to,
        "INSERT INTO ulog2 (oob_time_sec, oob_prefix) SELECT 1795889420 + i / 10, i FROM generate_series(1, 120000) i",
    );
}

/// Other spellings of a URL are the same source, ulogd's own database can be the target, and our views no source.
#[test]
fn own_rows_are_never_copied() {
    for (database, schema) in [
        (Database::maria(), "mysql-ulogd2.sql"),
        (Database::maria(), "mysql-ulogd2-flat.sql"),
        (Database::postgres(), "pgsql-ulogd2.sql"),
        (Database::postgres(), "pgsql-ulogd2-flat.sql"),
    ] {
        database.load(&shipped(schema));
        database.load("INSERT INTO ulog2 (oob_time_sec, oob_prefix) VALUES (1795889420, 'one')");
        for rows in [1, 0] {
            let said = copy(&database.url(), &database.url(), &[]);
            assert!(said.starts_with(&format!("copied {rows} rows of ulog2 from ")), "{said}");
        }
        assert_eq!(database.count(), 1);
    }
    for database in [Database::maria(), Database::postgres(), Database::sqlite()] {
        let empty = Database::sqlite();
        empty.load("CREATE TABLE ulog (oob_time_sec, oob_prefix); INSERT INTO ulog VALUES (1795889420, 'one')");
        copy(&empty.url(), &database.url(), &[]);
        let other = Database::sqlite();
        for to in [&database, &other] {
            let why = rejected(&database.url(), &to.url(), &[]);
            assert!(why.contains(" has no table of ulogd: none of "), "{why}");
            let why = rejected(&database.url(), &to.url(), &["--table", "ulog2"]);
            assert!(why.contains("ulog2 of ") && why.contains(" is a view; "), "{why}");
            for table in ["packets", "ulog"] {
                let why = rejected(&database.url(), &to.url(), &["--table", table]);
                assert!(why.contains(": its rows are in `packets` already"), "{table}: {why}");
            }
            let why = rejected(&database.url(), &to.url(), &["--table", "none"]);
            assert!(why.contains(" has no table none; check the name"), "{why}");
        }
        assert_eq!(database.count(), 1);
    }
}

#[test]
fn another_spelling_is_the_same_source() {
    let (from, to) = (Database::maria(), Database::sqlite());
    let Database::Maria(server, name) = &from else { panic!() };
    from.load(
        "CREATE TABLE logs (_id INT AUTO_INCREMENT UNIQUE, oob_time_sec INT, oob_prefix TEXT)",
    );
    from.load("INSERT INTO logs VALUES (NULL, 1, 'one')");
    server.query("mysql", "CREATE OR REPLACE USER reader@'127.0.0.1' IDENTIFIED BY 'secret'");
    server.query("mysql", &format!("GRANT SELECT ON {name}.* TO reader@'127.0.0.1'"));
    assert!(
        rejected(&from.url(), &to.url(), &[])
            .contains("if ulogd's `table` has another name, use --table")
    );
    let said = copy(&from.url(), &to.url(), &["--table", "logs"]);
    assert!(said.starts_with("copied 1 rows of logs "), "{said}");
    assert!(said.contains("1 of the copied rows are older than mirror.retention"), "{said}");
    let said = copy(&server.url("reader", "secret", name), &to.url(), &["--table", "logs"]);
    assert!(said.starts_with("copied 0 rows of logs ") && !said.contains("secret"), "{said}");
}

/// Root copies the rows, and the exporter continues the file as its own user.
#[test]
fn the_exporter_can_use_a_file_that_root_created() {
    let from = Database::sqlite();
    from.load(
        "CREATE TABLE ulog (_id INTEGER PRIMARY KEY, oob_time_sec INT, oob_prefix TEXT); \
         INSERT INTO ulog VALUES (1, 1795889420, 'old')",
    );
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let owned = directory.path().join("owned");
    fs::create_dir(&owned).unwrap();
    chown(&owned, Some(NOBODY), Some(NOBODY)).unwrap();
    // In the directory, and in a new one below it.
    for file in [owned.join("rows.db"), owned.join("new/deep/rows.db")] {
        let to = format!("sqlite:{}", file.display());
        copy(&from.url(), &to, &[]);
        for path in file.ancestors().take_while(|path| path.starts_with(&owned)) {
            let about = fs::metadata(path).unwrap();
            assert_eq!((about.uid(), about.gid()), (NOBODY, NOBODY), "{}", path.display());
        }
        let host = Namespace::new("host");
        let config = format!(
            "[privileges]\nuser = 'nobody'\n[mirror]\nurl = '{to}'\nspool.directory = '{}/spool'\n",
            directory.path().display()
        );
        let exporter = Exporter::start(&host, &config, &[]);
        wait_for("the mirror", || {
            (sum(&exporter.scrape(), "nflog_exporter_mirror_up") == 1).then_some(())
        });
    }
    // A file that the exporter cannot open is named with its cause.
    let file = owned.join("rows.db");
    chown(&file, Some(0), Some(0)).unwrap();
    let host = Namespace::new("host");
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}'\nspool.directory = '{}/spool'\nspool.other_target = 'drop'\n",
        file.display(),
        directory.path().display()
    );
    let exporter = Exporter::start(&host, &config, &[]);
    wait_for("the log line", || {
        let log = exporter.program.log();
        let names_the_file = log.contains(&format!("SQLite {}: cannot ", file.display()))
            && log.contains("can write to the directory and to the file");
        names_the_file.then_some(())
    });
}
