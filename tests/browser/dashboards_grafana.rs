//! The dashboards use only what Grafana's own libraries define: colour modes, units, reducers,
//! transformations, matchers, and the options that its schema declares for each panel. Requires Node, and
//! the libraries that `tests/run` installs: those of the oldest Grafana that the dashboards
//! support and of the newest one.
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Releases by the names of their lock files, each with the start of its version.
const RELEASES: [(&str, &str); 2] = [("oldest", "11."), ("newest", "13.")];

/// Checks dashboards against the libraries of a release.
fn check(release: &str, dashboards: &[PathBuf]) -> Output {
    let libraries = Path::new(ROOT).join("target/grafana").join(release);
    assert!(
        libraries.join("node_modules").is_dir(),
        "{} is missing: `tests/run grafana` installs it",
        libraries.join("node_modules").display()
    );
    Command::new("node")
        .arg(Path::new(ROOT).join("tests/grafana/check.mjs"))
        .args([release.as_ref(), libraries.as_os_str()])
        .args(dashboards)
        .output()
        .expect("node runs")
}

fn dashboards() -> Vec<PathBuf> {
    let files = fs::read_dir(Path::new(ROOT).join("dashboards")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

#[test]
fn every_name_and_option_exists_in_grafana() {
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 6, "{dashboards:?}");
    for (release, version) in RELEASES {
        let output = check(release, &dashboards);
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{release}:\n{text}{errors}");
        let summary = text.lines().last().unwrap();
        let rest = summary.strip_prefix(&*format!("Grafana {version}")).expect(summary);
        let checked: u32 = rest.split([' ', ':']).nth(2).unwrap().parse().unwrap();
        assert!(checked > 1000, "{summary}");
    }
}

/// The first part of the health dashboard or the overview that satisfies a condition.
fn find<'v>(value: &'v mut Value, wanted: &dyn Fn(&Value) -> bool) -> Option<&'v mut Value> {
    if wanted(value) {
        return Some(value);
    }
    match value {
        Value::Object(members) => members.values_mut().find_map(|each| find(each, wanted)),
        Value::Array(elements) => elements.iter_mut().find_map(|each| find(each, wanted)),
        _ => None,
    }
}

/// A fault: its place, its key and value, and the message that the check must print.
type Fault = (fn(&Value) -> bool, &'static str, Value, &'static str);

#[test]
fn every_kind_of_fault_is_reported() {
    let faults: [Fault; 12] = [
        (|v| v["mode"] == "continuous-YlRd", "mode", json!("continuous-YlOrRd"), "no colour mode"),
        (|v| v["mode"] == "fixed", "fixedColor", json!("bleu"), "no colour bleu"),
        (|v| v["unit"] == "locale", "unit", json!("locals"), "no unit locals"),
        (|v| v["calcs"] == json!(["mean", "max"]), "calcs", json!(["mean", "maxi"]), "no reducer"),
        (|v| v["sortBy"] == "Mean", "sortBy", json!("Last *"), "the legend is sorted by Last *"),
        (|v| v["id"] == "organize", "id", json!("organise"), "no transformation organise"),
        (|v| v["id"] == "byRegexp", "id", json!("byRegex"), "no matcher byRegex"),
        (|v| v["type"] == "gauge", "type", json!("gage"), "is none of"),
        (|v| v["scheme"] == "Inferno", "scheme", json!("Infernal"), "no colour scheme Infernal"),
        (|v| v["id"] == "custom.width", "id", json!("custom.widht"), "no property custom.widht"),
        (|v| v["placement"] == "right", "placement", json!("left"), "is none of LegendPlacement"),
        (|v| v["type"] == "geomap", "type", json!("geomaps"), "no panel geomaps"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let overview = fs::read_to_string(Path::new(ROOT).join("dashboards/overview.json")).unwrap();
    let mut files = Vec::new();
    for (number, (place, member, value, _)) in faults.iter().enumerate() {
        let mut dashboard: Value = serde_json::from_str(&overview).unwrap();
        let part = find(&mut dashboard, place).unwrap_or_else(|| panic!("no place for {value}"));
        part[member] = value.clone();
        let file = directory.path().join(format!("{number}.json"));
        fs::write(&file, dashboard.to_string()).unwrap();
        files.push(file);
    }
    for (release, _) in RELEASES {
        let output = check(release, &files);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{release}:\n{text}");
        for (number, (_, _, value, message)) in faults.iter().enumerate() {
            let name = format!("{number}.json");
            let found = text.lines().any(|line| line.starts_with(&name) && line.contains(message));
            assert!(found, "{release}: {value} is not reported:\n{text}");
        }
    }
}
