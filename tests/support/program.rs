//! Programs that run in a namespace and end with the test: the exporter, Prometheus.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{Namespace, signal::send};

/// Maximum time that a test waits for a state.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until there is a result; panics after the deadline.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "timeout while waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One sample: its labels, sorted by name, and its value.
pub type Samples = Vec<(BTreeMap<String, String>, f64)>;

/// A process that a test started and that ends with it.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program with its output in a log file.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        let output = fs::File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
        Self { child, log }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the end of a program", || self.child.try_wait().unwrap())
    }

    /// Its standard output and error so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A stopped process does not handle other signals.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// The exporter's binary.
pub const EXPORTER: &str = env!("CARGO_BIN_EXE_nflog_exporter");

/// A running exporter in a namespace.
pub struct Exporter<'n> {
    pub program: Program,
    namespace: &'n Namespace,
    pub directory: TempDir,
}

impl<'n> Exporter<'n> {
    /// Starts it with a configuration file and additional arguments; returns when it is ready.
    pub fn start(namespace: &'n Namespace, config: &str, arguments: &[&str]) -> Self {
        let exporter = Self::spawn(namespace, config, arguments);
        wait_for("the exporter to be ready", || {
            exporter.get("/-/ready").filter(|(status, _)| *status == 200)
        });
        exporter
    }

    /// Starts it with an offset of the clock in the format of faketime(1); does not wait. Does not use
    /// that program, which starts a process that would not end.
    pub fn spawn_with_clock(namespace: &'n Namespace, offset: &str, config: &str) -> Self {
        let mut command = namespace.command(EXPORTER);
        command.env("LD_PRELOAD", faketime_library()).env("FAKETIME", offset);
        // The kernel waits by the true monotonic clock.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        Self::spawn_by(namespace, command, config, &[])
    }

    /// Starts it with an offset of the clock that it reads from a file at each call, in the format of faketime(1).
    /// The exporter must be able to read the file. Returns when it is ready.
    pub fn start_with_clock_in(namespace: &'n Namespace, file: &Path, config: &str) -> Self {
        let mut command = namespace.command(EXPORTER);
        command.env("LD_PRELOAD", faketime_library()).env("FAKETIME_TIMESTAMP_FILE", file);
        command.env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        let exporter = Self::spawn_by(namespace, command, config, &[]);
        wait_for("the exporter to be ready", || {
            exporter.get("/-/ready").filter(|(status, _)| *status == 200)
        });
        exporter
    }

    /// Starts it without waiting.
    pub fn spawn(namespace: &'n Namespace, config: &str, arguments: &[&str]) -> Self {
        Self::spawn_by(namespace, namespace.command(EXPORTER), config, arguments)
    }

    /// Starts it with the beginning of a command, without waiting.
    pub fn spawn_by(
        namespace: &'n Namespace,
        mut command: Command,
        config: &str,
        arguments: &[&str],
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        fs::write(&file, config).unwrap();
        command.arg("--config.file").arg(&file).args(arguments);
        let program = Program::start(&mut command, directory.path().join("exporter.log"));
        Self { program, namespace, directory }
    }

    /// Replaces its configuration file.
    pub fn configure(&self, config: &str) {
        fs::write(self.directory.path().join("config.toml"), config).unwrap();
    }

    /// Status and body of a GET; `None` without a response.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.namespace, 10239, path)
    }

    /// The metrics as text. This counts as a scrape.
    pub fn scrape(&self) -> String {
        let (status, body) = self.get("/metrics").expect("a response of the exporter");
        assert_eq!(status, 200);
        body
    }
}

/// Debian's libfaketime, in the directory of this architecture's libraries.
fn faketime_library() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = libraries.map(|path| path.join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists()).expect("libfaketime is needed: install faketime")
}

/// Makes a directory writable for the exporter after it has dropped its privileges.
pub fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
}

/// The samples of one metric in a metrics text.
pub fn samples(text: &str, metric: &str) -> Samples {
    text.lines().filter_map(|line| sample(line.strip_prefix(metric)?)).collect()
}

/// The sum of all samples of a metric.
pub fn sum(text: &str, metric: &str) -> u64 {
    whole(samples(text, metric).iter().map(|(_, value)| value).sum())
}

/// A count as a whole number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "asserted")]
pub fn whole(value: f64) -> u64 {
    assert!(value >= 0.0 && value.fract() == 0.0, "{value} is not a count");
    value as u64
}

/// Labels and value after the name of a metric. Labels in tests contain neither quotes nor commas.
fn sample(rest: &str) -> Option<(BTreeMap<String, String>, f64)> {
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    let labels = labels
        .split("\",")
        .filter_map(|label| label.split_once("=\""))
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect();
    Some((labels, value.parse().ok()?))
}

/// A GET inside a namespace, on its loopback.
pub fn get(namespace: &Namespace, port: u16, path: &str) -> Option<(u16, String)> {
    namespace.run(|| get_from(SocketAddr::from(([127, 0, 0, 1], port)), path))
}

/// Status and body of a GET; `None` without a response.
pub fn get_from(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((status, if chunked { unchunked(body)? } else { body.to_owned() }))
}

fn unchunked(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..length)?);
        body = rest.get(length..)?.strip_prefix("\r\n")?;
    }
}

/// A real Prometheus that scrapes the exporter in its namespace, every second.
pub struct Prometheus<'n> {
    namespace: &'n Namespace,
    port: u16,
    _program: Program,
    _directory: TempDir,
}

const PROMETHEUS_PORT: u16 = 9090;

impl<'n> Prometheus<'n> {
    /// Starts it; returns after the first scrape.
    pub fn start(namespace: &'n Namespace) -> Self {
        Self::start_with_rules(namespace, &[])
    }

    /// Starts it with rule files, evaluated every second.
    pub fn start_with_rules(namespace: &'n Namespace, rules: &[PathBuf]) -> Self {
        Self::start_with(namespace, rules, "")
    }

    /// Starts it with rule files and additional scrape settings, in YAML flow style.
    pub fn start_with(namespace: &'n Namespace, rules: &[PathBuf], scrape: &str) -> Self {
        let scrape = format!("{scrape}\n  static_configs:\n  - targets: ['127.0.0.1:10239']");
        Self::start_at(namespace, PROMETHEUS_PORT, "1s", rules, &scrape)
    }

    /// Starts a second server, which scrapes every five seconds from another address, `::1`.
    pub fn start_slower(namespace: &'n Namespace) -> Self {
        let scrape = "scrape_interval: 5s\n  static_configs:\n  - targets: ['[::1]:10239']";
        Self::start_at(namespace, PROMETHEUS_PORT + 1, "1s", &[], scrape)
    }

    /// Starts a server that scrapes the targets in a file, at this interval.
    pub fn start_with_targets(
        namespace: &'n Namespace,
        interval: &str,
        rules: &[PathBuf],
        targets: &Path,
    ) -> Self {
        let scrape = format!("file_sd_configs:\n  - files: ['{}']", targets.display());
        Self::start_at(namespace, PROMETHEUS_PORT, interval, rules, &scrape)
    }

    fn start_at(
        namespace: &'n Namespace,
        port: u16,
        interval: &str,
        rules: &[PathBuf],
        scrape: &str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval}}}\n\
                 rule_files: {rules:?}\n\
                 scrape_configs:\n- job_name: nflog\n  {scrape}\n"
            ),
        )
        .unwrap();
        let mut command = namespace.command("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let program = Program::start(&mut command, directory.path().join("prometheus.log"));
        let prometheus = Self { namespace, port, _program: program, _directory: directory };
        wait_for("Prometheus's first scrape", || prometheus.query("up == 1")?.first().map(drop));
        prometheus
    }

    /// The instant vector of an expression.
    pub fn query(&self, expression: &str) -> Option<Samples> {
        let result = self.ask(expression)?;
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        result.iter().map(|series| Some((labels(series), value(series)?))).collect()
    }

    /// The sum of last minus first of every series of a selector such as `x[10m]`: the sum that a user
    /// of Prometheus can compute.
    pub fn growth(&self, range: &str) -> Samples {
        let result = self.ask(range).expect("Prometheus answers");
        let growth = |series: &Value| {
            let values = values(series);
            assert!(values.is_sorted(), "a counter decreased: {series}");
            values.last().unwrap() - values.first().unwrap()
        };
        result.iter().map(|series| (labels(series), growth(series))).collect()
    }

    /// The increase of every series of a selector such as `x[10m]`, as `increase()` computes it without extrapolation: a
    /// lower value is a restart of the counter at 0.
    pub fn increase(&self, range: &str) -> Samples {
        let result = self.ask(range).expect("Prometheus answers");
        let increase = |series: &Value| {
            let values = values(series);
            let steps = values
                .windows(2)
                .map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] });
            steps.sum()
        };
        result.iter().map(|series| (labels(series), increase(series))).collect()
    }

    /// Name and expression of every rule, and the error of its last evaluation.
    pub fn rules(&self) -> Vec<(String, String, String)> {
        let (_, body) = get(self.namespace, self.port, "/api/v1/rules").unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        rules
            .map(|rule| (text(rule, "name"), text(rule, "query"), text(rule, "lastError")))
            .collect()
    }

    fn ask(&self, expression: &str) -> Option<Vec<Value>> {
        let mut escaped = String::new();
        for byte in expression.bytes() {
            write!(escaped, "%{byte:02x}").unwrap();
        }
        let path = format!("/api/v1/query?query={escaped}");
        let (_, body) = get(self.namespace, self.port, &path)?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        assert_eq!(answer["status"], "success", "{expression}: {body}");
        Some(answer["data"]["result"].as_array()?.clone())
    }
}

/// The values of a series of a range.
fn values(series: &Value) -> Vec<f64> {
    let values = series["values"].as_array().unwrap().iter();
    values.map(|value| value[1].as_str().unwrap().parse().unwrap()).collect()
}

fn labels(series: &Value) -> BTreeMap<String, String> {
    let metric = series["metric"].as_object().unwrap();
    metric.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().into())).collect()
}

/// Runs a program with this input to its end.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // A program that does not read its input does not fail the test.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}
