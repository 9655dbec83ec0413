//! `[[family]]`: what each metric family counts by, and what it may cost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    metrics::{Dimension, FamilyPlan},
    settings::units,
};

/// Maximum number of families, including the built-in ones.
pub const MAX_FAMILIES: usize = 32;

/// The family in which countries are never folded.
pub(super) const COUNTRY: &str = "country";

/// The families that always exist, their labels, and their `max_series`.
const BUILT_IN: [(&str, &[Dimension], usize); 3] = [
    (
        "traffic",
        &[Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port],
        MAX_SERIES,
    ),
    ("network", &[Dimension::Prefix, Dimension::Network], MAX_SERIES),
    (COUNTRY, &[Dimension::Country, Dimension::Prefix], 1000),
];

/// `max_series` of a family that has no other default.
const MAX_SERIES: usize = 2000;

/// One metric family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// `[a-z][a-z0-9_]*`: `nflog_<name>_packets_total`, without the infix for `traffic`.
    pub name: String,
    /// Names of the labels, most important first; the built-in families have theirs by default.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Maximum number of label sets, 1 to 1000000; default 2000, of `country` 1000. Always set after
    /// the defaults were applied.
    #[serde(default)]
    pub max_series: Option<usize>,
    /// Most new label sets in an hour, at least 1; default 500.
    #[serde(default = "default_max_new_series_per_hour")]
    pub max_new_series_per_hour: usize,
    /// How long a new series stays at zero after its first scrape, at most 1h; default 0s.
    #[serde(default, with = "units::duration")]
    pub newborn_hold: Duration,
}

fn default_max_new_series_per_hour() -> usize {
    500
}

impl Family {
    /// As the aggregate takes it; every label of a validated family is known.
    pub(super) fn plan(&self) -> FamilyPlan {
        FamilyPlan {
            name: self.name.clone(),
            labels: self.labels.iter().filter_map(|label| Dimension::from_name(label)).collect(),
            max_series: self.max_series(),
            max_new_series_per_hour: self.max_new_series_per_hour,
            newborn_hold: self.newborn_hold,
        }
    }

    /// The maximum number of label sets.
    pub(super) fn max_series(&self) -> usize {
        self.max_series.unwrap_or(MAX_SERIES)
    }

    fn with_defaults(name: &str) -> Self {
        Self {
            name: name.into(),
            labels: Vec::new(),
            max_series: None,
            max_new_series_per_hour: default_max_new_series_per_hour(),
            newborn_hold: Duration::ZERO,
        }
    }
}

/// Puts the built-in families in front, and sets the defaults that the file does not set.
pub(super) fn complete(mut written: Vec<Family>) -> Vec<Family> {
    let mut families = Vec::with_capacity(written.len() + BUILT_IN.len());
    for (name, labels, max_series) in BUILT_IN {
        let mut family = match written.iter().position(|family| family.name == name) {
            Some(index) => written.remove(index),
            None => Family::with_defaults(name),
        };
        if family.labels.is_empty() {
            family.labels = labels.iter().map(|label| label.name().to_owned()).collect();
        }
        family.max_series.get_or_insert(max_series);
        families.push(family);
    }
    for mut family in written {
        family.max_series.get_or_insert(MAX_SERIES);
        families.push(family);
    }
    families
}
