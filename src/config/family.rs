//! `[[family]]`: what each metric family counts by, and what it may cost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    metrics::{Dimension, FamilyPlan},
    settings::units,
};

/// Most families, the built-in two among them.
pub const MAX_FAMILIES: usize = 32;

/// The families that are always there, and their labels.
const BUILT_IN: [(&str, &[Dimension]); 2] = [
    ("traffic", &[Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port]),
    ("network", &[Dimension::Prefix, Dimension::Network]),
];

/// One metric family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// `[a-z][a-z0-9_]*`: `nflog_<name>_packets_total`, without the infix for `traffic`.
    pub name: String,
    /// Names of the labels, most important first; `traffic` and `network` have theirs by default.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Most label sets, 1 to 1000000; default 2000.
    #[serde(default = "default_max_series")]
    pub max_series: usize,
    /// Most new label sets in an hour, at least 1; default 500.
    #[serde(default = "default_max_new_series_per_hour")]
    pub max_new_series_per_hour: usize,
    /// How long a new series stays at zero after its first scrape, at most 1h; default 0s.
    #[serde(default, with = "units::duration")]
    pub newborn_hold: Duration,
}

fn default_max_series() -> usize {
    2000
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
            max_series: self.max_series,
            max_new_series_per_hour: self.max_new_series_per_hour,
            newborn_hold: self.newborn_hold,
        }
    }

    fn with_defaults(name: &str) -> Self {
        Self {
            name: name.into(),
            labels: Vec::new(),
            max_series: default_max_series(),
            max_new_series_per_hour: default_max_new_series_per_hour(),
            newborn_hold: Duration::ZERO,
        }
    }
}

/// Puts the built-in families in front and gives them their labels where the file gives none.
pub(super) fn complete(mut written: Vec<Family>) -> Vec<Family> {
    let mut families = Vec::with_capacity(written.len() + BUILT_IN.len());
    for (name, labels) in BUILT_IN {
        let mut family = match written.iter().position(|family| family.name == name) {
            Some(index) => written.remove(index),
            None => Family::with_defaults(name),
        };
        if family.labels.is_empty() {
            family.labels = labels.iter().map(|label| label.name().to_owned()).collect();
        }
        families.push(family);
    }
    families.append(&mut written);
    families
}
