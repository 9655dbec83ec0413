//! The rules of `alerts/` pass promtool, use existing series, and have complete annotations.
//! Needs promtool (Debian's package prometheus), and jsonnet for the mixin.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

const ALERTS: &str = "alerts/nflog_exporter.rules.yml";
const RECORDING: &str = "alerts/nflog_exporter.recording.rules.yml";
const RUNBOOKS: &str = "alerts/README.md";
const GOLDEN: &str = "src/daemon/testdata/scrape.txt";
const THRESHOLD: &str = "nflog:threshold:";

#[derive(Debug, Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct RuleTests {
    tests: Vec<RuleTest>,
}

#[derive(Debug, Deserialize)]
struct RuleTest {
    #[serde(default)]
    alert_rule_test: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

fn rules(path: &str) -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&read(path)).expect(path);
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

fn test_files() -> Vec<PathBuf> {
    let directory = fs::read_dir(root().join("alerts/tests")).unwrap();
    let mut files: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Runs a program in the project's directory and returns its output. Panics if it fails.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed, tests/run installs it: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn promtool_accepts_the_rules() {
    run("promtool", &["check", "rules", "--lint-fatal", ALERTS, RECORDING]);
}

#[test]
fn all_rule_tests_pass() {
    for file in test_files() {
        run("promtool", &["test", "rules", file.to_str().unwrap()]);
    }
}

#[test]
fn every_alert_has_a_firing_and_a_silent_test() {
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for file in test_files() {
        let tests: RuleTests = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for case in tests.tests.into_iter().flat_map(|test| test.alert_rule_test) {
            let set = if case.exp_alerts.is_empty() { &mut silent } else { &mut fires };
            set.insert(case.alertname);
        }
    }
    let alerts: BTreeSet<_> = rules(ALERTS).into_iter().map(|rule| rule.alert.unwrap()).collect();
    assert_eq!(fires, alerts);
    assert_eq!(silent, alerts);
}

#[test]
fn every_alert_has_severity_summary_description_and_runbook() {
    let runbooks = read(RUNBOOKS);
    // An anchor is the heading in lower case. The headings have no spaces.
    let headings: Vec<_> = runbooks
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_lowercase)
        .collect();
    let mut names = Vec::new();
    let mut addresses = BTreeSet::new();
    for rule in rules(ALERTS) {
        let name = rule.alert.unwrap();
        assert!(name.starts_with("Nflog") && name.chars().all(char::is_alphanumeric), "{name}");
        let severity = rule.labels["severity"].as_str();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        for annotation in ["summary", "description"] {
            assert!(rule.annotations[annotation].ends_with('.'), "{name} has no {annotation}");
        }
        let (address, anchor) = rule.annotations["runbook_url"].split_once('#').unwrap();
        assert_eq!(address, format!("{}/blob/main/{RUNBOOKS}", env!("CARGO_PKG_REPOSITORY")));
        addresses.insert(address.to_owned());
        assert_eq!(anchor, name.to_lowercase());
        names.push(anchor.to_owned());
    }
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    // The same alerts in the same order, without duplicates.
    assert_eq!(headings, names);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

/// The names of series in an expression: identifiers with one of these prefixes, and `up`.
fn series(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    expression
        .split('"')
        .step_by(2)
        .flat_map(|outside| outside.split(|c| !is_part(c)))
        .filter(|name| {
            ["nflog_", "nflog:", "process_", "job_instance"].iter().any(|own| name.starts_with(own))
                || *name == "up"
        })
        .map(str::to_owned)
        .collect()
}

/// All existing series: of a scrape, of the recording rules, and of Prometheus itself.
fn known_series() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = read(GOLDEN)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .collect();
    known.extend(rules(RECORDING).into_iter().map(|rule| rule.record.unwrap()));
    // These families are not in the golden scrape. `tests/kernel/end_to_end.rs` covers them.
    known.extend(
        ["up", "nflog_network_packets_total", "nflog_country_packets_total"].map(str::to_owned),
    );
    // An added family. `tests/program/networks.rs` covers it.
    known.insert("nflog_list_packets_total".to_owned());
    known
}

#[test]
fn every_series_of_a_rule_exists() {
    let known = known_series();
    let mut asked = BTreeSet::new();
    for rule in rules(ALERTS).into_iter().chain(rules(RECORDING)) {
        let names = series(&rule.expr);
        let threshold = rule.record.as_ref().is_some_and(|name| name.starts_with(THRESHOLD));
        assert_eq!(names.is_empty(), threshold, "{rule:?}");
        let unknown: Vec<_> = names.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {rule:?}");
        asked.extend(names);
    }
    let unused: Vec<_> =
        known.iter().filter(|name| name.starts_with(THRESHOLD) && !asked.contains(*name)).collect();
    assert!(unused.is_empty(), "thresholds that no rule uses: {unused:?}");
}

/// The files with queries for users.
fn query_files() -> Vec<PathBuf> {
    let mut files = vec![root().join("README.md")];
    for directory in ["docs", "alerts", "dashboards"] {
        let entries = fs::read_dir(root().join(directory)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    files
}

#[test]
fn sums_by_country_use_the_family_that_never_folds_countries() {
    let mut sums = 0;
    for file in query_files() {
        let text = fs::read_to_string(&file).unwrap();
        for query in text.split("by (").skip(1) {
            let (labels, rest) = query.split_once(')').unwrap();
            let selector = &rest[..rest.find('[').unwrap_or(0)];
            // Only traffic has ports.
            if !labels.contains("country") || labels.contains("port") || selector.contains("port") {
                continue;
            }
            let folds = selector.contains("nflog_packets_total");
            assert!(!folds, "{}: by ({labels}){selector}", file.display());
            sums += usize::from(selector.contains("nflog_country_packets_total"));
        }
    }
    assert!(sums >= 8, "{sums}");
}

#[test]
fn every_series_of_a_runbook_exists() {
    let known = known_series();
    for code in read(RUNBOOKS).split('`').skip(1).step_by(2) {
        for name in series(code).into_iter().filter(|name| name.starts_with("nflog_")) {
            // The name of the program, its unit and its files is not a series.
            assert!(name == "nflog_exporter" || known.contains(&name), "{name} in {code}");
        }
    }
}

#[test]
fn the_mixin_has_the_same_rules_and_all_dashboards() {
    let mixin = "local mixin = (import 'dashboards/mixin.libsonnet')";
    let render = |changes: &str, field: &str| -> serde_json::Value {
        let text = run("jsonnet", &["-e", &format!("{mixin} + {changes}; mixin.{field}")]);
        serde_json::from_str(&text).unwrap()
    };
    for (field, path) in [("prometheusAlerts", ALERTS), ("prometheusRules", RECORDING)] {
        let plain: serde_json::Value = serde_saphyr::from_str(&read(path)).unwrap();
        assert_eq!(render("{}", field), plain, "{path}");
    }
    let changed = render("{ thresholds+:: { scan_ports: 50 } }", "prometheusRules").to_string();
    assert_eq!(changed.matches(r#""vector(50)""#).count(), 1, "{changed}");

    let wiki = render("{ runbooks:: 'https://wiki.test/fw' }", "prometheusAlerts").to_string();
    assert!(wiki.contains("https://wiki.test/fw#nflogexporterdown"), "{wiki}");
    assert!(!wiki.contains("alerts/README.md"), "{wiki}");

    let dashboards = render("{}", "grafanaDashboards");
    let files: BTreeSet<String> = fs::read_dir(root().join("dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "json"))
        .collect();
    let given: BTreeSet<String> = dashboards.as_object().unwrap().keys().cloned().collect();
    assert_eq!(given, files);
}
