//! The alerts whose conditions the exporter checks itself, with the words for them.

use serde::Serialize;

use crate::metrics::Dimension;

/// An alert of `alerts/nflog_exporter.rules.yml`, with its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs, reason = "the texts say what each means")]
pub enum Alert {
    NflogMirrorDroppingRows,
    NflogPacketsLost,
    NflogReaderFallingBehind,
    NflogLogLinesLost,
    NflogMirrorDown,
    NflogMirrorLagging,
    NflogMirrorSpoolFilling,
    NflogMirrorRowsReverted,
    NflogOutputDown,
    NflogOutputDroppingRows,
    NflogSuddenSilence,
    NflogSurgeByPrefix,
    NflogSurgeFromCountry,
    NflogPortSweep,
    NflogBruteForce,
    NflogFoldedShareHigh,
    NflogManyScanningSources,
    NflogNewCountry,
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the levels of the alerts")]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

/// What the number of a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A part of 1.
    Share,
    /// A number of things.
    Count,
    /// Packets per second.
    PerSecond,
    /// Seconds.
    Seconds,
}

impl Alert {
    /// All alerts, the most urgent first.
    pub const ALL: [Self; 18] = [
        Self::NflogMirrorDroppingRows,
        Self::NflogPacketsLost,
        Self::NflogReaderFallingBehind,
        Self::NflogLogLinesLost,
        Self::NflogMirrorDown,
        Self::NflogMirrorLagging,
        Self::NflogMirrorSpoolFilling,
        Self::NflogMirrorRowsReverted,
        Self::NflogOutputDown,
        Self::NflogOutputDroppingRows,
        Self::NflogSuddenSilence,
        Self::NflogSurgeByPrefix,
        Self::NflogSurgeFromCountry,
        Self::NflogPortSweep,
        Self::NflogBruteForce,
        Self::NflogFoldedShareHigh,
        Self::NflogManyScanningSources,
        Self::NflogNewCountry,
    ];

    /// How urgent it is, as in the rules.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::NflogMirrorDroppingRows => Severity::Critical,
            Self::NflogFoldedShareHigh | Self::NflogManyScanningSources | Self::NflogNewCountry => {
                Severity::Info
            }
            _ => Severity::Warning,
        }
    }

    /// What it means, in English. `{value}` stands for the number of a condition and `{subject}` for what it is about.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NflogMirrorDroppingRows => {
                "The mirror dropped {value} rows in the last 15 minutes"
            }
            Self::NflogPacketsLost => {
                "{value} of the logged packets were lost in the last 5 minutes"
            }
            Self::NflogReaderFallingBehind => {
                "The kernel dropped {value} messages of group {subject} in the last 5 minutes: its reader is too slow"
            }
            Self::NflogLogLinesLost => {
                "{value} kernel log lines of the source {subject} were lost in the last 15 minutes"
            }
            Self::NflogMirrorDown => "The mirror cannot write to its database; {value} rows wait",
            Self::NflogMirrorLagging => {
                "The oldest packet that is not in the database is {value} old"
            }
            Self::NflogMirrorSpoolFilling => {
                "{value} of the spool of the mirror are in use; when it is full, rows are dropped"
            }
            Self::NflogMirrorRowsReverted => {
                "The database lost {value} rows that it had confirmed, in the last 15 minutes"
            }
            Self::NflogOutputDown => "The output {subject} cannot write; {value} rows wait",
            Self::NflogOutputDroppingRows => {
                "The output {subject} dropped {value} rows in the last 15 minutes"
            }
            Self::NflogSuddenSilence => {
                "No packets in the last 5 minutes, after {value} packets per second in the last hour"
            }
            Self::NflogSurgeByPrefix => {
                "{value} packets per second with prefix {subject}, many times the average of the last day"
            }
            Self::NflogSurgeFromCountry => {
                "{value} packets per second from {subject}, many times the average of the last day"
            }
            Self::NflogPortSweep => {
                "One source sent packets with prefix {subject} to {value} ports in 10 minutes"
            }
            Self::NflogBruteForce => {
                "{value} packets per second to login port {subject} in the last 5 minutes"
            }
            Self::NflogFoldedShareHigh => {
                "{value} of the packets of family {subject} were counted as other in the last 15 minutes; totals stay exact"
            }
            Self::NflogManyScanningSources => {
                "Each of {value} sources sent packets with prefix {subject} to at least 16 ports in 10 minutes"
            }
            Self::NflogNewCountry => {
                "{value} packets from {subject} in the last 5 minutes, and none in the previous day"
            }
        }
    }

    /// The label that `{subject}` is a value of; `None` if it is something else, such as an output, or there is none.
    #[must_use]
    pub fn dimension(self) -> Option<Dimension> {
        match self {
            Self::NflogSurgeByPrefix | Self::NflogPortSweep | Self::NflogManyScanningSources => {
                Some(Dimension::Prefix)
            }
            Self::NflogSurgeFromCountry | Self::NflogNewCountry => Some(Dimension::Country),
            Self::NflogBruteForce => Some(Dimension::Port),
            _ => None,
        }
    }

    /// The unit of `{value}`.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::NflogPacketsLost | Self::NflogMirrorSpoolFilling | Self::NflogFoldedShareHigh => {
                Unit::Share
            }
            Self::NflogMirrorLagging => Unit::Seconds,
            Self::NflogSuddenSilence
            | Self::NflogSurgeByPrefix
            | Self::NflogSurgeFromCountry
            | Self::NflogBruteForce => Unit::PerSecond,
            _ => Unit::Count,
        }
    }
}
