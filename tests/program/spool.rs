//! The spool on real files: order, numbers, restarts, sizes, and directories with other content.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::Path,
    time::{Duration, Instant},
};

use nflog_exporter::mirror::{
    spool::{AppendError, Spool},
    store::Writer,
};

use crate::support::spool::{drain, marks, open, plan, row, rows, segments};

const MIB: u64 = 1 << 20;

fn new_directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A directory of a finished session with these rows, appended ten at a time; about two frames a segment.
fn finished_session(rows_of: u32) -> tempfile::TempDir {
    let directory = new_directory();
    let mut spool = open(directory.path(), 24 << 10);
    for start in (0..rows_of).step_by(10) {
        spool.append(&rows(start..(start + 10).min(rows_of)), 7).unwrap();
    }
    directory
}

#[test]
fn rows_are_delivered_as_they_were_appended() {
    let directory = new_directory();
    let mut spool = open(directory.path(), MIB);
    spool.append(&rows(0..3), 5).unwrap();
    let portion = spool.next(10).unwrap();
    assert_eq!((portion.from, portion.to, portion.lost, portion.since), (0, 3, 0, 5));
    assert_eq!(portion.rows, rows(0..3));
    assert_eq!(portion.writer.host, "gate");
    assert_eq!(spool.delivered(&portion.writer, 3), 3);
    assert_eq!(spool.next(10), None);
}

#[test]
fn appends_are_merged_up_to_the_requested_number() {
    let directory = new_directory();
    let mut spool = open(directory.path(), MIB);
    for start in [0, 4, 8] {
        spool.append(&rows(start..start + 4), u64::from(start)).unwrap();
    }
    let mut check = |most, expect: (u64, u64, u64)| {
        let portion = spool.next(most).unwrap();
        assert_eq!((portion.from, portion.to, portion.since), expect);
        assert_eq!(spool.oldest(), Some(expect.2));
        assert_eq!(spool.delivered(&portion.writer, portion.to), expect.1 - expect.0);
    };
    check(1, (0, 4, 0));
    check(8, (4, 12, 4));
}

#[test]
fn a_repeated_request_returns_the_same_rows() {
    let directory = new_directory();
    for max_size in [MIB, 0] {
        let mut spool = Spool::open(plan(directory.path(), max_size)).unwrap();
        spool.append(&rows(0..5), 1).unwrap();
        let first = spool.next(100).unwrap();
        spool.append(&rows(5..9), 2).unwrap();
        assert_eq!(spool.next(100).unwrap(), first);
        assert_eq!(spool.next(1).unwrap(), first);
        assert_eq!(spool.delivered(&first.writer, 3), 3);
        assert_eq!(marks(&spool.next(100).unwrap()), [3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn a_batch_that_was_sent_ends_at_the_same_row_after_a_restart() {
    let directory = new_directory();
    let mut spool = open(directory.path(), MIB);
    for start in [0, 4, 8] {
        spool.append(&rows(start..start + 4), 1).unwrap();
    }
    let portion = spool.next(8).unwrap();
    assert_eq!(spool.delivered(&portion.writer, 2), 2);
    spool.note_sent(&portion.writer, 6);
    assert_eq!(marks(&spool.next(1).unwrap()), [2, 3, 4, 5]);
    drop(spool);
    let mut spool = open(directory.path(), MIB);
    spool.append(&rows(12..14), 2).unwrap();
    let again = spool.next(100).unwrap();
    assert_eq!(marks(&again), [2, 3, 4, 5]);
    assert!(spool.was_sent(&again.writer, 6) && !spool.was_sent(&again.writer, 5));
    assert_eq!(spool.delivered(&again.writer, 6), 4);
    assert_eq!(drain(&mut spool).0, [6, 7, 8, 9, 10, 11, 12, 13]);
}

#[test]
fn delivered_may_end_inside_after_or_before_a_portion() {
    let directory = new_directory();
    for max_size in [MIB, 4096, 0] {
        let mut spool = Spool::open(plan(directory.path(), max_size)).unwrap();
        for start in [0, 5, 10] {
            spool.append(&rows(start..start + 5), 1).unwrap();
        }
        let (writer, at) = spool.position();
        assert_eq!(at, 0);
        let mut check = |to, gone, next: &[u32]| {
            assert_eq!(spool.delivered(&writer, to), gone, "{to}");
            assert_eq!(spool.next(4).map(|portion| marks(&portion)).unwrap_or_default(), next);
        };
        check(2, 2, &[2, 3, 4]);
        check(2, 0, &[2, 3, 4]);
        check(1, 0, &[2, 3, 4]);
        check(11, 9, &[11, 12, 13, 14]);
        check(999, 4, &[]);
        assert_eq!(spool.position(), (writer, 15));
    }
}

#[test]
fn an_unknown_writer_has_no_rows() {
    let directory = new_directory();
    let mut spool = open(directory.path(), MIB);
    spool.append(&rows(0..3), 1).unwrap();
    assert_eq!(spool.delivered(&Writer { id: [9; 16], host: "gate".into() }, 3), 0);
    assert_eq!(spool.waiting(), 3);
}

#[test]
fn an_append_may_exceed_a_frame() {
    let directory = new_directory();
    let mut spool = open(directory.path(), 16 * MIB);
    spool.append(&rows(0..5000), 1).unwrap();
    assert_eq!(drain(&mut spool), ((0..5000).collect(), 0));
}

#[test]
fn sessions_are_delivered_in_order_under_their_own_writers() {
    let directory = new_directory();
    let mut writers = Vec::new();
    for life in 0..12 {
        let mut spool = open(directory.path(), MIB);
        assert_eq!(spool.take_recovered(), u64::from(life) * 3);
        assert_eq!(spool.take_recovered(), 0);
        spool.append(&rows(life * 3..life * 3 + 3), u64::from(life)).unwrap();
        assert_eq!(spool.oldest(), Some(0));
        writers.extend(spool.position().0.id);
    }
    assert!(
        writers.chunks(16).all(|id| id == &writers[..16]),
        "the rows of the first session come first"
    );
    let mut spool = open(directory.path(), MIB);
    spool.append(&rows(36..39), 1).unwrap();
    let mut ids = Vec::new();
    for life in 0..13 {
        let portion = spool.next(1000).unwrap();
        assert_eq!((portion.from, portion.to), (0, 3));
        assert_eq!(marks(&portion), [life * 3, life * 3 + 1, life * 3 + 2]);
        assert_eq!(spool.position(), (portion.writer.clone(), 0));
        spool.delivered(&portion.writer, 3);
        ids.push(portion.writer.id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 13);
}

#[test]
fn the_next_session_continues_where_the_last_one_ended() {
    let directory = finished_session(30);
    let mut spool = open(directory.path(), 16 << 10);
    let (writer, _) = spool.position();
    spool.delivered(&writer, 17);
    drop(spool);
    let mut spool = open(directory.path(), 16 << 10);
    assert_eq!(spool.position(), (writer, 17));
    assert_eq!(spool.take_recovered(), 13);
    assert_eq!(drain(&mut spool), ((17..30).collect(), 0));
    drop(spool);
    assert_eq!(open(directory.path(), 16 << 10).take_recovered(), 0);
}

#[test]
fn a_full_spool_rejects_whole_appends_until_rows_are_delivered() {
    for max_size in [3000, 16 << 10, 100 << 10] {
        let directory = new_directory();
        let mut spool = open(directory.path(), max_size);
        let (mut next, mut first) = (0, 0);
        for _ in 0..20 {
            while spool.append(&rows(next..next + 10), 1).is_ok() {
                next += 10;
                assert!(spool.size() <= max_size);
            }
            let refusal = spool.append(&rows(next..next + 10), 1).unwrap_err();
            assert!(matches!(refusal, AppendError::Full), "{refusal}");
            assert_eq!(spool.waiting(), u64::from(next - first));
            let on_disk: u64 = segments(directory.path())
                .iter()
                .map(|path| fs::metadata(path).unwrap().len())
                .sum();
            assert_eq!(on_disk, spool.size());
            assert!(on_disk <= max_size && on_disk > max_size / 2, "{on_disk} of {max_size}");
            assert_eq!(drain(&mut spool), ((first..next).collect(), 0));
            first = next;
        }
    }
}

#[test]
fn segments_are_small_and_removed_when_delivered() {
    let directory = new_directory();
    let mut spool = open(directory.path(), 160 << 10);
    let mut next = 0;
    while spool.append(&rows(next..next + 10), 1).is_ok() {
        next += 10;
        assert!(spool.size() <= 160 << 10);
    }
    let before = segments(directory.path()).len();
    assert!((8..=12).contains(&before), "{before}");
    let (writer, _) = spool.position();
    spool.delivered(&writer, u64::from(next / 2));
    assert!(segments(directory.path()).len() <= before / 2 + 1);
    spool.delivered(&writer, u64::from(next));
    assert_eq!(segments(directory.path()).len(), 1);
}

#[test]
fn without_a_size_rows_stay_in_memory_and_the_directory_unused() {
    let directory = new_directory();
    let directory = directory.path().join("none");
    let mut spool = open(&directory, 0);
    spool.append(&rows(0..32_768), 4).unwrap();
    assert!(matches!(spool.append(&rows(0..1), 4), Err(AppendError::Full)));
    assert_eq!((spool.oldest(), spool.size()), (Some(4), 0));
    assert_eq!(drain(&mut spool), ((0..32_768).collect(), 0));
    assert!(!directory.exists());
}

#[test]
fn a_second_exporter_gets_an_error_with_the_process_and_the_fix() {
    let directory = new_directory();
    let spool = open(directory.path(), MIB);
    let message = Spool::open(plan(directory.path(), MIB)).unwrap_err().to_string();
    let path = directory.path().display().to_string();
    for part in [&path, &std::process::id().to_string(), "mirror.spool.directory"] {
        assert!(message.contains(part), "{message}");
    }
    drop(spool);
    open(directory.path(), MIB);
}

#[test]
fn only_the_owner_reads_the_rows() {
    let parent = new_directory();
    let directory = parent.path().join("a/b");
    let mut spool = open(&directory, MIB);
    spool.append(&rows(0..1), 1).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 3, "lock, position and a segment");
}

/// Appends rows one by one until the disk accepts them again.
fn until_fixed(spool: &mut Spool, mark: &mut u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while spool.io_error().is_some() {
        assert!(Instant::now() < deadline, "{:?}", spool.io_error());
        spool.append(&[row(*mark)], 3).unwrap();
        *mark += 1;
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_in_place_of_the_directory_is_retried_and_earlier_rows_come_first() {
    let old = finished_session(30);
    let parent = new_directory();
    let directory = parent.path().join("spool");
    fs::write(&directory, "a file").unwrap();
    let mut spool = Spool::open(plan(&directory, MIB)).unwrap();
    let error = spool.io_error().unwrap().to_owned();
    assert!(error.contains("is not a directory") && error.contains("mirror.spool.directory"));
    spool.append(&rows(100..200), 3).unwrap();
    let given = spool.next(1000).unwrap();
    assert_eq!(marks(&given), (100..200).collect::<Vec<_>>());

    fs::remove_file(&directory).unwrap();
    fs::rename(old.path(), &directory).unwrap();
    let mut mark = 200;
    until_fixed(&mut spool, &mut mark);
    assert_eq!(spool.take_recovered(), 30);
    assert_eq!(spool.waiting(), 30 + u64::from(mark) - 100);
    assert_eq!(spool.delivered(&given.writer, 50), 50);
    assert_eq!(drain(&mut spool), ((0..30).chain(150..mark).collect(), 0));
}

#[test]
fn rows_in_memory_are_written_after_the_disk_recovers() {
    let parent = new_directory();
    let directory = parent.path().join("spool");
    fs::write(&directory, "a file").unwrap();
    let mut spool = Spool::open(plan(&directory, MIB)).unwrap();
    for start in (0..300).step_by(100) {
        spool.append(&rows(start..start + 100), 3).unwrap();
    }
    let given = spool.next(1000).unwrap();
    assert_eq!(spool.delivered(&given.writer, 150), 150);
    let given = spool.next(1000).unwrap();
    fs::remove_file(&directory).unwrap();
    let mut mark = 300;
    until_fixed(&mut spool, &mut mark);
    assert_eq!(spool.next(1000).unwrap(), given);
    drop(spool);
    let mut spool = open(&directory, MIB);
    assert_eq!(drain(&mut spool), ((150..mark).collect(), 0));
}

#[test]
fn memory_is_bounded_while_the_disk_fails() {
    let parent = new_directory();
    let directory = parent.path().join("spool");
    fs::write(&directory, "a file").unwrap();
    let mut spool = Spool::open(plan(&directory, MIB)).unwrap();
    spool.append(&rows(0..32_000), 3).unwrap();
    let refusal = spool.append(&rows(0..1000), 3).unwrap_err();
    assert!(matches!(&refusal, AppendError::Failed(why) if why.contains("is not a directory")));
    spool.append(&rows(32_000..32_768), 3).unwrap();
    assert!(spool.append(&rows(0..1), 3).is_err());
    assert_eq!(drain(&mut spool), ((0..32_768).collect(), 0));
}

#[test]
fn a_directory_removed_at_run_time_is_created_again() {
    let parent = new_directory();
    let directory = parent.path().join("spool");
    let mut spool = open(&directory, MIB);
    spool.append(&rows(0..10), 1).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut mark = 10;
    while segments(parent.path()).is_empty() && !directory.exists() {
        assert!(Instant::now() < deadline);
        spool.append(&[row(mark)], 1).unwrap();
        mark += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(spool.io_error(), None);
    assert_eq!(segments(&directory).len(), 1);
    // The removed file is still open.
    assert_eq!(drain(&mut spool), ((0..mark).collect(), 0));
}

#[test]
fn a_directory_that_replaces_ours_is_used() {
    let parent = new_directory();
    let directory = parent.path().join("spool");
    let mut spool = open(&directory, MIB);
    spool.append(&rows(0..10), 1).unwrap();
    fs::rename(&directory, parent.path().join("away")).unwrap();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("lock"), "").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut mark = 10;
    while segments(&directory).is_empty() {
        assert!(Instant::now() < deadline);
        spool.append(&[row(mark)], 1).unwrap();
        mark += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(drain(&mut spool), ((0..mark).collect(), 0));
}

#[test]
fn a_segment_removed_at_run_time_is_counted_as_lost() {
    let directory = new_directory();
    let mut spool = open(directory.path(), 16 << 10);
    for start in (0..100).step_by(10) {
        spool.append(&rows(start..start + 10), 1).unwrap();
    }
    let paths = segments(directory.path());
    assert!(paths.len() >= 4);
    fs::remove_file(&paths[1]).unwrap();
    let (all, lost) = drain(&mut spool);
    assert_eq!(all.len() as u64 + lost, 100);
    assert!(lost > 0 && lost < 50 && all.is_sorted());
}

/// Damages a directory with 60 rows of an earlier session in several segments, and checks which rows are read
/// and how many are lost.
fn check(harm: impl Fn(&Path, &[std::path::PathBuf]), expect: impl Fn(&[u32], u64) -> bool) {
    let directory = finished_session(60);
    let paths = segments(directory.path());
    assert!(paths.len() >= 3);
    harm(directory.path(), &paths);
    let mut spool = open(directory.path(), 16 << 10);
    let recovered = spool.take_recovered();
    let (all, lost) = drain(&mut spool);
    assert_eq!(recovered, all.len() as u64 + lost);
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    assert!(expect(&all, lost), "{all:?}, {lost} lost");
    // The present session works.
    spool.append(&rows(100..110), 1).unwrap();
    assert_eq!(drain(&mut spool), ((100..110).collect(), 0));
}

fn cut(path: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().size() - bytes).unwrap();
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Offset of the first frame: 54 bytes, the host's name, the database, a checksum.
const FRAME: u64 = 52 + 2 + "gate".len() as u64 + "sqlite:/rows.db".len() as u64 + 4;

#[test]
fn a_truncated_end_loses_its_frame_only() {
    for bytes in [1, 30, 700] {
        check(
            |_, paths| cut(paths.last().unwrap(), bytes),
            |all, lost| all == (0..50).collect::<Vec<_>>() && lost == 0,
        );
    }
}

#[test]
fn a_damaged_payload_loses_exactly_its_rows() {
    check(
        |_, paths| flip(&paths[0], FRAME + 32 + 5),
        |all, lost| all == (10..60).collect::<Vec<_>>() && lost == 10,
    );
}

#[test]
fn a_damaged_frame_header_loses_the_rest_of_its_segment() {
    // Of its length, rows, first row and time.
    for at in [0, 4, 9, 17] {
        check(
            |_, paths| flip(&paths[1], FRAME + at),
            |all, lost| lost == 20 && all == (0..20).chain(40..60).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn a_damaged_segment_header_loses_its_segment() {
    check(
        |_, paths| flip(&paths[1], 40),
        |all, lost| lost == 20 && all == (0..20).chain(40..60).collect::<Vec<_>>(),
    );
}

#[test]
fn a_missing_segment_in_the_middle_is_lost() {
    check(
        |_, paths| fs::remove_file(&paths[1]).unwrap(),
        |all, lost| lost == 20 && all == (0..20).chain(40..60).collect::<Vec<_>>(),
    );
}

#[test]
fn swapped_file_names_change_nothing() {
    check(
        |directory, paths| {
            fs::rename(&paths[0], directory.join("x")).unwrap();
            fs::rename(&paths[1], &paths[0]).unwrap();
            fs::rename(directory.join("x"), &paths[1]).unwrap();
        },
        |all, lost| all.len() == 60 && lost == 0,
    );
}

#[test]
fn a_copy_of_a_segment_is_renamed() {
    check(
        |directory, paths| {
            fs::copy(&paths[1], directory.join("0000000099-00000000000000000000.seg")).unwrap();
            fs::copy(&paths[1], directory.join("copy.seg")).unwrap();
        },
        |all, lost| all.len() == 60 && lost == 0,
    );
}

#[test]
fn zeros_are_not_frames() {
    check(
        |_, paths| {
            let size = fs::metadata(&paths[0]).unwrap().len();
            fs::write(&paths[0], vec![0; usize::try_from(size).unwrap()]).unwrap();
        },
        |all, lost| all.len() < 60 && lost == 0,
    );
    check(
        |_, paths| {
            let file = OpenOptions::new().append(true).open(paths.last().unwrap()).unwrap();
            file.set_len(file.metadata().unwrap().len() + 4096).unwrap();
        },
        |all, lost| all.len() == 60 && lost == 0,
    );
}

#[test]
fn foreign_files_stay() {
    let foreign = ["notes.txt", "9999999999-00000000000000000000.seg", "a.seg", "lost+found"];
    check(
        |directory, _| {
            fs::write(directory.join(foreign[0]), "notes").unwrap();
            fs::create_dir(directory.join(foreign[1])).unwrap();
            fs::create_dir(directory.join("0000000002-00000000000000000000.seg")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", directory.join(foreign[2])).unwrap();
            fs::create_dir(directory.join(foreign[3])).unwrap();
        },
        |all, lost| all.len() == 60 && lost == 0,
    );
}

#[test]
fn a_later_version_is_renamed_and_kept() {
    let directory = finished_session(10);
    let path = &segments(directory.path())[0];
    // The rest as in the current version, including the checksum.
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 7;
    let header = usize::try_from(FRAME).unwrap() - 4;
    let checksum = crc32fast::hash(&bytes[..header]);
    bytes[header..header + 4].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, &bytes).unwrap();
    let mut spool = open(directory.path(), MIB);
    assert_eq!(spool.next(10), None);
    assert!(!path.exists());
    assert_eq!(fs::read(path.with_extension("seg.aside0")).unwrap(), bytes);
}

#[test]
fn a_false_position_is_ignored() {
    let position = |life: u64, writer: [u8; 16], delivered: u64| {
        let mut bytes = [&life.to_le_bytes()[..], &writer, &delivered.to_le_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    };
    let directory = finished_session(30);
    let (writer, _) = open(directory.path(), MIB).position();
    let mut flipped = position(1, writer.id, 20);
    flipped[24] ^= 1;
    let lies = [
        position(1, writer.id, 31),
        position(1, writer.id, u64::MAX),
        position(u64::MAX, [7; 16], 20),
        flipped,
        vec![0; 36],
        vec![],
    ];
    for bytes in lies {
        fs::write(directory.path().join("position"), &bytes).unwrap();
        let mut spool = open(directory.path(), MIB);
        assert_eq!(spool.position(), (writer.clone(), 0), "{bytes:?}");
        assert_eq!(spool.take_recovered(), 30);
    }
    fs::write(directory.path().join("position"), position(1, writer.id, 20)).unwrap();
    assert_eq!(open(directory.path(), MIB).position(), (writer, 20));
}

#[test]
fn sessions_before_the_position_are_delivered() {
    let directory = finished_session(10);
    let first = segments(directory.path())[0].clone();
    let bytes = fs::read(&first).unwrap();
    let mut spool = open(directory.path(), MIB);
    drain(&mut spool);
    spool.append(&rows(10..20), 1).unwrap();
    let (writer, _) = spool.position();
    spool.delivered(&writer, 5);
    drop(spool);
    // As if the file could not be removed.
    fs::write(&first, bytes).unwrap();
    let mut spool = open(directory.path(), MIB);
    assert_eq!(spool.position(), (writer, 5));
    assert_eq!(drain(&mut spool), ((15..20).collect(), 0));
}

#[test]
fn lost_numbers_that_the_database_holds_are_delivered() {
    let directory = finished_session(20);
    flip(&segments(directory.path())[0], FRAME + 32 + 5);
    let mut spool = open(directory.path(), MIB);
    let portion = spool.next(100).unwrap();
    assert_eq!((portion.from, portion.to, portion.lost, portion.rows.len()), (0, 10, 10, 0));
    assert_eq!(spool.delivered(&portion.writer, 4), 4);
    let portion = spool.next(100).unwrap();
    assert_eq!((portion.from, portion.to, portion.lost), (4, 10, 6));
    assert_eq!(spool.delivered(&portion.writer, 15), 5);
    assert_eq!(spool.waiting(), 5);
}

#[test]
fn sync_and_a_lower_size_lose_nothing() {
    let directory = finished_session(60);
    let mut spool = open(directory.path(), 1000);
    spool.sync();
    assert!(matches!(spool.append(&rows(0..1), 1), Err(AppendError::Full)));
    assert_eq!(drain(&mut spool).0.len(), 60);
    spool.append(&rows(0..2), 1).unwrap();
    spool.sync();
    assert_eq!(spool.io_error(), None);
}
