//! Reads captures that are written byte by byte.

mod formats;
mod hostile;
mod links;
mod nflog;
mod pipes;
mod write;

use std::{io::Cursor, time::Duration};

use etherparse::PacketBuilder;

use super::{Capture, CaptureOptions, PcapError};
use crate::{
    event::{Connection, Hook},
    packet::{DecodeIssue, Direction},
    source::{ReadOutcome, Record, Source as _},
};

/// An owned record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Owned {
    group: u16,
    prefix: String,
    hook: Option<Hook>,
    direction: Option<Direction>,
    ether_type: Option<u16>,
    issue: Option<DecodeIssue>,
    mark: u32,
    in_device: String,
    out_device: String,
    hardware_address: Vec<u8>,
    uid: Option<u32>,
    connection: Option<Connection>,
    time: Option<u64>,
    payload: Vec<u8>,
    wire_length: u32,
}

impl From<&Record<'_>> for Owned {
    fn from(record: &Record<'_>) -> Self {
        Self {
            group: record.group,
            prefix: String::from_utf8_lossy(record.prefix).into_owned(),
            hook: record.hook,
            direction: record.direction,
            ether_type: record.ether_type,
            issue: record.headers.and_then(|headers| headers.issue),
            mark: record.mark,
            in_device: record.in_device.into(),
            out_device: record.out_device.into(),
            hardware_address: record.hardware_address.into(),
            uid: record.uid,
            connection: record.connection,
            time: record.time,
            payload: record.payload.into(),
            wire_length: record.wire_length,
        }
    }
}

/// An IPv4 packet of 48 bytes: UDP, 20 bytes of data.
fn packet() -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 64)
        .udp(1234, 53)
        .write(&mut packet, &[7; 20])
        .unwrap();
    packet
}

fn open(file: &[u8]) -> Result<Capture, PcapError> {
    let options = CaptureOptions { prefix: "given".into() };
    Capture::from_reader("file", Cursor::new(file.to_vec()), options)
}

/// All records of a capture, and the error at its end.
fn drain(capture: &mut Capture) -> (Vec<Owned>, Option<PcapError>) {
    let mut records = Vec::new();
    loop {
        let before = records.len();
        match capture.fill(Duration::ZERO, &mut |record| records.push(record.into())) {
            Ok(ReadOutcome::Batch) => assert!((1..=256).contains(&(records.len() - before))),
            Ok(ReadOutcome::End) => return (records, None),
            Ok(ReadOutcome::Idle) => panic!("a file was idle"),
            Err(error) => {
                assert_eq!(records.len(), before, "an error after records of the same call");
                let again = capture.fill(Duration::ZERO, &mut |_| panic!("a record after the end"));
                assert_eq!(again.unwrap(), ReadOutcome::End);
                return (records, Some(error.downcast().unwrap()));
            }
        }
    }
}

/// The records and the error message, empty for none, of a file.
fn read(file: &[u8]) -> (Vec<Owned>, String) {
    match open(file) {
        Ok(mut capture) => {
            let (records, error) = drain(&mut capture);
            assert_eq!(capture.frames(), records.len() as u64);
            (records, error.map(|error| error.to_string()).unwrap_or_default())
        }
        Err(error) => (Vec::new(), error.to_string()),
    }
}

/// Checks the records of an intact file.
#[track_caller]
fn check(file: &[u8], expect: &[Owned]) {
    assert_eq!(read(file), (expect.to_vec(), String::new()));
}
