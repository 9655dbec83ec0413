//! The same rows into a new table, with the mirror's writer and with LOAD DATA.

use std::{
    io::{BufWriter, Write},
    net::IpAddr,
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nflog_exporter::mirror::{
    row::Row,
    store::{Batch, Maintenance, MySql, Store, Writer},
};
use tempfile::NamedTempFile;

use crate::{
    figures::{Figures, children, cpu, measured},
    support::{mariadb::MariaDb, sample_rows},
};

/// Rows of a transaction, as the delivery writes them.
const BATCH: usize = 10_000;

/// A host name of typical length.
const HOST: &str = "gateway.example.net";

/// Rows of the last hour: spoofed sources, twenty prefixes, common ports.
pub fn rows(count: u64) -> Vec<Row> {
    const CHAINS: [&str; 5] = ["input", "forward", "scan", "bogon", "limit"];
    const ACTIONS: [&str; 4] = ["drop-", "reject-", "accept-", "log-"];
    let hour = Duration::from_secs(3_600);
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().saturating_sub(hour);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap();
    sample_rows::crowd(count, micros(start), micros(hour))
        .enumerate()
        .map(|(number, row)| Row {
            prefix: format!("{}{}", ACTIONS[number % 4], CHAINS[number % 5]).into(),
            ..row
        })
        .collect()
}

/// The writer, one transaction after the other.
pub fn write(server: &MariaDb, rows: &[Row]) -> Figures {
    let database = server.database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let writer = Writer { id: [1; 16], host: HOST.to_owned() };
    let mut store = runtime.block_on(prepared(server, &database));
    assert_eq!(runtime.block_on(store.position(&writer, 0)).unwrap(), 0);
    let client = || cpu(std::process::id());
    let figures = measured(server, rows.len() as u64, client, || {
        runtime.block_on(async {
            let mut from = 0;
            for rows in rows.chunks(BATCH) {
                let to = from + rows.len() as u64;
                store.write(&writer, Batch { from, to, rows }).await.unwrap();
                from = to;
            }
        });
    });
    finish(server, &database, rows.len() as u64);
    figures
}

/// `LOAD DATA LOCAL INFILE` with MariaDB's client.
pub fn load_data(server: &MariaDb, file: &Path, rows: u64) -> Figures {
    let database = server.database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    drop(runtime.block_on(prepared(server, &database)));
    let statement = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE packets CHARACTER SET binary (time, host, \
         nflog_group, prefix, hook, direction, in_device, out_device, mark, uid, hardware_address, \
         ip_version, source, destination, protocol, length, captured_length, ttl, source_port, \
         destination_port, tcp_flags, icmp_type, icmp_code, flaw, country, city, latitude, \
         longitude, asn, weight)",
        file.display()
    );
    let figures = measured(server, rows, children, || {
        let status = Command::new("mariadb")
            .args(["--no-defaults", "--user=root", "--local-infile=1"])
            .arg(format!("--socket={}", server.socket().display()))
            .args([&database, "--init-command=SET time_zone = '+00:00'", "--execute", &statement])
            .status()
            .unwrap();
        assert!(status.success());
    });
    finish(server, &database, rows);
    figures
}

/// A connection to the real table, with its partitions.
async fn prepared(server: &MariaDb, database: &str) -> MySql {
    let mut store = MySql::connect(&server.target(database)).await.unwrap();
    store.prepare().await.unwrap();
    let kept = store.maintain(&Maintenance::default(), SystemTime::now()).await.unwrap();
    assert!(kept.warnings.is_empty(), "{:?}", kept.warnings);
    store
}

/// Checks that all rows were written, and drops the database.
fn finish(server: &MariaDb, database: &str, rows: u64) {
    assert_eq!(server.query(database, "SELECT COUNT(*) FROM packets"), rows.to_string());
    server.query(database, &format!("DROP DATABASE {database}"));
}

/// The rows in the fastest format for LOAD DATA: addresses as bytes.
pub fn file(rows: &[Row]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let mut output = BufWriter::new(file.as_file());
    for row in rows {
        let texts = [
            time(row.time),
            HOST.into(),
            row.group.to_string(),
            row.prefix.to_string(),
            text(row.hook.map(nflog_exporter::event::Hook::name)),
            text(row.direction.map(nflog_exporter::packet::Direction::name)),
            row.in_device.to_string(),
            row.out_device.to_string(),
            row.mark.to_string(),
            text(row.uid),
        ];
        output.write_all(texts.join("\t").as_bytes()).unwrap();
        bytes(&mut output, Some(row.hardware_address.as_bytes()));
        write!(output, "\t{}", text(row.ip_version)).unwrap();
        bytes(&mut output, row.source.map(octets).as_ref().map(<[u8; 16]>::as_slice));
        bytes(&mut output, row.destination.map(octets).as_ref().map(<[u8; 16]>::as_slice));
        let texts = [
            text(row.protocol),
            row.length.to_string(),
            row.captured_length.to_string(),
            text(row.ttl),
            text(row.source_port),
            text(row.destination_port),
            text(row.tcp_flags),
            text(row.icmp_type),
            text(row.icmp_code),
            text(row.issue.map(nflog_exporter::packet::DecodeIssue::name)),
            row.country.to_string(),
            row.city.to_string(),
            text(row.latitude),
            text(row.longitude),
            text(row.asn),
            row.weight.to_string(),
        ];
        writeln!(output, "\t{}", texts.join("\t")).unwrap();
    }
    output.flush().unwrap();
    drop(output);
    file
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or("\\N".to_owned(), |value| value.to_string())
}

/// Writes a tab, then the bytes with special characters escaped.
fn bytes(output: &mut impl Write, bytes: Option<&[u8]>) {
    let mut escaped = vec![b'\t'];
    for byte in bytes.unwrap_or_default() {
        match byte {
            0 => escaped.extend(b"\\0"),
            b'\t' | b'\n' | b'\\' => escaped.extend([b'\\', *byte]),
            _ => escaped.push(*byte),
        }
    }
    if bytes.is_none() {
        escaped.extend(b"\\N");
    }
    output.write_all(&escaped).unwrap();
}

/// Formats a time as a DATETIME.
fn time(micros: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_micros(micros);
    humantime::format_rfc3339_micros(time).to_string().replace('T', " ").replace('Z', "")
}
