//! Databases of ulogd and of the exporter.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

use nflog_exporter::mirror::Target;

use crate::support::{
    clickhouse::ClickHouseServer, mariadb::MariaDb, postgres_server::PostgresServer,
};

/// A database for tests: of ulogd, or of the exporter.
pub(super) enum Database {
    Maria(std::sync::Arc<MariaDb>, String),
    Postgres(std::sync::Arc<PostgresServer>, String),
    Sqlite(tempfile::TempDir),
    /// Only of the exporter.
    ClickHouse(std::sync::Arc<ClickHouseServer>, String),
}

impl Database {
    pub(super) fn maria() -> Self {
        let server = MariaDb::shared();
        let name = server.database();
        Self::Maria(server, name)
    }

    pub(super) fn postgres() -> Self {
        let server = PostgresServer::shared();
        let name = server.database();
        Self::Postgres(server, name)
    }

    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(super) fn clickhouse() -> Self {
        let server = ClickHouseServer::shared();
        let name = server.database();
        Self::ClickHouse(server, name)
    }

    fn path(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("rows.db")
    }

    pub(super) fn url(&self) -> String {
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
            Self::ClickHouse(server, name) => server.url(name),
        }
    }

    pub(super) fn load(&self, sql: &str) -> &Self {
        match self {
            Self::Maria(server, name) => server.load(name, sql),
            Self::Postgres(server, name) => drop(server.psql(name, sql)),
            Self::Sqlite(_) | Self::ClickHouse(..) => drop(self.query(sql)),
        }
        self
    }

    pub(super) fn query(&self, sql: &str) -> String {
        match self {
            Self::Maria(server, name) => server.query(name, sql),
            Self::Postgres(server, name) => server.psql(name, sql),
            Self::Sqlite(directory) => sqlite(&Self::path(directory), sql),
            Self::ClickHouse(server, name) => server.query(name, sql),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.query("SELECT COUNT(*) FROM packets").parse().unwrap()
    }

    /// The rows of `packets` in the order of their times; columns that are the same for all kinds.
    pub(super) fn rows(&self) -> Vec<String> {
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
            Self::ClickHouse(..) => (
                "ifNull(toString(%), '-')",
                "lower(hex(hardware_address))",
                "%",
                "toUnixTimestamp64Micro(time)",
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
        let raw = if matches!(self, Self::ClickHouse(..)) { "FORMAT TSVRaw" } else { "" };
        let lines = self.query(&format!("SELECT {join} FROM packets ORDER BY time {raw}"));
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

pub(super) fn hex(address: IpAddr) -> String {
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
