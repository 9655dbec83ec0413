//! The program's own log on standard error: one line for each entry, in logfmt or JSON.

mod apostrophes;
mod config;
mod level;
mod log_rate_limit;
mod metrics;
mod throttle;
mod writer;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write as _},
    panic::{self, PanicHookInfo},
    thread,
    time::Duration,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

pub use config::LogConfig;
pub use level::{LogFormat, LogLevel};
pub use metrics::LogMetrics;
pub use throttle::{ConditionLog, LogThrottle};

use self::{log_rate_limit::LogRateLimit, writer::LogLine};

/// Number of lines that were dropped since the start, by the rate limit or because standard error was not read.
#[must_use]
pub fn dropped_lines() -> u64 {
    log_rate_limit::dropped_lines() + writer::dropped_lines()
}

/// Changes the level of a running log.
#[derive(Clone, Debug)]
pub struct LevelHandle(reload::Handle<LevelFilter, Registry>);

impl LevelHandle {
    /// Sets the level.
    pub fn set(&self, level: LogLevel) {
        // Fails only if the log was dropped.
        let _ = self.0.reload(filter(level));
    }
}

/// Starts the log of the whole program; must be called once. Logging never blocks on standard error.
#[must_use]
pub fn start(level: LogLevel, format: LogFormat) -> LevelHandle {
    let (level, handle) = reload::Layer::new(filter(level));
    let lines = match format {
        LogFormat::Logfmt => tracing_logfmt::builder()
            .with_target(false)
            .layer()
            .with_writer(LogLine::default)
            .with_filter(LogRateLimit::default())
            .boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(LogLine::default)
            .with_filter(LogRateLimit::default())
            .boxed(),
    };
    tracing_subscriber::registry().with(level).with(lines).init();
    // The standard library's hook blocks if standard error is not read.
    panic::set_hook(Box::new(report_panic));
    LevelHandle(handle)
}

/// Starts the thread that writes the log, with the privileges of the calling thread. Without the thread,
/// lines are written at once if that does not block.
///
/// # Errors
/// The thread cannot be started.
pub fn start_thread() -> io::Result<()> {
    writer::start()
}

/// Writes the reason of a failure as the last line, then waits until every line is written or the limit is over.
pub fn finish(failure: Option<&str>, limit: Option<Duration>) {
    if let Some(failure) = failure {
        // Writing to a line does not fail.
        let _ = writeln!(LogLine::default(), "{failure}");
    }
    writer::finish(limit);
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let message = text.or_else(|| payload.downcast_ref().map(String::as_str)).unwrap_or_default();
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current().name().unwrap_or_default().to_owned();
    let backtrace = Backtrace::capture();
    // Captured if RUST_BACKTRACE is set.
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    let backtrace = backtrace.map(tracing::field::display);
    tracing::error!(thread, location, backtrace, "panicked: {message}");
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
