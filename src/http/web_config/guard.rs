//! The web configuration in force: kept current with its files.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Problem, WebConfigError,
    document::Document,
    rate::Bucket,
    read, tls,
    users::{Checks, Users, Verdict},
};
use crate::files::Fingerprint;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Stands between the clients and the site.
#[derive(Debug, Default)]
pub struct Guard {
    gate: ArcSwap<Gate>,
    checks: Checks,
    watched: Option<Mutex<Watched>>,
}

/// What holds for the connections and requests that begin now.
#[derive(Debug, Default)]
pub(in crate::http) struct Gate {
    tls: Option<Acceptor>,
    users: Option<Users>,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: Option<Bucket>,
}

#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsAcceptor")
    }
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    files: Vec<PathBuf>,
    /// What they looked like when they were last read.
    read: Looks,
    /// What the last look saw, if that was not `read`.
    seen: Option<Looks>,
}

/// How each file looks; `None` for one that is not there.
type Looks = Vec<Option<Fingerprint>>;

impl Guard {
    /// The guard that a web configuration describes; an empty path is none, and lets everybody in.
    ///
    /// # Errors
    /// One of the files cannot be read or followed.
    pub fn open(path: &Path) -> Result<Self, WebConfigError> {
        if path.as_os_str().is_empty() {
            return Ok(Self::default());
        }
        let checks = Checks::default();
        let (watched, gate) = load(path, &checks);
        let gate = gate.map_err(|problem| problem.of(path))?;
        Ok(Self { gate: ArcSwap::from_pointee(gate), checks, watched: Some(Mutex::new(watched)) })
    }

    /// Whether the line is kept secret.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.gate.load().tls.is_some()
    }

    /// The files it is made of, its own first.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let lock = |watched: &Mutex<Watched>| {
            watched.lock().unwrap_or_else(PoisonError::into_inner).files.clone()
        };
        self.watched.as_ref().map(lock).unwrap_or_default()
    }

    /// What holds now.
    pub(in crate::http) fn gate(&self) -> Arc<Gate> {
        self.gate.load_full()
    }

    /// Reads the files again whenever they change; does not end while there are any.
    pub(in crate::http) async fn watch(self: Arc<Self>) {
        while self.watched.is_some() {
            tokio::time::sleep(INTERVAL).await;
            let guard = self.clone();
            let look = tokio::task::spawn_blocking(move || guard.look_again());
            if let Err(error) = look.await {
                tracing::error!(%error, "reading the web configuration failed; this is a bug");
            }
        }
    }

    /// Reads the files again if they have changed and are at rest: one that is being written could
    /// say less than it will. What cannot be used is told once, and what was in force stays so.
    fn look_again(&self) {
        let Some(watched) = &self.watched else { return };
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        let now = looks(&watched.files);
        if now == watched.read {
            watched.seen = None;
            return;
        }
        if watched.seen.as_ref() != Some(&now) {
            watched.seen = Some(now);
            return;
        }
        let path = watched.path.clone();
        let (read, gate) = load(&path, &self.checks);
        // A disk that was full leaves an empty file: that is no word to let everybody in.
        let is_empty = read.read.first().copied().flatten().is_some_and(|file| file.size == 0);
        *watched = read;
        let gate = match gate {
            Ok(_) if is_empty => Err(Problem::said("is empty; write {} to ask for nothing")),
            gate => gate,
        };
        match gate {
            Ok(gate) => {
                self.gate.store(Arc::new(gate));
                tracing::info!(file = %path.display(), "web configuration read again");
            }
            Err(problem) => {
                let error = problem.of(&path);
                tracing::error!(%error, "the old web configuration goes on");
            }
        }
    }
}

impl Gate {
    fn new(document: &Document, checks: &Checks) -> Result<Self, Problem> {
        let server = document.tls_server_config.as_ref().filter(|tls| tls.is_enabled());
        let server = server.map(tls::server).transpose()?;
        let users = document.basic_auth_users.as_ref().filter(|users| !users.is_empty());
        let limit = document.rate_limit()?;
        Ok(Self {
            tls: server.map(|server| Acceptor(TlsAcceptor::from(Arc::new(server)))),
            users: users.map(|users| Users::new(users, checks.clone())).transpose()?,
            headers: document.headers()?,
            limit: limit.map(|limit| Bucket::new(limit.interval, limit.burst, Instant::now())),
        })
    }

    /// Who takes up connections; `None` for plain HTTP.
    pub(in crate::http) fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.as_ref().map(|Acceptor(acceptor)| acceptor.clone())
    }

    /// Whether the limit on requests leaves room for another.
    pub(in crate::http) fn has_room(&self) -> bool {
        self.limit.as_ref().is_none_or(|limit| limit.take(Instant::now()))
    }

    /// What a request's credentials are worth.
    pub(in crate::http) async fn look(&self, headers: &HeaderMap) -> Verdict {
        match &self.users {
            Some(users) => users.look(headers).await,
            None => Verdict::Welcome,
        }
    }

    /// What every answer carries.
    pub(in crate::http) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().cloned()
    }
}

/// Reads the files: what they looked like before, and what they say.
fn load(path: &Path, checks: &Checks) -> (Watched, Result<Gate, Problem>) {
    let files = vec![path.to_owned()];
    let mut watched = Watched { path: path.into(), read: looks(&files), files, seen: None };
    let folder = path.parent().unwrap_or(Path::new(""));
    let gate =
        read(path).and_then(|content| Document::parse(&content, folder)).and_then(|document| {
            let named = document.files();
            watched.read.extend(looks(&named));
            watched.files.extend(named);
            Gate::new(&document, checks)
        });
    (watched, gate)
}

fn looks(files: &[PathBuf]) -> Looks {
    files.iter().map(|file| Fingerprint::of(file)).collect()
}
