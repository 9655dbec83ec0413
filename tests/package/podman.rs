//! Podman with storage of its own. Requires root, podman and crun.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::{
    Namespace,
    program::{EXPORTER, Program, wait_for},
    server::run,
};

/// Containers and images that are removed when it is dropped.
pub struct Podman {
    /// Its commands share a mount namespace, in which crun finds only version 2 of cgroups: it does not start containers
    /// where the controllers are divided between both versions.
    mounts: Program,
    directory: TempDir,
}

/// What crun can set without `CAP_SYS_RESOURCE`.
const LIMITS: [&str; 4] = ["--ulimit", "nofile=1024:4096", "--ulimit", "nproc=4096:4096"];

impl Podman {
    /// Creates the storage. Network namespaces that are created later are unknown to it. The mounts end with those of
    /// the namespace.
    pub fn new(namespace: &Namespace) -> Self {
        let directory = tempfile::Builder::new().prefix("nflog-podman-").tempdir().unwrap();
        // ip-netns(8) runs it with its own mounts.
        let mut command = namespace.command("sh");
        let script = "mount -t cgroup2 none /sys/fs/cgroup && echo mounted && exec sleep infinity";
        command.args(["-c", script]);
        let mounts = Program::start(&mut command, directory.path().join("mounts.log"));
        wait_for("the mount namespace", || (mounts.log() == "mounted\n").then_some(()));
        Self { mounts, directory }
    }

    /// A directory for files of the test.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.mounts.pid().to_string(), "podman"]);
        command.args(["--root", &at("root"), "--runroot", &at("run"), "--tmpdir", &at("tmp")]);
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file"]).args(arguments);
        command
    }

    /// Runs a command of podman to its end; returns its output. Panics if it fails.
    pub fn podman(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.command(arguments));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Whether a command of podman succeeds.
    pub fn succeeds(&self, arguments: &[&str]) -> bool {
        self.command(arguments).output().unwrap().status.success()
    }

    /// Builds an image from a file of commands; no registry is used.
    pub fn build(&self, tag: &str, file: &Path, context: &Path, arguments: &[&str]) {
        let (file, context) = (file.display().to_string(), context.display().to_string());
        let mut command = vec!["build", "--isolation", "chroot", "--tag", tag, "--file", &file];
        command.extend(arguments);
        command.push(&context);
        self.podman(&command);
    }

    /// Starts a container with the network of a namespace, without waiting for its program.
    pub fn start(&self, name: &str, namespace: &Namespace, options: &[&str], command: &[&str]) {
        let network = format!("ns:/run/netns/{}", namespace.name());
        let mut arguments = vec!["run", "--detach", "--name", name, "--network", &network];
        arguments.extend(["--cgroups", "disabled"].iter().chain(&LIMITS));
        arguments.extend(options);
        arguments.extend(command);
        self.podman(&arguments);
    }

    /// A property of a container.
    pub fn property(&self, name: &str, format: &str) -> String {
        self.podman(&["inspect", "--type", "container", "--format", format, name])
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in self.podman(&["ps", "--all", "--format", "{{.Names}}"]).lines() {
                let output = self.command(&["logs", name]).output().unwrap();
                eprintln!("--- {name}\n{}", String::from_utf8_lossy(&output.stderr));
            }
        }
        let _ = self.command(&["rm", "--all", "--force", "--time", "0", "--volumes"]).output();
    }
}

/// Builds the image of a release with the program under test, and adds the libraries that this program needs: the one of
/// a release is static. Returns its tag.
pub fn image(podman: &Podman, root: &Path) -> &'static str {
    let context = podman.directory().join("context");
    fs::create_dir(&context).unwrap();
    let program = context.join("nflog_exporter");
    run(Command::new("strip").arg("--strip-all").arg("-o").arg(&program).arg(EXPORTER));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let archive = context.join(format!("container-{architecture}.tar"));
    run(Command::new(root.join("packaging/container/tree")).args([&program, &archive]));
    let file = root.join("packaging/container/Containerfile");
    let argument = format!("TARGETARCH={architecture}");
    podman.build("release", &file, &context, &["--build-arg", &argument]);

    let libraries = context.join("libraries");
    for library in libraries_of(EXPORTER) {
        let copy = libraries.join(library.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(library, copy).unwrap();
    }
    let file = context.join("Containerfile");
    fs::write(&file, "FROM localhost/release\nCOPY libraries /\n").unwrap();
    podman.build("exporter", &file, &context, &[]);
    "localhost/exporter"
}

/// The libraries of a program, and its dynamic linker.
fn libraries_of(program: &str) -> Vec<String> {
    let output = run(Command::new("ldd").arg(program));
    let text = String::from_utf8(output.stdout).unwrap();
    let path = |line: &str| {
        let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(path.to_owned())
    };
    text.lines().filter_map(path).collect()
}
