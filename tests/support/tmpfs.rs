//! Small file systems that a test fills or unmounts. Requires root.

use std::{fs, path::PathBuf, process::Command, thread};

/// A tmpfs, unmounted on drop.
pub struct Tmpfs {
    pub directory: tempfile::TempDir,
}

impl Tmpfs {
    /// Mounts a file system of this size in bytes.
    pub fn mount(size: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "spool-test"])
            .arg(directory.path()));
        Self { directory }
    }

    /// A directory in it, which is not created yet.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("spool")
    }

    /// Remounts it: `ro`, `rw`.
    pub fn remount(&self, how: &str) {
        run(Command::new("mount")
            .arg("-o")
            .arg(format!("remount,{how}"))
            .arg(self.directory.path()));
    }

    /// Fills the file system.
    pub fn fill(&self) {
        let full = fs::write(self.directory.path().join("filler"), vec![1; 64 << 20]);
        assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    /// Frees the space again.
    pub fn free(&self) {
        fs::remove_file(self.directory.path().join("filler")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.directory.path()).status();
        assert!(thread::panicking() || unmounted.unwrap().success());
    }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "requires root: {command:?}: {output:?}");
}
