//! Values that are unusual, invalid or too long.

use super::{Database, command, copy, shipped};

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

/// Long texts are shortened as in other rows, and memory does not grow with them.
#[track_caller]
fn check_long_texts(from: &Database, to: &Database, insert: &str) {
    from.load(insert);
    let command = command(&from.url(), &to.url(), &[]);
    // More data than this fails an allocation, which ends the program.
    let mut limited = std::process::Command::new("prlimit");
    limited.arg("--data=268435456").arg(command.get_program()).args(command.get_args());
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("copied 300 rows of "), "{said}");
    assert!(said.contains("\nshortened: 300: oob_prefix is longer than 128 bytes\n"), "{said}");
    let lengths = "SELECT COUNT(*) AS a FROM packets WHERE LENGTH(prefix) = 128";
    assert_eq!(to.query(lengths), "300");
}

#[test]
fn long_texts_of_mysql() {
    let (from, to) = (Database::maria(), Database::sqlite());
    from.load("CREATE TABLE ulog (_id INT PRIMARY KEY, oob_time_sec INT, oob_prefix LONGTEXT)");
    check_long_texts(
        &from,
        &to,
        "INSERT INTO ulog SELECT seq, 1795889420 + seq, REPEAT('p', 1000000) FROM seq_1_to_300",
    );
}

#[test]
fn long_texts_of_postgres() {
    let (from, to) = (Database::postgres(), Database::sqlite());
    from.load("CREATE TABLE ulog (_id INT PRIMARY KEY, oob_time_sec INT, oob_prefix text)");
    check_long_texts(
        &from,
        &to,
        "INSERT INTO ulog SELECT i, 1795889420 + i, repeat('p', 1000000) FROM generate_series(1, 300) i",
    );
}

#[test]
fn long_texts_of_sqlite() {
    let (from, to) = (Database::sqlite(), Database::maria());
    from.load("CREATE TABLE ulog (oob_time_sec, oob_prefix)");
    check_long_texts(
        &from,
        &to,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) \
         INSERT INTO ulog SELECT 1795889420 + i, replace(hex(zeroblob(500000)), '0', 'p') FROM n",
    );
}
