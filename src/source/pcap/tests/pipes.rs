//! Pipes: available frames are returned at once, and a read ends with its timeout.

use std::{
    fs::File,
    io::Write as _,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use super::{
    super::{Capture, CaptureOptions, input::Input},
    ReadOutcome, packet,
    write::pcap_file,
};
use crate::source::Source as _;

/// Longer than any read of available frames.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_pipe_that_pauses() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = pcap_file(101, &[&packet(), &packet()]);
    let half = bytes.len() - 10;
    writer.write_all(&bytes[..half]).unwrap();

    let input = Input::from_file(File::from(OwnedFd::from(reader))).unwrap();
    let mut capture = Capture::from_input("pipe".into(), input, CaptureOptions::default());
    assert_eq!(capture.input().size(), None);
    let mut records = 0;
    let mut fill = |timeout| {
        let outcome = capture.fill(timeout, &mut |_| records += 1).unwrap();
        (outcome, records)
    };
    // The first frame is returned without waiting for the second; the next read times out.
    let begin = Instant::now();
    assert_eq!(fill(LONG), (ReadOutcome::Batch, 1));
    assert!(begin.elapsed() < LONG);
    let begin = Instant::now();
    assert_eq!(fill(SHORT), (ReadOutcome::Idle, 1));
    assert!(begin.elapsed() >= SHORT);

    writer.write_all(&bytes[half..]).unwrap();
    assert_eq!(fill(LONG), (ReadOutcome::Batch, 2));
    drop(writer);
    assert_eq!(fill(LONG), (ReadOutcome::End, 2));
}
