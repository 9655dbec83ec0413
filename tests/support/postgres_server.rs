//! A PostgreSQL server for tests: private directory, free loopback port, TLS with a temporary CA.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use nflog_exporter::mirror::{
    store::Kind,
    target::{Endpoint, Target, Tls},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::{
    netns::{Namespace, command_in},
    program::wait_for,
    server::{attempt, certificates, run},
    signal::wait_if_stopping,
};

/// A running server; ends with its last owner. The user `postgres` needs no password on the socket;
/// over TCP every user does.
pub struct PostgresServer {
    directory: TempDir,
    port: u16,
    account: Option<(u32, u32)>,
    setup: Setup,
    child: Mutex<Child>,
}

/// How a server is started.
struct Setup {
    /// The name of its network namespace; `None` for that of the test.
    namespace: Option<String>,
    settings: Vec<String>,
}

static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());

impl PostgresServer {
    /// One server for the tests that run at the same time; each uses a separate database.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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

    /// A server with additional settings, `name=value`.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::create(None, settings, initialize)
    }

    /// A server whose port is open in a namespace only, on 127.0.0.1.
    pub fn start_in(namespace: &Namespace, settings: &[&str]) -> Self {
        Self::create(Some(namespace), settings, initialize)
    }

    /// A standby of this server, in the same way.
    pub fn start_standby(&self, namespace: &Namespace, settings: &[&str]) -> Self {
        Self::create(Some(namespace), settings, |data, account| {
            run(program("pg_basebackup", account)
                .args(["-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync", "-h"])
                .arg(self.directory())
                .args(["-p", &self.port.to_string(), "-D"])
                .arg(data));
        })
    }

    fn create(
        namespace: Option<&Namespace>,
        settings: &[&str],
        fill: impl FnOnce(&Path, Option<(u32, u32)>),
    ) -> Self {
        let directory = tempfile::Builder::new().prefix("nflog-pg-").tempdir().unwrap();
        let account = account();
        if let Some((user, group)) = account {
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        fill(&directory.path().join("data"), account);
        certificates(directory.path(), ",IP:127.0.0.1");
        if let Some((user, group)) = account {
            chown(directory.path().join("server.key"), Some(user), Some(group)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let setup = Setup {
            namespace: namespace.map(|namespace| namespace.name().to_owned()),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
        };
        let child = Mutex::new(spawn(directory.path(), port, account, &setup));
        let server = Self { directory, port, account, setup, child };
        server.wait_until_ready();
        server
    }

    /// Its port on 127.0.0.1 and in the name of its socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its socket, its log, `ca.pem` and `other-ca.pem`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Connects to a database as superuser, through the socket.
    pub fn target(&self, database: &str) -> Target {
        Target {
            kind: Kind::Postgres,
            endpoint: Endpoint::Socket { path: self.directory().to_owned(), port: self.port },
            user: "postgres".to_owned(),
            password: String::new(),
            database: database.to_owned(),
            tls: Tls::Off,
        }
    }

    /// Connects a user to a database over TCP; the certificate is valid for 127.0.0.1 and localhost.
    pub fn tcp_target(&self, host: &str, user: &str, password: &str, database: &str) -> Target {
        let (host, port) = (host.to_owned(), self.port);
        Target {
            endpoint: Endpoint::Tcp { host, port },
            user: user.to_owned(),
            password: password.to_owned(),
            ..self.target(database)
        }
    }

    /// The URL of a database.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// A new, empty database.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs SQL; returns the output of psql without headings and trailing line end, columns separated by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap()
    }

    /// The same, but it can fail; then it returns the error.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = attempt(
            Command::new("psql")
                .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
                .arg(self.directory())
                .args(["-p", &self.port.to_string(), "-d", database, "-c", sql]),
        )?;
        Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    /// Kills it, like a crash of the machine.
    pub fn kill_9(&self) {
        self.signal(Signal::SIGKILL);
        self.child.lock().unwrap().wait().unwrap();
    }

    /// Starts it again after [`Self::kill_9`].
    pub fn restart(&self) {
        wait_for("PostgreSQL to start again", || {
            *self.child.lock().unwrap() =
                spawn(self.directory(), self.port, self.account, &self.setup);
            // It does not start while processes of the previous run exist.
            wait_for("PostgreSQL to start or fail", || {
                if self.child.lock().unwrap().try_wait().unwrap().is_some() {
                    return Some(None);
                }
                self.is_ready().then_some(Some(()))
            })
        });
    }

    /// Sends a signal to all of its processes: SIGSTOP stops it, SIGCONT continues it.
    pub fn signal(&self, signal: Signal) {
        let main = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner).id();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children"));
        let children = children.unwrap_or_default();
        for id in [main.to_string().as_str()].into_iter().chain(children.split_whitespace()) {
            // A child can have ended meanwhile.
            if let Ok(id) = id.parse::<u32>()
                && kill(Pid::from_raw(id.try_into().unwrap()), signal).is_ok()
            {
                wait_if_stopping(id, signal);
            }
        }
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory().join("log")).unwrap_or_default()
    }

    fn is_ready(&self) -> bool {
        Command::new("psql")
            .args(["-X", "-U", "postgres", "-p", &self.port.to_string(), "-c", "SELECT 1", "-h"])
            .arg(self.directory())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    fn wait_until_ready(&self) {
        wait_for("PostgreSQL to be ready", || {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "PostgreSQL ended:\n{}", self.log());
            self.is_ready().then_some(())
        });
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // A stopped process does not handle other signals. This does not panic.
        self.signal(Signal::SIGCONT);
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Immediate shutdown: unlike a kill, it releases its shared memory.
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)), Signal::SIGQUIT);
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("--- PostgreSQL\n{}", self.log());
        }
    }
}

/// PostgreSQL does not run as root, so it runs as the user of its package.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect("no user postgres: install postgresql").split(':').skip(2);
    let mut number = || fields.next().unwrap().parse().unwrap();
    Some((number(), number()))
}

/// Creates an empty cluster of databases.
fn initialize(data: &Path, account: Option<(u32, u32)>) {
    run(program("initdb", account)
        .args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"])
        .args(["--locale=C", "-D"])
        .arg(data));
    let rules = "local all,replication all trust\nhost all all 127.0.0.0/8 scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), rules).unwrap();
}

fn program(name: &str, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(path(name));
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// The path of a program of the newest version.
fn path(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("no PostgreSQL: install postgresql")
        .map(|entry| entry.unwrap().path())
        .collect();
    versions.sort();
    versions.pop().unwrap().join("bin").join(name)
}

fn spawn(directory: &Path, port: u16, account: Option<(u32, u32)>, setup: &Setup) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = match (&setup.namespace, account) {
        // A namespace is entered as root, and it does not run as root.
        (Some(name), Some((user, group))) => {
            let mut command = command_in(name, "setpriv");
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
            command.arg("--clear-groups").arg(path("postgres"));
            command.current_dir("/").stdin(Stdio::null());
            command
        }
        _ => program("postgres", account),
    };
    command.arg("-D").arg(directory.join("data")).args(["-p", &port.to_string()]);
    for setting in [
        &format!("unix_socket_directories={}", directory.display()),
        "listen_addresses=127.0.0.1,127.0.0.2",
        "ssl=on",
        &format!("ssl_cert_file={}", directory.join("server.pem").display()),
        &format!("ssl_key_file={}", directory.join("server.key").display()),
        "max_connections=50",
        "shared_buffers=32MB",
        "timezone=Asia/Kathmandu",
    ] {
        command.args(["-c", setting]);
    }
    // The last one of a name counts.
    command.args(setup.settings.iter().flat_map(|setting| ["-c", setting]));
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
