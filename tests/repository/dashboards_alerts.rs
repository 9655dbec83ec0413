//! The dashboards agree with the alerts: the list of firing alerts shows all their labels, and
//! colours change at the thresholds of the recording rules.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::support::dashboards::{Dashboard, title};

/// Panels that show what an alert compares with a threshold: the rule of the threshold, and the
/// value of the panel for a threshold of 1.
const THRESHOLDS: [(&str, &str, f64); 5] = [
    ("Folded share", "folded_share", 1.0),
    ("Mirror lag", "mirror_lag_seconds", 1.0),
    ("Demand for series", "series_demand_share", 1.0),
    ("GeoIP age", "geoip_age_days", 86_400.0),
    ("Scanning (all countries)", "scanning_sources", 1.0),
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The panel with a title, in any dashboard.
fn panel(name: &str) -> Value {
    let all = Dashboard::all();
    let found = all.iter().flat_map(Dashboard::panels).find(|panel| title(panel) == name);
    found.expect(name).clone()
}

#[test]
fn firing_alerts_are_listed_with_the_labels_that_their_texts_name() {
    let rules = read("alerts/nflog_exporter.rules.yml");
    let named: BTreeSet<_> = rules
        .split("$labels.")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap())
        // The selected jobs are shown at the top.
        .filter(|label| *label != "job")
        .collect();
    assert!(named.contains("port") && named.contains("database"), "{named:?}");
    let list = panel("Firing alerts (unfiltered)");
    let query = list["targets"][0]["expr"].as_str().unwrap();
    let (_, labels) = query.split_once("by (").unwrap();
    let asked: BTreeSet<_> = labels.split(')').next().unwrap().split(", ").collect();
    let columns = list["transformations"][0]["options"]["indexByName"].as_object().unwrap();
    for label in named {
        assert!(asked.contains(label), "the query drops {label}");
        assert!(columns.contains_key(label), "no place for {label}");
    }
}

#[test]
fn colours_change_at_the_thresholds_of_alerts() {
    let rules = read("alerts/nflog_exporter.recording.rules.yml");
    for (name, threshold, factor) in THRESHOLDS {
        let (_, rule) =
            rules.split_once(&format!("nflog:threshold:{threshold}\n")).expect(threshold);
        let (_, value) = rule.split_once("vector(").unwrap();
        let value: f64 = value.split(')').next().unwrap().parse().unwrap();
        let panel = panel(name);
        let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
        let orange = steps.iter().find(|step| step["color"] == "orange").expect(name);
        let at = orange["value"].as_f64().unwrap();
        assert!(
            (at - value * factor).abs() < 1e-9,
            "{name} is orange at {at}, alerts fire at {value}"
        );
    }
}
