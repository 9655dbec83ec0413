//! A system in a container, with the files of this host or a new root, booted by its own service manager. Requires
//! root, overlayfs and systemd-nspawn.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    program::{PATIENCE, Program, wait_for},
    server::run,
    signal::try_send,
    tmpfs::Tmpfs,
};

/// The files of a system, with changes that are deleted when it is dropped.
pub struct System(Tmpfs);

impl System {
    /// The files of this host.
    pub fn new() -> Self {
        Self::over(Path::new("/"))
    }

    /// The files in a directory, which does not change.
    pub fn over(lower: &Path) -> Self {
        let disk = Tmpfs::mount(2 << 30);
        let directory = disk.directory.path();
        for name in ["upper", "work", "root"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        let layers = format!(
            "lowerdir={1},upperdir={0}/upper,workdir={0}/work",
            directory.display(),
            // The kernel separates options by commas, and layers by colons.
            lower.display().to_string().replace(',', "\\,").replace(':', "\\:")
        );
        run(Command::new("mount")
            .args(["-t", "overlay", "-o", &layers, "system"])
            .arg(directory.join("root")));
        let system = Self(disk);
        // A policy that keeps packages from starting services while a container image is built.
        let _ = fs::remove_file(system.path("usr/sbin/policy-rc.d"));
        system
    }

    /// The path of a file outside of the system.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.directory.path().join("root").join(path.trim_start_matches('/'))
    }

    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    pub fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Writes a file that all users can read.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Boots it with only what a system needs to start services, in separate namespaces;
    /// the network has only loopback.
    pub fn boot(&self) -> Booted<'_> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let machine = format!("nfl-{}-{}", std::process::id(), COUNTER.fetch_add(1, Relaxed));
        let mut command = Command::new("systemd-nspawn");
        command
            .args(["--boot", "--private-network", "--register=no", "--keep-unit"])
            .args(["--link-journal=no", "--console=pipe", "--machine", &machine, "--directory"])
            .arg(self.path(""))
            // Otherwise it denies this to every program in it.
            .arg("--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self")
            .arg("systemd.unit=basic.target");
        let log = self.0.directory.path().join("boot.log");
        let program = Program::start(&mut command, log);
        let manager = wait_for("the service manager", || {
            let pid = program.pid();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            let is_manager = |child: &&str| {
                // Other processes prepare its namespaces first.
                fs::read_to_string(format!("/proc/{child}/comm"))
                    .is_ok_and(|name| name == "systemd\n")
            };
            children.split_whitespace().find(is_manager)?.parse().ok()
        });
        let booted = Booted { system: self, program, manager, machine };
        wait_for("the system to be up", || {
            let state = booted.try_run("systemctl", &["is-system-running"]);
            // A unit of this host that does not work in a container can have failed.
            ["running", "degraded"].contains(&state.1.trim()).then_some(())
        });
        booted
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path("")).status();
    }
}

/// A running system.
pub struct Booted<'s> {
    pub system: &'s System,
    program: Program,
    manager: u32,
    machine: String,
}

impl Booted<'_> {
    /// A program in it, run as root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.manager.to_string(), program]);
        // Variables of this process that could affect it.
        command.env_remove("RUNLEVEL").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a program to its end; returns its output. Panics if it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = run(self.command(program).args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a program to its end; returns whether it succeeded, and its output.
    pub fn try_run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let output = self.command(program).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Copies a file of this host into it.
    pub fn take(&self, file: &Path, path: &str) {
        fs::copy(file, self.system.path(path)).unwrap();
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.run("systemctl", &["show", "--value", "--property", name, unit]).trim().to_owned()
    }

    /// Waits until a unit is in this state; panics with its journal after the deadline.
    pub fn wait_until(&self, unit: &str, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.property(unit, "ActiveState") != state {
            assert!(Instant::now() < deadline, "{unit} is not {state}:\n{}", self.journal(unit));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The journal of a unit.
    pub fn journal(&self, unit: &str) -> String {
        self.run("journalctl", &["--no-pager", "--output=cat", "--unit", unit])
    }
}

impl Drop for Booted<'_> {
    fn drop(&mut self) {
        // It shuts the system down cleanly, and removes its namespaces.
        if thread::panicking() {
            // A panic would abort the tests. All processes end with the first one of their namespace, but not with the
            // program that started it.
            try_send(self.manager, Signal::SIGKILL);
        } else {
            self.program.signal(Signal::SIGTERM);
            self.program.wait();
        }
        let _ = fs::remove_dir_all(Path::new("/run/systemd/nspawn/propagate").join(&self.machine));
    }
}
