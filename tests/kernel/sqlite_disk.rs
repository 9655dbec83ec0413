//! A running exporter's SQLite file on a real disk: its limit holds, and a power loss loses at most the rows of
//! the last moments. Requires root.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{
    Wire, frame,
    program::{Exporter, open_to_all, sum, wait_for},
    tmpfs::run,
};

const RULES: &str = "table inet t { chain c { type filter hook prerouting priority raw; \
                     iif \"wan0\" log prefix \"x\" group 1 queue-threshold 64; }; }";

fn config(directory: &Path, more: &str) -> String {
    let (rows, spool) = (directory.join("rows.db"), directory.join("spool"));
    format!(
        "[mirror]\nurl = 'sqlite:{}'\n{more}\n[mirror.spool]\ndirectory = '{}'\n",
        rows.display(),
        spool.display()
    )
}

fn written(exporter: &Exporter<'_>) -> u64 {
    sum(&exporter.scrape(), "nflog_exporter_mirror_written_rows_total")
}

/// Packets of many sources, as in a flood.
fn flood(start: u32, count: u32) -> impl Iterator<Item = Vec<u8>> {
    (start..start + count).map(|number| {
        let [_, second, third, fourth] = number.to_be_bytes();
        frame::syn([81, second, third, fourth], 40_000, 22)
    })
}

#[test]
fn the_size_limit_holds_under_a_flood() {
    const LIMIT: u64 = 8 << 20;
    let wire = Wire::new();
    wire.host.nft(RULES);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let exporter = Exporter::start(&wire.host, &config(directory.path(), "max_size = '8MiB'"), &[]);
    let mut sent = 0;
    // About six times the limit.
    for start in (0..100_000).step_by(5_000) {
        sent += wire.send(flood(start, 5_000));
        wait_for("the rows", || (written(&exporter) >= sent).then_some(()));
    }
    let rows = Connection::open(directory.path().join("rows.db")).unwrap();
    let used = || {
        let figure = |name: &str| -> u64 {
            rows.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .unwrap()
                .try_into()
                .unwrap()
        };
        (figure("page_count") - figure("freelist_count")) * figure("page_size")
    };
    wait_for("the file to be small", || (used() <= LIMIT).then_some(()));
    let kept: i64 = rows.query_row("SELECT count(*) FROM packets", [], |row| row.get(0)).unwrap();
    assert!(kept > 5_000, "{kept}");
}

/// A disk whose content can be inspected at any moment, as after a power loss.
struct Disk {
    directory: TempDir,
    mounted: Vec<PathBuf>,
}

impl Disk {
    fn format() -> Self {
        let directory = tempfile::tempdir().unwrap();
        open_to_all(directory.path());
        let image = directory.path().join("image");
        fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let mut disk = Self { directory, mounted: Vec::new() };
        disk.mount("image", "disk");
        fs::set_permissions(disk.path("disk"), fs::Permissions::from_mode(0o777)).unwrap();
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn mount(&mut self, image: &str, name: &str) {
        let point = self.path(name);
        fs::create_dir(&point).unwrap();
        run(Command::new("mount").args(["-o", "loop"]).arg(self.path(image)).arg(&point));
        self.mounted.push(point);
    }

    /// Mounts the current content of the disk, without the page cache.
    fn after_power_loss(&mut self) -> PathBuf {
        fs::copy(self.path("image"), self.path("copy")).unwrap();
        self.mount("copy", "restored");
        self.path("restored")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for point in &self.mounted {
            let _ = Command::new("umount").arg("-l").arg(point).status();
        }
    }
}

#[test]
fn a_power_loss_loses_no_written_row() {
    const RATE: u32 = 20;
    let wire = Wire::new();
    wire.host.nft(RULES);
    let mut disk = Disk::format();
    let exporter = Exporter::start(&wire.host, &config(&disk.path("disk"), ""), &[]);
    // Slowly, so that memory pressure causes no write-back.
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < Duration::from_secs(4) {
        wire.send(flood(sent, 1));
        sent += 1;
        std::thread::sleep(Duration::from_secs(1) / RATE);
    }
    let written = written(&exporter);
    assert!(written > u64::from(sent) / 2, "{written} of {sent}");
    let restored = disk.after_power_loss();
    let rows = Connection::open(restored.join("rows.db")).unwrap();
    let kept: i64 = rows.query_row("SELECT count(*) FROM packets", [], |row| row.get(0)).unwrap();
    assert!(u64::try_from(kept).unwrap() >= written, "{kept} of {written}");
}
