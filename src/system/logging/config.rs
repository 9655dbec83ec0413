//! The configuration section `[log]`: the minimum severity and the format of log lines.

use serde::{Deserialize, Serialize};

use super::{LogFormat, LogLevel};
use crate::settings::{ConfigSection, InvalidSetting};

/// `[log]`: the minimum severity and the format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// Minimum severity of logged messages; default `info`.
    pub level: LogLevel,
    /// Format of log lines; default `logfmt`.
    pub format: LogFormat,
}

impl ConfigSection for LogConfig {
    /// Every value is valid.
    fn validate(&self) -> Vec<InvalidSetting> {
        Vec::new()
    }
}
