//! The web configuration in force: kept current with its files.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use hyper::{
    HeaderMap,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName, HeaderValue},
};
use rustls::ServerConfig;

use super::{
    Problem, WebConfigError,
    checks::Checks,
    document::Document,
    rate::Bucket,
    read, tls,
    users::{Users, Verdict},
};
use crate::{system::files::Fingerprint, web::markers::PATHS as MARKERS};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long after a failure the files are read again though they look the same: a look does not show
/// everything that keeps a file from being read.
const RETRY: Duration = Duration::from_secs(5);

/// Stands between the clients and the site.
#[derive(Debug, Default)]
pub struct WebConfigWatcher {
    gate: ArcSwap<WebConfig>,
    checks: Checks,
    watched: Option<Mutex<Watched>>,
    /// Whether what the files say cannot be used.
    has_failed: AtomicBool,
}

/// What holds for the connections and requests that begin now.
#[derive(Debug, Default)]
pub(in crate::http) struct WebConfig {
    tls: Option<Arc<ServerConfig>>,
    users: Option<Users>,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: Option<Bucket>,
    /// What is to be told when it comes into force.
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What is in force.
    document: Document,
    /// The files of what is in force, and of what should be; the configuration's own first.
    files: Vec<PathBuf>,
    /// What they looked like when they were last read.
    read: Looks,
    /// What the last look saw, if that was not `read`.
    seen: Option<Looks>,
    failure: Option<Failure>,
}

/// Why what the files say is not in force.
#[derive(Debug)]
struct Failure {
    told: String,
    tried: Instant,
}

/// What the files say.
struct Attempt {
    files: Vec<PathBuf>,
    /// What they looked like before they were read.
    looks: Looks,
    outcome: Result<(Document, WebConfig), Problem>,
}

/// How each file looks; `None` for one that is not there.
type Looks = Vec<Option<Fingerprint>>;

impl WebConfigWatcher {
    /// The guard that a web configuration describes; an empty path is none, and lets everybody in.
    ///
    /// # Errors
    /// One of the files cannot be read or followed.
    pub fn open(path: &Path) -> Result<Self, WebConfigError> {
        if path.as_os_str().is_empty() {
            return Ok(Self::default());
        }
        let checks = Checks::default();
        let Attempt { files, looks, outcome } = load(path, &checks, &WebConfig::default(), true);
        let (document, gate) = outcome.map_err(|problem| problem.of(path))?;
        gate.warn();
        let watched =
            Watched { path: path.into(), document, files, read: looks, seen: None, failure: None };
        Ok(Self {
            gate: ArcSwap::from_pointee(gate),
            checks,
            watched: Some(Mutex::new(watched)),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Whether the line is kept secret.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.gate.load().tls.is_some()
    }

    /// The files it is made of, its own first.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.watched().map(|watched| watched.files.clone()).unwrap_or_default()
    }

    /// Whether what the files say is in force; `None` where there are none.
    #[must_use]
    pub fn is_current(&self) -> Option<bool> {
        self.watched.as_ref().map(|_| !self.has_failed.load(Relaxed))
    }

    fn watched(&self) -> Option<MutexGuard<'_, Watched>> {
        let watched = self.watched.as_ref()?;
        Some(watched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What holds now.
    pub(in crate::http) fn gate(&self) -> Arc<WebConfig> {
        self.gate.load_full()
    }

    /// Reads the files again whenever they change; does not end while there are any.
    pub(in crate::http) async fn watch(self: Arc<Self>) {
        while self.watched.is_some() {
            tokio::time::sleep(INTERVAL).await;
            let guard = self.clone();
            let look = tokio::task::spawn_blocking(move || guard.look_again(Instant::now()));
            if let Err(error) = look.await {
                tracing::error!(%error, "reading the web configuration failed; this is a bug");
            }
        }
    }

    /// Reads the files again if they have changed and are at rest: one that is being written could
    /// say less than it will. What cannot be used is told once, and what was in force stays so.
    fn look_again(&self, at: Instant) {
        let Some(mut watched) = self.watched() else { return };
        let now = looks(&watched.files);
        let has_changed = now != watched.read;
        if has_changed && watched.seen.as_ref() != Some(&now) {
            watched.seen = Some(now);
            return;
        }
        watched.seen = None;
        let waited =
            watched.failure.as_ref().map(|failure| at.saturating_duration_since(failure.tried));
        if has_changed || waited.is_some_and(|waited| waited >= RETRY) {
            self.read_again(&mut watched, has_changed, at);
            self.has_failed.store(watched.failure.is_some(), Relaxed);
        }
    }

    fn read_again(&self, watched: &mut Watched, has_changed: bool, at: Instant) {
        let before = self.gate.load();
        // A disk that was full leaves an empty file: that is no word to let everybody in.
        let attempt = load(&watched.path, &self.checks, &before, false);
        (watched.files, watched.read) = (attempt.files, attempt.looks);
        match attempt.outcome {
            Ok((document, gate)) => {
                gate.warn();
                self.gate.store(Arc::new(gate));
                (watched.document, watched.failure) = (document, None);
                tracing::info!(file = %watched.path.display(), "web configuration read again");
            }
            Err(problem) => {
                let told = problem.of(&watched.path).to_string();
                if watched.failure.as_ref().is_none_or(|failure| failure.told != told) {
                    tracing::error!(error = told, "the old web configuration goes on");
                }
                watched.failure = Some(Failure { told, tried: at });
                // The old one's certificates are still followed.
                let others = watched.document.files().into_iter();
                let others: Vec<_> = others.filter(|file| !watched.files.contains(file)).collect();
                watched.read.extend(looks(&others));
                watched.files.extend(others);
                if has_changed
                    && let Ok(gate) = WebConfig::new(&watched.document, &self.checks, &before)
                {
                    self.gate.store(Arc::new(gate));
                }
            }
        }
    }
}

impl WebConfig {
    /// What a document asks for, after what was in force `before`.
    fn new(document: &Document, checks: &Checks, before: &Self) -> Result<Self, Problem> {
        let mut warnings = Vec::new();
        let server = document.tls_server_config.as_ref().filter(|tls| tls.is_enabled());
        let server = server.map(|tls| tls::server(tls, &mut warnings)).transpose()?;
        let users = document.basic_auth_users.as_ref().filter(|users| !users.is_empty());
        let users = users
            .map(|users| Users::new(users, checks.clone(), before.users.as_ref(), &mut warnings));
        let users = users.transpose()?;
        let limit = document.rate_limit()?;
        Ok(Self {
            tls: server.map(Arc::new),
            users,
            headers: document.headers()?,
            limit: limit.map(|limit| Bucket::new(limit.interval, limit.burst, Instant::now())),
            warnings,
        })
    }

    fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("web configuration: {warning}");
        }
    }

    /// How connections are taken up; `None` for plain HTTP.
    pub(in crate::http) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// Whether the limit on requests leaves room for another.
    pub(in crate::http) fn has_room(&self) -> bool {
        self.limit.as_ref().is_none_or(|limit| limit.take(Instant::now()))
    }

    /// What the credentials of a request from this address are worth.
    pub(in crate::http) async fn look(&self, headers: &HeaderMap, peer: IpAddr) -> Verdict {
        match &self.users {
            Some(users) => users.look(headers, peer).await,
            None => Verdict::Welcome,
        }
    }

    /// What the answer for this path carries.
    pub(in crate::http) fn headers(
        &self,
        path: &str,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        // Otherwise any site could make a visitor's browser read the metrics of a service on loopback.
        let is_shared = MARKERS.contains(&path);
        let all = self.headers.iter();
        all.filter(move |(name, _)| is_shared || name != ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
    }
}

/// Reads the files. One that says nothing at all, not even `{}`, may only do so at the start.
fn load(path: &Path, checks: &Checks, before: &WebConfig, may_be_empty: bool) -> Attempt {
    let mut files = vec![path.to_owned()];
    let mut looked = looks(&files);
    let folder = path.parent().unwrap_or(Path::new(""));
    let document = read(path).and_then(|content| Document::parse(&content, folder));
    let outcome = document.and_then(|document| {
        if document.is_none() && !may_be_empty {
            return Err(Problem::said("is empty; write {} to ask for nothing"));
        }
        let document = document.unwrap_or_default();
        let named = document.files();
        looked.extend(looks(&named));
        files.extend(named);
        let gate = WebConfig::new(&document, checks, before)?;
        Ok((document, gate))
    });
    Attempt { files, looks: looked, outcome }
}

fn looks(files: &[PathBuf]) -> Looks {
    files.iter().map(|file| Fingerprint::of(file)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file that is changed, and looked at until it is at rest.
    struct File(tempfile::TempDir);

    impl File {
        fn path(&self) -> PathBuf {
            self.0.path().join("web.yml")
        }

        fn write(&self, content: &str) {
            fs::write(self.path(), content).unwrap();
        }
    }

    fn opened(content: &str) -> (File, WebConfigWatcher) {
        let file = File(tempfile::tempdir().unwrap());
        file.write(content);
        let guard = WebConfigWatcher::open(&file.path()).unwrap();
        (file, guard)
    }

    fn look(guard: &WebConfigWatcher, at: Instant) {
        guard.look_again(at);
        guard.look_again(at);
    }

    fn tried(guard: &WebConfigWatcher) -> Option<Instant> {
        guard.watched().unwrap().failure.as_ref().map(|failure| failure.tried)
    }

    #[test]
    fn what_failed_is_tried_again() {
        let (file, guard) = opened("{}");
        let start = Instant::now();
        file.write("tls_server_config: {cert_file: gone.pem}  # longer");
        look(&guard, start);
        assert_eq!((guard.is_current(), tried(&guard)), (Some(false), Some(start)));
        look(&guard, start + RETRY / 2);
        assert_eq!(tried(&guard), Some(start));
        look(&guard, start + RETRY);
        assert_eq!(tried(&guard), Some(start + RETRY));
        file.write("{}");
        look(&guard, start + RETRY);
        assert_eq!((guard.is_current(), tried(&guard)), (Some(true), None));
        assert_eq!(WebConfigWatcher::default().is_current(), None);
    }

    #[test]
    fn a_file_that_says_nothing_opens_no_door() {
        let (file, guard) = opened("rate_limit: {interval: 1h, burst: 1}");
        for content in ["", "# all\n# of it\n", "---\n", "null\n"] {
            file.write(content);
            look(&guard, Instant::now());
            assert_eq!(guard.is_current(), Some(false), "{content:?}");
            assert!(guard.gate().limit.is_some(), "{content:?}");
        }
        file.write("{}");
        look(&guard, Instant::now());
        assert!(guard.gate().limit.is_none());
    }
}
