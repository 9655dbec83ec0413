//! Rows in files, over rotations, truncation, damage and other programs' changes.

use std::{fs, path::Path, time::Duration};

use super::*;

fn rotation(size: u64, keep: u32) -> Rotation {
    Rotation { size, interval: Duration::ZERO, keep }
}

fn rows(rows: &[&str]) -> Records {
    let mut records = Records::default();
    for row in rows {
        records.push(|bytes| {
            bytes.extend_from_slice(row.as_bytes());
            true
        });
    }
    records
}

/// Writes all rows, as the output's thread does.
fn write_all(sink: &mut FileSink, mut records: Records) {
    while records.len() > 0 {
        let progress = sink.write(&records);
        assert!(progress.failure.is_none() && progress.written > 0, "{progress:?}");
        records.finish(progress.written);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_full_file_is_rotated_between_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let mut sink = FileSink::new(path.clone(), rotation(8, 2), FileContent::Lines);
    write_all(&mut sink, rows(&["one\n", "two\n", "three\n", "a row that never fits\n", "4\n"]));
    assert_eq!(read(&path), "4\n");
    assert_eq!(read(&directory.path().join("a.log.1")), "a row that never fits\n");
    assert_eq!(read(&directory.path().join("a.log.2")), "three\n");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
}

#[test]
fn a_renamed_file_is_used_until_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let moved = directory.path().join("moved");
    let mut sink = FileSink::new(path.clone(), rotation(0, 1), FileContent::Lines);
    write_all(&mut sink, rows(&["1\n"]));
    fs::rename(&path, &moved).unwrap();
    write_all(&mut sink, rows(&["2\n"]));
    sink.close();
    write_all(&mut sink, rows(&["3\n"]));
    assert_eq!((read(&moved).as_str(), read(&path).as_str()), ("1\n2\n", "3\n"));
    fs::remove_file(&path).unwrap();
    write_all(&mut sink, rows(&["4\n"]));
    assert_eq!(read(&path), "4\n");
}

#[test]
fn an_unfinished_line_is_removed_or_completed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let check = |before: &str, content: FileContent, expect: &str| {
        fs::write(&path, before).unwrap();
        write_all(
            &mut FileSink::new(path.clone(), rotation(0, 1), content),
            rows(&["{\"b\":1}\n"]),
        );
        assert_eq!(read(&path), expect, "{before}");
    };
    check("{\"a\":1}\n{\"a\":", FileContent::JsonLines, "{\"a\":1}\n{\"b\":1}\n");
    check("{\"a\":", FileContent::JsonLines, "{\"b\":1}\n");
    check("somebody's", FileContent::JsonLines, "somebody's\n{\"b\":1}\n");
    check("x\n{\"a\":", FileContent::Lines, "x\n{\"a\":\n{\"b\":1}\n");
    let nul = |count| "\0".repeat(count);
    check(&["x\n", &nul(200_000)].concat(), FileContent::Lines, "x\n{\"b\":1}\n");
    check(&["{\"a\":", &nul(3)].concat(), FileContent::JsonLines, "{\"b\":1}\n");
    check(&nul(70_000), FileContent::Lines, "{\"b\":1}\n");
}

#[test]
fn a_file_that_cannot_be_rotated_continues() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    fs::create_dir(directory.path().join("a.log.1")).unwrap();
    let mut sink = FileSink::new(path.clone(), rotation(8, 1), FileContent::Lines);
    write_all(&mut sink, rows(&["one\n", "two\n", "three\n", "four\n"]));
    assert_eq!(read(&path), "one\ntwo\nthree\nfour\n");
    fs::remove_dir(directory.path().join("a.log.1")).unwrap();
    sink.rotation_failed = None;
    write_all(&mut sink, rows(&["five\n"]));
    assert_eq!(read(&path), "five\n");
}

#[test]
fn a_capture_that_was_truncated_gets_its_header() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    let content = FileContent::Capture { header: b"HEADER".to_vec(), is_pcapng: false };
    let mut sink = FileSink::new(path.clone(), rotation(0, 1), content);
    write_all(&mut sink, rows(&["one"]));
    fs::write(&path, "").unwrap();
    write_all(&mut sink, rows(&["two", "three"]));
    assert_eq!(read(&path), "HEADERtwothree");
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/a.log");
    let mut sink = FileSink::new(path.clone(), rotation(0, 1), FileContent::Lines);
    let error = sink.open().unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    let progress = sink.write(&rows(&["one\n"]));
    let error = progress.failure.unwrap().to_string();
    assert_eq!(error.matches("missing/a.log").count(), 1, "{error}");
}

#[test]
fn a_capture_continues_after_its_last_whole_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    let content = FileContent::Capture { header: b"HEADER".to_vec(), is_pcapng: false };
    let record =
        |length: u32, data: &[u8]| [&[0; 8][..], &length.to_ne_bytes(), &[0; 4], data].concat();
    let text = |record: &[u8]| String::from_utf8(record.to_vec()).unwrap();
    let whole = record(3, b"abc");
    let next = text(&record(1, b"d"));
    for rest in [&[][..], &whole[..17], &whole[..3], &[0; 16], &[0; 100]] {
        fs::write(&path, [b"HEADER", &whole[..], rest].concat()).unwrap();
        let mut sink = FileSink::new(path.clone(), rotation(0, 1), content.clone());
        write_all(&mut sink, rows(&[&next]));
        assert!(!directory.path().join("a.pcap.1").exists());
        assert_eq!(fs::read(&path).unwrap(), [b"HEADER", &whole[..], next.as_bytes()].concat());
    }
    // Another program's file is rotated.
    fs::write(&path, "other").unwrap();
    write_all(&mut FileSink::new(path.clone(), rotation(0, 1), content), rows(&[&next]));
    assert_eq!(fs::read(&path).unwrap(), [b"HEADER", next.as_bytes()].concat());
    assert_eq!(read(&directory.path().join("a.pcap.1")), "other");
}

#[test]
fn a_new_period_has_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    fs::write(&path, "yesterday\n").unwrap();
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    let daily = Rotation { size: 0, interval: Duration::from_secs(86_400), keep: 1 };
    let mut sink = FileSink::new(path.clone(), daily, FileContent::Lines);
    write_all(&mut sink, rows(&["today\n"]));
    write_all(&mut sink, rows(&["today too\n"]));
    assert_eq!(read(&path), "today\ntoday too\n");
    assert_eq!(read(&directory.path().join("a.log.1")), "yesterday\n");
}

#[test]
fn an_empty_file_belongs_to_the_period_of_its_first_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let daily = Rotation { size: 0, interval: Duration::from_secs(86_400), keep: 1 };
    let mut sink = FileSink::new(path.clone(), daily, FileContent::Lines);
    sink.open().unwrap();
    // It was opened yesterday.
    sink.open.as_mut().unwrap().period -= 1;
    write_all(&mut sink, rows(&["1\n"]));
    write_all(&mut sink, rows(&["2\n"]));
    assert_eq!(read(&path), "1\n2\n");
    assert!(!directory.path().join("a.log.1").exists());
    sink.open.as_mut().unwrap().period -= 1;
    write_all(&mut sink, rows(&["3\n"]));
    assert_eq!(read(&path), "3\n");
}

#[test]
fn a_named_pipe_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut sink = FileSink::new(path, rotation(0, 1), FileContent::Lines);
    assert!(sink.open().is_err());
}
