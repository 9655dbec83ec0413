//! Packet counters of bounded cardinality and their metrics: families, distinct sources, port scans, and the process
//! metrics.

mod aggregate;
mod budget;
mod candidates;
mod collector;
mod config;
mod demand;
mod dimension;
mod family;
mod hyperloglog;
mod key;
mod port_scans;
pub mod process;
mod series;
mod shared;
mod snapshot;
mod source_counts;
mod table;
mod tags;
mod weight;

pub use aggregate::Aggregate;
pub use collector::SnapshotMetrics;
pub use config::{FamilyConfig, FamilyConfigs, MAX_FAMILIES, MAX_LABELS};
pub use dimension::{ABSENT, Dimension, OTHER};
pub use family::LOOKUPS;
pub use hyperloglog::Registers as HyperLogLog;
pub use key::Key;
pub use port_scans::{SCANNING_PORTS, ScanFigures, port_reached};
pub use shared::SharedAggregate;
pub use snapshot::{FamilySnapshot, SeriesSnapshot, Snapshot, SnapshotMemory};
