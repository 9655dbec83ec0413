//! Follows the files of the web configuration, and keeps the latest valid one in use.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{
    InvalidWebConfig, WebConfig, WebConfigError, password_queue::PasswordQueue, read,
    settings::Settings,
};
use crate::system::{
    file_watch::{FileChange, FileDebounce},
    files::Fingerprint,
    lock::lock,
};

/// Interval of further attempts after a failure, even if the files are unchanged: a fingerprint does not show
/// everything that prevents a file from being read.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The web configuration in use, and the state of its files.
#[derive(Debug, Default)]
pub struct WebConfigWatcher {
    current: ArcSwap<WebConfig>,
    queue: PasswordQueue,
    files: Option<Mutex<WatchedFiles>>,
    /// Whether the files are invalid, so that an earlier configuration is in use.
    has_failed: AtomicBool,
}

#[derive(Debug)]
struct WatchedFiles {
    path: PathBuf,
    /// The settings in use.
    settings: Settings,
    /// The files of the settings in use and of the latest attempt; the web configuration itself first.
    paths: Vec<PathBuf>,
    changes: FileDebounce<Fingerprints>,
    failure: Option<Failure>,
}

/// The latest failed attempt.
#[derive(Debug)]
struct Failure {
    message: String,
    at: Instant,
}

/// The outcome of reading the files.
struct Attempt {
    paths: Vec<PathBuf>,
    /// Their state before they were read.
    fingerprints: Fingerprints,
    outcome: Result<(Settings, WebConfig), InvalidWebConfig>,
}

/// The state of each file; `None` for a missing one.
type Fingerprints = Vec<Option<Fingerprint>>;

impl WebConfigWatcher {
    /// Loads a web configuration. An empty path means plain HTTP without authentication.
    ///
    /// # Errors
    /// A file cannot be read, or a setting is invalid.
    pub fn open(path: &Path) -> Result<Self, WebConfigError> {
        if path.as_os_str().is_empty() {
            return Ok(Self::default());
        }
        let queue = PasswordQueue::default();
        let Attempt { paths, fingerprints, outcome } =
            load(path, &queue, &WebConfig::default(), true);
        let (settings, current) = outcome.map_err(|error| error.in_file(path))?;
        current.log_warnings();
        let files = WatchedFiles {
            path: path.into(),
            settings,
            paths,
            changes: FileDebounce::new(fingerprints),
            failure: None,
        };
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            queue,
            files: Some(Mutex::new(files)),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Whether connections use TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.current.load().tls().is_some()
    }

    /// The web configuration's file, and the files that it names.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.watched().map(|files| files.paths.clone()).unwrap_or_default()
    }

    /// Whether the configuration in use is that of the files; `None` without files.
    #[must_use]
    pub fn is_current(&self) -> Option<bool> {
        self.files.as_ref().map(|_| !self.has_failed.load(Relaxed))
    }

    /// The configuration in use.
    pub(in crate::http) fn current(&self) -> Arc<WebConfig> {
        self.current.load_full()
    }

    /// Loads the files if they have changed since they were read and not since the last check: a file that is
    /// being written could have less than the whole configuration. Invalid files are logged once, and
    /// the configuration in use stays. Blocks on file systems.
    pub fn check(&self) {
        self.check_at(Instant::now());
    }

    fn watched(&self) -> Option<MutexGuard<'_, WatchedFiles>> {
        let files = self.files.as_ref()?;
        Some(lock(files))
    }

    fn check_at(&self, now: Instant) {
        let Some(mut files) = self.watched() else { return };
        let state = fingerprints(&files.paths);
        let has_changed = match files.changes.check(state) {
            FileChange::Changing => return,
            FileChange::Changed => true,
            FileChange::Unchanged => false,
        };
        let since_failure =
            files.failure.as_ref().map(|failure| now.saturating_duration_since(failure.at));
        if has_changed || since_failure.is_some_and(|time| time >= RETRY_INTERVAL) {
            self.reload(&mut files, has_changed, now);
            self.has_failed.store(files.failure.is_some(), Relaxed);
        }
    }

    fn reload(&self, files: &mut WatchedFiles, has_changed: bool, now: Instant) {
        let previous = self.current.load();
        // A full disk leaves an empty file, which must not disable authentication.
        let attempt = load(&files.path, &self.queue, &previous, false);
        let (mut paths, mut state) = (attempt.paths, attempt.fingerprints);
        match attempt.outcome {
            Ok((settings, config)) => {
                config.log_warnings();
                self.current.store(Arc::new(config));
                (files.settings, files.failure) = (settings, None);
                tracing::info!(file = %files.path.display(), "reloaded the web configuration");
            }
            Err(error) => {
                let message = error.in_file(&files.path).to_string();
                if files.failure.as_ref().is_none_or(|failure| failure.message != message) {
                    tracing::error!(
                        error = message,
                        "invalid web configuration; the previous one stays in use"
                    );
                }
                files.failure = Some(Failure { message, at: now });
                // New certificates of the settings in use are still loaded.
                let others = files.settings.files().into_iter();
                let others: Vec<_> = others.filter(|file| !paths.contains(file)).collect();
                state.extend(fingerprints(&others));
                paths.extend(others);
                if has_changed
                    && let Ok(config) = WebConfig::new(&files.settings, &self.queue, &previous)
                {
                    self.current.store(Arc::new(config));
                }
            }
        }
        files.paths = paths;
        files.changes.set_read(state);
    }
}

/// Reads the files. An empty file, without even `{}`, is valid only at the start.
fn load(path: &Path, queue: &PasswordQueue, previous: &WebConfig, may_be_empty: bool) -> Attempt {
    let mut paths = vec![path.to_owned()];
    let mut state = fingerprints(&paths);
    let directory = path.parent().unwrap_or(Path::new(""));
    let settings = read(path).and_then(|content| Settings::parse(&content, directory));
    let outcome = settings.and_then(|settings| {
        if settings.is_none() && !may_be_empty {
            return Err(InvalidWebConfig::setting(
                "the file is empty; write {} for a configuration without settings",
            ));
        }
        let settings = settings.unwrap_or_default();
        let named = settings.files();
        state.extend(fingerprints(&named));
        paths.extend(named);
        let config = WebConfig::new(&settings, queue, previous)?;
        Ok((settings, config))
    });
    Attempt { paths, fingerprints: state, outcome }
}

fn fingerprints(paths: &[PathBuf]) -> Fingerprints {
    paths.iter().map(|path| Fingerprint::of(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A web configuration that the tests change.
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
        let watcher = WebConfigWatcher::open(&file.path()).unwrap();
        (file, watcher)
    }

    /// Two checks: the first sees the change, the second that the file is complete.
    fn check(watcher: &WebConfigWatcher, at: Instant) {
        watcher.check_at(at);
        watcher.check_at(at);
    }

    fn failed_at(watcher: &WebConfigWatcher) -> Option<Instant> {
        watcher.watched().unwrap().failure.as_ref().map(|failure| failure.at)
    }

    #[test]
    fn a_failed_reload_is_retried() {
        let (file, watcher) = opened("{}");
        let start = Instant::now();
        file.write("tls_server_config: {cert_file: gone.pem}  # longer");
        check(&watcher, start);
        assert_eq!((watcher.is_current(), failed_at(&watcher)), (Some(false), Some(start)));
        check(&watcher, start + RETRY_INTERVAL / 2);
        assert_eq!(failed_at(&watcher), Some(start));
        check(&watcher, start + RETRY_INTERVAL);
        assert_eq!(failed_at(&watcher), Some(start + RETRY_INTERVAL));
        file.write("{}");
        check(&watcher, start + RETRY_INTERVAL);
        assert_eq!((watcher.is_current(), failed_at(&watcher)), (Some(true), None));
        assert_eq!(WebConfigWatcher::default().is_current(), None);
    }

    #[test]
    fn an_empty_file_disables_nothing() {
        let (file, watcher) = opened("rate_limit: {interval: 1h, burst: 1}");
        for content in ["", "# all\n# of it\n", "---\n", "null\n"] {
            file.write(content);
            check(&watcher, Instant::now());
            assert_eq!(watcher.is_current(), Some(false), "{content:?}");
            assert!(watcher.current().has_rate_limit(), "{content:?}");
        }
        file.write("{}");
        check(&watcher, Instant::now());
        assert!(!watcher.current().has_rate_limit());
    }
}
