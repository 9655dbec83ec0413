//! A ClickHouse server for tests: PyPI's chdb, the engine as a library, after an HTTP interface (`clickhouse_server.py`),
//! in a private directory on a free loopback port.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use nflog_exporter::mirror::{
    store::Kind,
    target::{Endpoint, Target, Tls},
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{
    Namespace,
    program::wait_for,
    server::{certificates, run},
    signal::send,
};

/// The user of the tests, and its password.
pub const USER: (&str, &str) = ("nflog", "a secret: é");

/// A running server; ends with its last owner.
pub struct ClickHouseServer {
    directory: TempDir,
    port: u16,
    has_tls: bool,
    /// The network namespace that it runs in, if not that of the tests.
    namespace: Option<String>,
    child: Mutex<Child>,
}

static SHARED: Mutex<Weak<ClickHouseServer>> = Mutex::new(Weak::new());

impl ClickHouseServer {
    /// One server for the tests that run at the same time; each uses a separate database.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A server for a test that kills or stops it.
    pub fn start() -> Self {
        Self::start_with(false, None)
    }

    /// A server on the loopback address of a namespace.
    pub fn start_in(namespace: &Namespace) -> Self {
        Self::start_with(false, Some(namespace.name().to_owned()))
    }

    /// A server with HTTPS, by the certificate authority in `ca.pem` of its directory.
    pub fn start_with_tls() -> Self {
        Self::start_with(true, None)
    }

    fn start_with(has_tls: bool, namespace: Option<String>) -> Self {
        let directory = tempfile::Builder::new().prefix("nflog-clickhouse-").tempdir().unwrap();
        certificates(directory.path(), "");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Mutex::new(spawn(directory.path(), port, has_tls, namespace.as_deref()));
        let server = Self { directory, port, has_tls, namespace, child };
        server.wait_until_ready();
        server
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its log, `ca.pem` and `other-ca.pem`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Connects to a database.
    pub fn target(&self, database: &str) -> Target {
        Target {
            kind: Kind::ClickHouse,
            endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: self.port },
            user: USER.0.to_owned(),
            password: USER.1.to_owned(),
            database: database.to_owned(),
            tls: Tls::Off,
        }
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("clickhouse://{}:a%20secret%3A%20%C3%A9@127.0.0.1:{}/{database}", USER.0, self.port)
    }

    /// A new, empty database.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.query("default", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs statements that are separated by a semicolon at the end of a line; returns their results, with columns
    /// separated by tabs and without the last line end.
    pub fn query(&self, database: &str, sql: &str) -> String {
        self.try_query(database, sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// The same, but it can fail; then it returns the error.
    pub fn try_query(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut all = String::new();
        for statement in sql.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            let (scheme, port) = (if self.has_tls { "https" } else { "http" }, self.port);
            let output = command(Path::new("curl"), self.namespace.as_deref())
                .args(["-s", "-S", "-k", "--max-time", "60", "--fail-with-body", "--data-binary"])
                .arg(statement.trim_end().trim_end_matches(';'))
                .arg(format!("{scheme}://127.0.0.1:{port}/?database={database}"))
                .output()
                .unwrap();
            let answer = String::from_utf8(output.stdout).unwrap();
            if !output.status.success() {
                return Err(answer + &String::from_utf8_lossy(&output.stderr));
            }
            all += &answer;
        }
        Ok(all.trim_end_matches('\n').to_owned())
    }

    /// Sets the fault of the moment: see `clickhouse_server.py`. An empty one ends it.
    pub fn fault(&self, fault: &str) {
        let path = self.directory.path().join("fault");
        // Never half of it.
        let new = path.with_extension("new");
        fs::write(&new, fault).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Kills it, like a crash of the machine.
    pub fn kill_9(&self) {
        let mut child = self.child();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again after [`Self::kill_9`].
    pub fn restart(&self) {
        let namespace = self.namespace.as_deref();
        *self.child() = spawn(self.directory.path(), self.port, self.has_tls, namespace);
        self.wait_until_ready();
    }

    /// Stops it: it does not answer.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Continues it.
    pub fn cont(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_ready(&self) {
        wait_for("ClickHouse to be ready", || {
            let ended = self.child().try_wait().unwrap();
            assert!(ended.is_none(), "ClickHouse ended:\n{}", log(self.directory.path()));
            self.try_query("default", "SELECT 1").is_ok().then_some(())
        });
    }
}

impl Drop for ClickHouseServer {
    fn drop(&mut self) {
        // SIGKILL, also for a stopped process.
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("--- ClickHouse\n{}", log(self.directory.path()));
        }
    }
}

fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// The Python of a virtual environment with the engine, as installed by `tests/run`.
fn python() -> PathBuf {
    static PYTHON: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut python = PYTHON.lock().unwrap_or_else(PoisonError::into_inner);
    python
        .get_or_insert_with(|| {
            let repository = env!("CARGO_MANIFEST_DIR");
            let output = run(Command::new("tests/run").arg("chdb").current_dir(repository));
            let text = String::from_utf8(output.stdout).unwrap();
            Path::new(repository).join(text.lines().last().unwrap())
        })
        .clone()
}

/// A command, in a network namespace if there is one.
fn command(program: &Path, namespace: Option<&str>) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("ip");
    // It is replaced by the program, which has its process id.
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

fn spawn(directory: &Path, port: u16, has_tls: bool, namespace: Option<&str>) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = command(&python(), namespace);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clickhouse_server.py"))
        .arg(directory)
        .args([&port.to_string(), USER.0, USER.1]);
    if has_tls {
        command.args(["server.pem", "server.key"].map(|file| directory.join(file)));
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
