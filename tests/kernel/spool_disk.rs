//! The spool on file systems that are full, read-only or unmounted. Mounts small ones; requires root.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nflog_exporter::mirror::spool::{AppendError, Spool};

use crate::{
    support::spool::{drain, marks, open, plan, row, rows, segments},
    support::tmpfs::{Tmpfs, run},
};

const MIB: u64 = 1 << 20;

/// Appends rows one by one until the disk accepts them again.
fn until_fixed(spool: &mut Spool, mark: &mut u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while spool.io_error().is_some() {
        assert!(Instant::now() < deadline, "{:?}", spool.io_error());
        spool.append(&[row(*mark)], 3).unwrap();
        *mark += 1;
        thread::sleep(Duration::from_millis(5));
    }
}

/// Appends rows by the hundred until the disk rejects them.
fn until_io_error(spool: &mut Spool, mark: &mut u32) {
    while spool.io_error().is_none() {
        spool.append(&rows(*mark..*mark + 100), 3).unwrap();
        *mark += 100;
        assert!(*mark < 10_000, "{} bytes on disk", spool.size());
    }
}

fn bytes_on_disk(directory: &Path) -> u64 {
    segments(directory).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

#[test]
fn a_full_disk_loses_nothing_until_memory_is_full() {
    let disk = Tmpfs::mount(256 * 1024);
    let mut spool = open(&disk.path(), 100 * MIB);
    let mut mark = 0;
    until_io_error(&mut spool, &mut mark);
    let error = spool.io_error().unwrap();
    assert!(error.contains("no space left") && error.contains("mirror.spool.max_size"));
    // The partial frame was removed.
    assert_eq!(bytes_on_disk(&disk.path()), spool.size());

    let mut in_memory = 100;
    while spool.append(&rows(mark..mark + 100), 3).is_ok() {
        mark += 100;
        in_memory += 100;
        assert!(in_memory <= 40_000);
    }
    assert!(in_memory > 32_000);
    let refusal = spool.append(&rows(mark..mark + 100), 3).unwrap_err();
    assert!(matches!(&refusal, AppendError::Failed(why) if why.contains("no space left")));
    assert_eq!(drain(&mut spool), ((0..mark).collect(), 0));
}

#[test]
fn rows_in_memory_are_written_when_there_is_space_again() {
    let disk = Tmpfs::mount(256 * 1024);
    let mut spool = open(&disk.path(), 100 * MIB);
    spool.append(&rows(0..10), 1).unwrap();
    disk.fill();
    let mut mark = 10;
    until_io_error(&mut spool, &mut mark);
    spool.append(&rows(mark..mark + 100), 3).unwrap();
    mark += 100;
    let given = spool.next(10_000).unwrap();
    disk.free();
    until_fixed(&mut spool, &mut mark);
    assert_eq!(spool.next(10_000).unwrap(), given);
    drop(spool);
    let mut spool = open(&disk.path(), 100 * MIB);
    assert_eq!(drain(&mut spool), ((0..mark).collect(), 0));
}

#[test]
fn a_spool_opened_on_a_full_disk_delivers_its_rows() {
    let disk = Tmpfs::mount(256 * 1024);
    let mut spool = open(&disk.path(), 100 * MIB);
    spool.append(&rows(0..1000), 1).unwrap();
    drop(spool);
    disk.fill();
    let mut spool = Spool::open(plan(&disk.path(), 100 * MIB)).unwrap();
    assert_eq!(spool.take_recovered(), 1000);
    spool.append(&rows(1000..2000), 1).unwrap();
    assert!(spool.io_error().unwrap().contains("no space left"));
    assert_eq!(drain(&mut spool), ((0..2000).collect(), 0));
}

#[test]
fn a_read_only_file_system_is_retried() {
    let disk = Tmpfs::mount(256 * 1024);
    let mut spool = open(&disk.path(), MIB);
    spool.append(&rows(0..10), 1).unwrap();
    drop(spool);
    disk.remount("ro");
    let mut spool = Spool::open(plan(&disk.path(), MIB)).unwrap();
    let error = spool.io_error().unwrap();
    assert!(error.contains("is read-only") && error.contains("mirror.spool.directory"));
    spool.append(&rows(10..20), 1).unwrap();
    assert_eq!(marks(&spool.next(100).unwrap()), (10..20).collect::<Vec<_>>());
    disk.remount("rw");
    let mut mark = 20;
    until_fixed(&mut spool, &mut mark);
    assert_eq!(spool.take_recovered(), 10);
    assert_eq!(drain(&mut spool), ((0..mark).collect(), 0));
}

#[test]
fn a_read_only_file_system_without_a_directory_is_retried() {
    let disk = Tmpfs::mount(256 * 1024);
    disk.remount("ro");
    let mut spool = Spool::open(plan(&disk.path(), MIB)).unwrap();
    assert!(spool.io_error().unwrap().contains("is read-only"));
    disk.remount("rw");
    let mut mark = 0;
    until_fixed(&mut spool, &mut mark);
    assert_eq!(drain(&mut spool), ((0..mark).collect(), 0));
}

#[test]
fn a_disk_unmounted_and_mounted_at_run_time_loses_nothing() {
    let disk = Tmpfs::mount(256 * 1024);
    let mut spool = open(&disk.path(), MIB);
    spool.append(&rows(0..10), 1).unwrap();
    run(Command::new("umount").arg("-l").arg(disk.directory.path()));
    let mut mark = 10;
    until_there(&mut spool, &mut mark, &disk.path());
    run(Command::new("mount").args(["-t", "tmpfs", "spool-test"]).arg(disk.directory.path()));
    until_there(&mut spool, &mut mark, &disk.path());
    // Removed files are still open.
    assert_eq!(drain(&mut spool), ((0..mark).collect(), 0));
}

/// Appends rows one by one until the directory has a segment.
fn until_there(spool: &mut Spool, mark: &mut u32, directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !directory.exists() || segments(directory).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", spool.io_error());
        spool.append(&[row(*mark)], 1).unwrap();
        *mark += 1;
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(spool.io_error(), None);
}
