//! Bounded counters of packets, and their metrics: families, distinct sources, port scans, the process's own figures.

mod aggregate;
mod budget;
mod collector;
mod dimension;
mod family;
mod heavy_hitters;
mod key;
mod port_scans;
pub mod process;
mod series;
mod shared;
mod snapshot;
mod source_counts;

pub use aggregate::{Aggregate, FamilyPlan, MAX_LABELS};
pub use collector::SnapshotMetrics;
pub use dimension::{ABSENT, Dimension, OTHER};
pub use key::Key;
pub use port_scans::ScanFigures;
pub use shared::SharedAggregate;
pub use snapshot::{FamilySnapshot, Series, Snapshot};
