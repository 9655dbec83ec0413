//! Each schema of ulogd, copied to another kind of database.

use std::{fmt::Write as _, net::IpAddr};

use super::{
    copy,
    database::{Database, hex},
    shipped,
};

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

fn mysql_split() -> Database {
    let from = Database::maria();
    let schema = Schema {
        table: split_table,
        address: |key, address| Some(binary(key, address, "")),
        mac: None,
        words: false,
    };
    from.load(&shipped("mysql-ulogd2.sql")).load(&inserts(&schema, &SPLIT)).load(
        "INSERT INTO mac (_mac_id, mac_saddr) VALUES (9, '02:00:00:00:00:01'); UPDATE ulog2 SET mac_id = 9 WHERE _id = 1",
    );
    from
}

fn mysql_flat() -> Database {
    let from = Database::maria();
    let schema = Schema {
        table: |_| Some("ulog2"),
        address: |key, address| Some(binary(key, address, "_bin")),
        mac: Some("mac_saddr_str"),
        words: false,
    };
    from.load(&shipped("mysql-ulogd2-flat.sql")).load(&inserts(&schema, &[("ulog2", "")]));
    from
}

fn postgres_split() -> Database {
    let from = Database::postgres();
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
    from
}

fn postgres_flat() -> Database {
    let from = Database::postgres();
    let schema = Schema {
        table: |_| Some("ulog2"),
        address: |key, address| Some(inet(key, address)),
        mac: Some("mac_saddr_str"),
        words: true,
    };
    let sql = inserts(&schema, &[("ulog2", "")]).replace("\\\\", "\\");
    from.load(&shipped("pgsql-ulogd2-flat.sql")).load(&sql);
    from
}

/// A table for ulogd2's plugin SQLITE3, which has no schema of its own for packets: any key can be a column.
fn sqlite() -> Database {
    let from = Database::sqlite();
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
    from
}

#[test]
fn mysql_split_to_postgres() {
    check(&mysql_split(), &Database::postgres(), true);
}

#[test]
fn mysql_flat_to_sqlite() {
    check(&mysql_flat(), &Database::sqlite(), true);
}

#[test]
fn postgres_split_to_mysql() {
    check(&postgres_split(), &Database::maria(), true);
}

#[test]
fn postgres_flat_to_sqlite() {
    check(&postgres_flat(), &Database::sqlite(), true);
}

#[test]
fn sqlite_to_mysql() {
    check(&sqlite(), &Database::maria(), true);
}

/// Each kind of source, because the position is found in it.
#[test]
fn each_to_clickhouse() {
    for from in [mysql_split(), postgres_flat(), sqlite()] {
        check(&from, &Database::clickhouse(), true);
    }
}
