//! Rows and a directory for the tests of the spool.

use std::{fs, net::IpAddr, ops::Range, path::Path};

use nflog_exporter::{
    event::{HardwareAddress, Hook},
    mirror::{
        row::{Row, RowContext},
        spool::{OtherTarget, Portion, Spool, SpoolPlan},
    },
    packet::Direction,
};

/// A realistic row, identified by its mark.
pub fn row(mark: u32) -> Row {
    let octets = mark.wrapping_mul(0x9e37_79b9).to_be_bytes();
    Row {
        time: 1_760_000_000_000_000 + u64::from(mark),
        group: 1,
        prefix: "inbound".into(),
        hook: Some(Hook::Input),
        direction: Some(Direction::In),
        in_device: "eth0".into(),
        out_device: "".into(),
        mark,
        uid: None,
        hardware_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 1]),
        ip_version: Some(4),
        source: Some(IpAddr::from(octets)),
        destination: Some(IpAddr::from([192, 0, 2, 1])),
        protocol: Some(6),
        length: 60,
        captured_length: 60,
        ttl: Some(54),
        source_port: Some(40000),
        destination_port: Some(22),
        tcp_flags: Some(2),
        icmp_type: None,
        icmp_code: None,
        issue: None,
        country: "DE".into(),
        city: "Frankfurt am Main".into(),
        latitude: Some(50.1),
        longitude: Some(8.6),
        asn: Some(64500),
        weight: 1,
        context: RowContext::default(),
    }
}

/// Rows with these marks.
pub fn rows(marks: Range<u32>) -> Vec<Row> {
    marks.map(row).collect()
}

/// The marks of a portion's rows.
pub fn marks(portion: &Portion) -> Vec<u32> {
    portion.rows.iter().map(|row| row.mark).collect()
}

/// A plan for this directory.
pub fn plan(directory: &Path, max_size: u64) -> SpoolPlan {
    SpoolPlan {
        directory: directory.to_owned(),
        max_size,
        host: "gate".into(),
        target: "sqlite:/rows.db".into(),
        other_target: OtherTarget::Keep,
    }
}

/// Opens a spool without an I/O error.
pub fn open(directory: &Path, max_size: u64) -> Spool {
    let spool = Spool::open(plan(directory, max_size)).unwrap();
    assert_eq!(spool.io_error(), None);
    spool
}

/// The segments in the directory, in the order of their names.
pub fn segments(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    paths.sort();
    paths
}

/// Reads all rows; returns the marks, and the number of lost rows.
pub fn drain(spool: &mut Spool) -> (Vec<u32>, u64) {
    let (mut all, mut lost) = (Vec::new(), 0);
    while let Some(portion) = spool.next(100) {
        all.extend(marks(&portion));
        lost += portion.lost;
        assert!(portion.to > portion.from);
        let gone = spool.delivered(&portion.writer, portion.to);
        assert_eq!(gone, portion.to - portion.from - portion.lost);
    }
    assert_eq!((spool.waiting(), spool.oldest()), (0, None));
    (all, lost)
}
