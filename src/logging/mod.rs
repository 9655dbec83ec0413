//! The program's own log: one line an entry on standard error, logfmt or JSON.

mod often;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::{LogFormat, LogLevel};

use self::often::Often;

pub use self::often::left_out;

/// Changes the level of a running log.
#[derive(Clone, Debug)]
pub struct LevelHandle(reload::Handle<LevelFilter, Registry>);

impl LevelHandle {
    /// Sets the level from now on.
    pub fn set(&self, level: LogLevel) {
        // It fails only when the log is gone, and then nobody is told anything anyway.
        let _ = self.0.reload(filter(level));
    }
}

/// Starts the log of the whole program. Called once.
#[must_use]
pub fn start(level: LogLevel, format: LogFormat) -> LevelHandle {
    let (level, handle) = reload::Layer::new(filter(level));
    let lines = match format {
        LogFormat::Logfmt => tracing_logfmt::builder()
            .with_target(false)
            .layer()
            .with_writer(std::io::stderr)
            .with_filter(Often::default())
            .boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(std::io::stderr)
            .with_filter(Often::default())
            .boxed(),
    };
    tracing_subscriber::registry().with(level).with(lines).init();
    LevelHandle(handle)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
