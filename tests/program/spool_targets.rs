//! Rows in the spool belong to the database that was configured when they were appended.

use std::{fs, os::unix::fs::FileExt, path::Path};

use nflog_exporter::mirror::{
    row::{Row, RowContext},
    spool::{AppendError, OtherTarget, Spool, rows_of_others},
};

use crate::support::spool::{drain, plan, rows, segments};

const OLD: &str = "mysql://db.example.net:3306/firewall";
const NEW: &str = "postgres://db.example.net:5432/firewall";

fn open(directory: &Path, target: &str, other_target: OtherTarget) -> Spool {
    let plan = plan(directory, 1 << 20);
    let spool = Spool::open(nflog_exporter::mirror::spool::SpoolPlan {
        target: target.into(),
        other_target,
        ..plan
    })
    .unwrap();
    assert_eq!(spool.io_error(), None);
    spool
}

/// A spool in which rows with these marks wait for a database.
fn left(directory: &Path, target: &str, marks: std::ops::Range<u32>) {
    let mut spool = open(directory, target, OtherTarget::Keep);
    spool.append(&rows(marks), 1).unwrap();
}

/// The spool of an earlier program, with rows 0 to 99 for [`OLD`]: its segment as a file of version 1 or 2.
fn left_by_an_earlier_program(directory: &Path, version: u16) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/spool/version_2.seg");
    let mut bytes = fs::read(data).unwrap();
    if version == 1 {
        bytes = unmarked(&bytes);
    }
    assert_eq!(bytes[8..10], version.to_le_bytes());
    fs::write(directory.join("0000000001-00000000000000000000.seg"), bytes).unwrap();
}

/// A segment of version 2 as one of version 1, which had no target.
fn unmarked(bytes: &[u8]) -> Vec<u8> {
    let host = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let length = usize::from(u16::from_le_bytes([bytes[52], bytes[53]]));
    assert_eq!(&bytes[54 + host..54 + host + length], OLD.as_bytes());
    let mut header = bytes[..52].to_vec();
    header[8..10].copy_from_slice(&1_u16.to_le_bytes());
    header.extend_from_slice(&bytes[54..54 + host]);
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header.extend_from_slice(&bytes[54 + host + length + 4..]);
    header
}

#[test]
fn rows_of_an_earlier_version_are_delivered_before_new_ones() {
    for version in [1, 2] {
        let directory = tempfile::tempdir().unwrap();
        left_by_an_earlier_program(directory.path(), version);
        let mut spool = open(directory.path(), OLD, OtherTarget::Keep);
        assert_eq!((spool.waiting(), spool.take_recovered()), (100, 100), "version {version}");
        let newer: Vec<_> = rows(100..150)
            .into_iter()
            .map(|row| Row {
                context: RowContext {
                    ct_zone: Some(7),
                    list: "drop".into(),
                    ..RowContext::default()
                },
                ..row
            })
            .collect();
        spool.append(&newer, 2).unwrap();
        let mut read = Vec::new();
        while let Some(portion) = spool.next(64) {
            assert_eq!(portion.lost, 0);
            spool.delivered(&portion.writer, portion.to);
            read.extend(portion.rows);
        }
        assert_eq!(read, [rows(0..100), newer].concat(), "version {version}");
    }
}

#[test]
fn rows_wait_until_their_database_is_configured_again() {
    let directory = tempfile::tempdir().unwrap();
    left(directory.path(), OLD, 0..1_000);
    left(directory.path(), OLD, 1_000..1_500);

    let mut spool = open(directory.path(), NEW, OtherTarget::Keep);
    assert_eq!((spool.waiting(), spool.take_recovered(), spool.take_discarded()), (0, 0, 0));
    let others = spool.others();
    assert_eq!((others.len(), &*others[0].target, others[0].rows), (1, OLD, 1_500));
    assert!(spool.size() >= others[0].bytes && others[0].bytes > 10_000);
    spool.append(&rows(5_000..5_100), 2).unwrap();
    let (marks, lost) = drain(&mut spool);
    assert_eq!((marks, lost), ((5_000..5_100).collect(), 0));
    spool.append(&rows(6_000..6_100), 3).unwrap();
    assert_eq!(rows_of_others(directory.path(), NEW).unwrap(), others);
    drop(spool);

    // The new database's rows wait now, and the previous one's are the first sessions.
    let mut spool = open(directory.path(), OLD, OtherTarget::Keep);
    assert_eq!((spool.take_recovered(), spool.others()[0].rows), (1_500, 100));
    let (marks, lost) = drain(&mut spool);
    assert_eq!((marks, lost), ((0..1_500).collect(), 0));
    drop(spool);
    let mut spool = open(directory.path(), NEW, OtherTarget::Keep);
    assert_eq!(spool.others(), []);
    // The file `position` is the previous database's: the new database reports that it holds the first 100.
    let (writer, known) = spool.position();
    assert_eq!((known, spool.take_recovered()), (0, 200));
    assert_eq!(spool.delivered(&writer, 100), 100);
    assert_eq!(drain(&mut spool).0, (6_000..6_100).collect::<Vec<_>>());
}

#[test]
fn partly_delivered_rows_continue_where_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(directory.path(), OLD, OtherTarget::Keep);
    for start in [0, 100, 200] {
        spool.append(&rows(start..start + 100), 1).unwrap();
    }
    let portion = spool.next(100).unwrap();
    assert_eq!(spool.delivered(&portion.writer, portion.to), 100);
    drop(spool);
    let spool = open(directory.path(), NEW, OtherTarget::Keep);
    assert_eq!(spool.others()[0].rows, 200);
    drop(spool);
    let mut spool = open(directory.path(), OLD, OtherTarget::Keep);
    assert_eq!(drain(&mut spool).0, (100..300).collect::<Vec<_>>());
}

#[test]
fn rows_of_another_database_are_delivered_or_dropped_if_configured() {
    let directory = tempfile::tempdir().unwrap();
    left(directory.path(), OLD, 0..1_000);
    let mut spool = open(directory.path(), NEW, OtherTarget::Deliver);
    assert_eq!((spool.waiting(), spool.take_recovered(), spool.others().len()), (1_000, 1_000, 0));
    assert_eq!(drain(&mut spool).0, (0..1_000).collect::<Vec<_>>());
    drop(spool);

    left(directory.path(), OLD, 0..1_000);
    let mut spool = open(directory.path(), NEW, OtherTarget::Drop);
    assert_eq!((spool.waiting(), spool.take_recovered()), (0, 0));
    assert_eq!((spool.take_discarded(), spool.take_discarded()), (1_000, 0));
    assert_eq!((spool.size(), segments(directory.path()).len()), (0, 0));
}

#[test]
fn the_size_limit_includes_all_rows() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(directory.path(), OLD, OtherTarget::Keep);
    while spool.append(&rows(0..1_000), 1).is_ok() {}
    drop(spool);
    let mut spool = open(directory.path(), NEW, OtherTarget::Keep);
    assert!(matches!(spool.append(&rows(0..1_000), 1), Err(AppendError::Full)));
    assert!(spool.size() <= 1 << 20);
}

#[test]
fn rows_of_an_earlier_version_belong_to_the_first_database_that_opens_them() {
    let directory = tempfile::tempdir().unwrap();
    left_by_an_earlier_program(directory.path(), 1);
    drop(open(directory.path(), OLD, OtherTarget::Keep));
    let spool = open(directory.path(), NEW, OtherTarget::Keep);
    assert_eq!((spool.waiting(), &*spool.others()[0].target), (0, OLD));
    assert_eq!(rows_of_others(directory.path(), NEW).unwrap(), spool.others());
    drop(spool);
    let mut spool = open(directory.path(), OLD, OtherTarget::Keep);
    assert_eq!(drain(&mut spool).0, (0..100).collect::<Vec<_>>());
    drop(spool);
    // The file is removed with them.
    drop(open(directory.path(), OLD, OtherTarget::Keep));
    assert!(!directory.path().join("unmarked").exists());
}

#[test]
fn a_damaged_target_is_a_damaged_header() {
    let directory = tempfile::tempdir().unwrap();
    left(directory.path(), OLD, 0..1_000);
    let path = segments(directory.path()).remove(0);
    let file = fs::File::options().write(true).open(&path).unwrap();
    // Longer than any name.
    file.write_all_at(&[0xff, 0xff], 52).unwrap();
    let spool = open(directory.path(), OLD, OtherTarget::Keep);
    assert_eq!((spool.waiting(), spool.others().len()), (0, 0));
    assert!(path.with_extension("seg.aside0").exists());
}
