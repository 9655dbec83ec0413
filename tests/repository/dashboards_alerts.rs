//! The dashboards agree with the alerts: the list of firing alerts shows all their labels, graphs show when they fired, and
//! colours change at the thresholds of the recording rules.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::support::dashboards::{Dashboard, hold, title};

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

#[test]
fn firing_alerts_are_annotations_that_can_be_switched_off() {
    hold(|dashboard, wrong| {
        let annotations: Vec<_> = dashboard.annotations().collect();
        if !dashboard.is_of_prometheus() {
            if !annotations.is_empty() {
                wrong.push("annotations from a database".into());
            }
            return;
        }
        let [annotation] = annotations[..] else {
            wrong.push(format!("{} annotations", annotations.len()));
            return;
        };
        // Grafana shows a switch for each annotation that is not hidden.
        if annotation["enable"] != true || annotation["hide"] != false {
            wrong.push(format!("no switch that is on: {annotation}"));
        }
        let expression = annotation["expr"].as_str().unwrap();
        if !expression.contains("ALERTS{alertname=~\"Nflog.+\", alertstate=\"firing\"") {
            wrong.push(format!("annotations are not the firing alerts: {expression}"));
        }
        let (_, labels) = expression.split_once("by (").unwrap();
        let labels: BTreeSet<_> = labels.split(')').next().unwrap().split(", ").collect();
        let tags = annotation["tagKeys"].as_str().unwrap().split(',');
        let shown: BTreeSet<_> = tags.chain(["alertname", "severity"]).collect();
        if shown != labels {
            wrong.push(format!("annotations show {shown:?} of {labels:?}"));
        }
    });
}
