//! Rows to write: each kind of packet, hostile texts, empty fields, and realistic amounts.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, UNIX_EPOCH},
};

use nflog_exporter::{
    event::{ConnectionState, HardwareAddress, Hook},
    mirror::{
        Target,
        row::{Row, RowContext},
        store::{Batch, Maintenance, Store, Writer},
    },
    packet::{DecodeIssue, Direction},
};

/// 2026-11-23 12:00:00 UTC, in microseconds.
pub const NOON: u64 = 1_795_435_200_000_000;

/// Microseconds of a day.
pub const DAY: u64 = 86_400_000_000;

/// Creates the schema with the partitions of the day of [`NOON`], and writes rows in batches.
pub async fn fill_store<S: Store>(target: &Target, rows: &[Row]) {
    let writer = Writer { id: [7; 16], host: "gate".to_owned() };
    let mut store = S::connect(target).await.unwrap();
    store.prepare().await.unwrap();
    store.position(&writer, 0).await.unwrap();
    let now = UNIX_EPOCH + Duration::from_micros(NOON);
    store.maintain(&Maintenance::default(), now).await.unwrap();
    for (number, rows) in (0..).zip(rows.chunks(10_000)) {
        store.write(&writer, Batch { from: number, to: number + 1, rows }).await.unwrap();
    }
}

/// A row without any optional field.
pub fn empty(time: u64) -> Row {
    Row {
        time,
        group: 0,
        prefix: "".into(),
        hook: None,
        direction: None,
        in_device: "".into(),
        out_device: "".into(),
        mark: 0,
        uid: None,
        hardware_address: HardwareAddress::default(),
        ip_version: None,
        source: None,
        destination: None,
        protocol: None,
        length: 0,
        captured_length: 0,
        ttl: None,
        source_port: None,
        destination_port: None,
        tcp_flags: None,
        icmp_type: None,
        icmp_code: None,
        issue: None,
        country: "unknown".into(),
        city: "".into(),
        latitude: None,
        longitude: None,
        asn: None,
        weight: 1,
        context: RowContext::default(),
    }
}

/// A SYN to port 80 from 192.0.2.1.
pub fn tcp(time: u64) -> Row {
    Row {
        group: 5,
        prefix: "DROP-IN".into(),
        hook: Some(Hook::Input),
        direction: Some(Direction::In),
        in_device: "eth0".into(),
        hardware_address: HardwareAddress::new(&[0x52, 0x54, 0x00, 0xab, 0xcd, 0xef]),
        ip_version: Some(4),
        source: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        destination: Some(Ipv4Addr::new(198, 51, 100, 255).into()),
        protocol: Some(6),
        length: 60,
        captured_length: 60,
        ttl: Some(57),
        source_port: Some(50_000),
        destination_port: Some(80),
        tcp_flags: Some(2),
        country: "DE".into(),
        city: "Köln".into(),
        latitude: Some(50.9375),
        longitude: Some(6.9603),
        asn: Some(64_496),
        ..empty(time)
    }
}

/// One row for each value that is critical for a column, a microsecond apart.
pub fn every_kind(start: u64) -> Vec<Row> {
    let v6: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0xff00, 0x42, 0x8329).into();
    let mut rows = vec![
        empty(0),
        tcp(0),
        Row {
            ip_version: Some(6),
            source: Some(v6),
            destination: Some(Ipv6Addr::LOCALHOST.into()),
            protocol: Some(17),
            destination_port: Some(53),
            tcp_flags: None,
            hook: Some(Hook::Prerouting),
            ..tcp(0)
        },
        Row {
            protocol: Some(1),
            source_port: None,
            destination_port: None,
            tcp_flags: None,
            icmp_type: Some(8),
            icmp_code: Some(0),
            ..tcp(0)
        },
        Row {
            protocol: Some(58),
            ip_version: Some(6),
            source: Some(Ipv6Addr::UNSPECIFIED.into()),
            // Not an IPv4 address.
            destination: Some(Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped().into()),
            icmp_type: Some(135),
            icmp_code: Some(255),
            ..empty(0)
        },
        Row { protocol: Some(47), source_port: None, destination_port: None, ..tcp(0) },
        // The largest values.
        Row {
            group: u16::MAX,
            mark: u32::MAX,
            uid: Some(u32::MAX),
            hardware_address: HardwareAddress::new(&[0xff; 8]),
            source: Some(Ipv4Addr::BROADCAST.into()),
            protocol: Some(255),
            length: u32::MAX,
            captured_length: u32::MAX,
            ttl: Some(255),
            source_port: Some(u16::MAX),
            destination_port: Some(u16::MAX),
            tcp_flags: Some(255),
            icmp_type: Some(255),
            icmp_code: Some(255),
            latitude: Some(-90.0),
            longitude: Some(-180.0),
            asn: Some(u32::MAX),
            weight: u32::MAX,
            prefix: "x".repeat(128).into(),
            ..tcp(0)
        },
        // The smallest values.
        Row {
            source: Some(Ipv4Addr::UNSPECIFIED.into()),
            uid: Some(0),
            ttl: Some(0),
            tcp_flags: Some(0),
            asn: Some(0),
            latitude: Some(0.0),
            longitude: Some(0.0),
            hardware_address: HardwareAddress::new(&[0]),
            source_port: Some(0),
            destination_port: Some(0),
            ..tcp(0)
        },
    ];
    for prefix in HOSTILE {
        rows.push(Row {
            prefix: (*prefix).into(),
            in_device: (*prefix).into(),
            city: (*prefix).into(),
            ..tcp(0)
        });
    }
    rows.extend(ConnectionState::ALL.map(|state| Row {
        context: RowContext {
            ct_state: Some(state),
            ct_zone: Some(u16::MAX),
            host: "router".into(),
            source_network_name: "office".into(),
            destination_network_name: "x".repeat(128).into(),
            list: HOSTILE[0].into(),
        },
        ..tcp(0)
    }));
    rows.extend(Hook::ALL.map(|hook| Row { hook: Some(hook), ..tcp(0) }));
    rows.extend(Direction::ALL.map(|direction| Row { direction: Some(direction), ..tcp(0) }));
    rows.extend(DecodeIssue::ALL.map(|issue| Row { issue: Some(issue), ..empty(0) }));
    for (time, row) in (start..).zip(&mut rows) {
        row.time = time;
    }
    rows
}

/// Texts with characters that need escaping.
pub const HOSTILE: &[&str] = &[
    "it's \"quoted\" `thrice`",
    r"back\slash\\ \n \t \x41",
    "'); DROP TABLE packets; --",
    r"\N",
    r"\.",
    "NULL",
    "\u{fffd}\u{fffd}",
    "🔥🧱 дроп 丟棄",
    "a\tb|c,d;e%s{}$1?",
    " leading and trailing ",
];

/// This many rows as a firewall logs them, spread evenly over a span of microseconds: mostly TCP
/// to few ports from many sources. Every call returns the same rows.
pub fn crowd(count: u64, start: u64, span: u64) -> impl Iterator<Item = Row> {
    const PORTS: [u16; 12] = [22, 23, 80, 443, 445, 3389, 5060, 8080, 8443, 1433, 3306, 6379];
    const COUNTRIES: [&str; 16] = [
        "US", "CN", "RU", "DE", "NL", "BR", "IN", "VN", "FR", "GB", "KR", "TW", "BG", "SG", "ID",
        "unknown",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % below
    };
    (0..count).map(move |number| {
        let time = start
            + u64::try_from(u128::from(number) * u128::from(span) / u128::from(count)).unwrap();
        let most = random(12) + 1;
        let port = match random(100) {
            0..80 => PORTS[usize::try_from(random(most)).unwrap()],
            _ => u16::try_from(random(65_536)).unwrap(),
        };
        let most = random(16) + 1;
        let country = COUNTRIES[usize::try_from(random(most)).unwrap()];
        let most = random(1 << 32) + 1;
        let source = u32::try_from(random(most)).unwrap();
        let mut row = Row {
            source: Some(Ipv4Addr::from_bits(source).into()),
            source_port: Some(u16::try_from(random(65_536)).unwrap()),
            destination_port: Some(port),
            ttl: Some(u8::try_from(random(256)).unwrap()),
            country: country.into(),
            asn: Some(u32::try_from(random(60_000)).unwrap()),
            ..tcp(time)
        };
        match random(100) {
            0..20 => (row.protocol, row.tcp_flags) = (Some(17), None),
            20..23 => {
                (row.protocol, row.tcp_flags) = (Some(1), None);
                (row.source_port, row.destination_port) = (None, None);
                (row.icmp_type, row.icmp_code) = (Some(8), Some(0));
            }
            23..28 => {
                row.ip_version = Some(6);
                let bits = (0x2001_0db8_u128 << 96) | u128::from(source);
                row.source = Some(Ipv6Addr::from_bits(bits).into());
            }
            _ => {}
        }
        row
    })
}
