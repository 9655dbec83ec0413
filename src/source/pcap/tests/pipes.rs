//! A pipe: what is there comes at once, and waiting ends with patience.

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

/// More than any call here takes.
const LONG: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_millis(20);

#[test]
fn a_pipe_that_pauses() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = pcap_file(101, &[&packet(), &packet()]);
    let half = bytes.len() - 10;
    writer.write_all(&bytes[..half]).unwrap();

    let input = Input::from_file(File::from(OwnedFd::from(reader))).unwrap();
    let mut capture = Capture::from_input("pipe".into(), input, CaptureOptions::default());
    assert_eq!(capture.size(), None);
    let mut records = 0;
    let mut fill = |patience| {
        let fill = capture.fill(patience, &mut |_| records += 1).unwrap();
        (fill, records)
    };
    // The first frame is there; for the second the call does not wait, and then waits in vain.
    let begin = Instant::now();
    assert_eq!(fill(LONG), (ReadOutcome::Batch, 1));
    assert!(begin.elapsed() < LONG);
    let begin = Instant::now();
    assert_eq!(fill(PATIENCE), (ReadOutcome::Idle, 1));
    assert!(begin.elapsed() >= PATIENCE);

    writer.write_all(&bytes[half..]).unwrap();
    assert_eq!(fill(LONG), (ReadOutcome::Batch, 2));
    drop(writer);
    assert_eq!(fill(LONG), (ReadOutcome::End, 2));
}
