//! Reloads the configuration, and applies the settings that can change at run time.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::{
    config::{Config, ConfigErrors, Flags},
    exposition::MetricWriter,
    geoip::GeoIp,
    metrics::SharedAggregate,
    system::logging::LevelHandle,
};

/// Loads the same file under the same flags again, and remembers how that went.
#[derive(Debug)]
pub struct Reloader {
    flags: Flags,
    running: Config,
    level: Option<LevelHandle>,
    status: SharedStatus,
    /// A reload whose files could not be read in time, which goes on in its thread.
    unfinished: Option<JoinHandle<()>>,
}

/// How long the configuration's files may take to be read: a network file system may hang.
const READING: Duration = Duration::from_secs(10);

/// How long the GeoIP databases, of up to 2 GiB each, may take to be read.
const READING_DATABASES: Duration = Duration::from_secs(120);

impl Reloader {
    /// Starts with the configuration that runs. `level` is the log's, where it can be changed.
    #[must_use]
    pub fn new(flags: Flags, running: Config, level: Option<LevelHandle>) -> Self {
        Self { flags, running, level, status: SharedStatus::new(), unfinished: None }
    }

    /// How the last load went; stays current.
    #[must_use]
    pub fn status(&self) -> SharedStatus {
        self.status.clone()
    }

    /// Loads and applies families, databases and the log's level; what needs a restart is named in
    /// the log. On any error everything stays as it was.
    ///
    /// # Errors
    /// What is wrong, in words for whoever asked.
    pub async fn reload(
        &mut self,
        geoip: &GeoIp,
        aggregate: &SharedAggregate,
        now: Duration,
    ) -> Result<(), String> {
        let outcome = self.load(geoip).await;
        match outcome {
            Ok(config) => {
                aggregate.lock().reconfigure(&config.families(), now);
                self.apply(config);
                self.status.set(true);
                tracing::info!("configuration reloaded");
                Ok(())
            }
            Err(error) => {
                self.status.set(false);
                tracing::error!(%error, "reload failed; the previous configuration stays active");
                Err(error)
            }
        }
    }

    /// Everything that can fail, off the async threads: it reads files.
    async fn load(&mut self, geoip: &GeoIp) -> Result<Config, String> {
        let flags = self.flags.clone();
        let config = self
            .in_time("the configuration", READING, move || {
                let config = flags.load().map_err(|error: ConfigErrors| error.to_string())?;
                if let Some(file) = flags.empty_file() {
                    tracing::warn!(file = %file.display(), "the configuration file is empty: all keys have their defaults");
                }
                Ok(config)
            })
            .await?;
        let (geoip, databases) = (geoip.clone(), config.geoip.databases.clone());
        self.in_time("the GeoIP databases", READING_DATABASES, move || {
            geoip.reload(&databases).map_err(|error| error.to_string())
        })
        .await?;
        Ok(config)
    }

    /// Reads files in a thread, for at most `limit`. A read that takes longer keeps its thread, so at most one
    /// may be unfinished.
    async fn in_time<T: Send + 'static>(
        &mut self,
        what: &str,
        limit: Duration,
        read: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        if self.unfinished.as_ref().is_some_and(|reading| !reading.is_finished()) {
            return Err("a file of an earlier reload is still being read: its file system does \
                        not answer"
                .into());
        }
        let (done, outcome) = oneshot::channel();
        let reading = tokio::task::spawn_blocking(move || {
            // After the limit there is no receiver.
            let _ = done.send(read());
        });
        if let Ok(outcome) = timeout(limit, outcome).await {
            return outcome.unwrap_or_else(|_| Err("loading panicked".into()));
        }
        self.unfinished = Some(reading);
        let limit = limit.as_secs();
        Err(format!("reading {what} took longer than {limit} s: check the file system it is on"))
    }

    fn apply(&mut self, config: Config) {
        if let Some(level) = &self.level {
            level.set(config.log.level);
        }
        let old = &self.running;
        let restart = [
            ("nflog", old.nflog != config.nflog),
            ("rules", old.rules != config.rules),
            ("mirror", old.mirror != config.mirror),
            ("web", old.web != config.web),
            ("privileges", old.privileges != config.privileges),
            ("log.format", old.log.format != config.log.format),
        ];
        for (key, _) in restart.into_iter().filter(|(_, changed)| *changed) {
            tracing::warn!(key, "changed in the configuration: takes effect after a restart");
        }
        // What was not applied stays on record, so that the next reload names it again.
        self.running = Config {
            geoip: config.geoip,
            family: config.family,
            log: crate::config::Log { format: old.log.format, ..config.log },
            ..self.running.clone()
        };
    }
}

/// How the configuration was last loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReloadStatus {
    /// Whether the last attempt worked.
    pub successful: bool,
    /// When one last worked, seconds since 1970-01-01 UTC.
    pub timestamp_seconds: f64,
}

impl Collector for ReloadStatus {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        writer.gauge(
            "nflog_exporter_config_last_reload_successful",
            "Whether the last load of the configuration succeeded: 1 or 0.",
            Some(u32::from(self.successful)),
        )?;
        writer.gauge(
            "nflog_exporter_config_last_reload_success_timestamp_seconds",
            "Time of the last successful load of the configuration, as a Unix timestamp.",
            Some(self.timestamp_seconds),
        )
    }
}

/// How the configuration was last loaded, shared with the scrapes.
#[derive(Clone, Debug)]
pub struct SharedStatus(Arc<Mutex<ReloadStatus>>);

impl SharedStatus {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(ReloadStatus {
            successful: true,
            timestamp_seconds: wall_clock(),
        })))
    }

    /// The status now.
    #[must_use]
    pub fn get(&self) -> ReloadStatus {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, successful: bool) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        status.successful = successful;
        if successful {
            status.timestamp_seconds = wall_clock();
        }
    }
}

/// Seconds since 1970; 0 for a clock set before.
fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
