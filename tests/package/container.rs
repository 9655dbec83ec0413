//! The container image, run by Podman in the network of a host whose packets are logged.

use std::{fs, path::Path, process::Command, time::Instant};

use crate::{
    podman::{Podman, image},
    support::{
        Wire, frame, netns,
        program::{get, samples, sum, wait_for, whole},
        server::run,
    },
};

/// How long the exporter may take to end, in seconds.
const STOP: &str = "20";

/// Packets to each container.
const PACKETS: u64 = 1000;

/// The command for a health check. The image has no shell.
const HEALTH: &str = "--health-cmd=CMD /usr/bin/nflog_exporter doctor --wait 0s \
                      --config.file=/etc/nflog_exporter/config.toml";

/// A way to start the container.
struct Start {
    name: &'static str,
    /// Options of Podman.
    options: &'static [&'static str],
    /// Arguments of the program.
    arguments: &'static [&'static str],
    /// The user that the program runs as.
    user: u32,
}

/// How the documents start it: without root, like `packaging/compose`, and like `packaging/kubernetes`.
const STARTS: [Start; 3] = [
    Start {
        name: "user",
        options: &["--user=65532:65532", "--cap-add=NET_ADMIN", HEALTH],
        arguments: &[],
        user: 65532,
    },
    Start {
        name: "root",
        options: &["--cap-add=NET_ADMIN,SETUID,SETGID"],
        arguments: &[],
        user: 65532,
    },
    Start {
        name: "kept",
        options: &["--user=0:0", "--cap-add=NET_ADMIN"],
        arguments: &["--privileges.user=root"],
        user: 0,
    },
];

#[test]
fn podman_runs_the_image_with_few_capabilities() {
    let wire = &Wire::new();
    wire.host.nft(&netns::log_and_drop(1, ""));
    let podman = &Podman::new(&wire.host);
    let image = image(podman, Path::new(env!("CARGO_MANIFEST_DIR")));
    let config = podman.directory().join("config.toml");
    fs::write(&config, "[mirror]\nurl = 'sqlite:/var/lib/nflog_exporter/packets.db'\n").unwrap();
    let config = format!("--volume={}:/etc/nflog_exporter/config.toml:ro", config.display());
    for start in &STARTS {
        let (state, path) = state(podman, start);
        let volume = format!("--volume={state}:/var/lib/nflog_exporter");
        let mut options = vec!["--cap-drop=ALL", "--read-only", &config, &volume];
        options.extend(["--security-opt=no-new-privileges", "--health-interval=disable"]);
        options.extend(start.options);
        options.push(image);
        let mut command = vec!["--config.file=/etc/nflog_exporter/config.toml"];
        command.extend(start.arguments);
        let before = wire.host.counter("logged");
        podman.start(start.name, &wire.host, &options, &command);
        counts_and_stores(wire, start);
        assert_eq!(wire.host.counter("logged") - before, PACKETS);
        is_confined(podman, start);
        if start.options.contains(&HEALTH) {
            is_healthy(podman, start.name);
        }
        stops(podman, start.name);
        let rows = format!("{path}/packets.db");
        let count = run(Command::new("sqlite3").args([&rows, "SELECT COUNT(*) FROM packets"]));
        assert_eq!(String::from_utf8_lossy(&count.stdout).trim(), PACKETS.to_string());
    }
}

/// A volume with the owner that the image has for it, or a directory of root for a program that stays root: without
/// capabilities it cannot write to the directory of another user.
///
/// Returns what is mounted, and its path.
fn state(podman: &Podman, start: &Start) -> (String, String) {
    if start.user == 0 {
        let directory = podman.directory().join(start.name);
        fs::create_dir(&directory).unwrap();
        let path = directory.display().to_string();
        return (path.clone(), path);
    }
    podman.podman(&["volume", "create", start.name]);
    let path = podman.podman(&["volume", "inspect", "--format", "{{.Mountpoint}}", start.name]);
    (start.name.to_owned(), path)
}

/// The packets of a wire are counted and are rows.
fn counts_and_stores(wire: &Wire, start: &Start) {
    let scrape = || get(&wire.host, 10239, "/metrics").map(|(_, text)| text);
    wait_for("the program in the container", || {
        get(&wire.host, 10239, "/-/ready").filter(|(status, _)| *status == 200)
    });
    assert_eq!(wire.send(frame::spoofed(1000, 53)), PACKETS);
    wait_for("the packets", || {
        let text = scrape()?;
        let counts = ["nflog_packets_total", "nflog_exporter_mirror_written_rows_total"];
        counts.iter().all(|metric| sum(&text, metric) == PACKETS).then_some(())
    });
    let text = scrape().unwrap();
    let layers = samples(&text, "nflog_exporter_confinement");
    assert_eq!(layers.len(), 6);
    for (labels, value) in layers {
        let is_active = labels["layer"] != "user" || start.user != 0;
        assert_eq!(whole(value), u64::from(is_active), "{}: {labels:?}", start.name);
    }
}

/// The process has no capability, and cannot write to the root file system.
fn is_confined(podman: &Podman, start: &Start) {
    let name = start.name;
    let pid = podman.property(name, "{{.State.Pid}}");
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let status = read("status");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(field("Uid:"), start.user.to_string());
    for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{name}, {set}");
    }
    let mounts = read("mountinfo");
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{root}");
}

/// The command for a health check succeeds, and fails if the program does not respond.
fn is_healthy(podman: &Podman, name: &str) {
    let check = || podman.succeeds(&["healthcheck", "run", name]);
    assert!(check(), "{}", podman.property(name, "{{json .State.Health}}"));
    podman.podman(&["kill", "--signal", "STOP", name]);
    assert!(!check());
    podman.podman(&["kill", "--signal", "CONT", name]);
    assert!(check(), "{}", podman.property(name, "{{json .State.Health}}"));
}

/// `podman stop` ends the program cleanly.
fn stops(podman: &Podman, name: &str) {
    let begin = Instant::now();
    podman.podman(&["stop", "--time", STOP, name]);
    assert!(begin.elapsed().as_secs() < STOP.parse().unwrap());
    assert_eq!(podman.property(name, "{{.State.ExitCode}}"), "0");
}
