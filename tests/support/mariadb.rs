//! A MariaDB server for tests: private directory, free loopback port, TLS with a temporary CA.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
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
    netns::{Namespace, command_in},
    program::wait_for,
    server::{attempt, certificates, run},
    signal::send,
};

/// A running server; ends with its last owner. `root` needs no password.
pub struct MariaDb {
    directory: TempDir,
    port: u16,
    setup: Setup,
    child: Mutex<Child>,
}

/// How a server is started.
struct Setup {
    /// The name of its network namespace; `None` for that of the test.
    namespace: Option<String>,
    address: String,
    user: &'static str,
    options: Vec<String>,
}

static SHARED: Mutex<Weak<MariaDb>> = Mutex::new(Weak::new());

impl MariaDb {
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
        Self::start_with(&[])
    }

    /// A server with additional options of `mariadbd`.
    pub fn start_with(options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let setup = Setup {
            namespace: None,
            address: "127.0.0.1".into(),
            user: "root",
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        let server = Self::spawn(setup, port, true);
        server.wait_until_ready();
        server
    }

    /// A server in a namespace on one of its addresses, for which its certificate is valid.
    pub fn start_in(namespace: &Namespace, address: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let namespace = Some(namespace.name().to_owned());
        let setup = Setup { namespace, address: address.into(), user: "root", options: Vec::new() };
        let server = Self::spawn(setup, port, true);
        server.wait_until_ready();
        server
    }

    /// A server of a cluster, in a namespace with this address; does not wait. Its certificate is valid for the address.
    /// Without `has_tables` it gets all of its data from another node.
    pub fn spawn_node(
        namespace: &Namespace,
        address: &str,
        options: Vec<String>,
        has_tables: bool,
    ) -> Self {
        let namespace = Some(namespace.name().to_owned());
        // The scripts that copy data between nodes run rsync, which does not keep the rights of root.
        let setup = Setup { namespace, address: address.into(), user: "mysql", options };
        Self::spawn(setup, 3306, has_tables)
    }

    fn spawn(setup: Setup, port: u16, has_tables: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("nflog-mariadb-").tempdir().unwrap();
        let user = format!("--user={}", setup.user);
        run(Command::new("chown").arg(setup.user).arg(directory.path()));
        if has_tables {
            run(Command::new("mariadb-install-db")
                .args(["--no-defaults", &user, "--skip-test-db"])
                .arg("--auth-root-authentication-method=normal")
                // Servers that start at the same time must not share it.
                .arg(format!("--tmpdir={}", directory.path().display()))
                .arg(format!("--datadir={}", directory.path().join("data").display())));
        } else {
            fs::create_dir(directory.path().join("data")).unwrap();
        }
        let addresses =
            setup.namespace.as_ref().map_or(String::new(), |_| format!(",IP:{}", setup.address));
        certificates(directory.path(), &addresses);
        run(Command::new("chown").args(["-R", setup.user]).arg(directory.path()));
        let child = Mutex::new(spawn(directory.path(), port, &setup));
        Self { directory, port, setup, child }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// The directory of its log, `ca.pem` and `other-ca.pem`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Connects to a database as administrator, through the socket.
    pub fn target(&self, database: &str) -> Target {
        Target {
            kind: Kind::MySql,
            endpoint: Endpoint::Socket { path: self.socket(), port: self.port },
            user: "root".to_owned(),
            password: String::new(),
            database: database.to_owned(),
            tls: Tls::Off,
        }
    }

    /// Connects a user to a database over TCP; the certificate is valid for localhost.
    pub fn tcp_target(&self, host: &str, user: &str, password: &str, database: &str) -> Target {
        Target {
            endpoint: Endpoint::Tcp { host: host.to_owned(), port: self.port },
            user: user.to_owned(),
            password: password.to_owned(),
            ..self.target(database)
        }
    }

    /// The URL of a database.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("mysql://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// A new, empty database.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.query("mysql", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs SQL; returns the output of the client: one line per row, columns separated by tabs, no headings.
    pub fn query(&self, database: &str, sql: &str) -> String {
        let output = run(self.client().args(["--batch", "--skip-column-names", "--raw"]).args([
            database,
            "--execute",
            sql,
        ]));
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim_end_matches('\n').to_owned()
    }

    /// Runs the SQL in a file, like `mysql DATABASE < FILE`.
    pub fn load(&self, database: &str, sql: &str) {
        self.try_load(database, sql).unwrap();
    }

    /// The same, but it can fail; then it returns the error.
    pub fn try_load(&self, database: &str, sql: &str) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), sql).unwrap();
        attempt(self.client().arg(database).stdin(file.reopen().unwrap())).map(drop)
    }

    /// Kills the server, like a crash.
    pub fn kill_9(&self) {
        let mut child = self.child();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again after it has ended.
    pub fn restart(&self) {
        *self.child() = spawn(self.directory.path(), self.port, &self.setup);
        self.wait_until_ready();
    }

    /// Its options; a change has an effect at the next [`Self::restart`].
    pub fn options(&mut self) -> &mut Vec<String> {
        &mut self.setup.options
    }

    /// Runs SQL as [`Self::query`] does; `None` if the server does not respond or rejects it.
    pub fn try_query(&self, database: &str, sql: &str) -> Option<String> {
        let mut client = self.client();
        client.args(["--batch", "--skip-column-names", "--raw", database, "--execute", sql]);
        let output = attempt(&mut client).ok()?;
        Some(String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned())
    }

    /// Stops it with SIGSTOP: connections stay open and get no response.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Continues it with SIGCONT.
    pub fn cont(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        send(self.child().id(), signal);
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Command {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--default-character-set=utf8mb4"]);
        client.arg(format!("--socket={}", self.socket().display()));
        client
    }

    /// Waits until it responds.
    pub fn wait_until_ready(&self) {
        wait_for("MariaDB", || {
            if let Some(status) = self.child().try_wait().unwrap() {
                let log = fs::read_to_string(self.directory().join("log")).unwrap_or_default();
                panic!("mariadbd ended with {status}: {log}");
            }
            let asked = self.client().args(["--execute", "SELECT 1"]).output().unwrap();
            asked.status.success().then_some(())
        });
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let mut child = self.child();
        child.kill().ok();
        child.wait().ok();
    }
}

fn spawn(directory: &Path, port: u16, setup: &Setup) -> Child {
    let at = |name: &str| directory.join(name).display().to_string();
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = match &setup.namespace {
        Some(name) => command_in(name, "mariadbd"),
        None => Command::new("mariadbd"),
    };
    command
        .arg("--no-defaults")
        .arg(format!("--user={}", setup.user))
        .arg(format!("--bind-address={}", setup.address))
        .args(["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"])
        .arg(format!("--datadir={}", at("data")))
        .arg(format!("--socket={}", at("socket")))
        .arg(format!("--tmpdir={}", directory.display()))
        .arg(format!("--pid-file={}", at("pid")))
        .arg(format!("--port={port}"))
        .arg(format!("--ssl-ca={}", at("ca.pem")))
        .arg(format!("--ssl-cert={}", at("server.pem")))
        .arg(format!("--ssl-key={}", at("server.key")))
        .args(&setup.options)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|cause| panic!("mariadbd: {cause}"))
}
