//! Rotation, truncation and restarts: every line is counted once.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, process::Stdio};

use super::{Exporter, Logs, append, line, lines};
use crate::support::program::{sum, wait_for};

#[test]
fn new_lines_of_a_file_are_counted_from_its_end() {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    append(&file, &lines(0..10));
    let exporter = Exporter::start(&logs, &logs.config("kern.log", ""));
    exporter.wait_for_log("following a log file");
    append(&file, &lines(10..13));
    // In two writes.
    let text = line(13);
    let (start, end) = text.split_at(50);
    append(&file, start);
    exporter.wait_for_packets(3);
    append(&file, end);
    append(&file, "Nov 28 10:00:00 web1 sshd[7]: Accepted\n");
    exporter.wait_for_packets(4);
    let text = wait_for("the last line", || {
        let text = exporter.scrape();
        (sum(&text, "nflog_exporter_kernel_log_lines_total") == 5).then_some(text)
    });
    assert!(
        text.contains("nflog_exporter_kernel_log_skipped_lines_total{reason=\"not_a_packet\"} 1")
    );
    assert!(text.contains("nflog_exporter_received_packets_total{group=\"0\"} 4"));
    assert!(text.contains("prefix=\"[UFW BLOCK]\",proto=\"udp\""), "{text}");
}

#[test]
fn a_missing_file_is_waited_for_and_a_start_at_the_beginning_reads_it_whole() {
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &logs.config("kern.log", ""));
    append(&logs.path("kern.log"), &lines(0..5));
    exporter.wait_for_packets(5);
    drop(exporter);

    let logs = Logs::new();
    append(&logs.path("kern.log"), &lines(0..7));
    let exporter = Exporter::start(&logs, &logs.config("kern.log", "from = 'start'"));
    exporter.wait_for_packets(7);
}

/// The writer keeps its descriptor, as a daemon does until logrotate signals it.
#[test]
fn a_file_that_is_renamed_is_read_to_its_end_and_then_the_new_one() {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    append(&file, "");
    let exporter = Exporter::start(&logs, &logs.config("kern.log", ""));
    exporter.wait_for_log("following a log file");
    let mut count = 0;
    for round in 0..5_u64 {
        let mut writer = fs::OpenOptions::new().append(true).open(&file).unwrap();
        writer.write_all(lines(count..count + 3).as_bytes()).unwrap();
        for age in (1..5).rev() {
            let name = |age: u64| logs.path(&format!("kern.log.{age}"));
            let _ = fs::rename(name(age), name(age + 1));
        }
        fs::rename(&file, logs.path("kern.log.1")).unwrap();
        writer.write_all(lines(count + 3..count + 5).as_bytes()).unwrap();
        append(&file, &lines(count + 5..count + 9));
        count += 9;
        // The later rotations come at once, with several between two looks.
        if round == 0 {
            exporter.wait_for_packets(count);
        }
    }
    exporter.wait_for_packets(count);
}

#[test]
fn a_file_that_is_copied_and_truncated_is_counted_once() {
    for pattern in ["kern.log", "kern.log*"] {
        let logs = Logs::new();
        let (file, copy) = (logs.path("kern.log"), logs.path("kern.log.1"));
        append(&file, &lines(0..2));
        let exporter = Exporter::start(&logs, &logs.config(pattern, "from = 'start'"));
        exporter.wait_for_packets(2);
        let mut count = 2;
        for _ in 0..5 {
            append(&file, &lines(count..count + 3));
            fs::copy(&file, &copy).unwrap();
            // As `copytruncate` of logrotate does.
            fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
            append(&file, &lines(count + 3..count + 4));
            count += 4;
            exporter.wait_for_packets(count);
            fs::remove_file(&copy).unwrap();
        }
    }
}

/// As an editor, or `sed -i`, writes a file.
#[test]
fn a_file_that_is_replaced_by_a_copy_of_itself_is_counted_once() {
    let logs = Logs::new();
    let (file, copy) = (logs.path("kern.log"), logs.path("kern.log.new"));
    append(&file, &lines(0..3));
    let exporter = Exporter::start(&logs, &logs.config("kern.log", "from = 'start'"));
    exporter.wait_for_packets(3);
    fs::copy(&file, &copy).unwrap();
    fs::rename(&copy, &file).unwrap();
    append(&file, &lines(3..5));
    exporter.wait_for_packets(5);
    // Without its last lines.
    fs::write(&copy, lines(0..3)).unwrap();
    fs::rename(&copy, &file).unwrap();
    exporter.wait_for_log("offset=507");
    append(&file, &lines(5..6));
    exporter.wait_for_packets(6);
}

/// A log of six lines, which an exporter has read, and the configuration of the exporter.
fn stopped_after_six_lines() -> (Logs, String) {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    append(&file, &lines(0..4));
    let config = logs.config("kern.log", "");
    let exporter = started(&logs, &config, 0);
    exporter.wait_for_log("following a log file");
    append(&file, &lines(4..6));
    exporter.wait_for_packets(2);
    exporter.stop();
    (logs, config)
}

/// An exporter that counts so many packets after its start.
fn started(logs: &Logs, config: &str, packets: u64) -> Exporter {
    let exporter = Exporter::start(logs, config);
    exporter.wait_for_packets(packets);
    exporter
}

#[test]
fn lines_written_while_the_exporter_was_down_are_counted_also_in_rotated_files() {
    let (logs, config) = stopped_after_six_lines();
    let file = logs.path("kern.log");
    append(&file, &lines(6..9));
    started(&logs, &config, 3).stop();

    // Renamed twice.
    append(&file, &lines(9..11));
    fs::rename(&file, logs.path("kern.log.1")).unwrap();
    append(&file, &lines(11..14));
    fs::rename(logs.path("kern.log.1"), logs.path("kern.log.2")).unwrap();
    fs::rename(&file, logs.path("kern.log.1")).unwrap();
    append(&file, &lines(14..15));
    started(&logs, &config, 6).stop();
    started(&logs, &config, 0).stop();

    // Copied and truncated.
    append(&file, &lines(15..17));
    fs::copy(&file, logs.path("kern.log.1")).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    append(&file, &lines(17..21));
    started(&logs, &config, 6).stop();

    // Renamed, and not written since.
    append(&file, &lines(21..23));
    fs::rename(&file, logs.path("kern.log.1")).unwrap();
    let exporter = started(&logs, &config, 2);
    append(&file, &lines(23..24));
    exporter.wait_for_packets(3);
}

/// An empty file has no first bytes by which a copy of it could be recognized.
#[test]
fn lines_in_copies_of_a_file_that_was_empty_are_counted() {
    let logs = Logs::new();
    let (file, config) = (logs.path("kern.log"), logs.config("kern.log", ""));
    append(&logs.path("kern.log.3"), &lines(0..5));
    append(&file, "");
    let exporter = Exporter::start(&logs, &config);
    exporter.wait_for_log("following a log file");
    exporter.stop();

    for (copy, lines) in [("kern.log.2", lines(5..8)), ("kern.log.1", lines(8..14))] {
        append(&file, &lines);
        fs::copy(&file, logs.path(copy)).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    }
    append(&file, &lines(14..15));
    started(&logs, &config, 10).stop();
    started(&logs, &config, 0).stop();
}

#[test]
fn a_line_that_is_too_long_is_skipped_to_its_end() {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    append(&file, "");
    let exporter = Exporter::start(&logs, &logs.config("kern.log", ""));
    exporter.wait_for_log("following a log file");
    append(&file, &format!("{}{}", "x".repeat(1 << 20), line(0)));
    append(&file, &format!("{}{}", "x".repeat(10_000), line(1)));
    append(&file, &line(2));
    exporter.wait_for_packets(1);
    let text = exporter.scrape();
    assert!(text.contains("skipped_lines_total{reason=\"too_long\"} 2"), "{text}");
}

#[test]
fn compressed_files_of_a_pattern_are_not_followed() {
    let logs = Logs::new();
    fs::write(logs.path("kern.log.2.gz"), [0x1f, 0x8b, 8, 0, b'\n']).unwrap();
    append(&logs.path("kern.log"), &line(0));
    let exporter = Exporter::start(&logs, &logs.config("kern.log*", "from = 'start'"));
    exporter.wait_for_packets(1);
    exporter.wait_for_log("kern.log.2.gz: not followed, because it is compressed");
    let text = exporter.scrape();
    assert_eq!(sum(&text, "nflog_exporter_kernel_log_lines_total"), 1);
}

#[test]
fn lines_of_standard_input_are_counted() {
    let logs = Logs::new();
    let config = "[web]\nlisten_addresses = ['127.0.0.1:0']\n[kernel_log]\nfiles = ['-']\n";
    let mut exporter = Exporter::start_with(&logs, config, Stdio::piped());
    let mut input = exporter.child.stdin.take().unwrap();
    input.write_all(lines(0..9).as_bytes()).unwrap();
    exporter.wait_for_packets(9);
    input.write_all(line(9).trim_end().as_bytes()).unwrap();
    drop(input);
    // The counts are served after the end.
    exporter.wait_for_packets(10);
    exporter.stop();
}

/// A rotated file belongs to its path before the rotation.
#[test]
fn a_file_that_is_no_longer_configured_is_not_counted() {
    let logs = Logs::new();
    let (kern, ufw) = (logs.path("kern.log"), logs.path("ufw.log"));
    append(&kern, &lines(0..20));
    append(&ufw, &lines(20..40));
    let both = logs.config("*.log", "");
    let exporter = Exporter::start(&logs, &both);
    exporter.wait_for_log("ufw.log offset=");
    append(&ufw, &lines(40..43));
    exporter.wait_for_packets(3);
    exporter.stop();

    append(&ufw, &lines(43..47));
    fs::rename(&kern, logs.path("kern.log.1")).unwrap();
    append(&logs.path("kern.log.1"), &lines(47..49));
    append(&kern, &lines(49..50));
    let exporter = Exporter::start(&logs, &logs.config("kern.log", ""));
    exporter.wait_for_log("ufw.log");
    append(&ufw, &lines(50..55));
    append(&kern, &lines(55..56));
    exporter.wait_for_packets(4);
    let log = exporter.log();
    assert!(
        log.contains("a log file is no longer followed: no path of kernel_log.files matches it")
    );
    assert!(log.contains("kern.log.1 offset="), "{log}");
    assert!(!log.contains("ufw.log offset="), "{log}");
    exporter.stop();

    // Configured again, it is a new file: its lines of the time between do not count.
    let exporter = Exporter::start(&logs, &both);
    exporter.wait_for_log("ufw.log offset=");
    append(&ufw, &lines(56..58));
    exporter.wait_for_packets(2);
}

/// The tests run as root, and the exporter as another user.
#[test]
fn a_file_that_cannot_be_read_for_a_while_keeps_its_position() {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    let set_mode = |mode: u32| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    append(&file, &lines(0..20));
    let config = logs.config("kern.log", "");
    let exporter = Exporter::start(&logs, &config);
    exporter.wait_for_log("kern.log offset=");
    append(&file, &lines(20..22));
    exporter.wait_for_packets(2);
    exporter.stop();

    append(&file, &lines(22..25));
    set_mode(0o600);
    for _ in 0..2 {
        let exporter = Exporter::start(&logs, &config);
        exporter.wait_for_log("kern.log: Permission denied (os error 13); the program");
        assert!(!exporter.log().contains("no longer exists"), "{}", exporter.log());
        exporter.stop();
    }
    let exporter = Exporter::start(&logs, &config);
    exporter.wait_for_log("kern.log: Permission denied (os error 13)");
    set_mode(0o644);
    exporter.wait_for_packets(3);
    append(&file, &lines(25..26));
    exporter.wait_for_packets(4);
}

#[test]
fn a_directory_and_a_pipe_are_named_and_do_not_stop_the_others() {
    let logs = Logs::new();
    fs::create_dir(logs.path("a.log")).unwrap();
    nix::unistd::mkfifo(&logs.path("b.log"), nix::sys::stat::Mode::from_bits_truncate(0o666))
        .unwrap();
    append(&logs.path("c.log"), &lines(0..5));
    // What matches a wildcard and is no regular file is left out; a named path is reported.
    let exporter = Exporter::start(&logs, &logs.config("*.log", "from = 'start'"));
    exporter.wait_for_packets(5);
    drop(exporter);
    for (name, said) in [("a.log", "it is a directory"), ("b.log", "it is a named pipe")] {
        let exporter = Exporter::start(&logs, &logs.config(name, "from = 'start'"));
        exporter.wait_for_log(&format!("{name}: {said}, not a regular file\""));
    }
}

/// The newest files are followed, and the others cost little and are counted.
#[test]
fn more_files_than_can_be_followed_are_counted_and_new_ones_are_followed() {
    const FILES: u64 = 3000;
    let logs = Logs::new();
    let path = |number: u64| logs.path(&format!("{number:05}.log"));
    let start = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for number in 0..FILES {
        append(&path(number), &line(number));
        let file = fs::File::options().write(true).open(path(number)).unwrap();
        file.set_modified(start - std::time::Duration::from_secs(number)).unwrap();
    }
    let exporter = Exporter::start(&logs, &logs.config("*.log", ""));
    let unfollowed = |expect: u64| {
        wait_for("the number of files", || {
            let metric = "nflog_exporter_kernel_log_unfollowed_files";
            (sum(&exporter.scrape(), metric) == expect).then_some(())
        });
    };
    unfollowed(FILES - 1024);
    let cpu = || {
        let text = exporter.scrape();
        crate::support::program::samples(&text, "process_cpu_seconds_total")[0].1
    };
    let before = cpu();
    append(&path(0), &lines(0..2));
    exporter.wait_for_packets(2);
    // One that is created takes the place of one that was not written since.
    append(&path(FILES), &lines(0..3));
    exporter.wait_for_packets(5);
    unfollowed(FILES - 1023);
    append(&path(FILES), &lines(3..4));
    exporter.wait_for_packets(6);
    let log = exporter.log();
    assert_eq!(log.matches("files match kernel_log.files").count(), 1, "{log}");
    assert!(cpu() - before < 4.0, "{} s", cpu() - before);
}

/// As logrotate without `delaycompress`: the time of the file is that of its original.
fn compress(file: &std::path::Path) {
    let done = std::process::Command::new("gzip").arg(file).status().unwrap();
    assert!(done.success());
}

#[test]
fn lines_of_files_that_were_compressed_meanwhile_are_counted_once() {
    let (logs, config) = stopped_after_six_lines();
    let file = logs.path("kern.log");
    append(&file, &lines(6..9));
    fs::rename(&file, logs.path("kern.log.1")).unwrap();
    compress(&logs.path("kern.log.1"));
    append(&file, &lines(9..10));
    let exporter = started(&logs, &config, 4);
    append(&file, &lines(10..12));
    exporter.wait_for_packets(6);
    exporter.stop();
    started(&logs, &config, 0).stop();

    // Two rotations, both compressed, and one that is not.
    append(&file, &lines(12..15));
    fs::rename(logs.path("kern.log.1.gz"), logs.path("kern.log.4.gz")).unwrap();
    for (number, name) in [(0, "kern.log.3"), (1, "kern.log.2"), (2, "kern.log.1")] {
        fs::rename(&file, logs.path(name)).unwrap();
        append(&file, &lines(15 + number * 2..17 + number * 2));
    }
    compress(&logs.path("kern.log.3"));
    compress(&logs.path("kern.log.2"));
    started(&logs, &config, 9).stop();
    started(&logs, &config, 0).stop();
}
