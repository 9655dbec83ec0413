//! Reloads the configuration, and applies the settings that can change at run time.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::{
    config::{Config, ConfigErrors, Flags},
    exposition::MetricWriter,
    geoip::GeoIp,
    metrics::SharedAggregate,
    networks::Networks,
    system::{
        clock::unix_seconds,
        lock::lock,
        logging::{LevelHandle, LogConfig},
    },
};

/// Reloads the configuration from the same file and flags, and keeps the outcome.
#[derive(Debug)]
pub struct Reloader {
    flags: Flags,
    running: Config,
    level: Option<LevelHandle>,
    status: SharedStatus,
    /// The thread of a reload that exceeded its time limit.
    unfinished: Option<JoinHandle<()>>,
}

/// Time limit for reading the configuration's files: a network file system may hang.
const CONFIG_LIMIT: Duration = Duration::from_secs(10);

/// Time limit for reading the GeoIP databases, of up to 2 GiB each, and for the networks and lists.
const DATABASES_LIMIT: Duration = Duration::from_secs(120);

impl Reloader {
    /// Starts with the configuration in use. `level` changes the log's level.
    #[must_use]
    pub fn new(flags: Flags, running: Config, level: Option<LevelHandle>) -> Self {
        Self { flags, running, level, status: SharedStatus::new(), unfinished: None }
    }

    /// A handle to the status of the latest load.
    #[must_use]
    pub fn status(&self) -> SharedStatus {
        self.status.clone()
    }

    /// Loads the configuration, and applies its families, databases and log level. Changes that need a restart are
    /// logged. After an error, nothing has changed.
    ///
    /// # Errors
    /// A message for the client that requested the reload.
    pub async fn reload(
        &mut self,
        databases: (&GeoIp, &Networks),
        aggregate: &SharedAggregate,
        now: Duration,
    ) -> Result<(), String> {
        let outcome = self.load(databases).await;
        match outcome {
            Ok(config) => {
                aggregate.lock().reconfigure(&config.family, now);
                self.apply(config);
                self.status.set(true);
                tracing::info!("configuration reloaded");
                Ok(())
            }
            Err(error) => {
                self.status.set(false);
                tracing::error!(%error, "reload failed; the previous configuration stays in use");
                Err(error)
            }
        }
    }

    /// Reads the files on a blocking thread. Everything that can fail is here.
    async fn load(&mut self, (geoip, networks): (&GeoIp, &Networks)) -> Result<Config, String> {
        let flags = self.flags.clone();
        let config = self
            .with_limit("the configuration", CONFIG_LIMIT, move || {
                let config = flags.load().map_err(|error: ConfigErrors| error.to_string())?;
                if let Some(file) = flags.empty_file() {
                    tracing::warn!(file = %file.display(), "the configuration file is empty: every key has its default");
                }
                Ok(config)
            })
            .await?;
        let (geoip, databases) = (geoip.clone(), config.geoip.clone());
        self.with_limit("the GeoIP databases", DATABASES_LIMIT, move || {
            geoip.reload(&databases).map_err(|error| error.to_string())
        })
        .await?;
        let networks = networks.clone();
        let (names, lists) = (config.networks.clone(), config.list.clone());
        self.with_limit("the networks and lists", DATABASES_LIMIT, move || {
            networks.reload(&names, &lists).map_err(|error| error.to_string())
        })
        .await?;
        Ok(config)
    }

    /// Reads files in a thread, for at most `limit`. A read that takes longer keeps its thread, so at most one
    /// may be unfinished.
    async fn with_limit<T: Send + 'static>(
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
            // There is no receiver after the time limit.
            let _ = done.send(read());
        });
        if let Ok(outcome) = timeout(limit, outcome).await {
            return outcome
                .unwrap_or_else(|_| Err("the thread that reads the files panicked".into()));
        }
        self.unfinished = Some(reading);
        let limit = limit.as_secs();
        Err(format!("reading {what} took longer than {limit} s: check the file system it is on"))
    }

    fn apply(&mut self, config: Config) {
        if let Some(level) = &self.level {
            level.set(config.log.level);
        }
        let previous = &self.running;
        let restart = [
            ("nflog", previous.nflog != config.nflog),
            ("kernel_log", previous.kernel_log != config.kernel_log),
            ("rules", previous.rules != config.rules),
            ("mirror", previous.mirror != config.mirror),
            ("output", previous.output != config.output),
            ("web", previous.web != config.web),
            ("history", previous.history != config.history),
            ("privileges", previous.privileges != config.privileges),
            ("log.format", previous.log.format != config.log.format),
        ];
        for (key, _) in restart.into_iter().filter(|(_, changed)| *changed) {
            tracing::warn!(
                key,
                "has changed in the configuration: restart the program to apply it"
            );
        }
        // Sections that were not applied keep their previous values, so that the next reload logs them again.
        self.running = Config {
            geoip: config.geoip,
            networks: config.networks,
            list: config.list,
            family: config.family,
            log: LogConfig { format: previous.log.format, ..config.log },
            ..self.running.clone()
        };
    }
}

/// The outcome of the latest load of the configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReloadStatus {
    /// Whether the latest attempt succeeded.
    pub successful: bool,
    /// Time of the latest success, seconds since 1970-01-01 UTC.
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

/// The reload status, shared with the scrapes.
#[derive(Clone, Debug)]
pub struct SharedStatus(Arc<Mutex<ReloadStatus>>);

impl SharedStatus {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(ReloadStatus {
            successful: true,
            timestamp_seconds: unix_seconds(),
        })))
    }

    /// The current status.
    #[must_use]
    pub fn get(&self) -> ReloadStatus {
        *lock(&self.0)
    }

    fn set(&self, successful: bool) {
        let mut status = lock(&self.0);
        status.successful = successful;
        if successful {
            status.timestamp_seconds = unix_seconds();
        }
    }
}
