//! The metrics of the drill-down.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{Drilldown, DrilldownError};
use crate::{exposition::MetricWriter, system::lock::lock};

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Outcome {
    /// With its answer.
    Answered,
    /// The client did not wait for it.
    Cancelled,
    /// The database could not be read.
    Failed,
    /// It exceeded the time limit.
    TimeLimit,
}

impl Outcome {
    /// All, in the order of the metric.
    pub(super) const ALL: [Self; 4] =
        [Self::Answered, Self::Cancelled, Self::Failed, Self::TimeLimit];

    /// The value of the label `result`.
    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::TimeLimit => "time_limit",
        }
    }

    pub(super) fn of(answered: &Result<(), DrilldownError>) -> Self {
        match answered {
            Ok(()) => Self::Answered,
            Err(DrilldownError::Cancelled) => Self::Cancelled,
            Err(DrilldownError::Database(_)) => Self::Failed,
            Err(DrilldownError::TimeLimit) => Self::TimeLimit,
        }
    }
}

impl Collector for Drilldown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let outcomes = *lock(&self.outcomes);
        MetricWriter::new(encoder).counters(
            "nflog_exporter_drilldown_queries",
            "Queries of the page for rows of the mirror's database, by result.",
            Outcome::ALL.map(|outcome| ([("result", outcome.name())], outcomes[outcome as usize])),
        )
    }
}
