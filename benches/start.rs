//! From the start of the program to its first scrape, and the size of the program.
//!
//! `cargo bench --bench start`, as root. It starts the program in a network namespace with an empty configuration, as a
//! service with one NFLOG group, and asks for `/metrics` until it gets the first response. If
//! `NFLOG_EXPORTER_CITY_DATABASE` is the path of a database, it measures starts with that database too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a failure here fails the benchmark"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use support::{
    Namespace,
    program::{EXPORTER, Program, get_from},
};

/// Number of starts.
const STARTS: usize = 20;

/// Interval of requests.
const INTERVAL: Duration = Duration::from_micros(200);

fn main() {
    println!("load of this machine before: {}", fs::read_to_string("/proc/loadavg").unwrap());
    sizes();
    let namespace = Namespace::new("start");
    let directory = tempfile::tempdir().unwrap();
    starts(&namespace, directory.path(), "embedded database", "");
    if let Some(path) = std::env::var_os("NFLOG_EXPORTER_CITY_DATABASE") {
        let size = fs::metadata(&path).unwrap().len();
        let config = format!("[geoip]\ndatabases = [{:?}]\n", path.to_str().unwrap());
        starts(&namespace, directory.path(), &format!("a database of {size} bytes"), &config);
    }
}

/// Prints the size of the program, as packages install it and without names of functions.
fn sizes() {
    let directory = tempfile::tempdir().unwrap();
    for option in ["--strip-debug", "--strip-all"] {
        let stripped = directory.path().join("program");
        let status =
            Command::new("strip").args([option, "-o"]).arg(&stripped).arg(EXPORTER).status();
        assert!(status.unwrap().success());
        println!("{option:>17} {:>12} bytes", fs::metadata(&stripped).unwrap().len());
    }
}

/// Prints the median and the maximum of some starts.
fn starts(namespace: &Namespace, directory: &Path, name: &str, config: &str) {
    let file = directory.join("config.toml");
    fs::write(&file, config).unwrap();
    let log = directory.join("log");
    let mut times: Vec<_> =
        (0..STARTS).map(|_| namespace.run(|| start(&file, &log).as_secs_f64() * 1e3)).collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{name:>17} {STARTS} starts, first scrape after {:.1} ms (median), {:.1} ms (maximum)",
        times[STARTS / 2],
        times[STARTS - 1]
    );
}

/// The time from the start to the first scrape.
fn start(config: &Path, log: &Path) -> Duration {
    let address = SocketAddr::from(([127, 0, 0, 1], 10239));
    let began = Instant::now();
    let mut command = Command::new(EXPORTER);
    let program = Program::start(
        command.arg("--config.file").arg(config).stdin(Stdio::null()),
        log.to_owned(),
    );
    while get_from(address, "/metrics").is_none_or(|(status, _)| status != 200) {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", program.log());
        thread::sleep(INTERVAL);
    }
    began.elapsed()
}
