//! The fields of a row as text, for the files of bulk loaders.

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufWriter, Write},
    net::IpAddr,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use nflog_exporter::mirror::row::Row;

use crate::bulk::HOST;

/// How a file writes the fields that differ between databases.
pub struct Format {
    /// A missing value.
    pub null: &'static str,
    /// Whether each line begins with its number, from 1.
    pub numbered: bool,
    /// An address.
    pub address: fn(IpAddr) -> Vec<u8>,
    /// A hardware address.
    pub bytes: fn(&[u8]) -> Vec<u8>,
}

/// The columns of [`write`].
pub const COLUMNS: &str = "time, host, nflog_group, prefix, hook, direction, in_device, out_device, \
    mark, uid, hardware_address, ip_version, source, destination, protocol, length, \
    captured_length, ttl, source_port, destination_port, tcp_flags, icmp_type, icmp_code, flaw, \
    country, city, latitude, longitude, asn, weight";

/// Writes a line for each row, its fields separated by tabs.
pub fn write(rows: &[Row], path: &Path, format: &Format) {
    let mut output = BufWriter::new(File::create(path).unwrap());
    for (index, row) in rows.iter().enumerate() {
        if format.numbered {
            write!(output, "{}\t", index + 1).unwrap();
        }
        line(&mut output, row, format);
    }
    output.flush().unwrap();
}

fn line(output: &mut impl Write, row: &Row, format: &Format) {
    fn text(null: &str, value: Option<impl ToString>) -> String {
        value.map_or(null.to_owned(), |value| value.to_string())
    }
    let Format { null, address, bytes, .. } = format;
    let before = [
        time(row.time),
        HOST.into(),
        row.group.to_string(),
        row.prefix.to_string(),
        text(null, row.hook.map(nflog_exporter::event::Hook::name)),
        text(null, row.direction.map(nflog_exporter::packet::Direction::name)),
        row.in_device.to_string(),
        row.out_device.to_string(),
        row.mark.to_string(),
        text(null, row.uid),
    ];
    write!(output, "{}\t", before.join("\t")).unwrap();
    output.write_all(&bytes(row.hardware_address.as_bytes())).unwrap();
    write!(output, "\t{}", text(null, row.ip_version)).unwrap();
    for ip in [row.source, row.destination] {
        output.write_all(b"\t").unwrap();
        output.write_all(&ip.map_or(null.as_bytes().to_vec(), address)).unwrap();
    }
    let after = [
        text(null, row.protocol),
        row.length.to_string(),
        row.captured_length.to_string(),
        text(null, row.ttl),
        text(null, row.source_port),
        text(null, row.destination_port),
        text(null, row.tcp_flags),
        text(null, row.icmp_type),
        text(null, row.icmp_code),
        text(null, row.issue.map(nflog_exporter::packet::DecodeIssue::name)),
        row.country.to_string(),
        text(null, Some(row.city.as_str()).filter(|city| !city.is_empty())),
        text(null, row.latitude),
        text(null, row.longitude),
        text(null, row.asn),
        row.weight.to_string(),
    ];
    writeln!(output, "\t{}", after.join("\t")).unwrap();
}

/// The 16 bytes of an address, IPv4 as `::ffff:a.b.c.d`.
pub fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A time in UTC: `YYYY-MM-DD HH:MM:SS.ffffff`.
fn time(micros: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_micros(micros);
    humantime::format_rfc3339_micros(time).to_string().replace('T', " ").replace('Z', "")
}
