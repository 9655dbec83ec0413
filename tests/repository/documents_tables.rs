//! Compares the tables in `docs` with the program: metrics with their types and labels, configuration keys with their
//! defaults and flags, labels of families.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    process::Command,
};

use clap::CommandFactory as _;
use nflog_exporter::{
    cli::Cli,
    config::{self, Config},
    metrics::Dimension,
    output::OutputConfig,
};

use crate::support::documents::{self, code, read, rows};

const PROGRAM: &str = env!("CARGO_BIN_EXE_nflog_exporter");

/// Scrapes that together contain every metric: one with a mirror and an added family, one of the default families.
const SCRAPES: [&str; 2] = ["src/daemon/testdata/scrape.txt", "tests/data/captures/mixed.metrics"];

/// Families that exist without configuration.
const BUILT_IN: [&str; 3] = ["traffic", "network", "country"];

/// A metric's type, and the labels of its samples.
type Metric = (String, BTreeSet<String>);

/// The name of a metric; for an added family with `NAME`, as in the document.
fn documented_name(name: &str, families: &BTreeSet<String>) -> String {
    for family in families {
        for unit in ["packets", "bytes"] {
            if name == format!("nflog_{family}_{unit}_total") {
                return format!("nflog_NAME_{unit}_total");
            }
        }
    }
    name.to_owned()
}

/// The names of a sample's labels. Values can contain anything except an unescaped quote.
fn label_names(labels: &str) -> BTreeSet<String> {
    let text = labels.replace("\\\\", "").replace("\\\"", "");
    let names = text.split('"').step_by(2).map(|part| part.trim_matches([',', '=', '{', '}', ' ']));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The metrics of a scrape in the text format.
fn exposed(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
    }
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (sample, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        metrics.get_mut(name).unwrap_or_else(|| panic!("{line}")).1.extend(label_names(labels));
    }
    metrics
}

#[test]
fn every_metric_has_a_row_with_its_type_and_labels() {
    let mut found: BTreeMap<String, Metric> = BTreeMap::new();
    for scrape in SCRAPES {
        let text = read(scrape);
        let families: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("nflog_exporter_series_limit{family=\""))
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .filter(|family| !BUILT_IN.contains(&family.as_str()))
            .collect();
        for (name, (kind, labels)) in exposed(&text) {
            let entry = found.entry(documented_name(&name, &families)).or_default();
            entry.0 = kind;
            entry.1.extend(labels);
        }
    }
    let mut documented: BTreeMap<String, Metric> = BTreeMap::new();
    for row in rows("docs/metrics.md", "| metric | type | labels | meaning |") {
        let [name, kind, labels, meaning] = &row[..] else { panic!("{row:?}") };
        assert!(meaning.len() > 3, "{name} has no meaning");
        let name = code(name).pop().unwrap();
        let twice =
            documented.insert(name.clone(), (kind.clone(), code(labels).into_iter().collect()));
        assert!(twice.is_none(), "{name} has two rows");
    }
    // The configuration determines its labels.
    for metrics in [&mut found, &mut documented] {
        for (_, metric) in metrics.iter_mut().filter(|(name, _)| name.starts_with("nflog_NAME_")) {
            metric.1.clear();
        }
    }
    assert_eq!(documented, found);
}

/// A row of a configuration key: its default as TOML if it has one, and its flag.
struct Row {
    key: String,
    default: Option<String>,
    flag: Option<String>,
}

fn keys() -> Vec<Row> {
    let rows = rows("docs/configuration.md", "| key | default | flag | meaning |");
    let key = |row: &Vec<String>| {
        let [key, default, flag, meaning] = &row[..] else { panic!("{row:?}") };
        assert!(meaning.len() > 3, "{key} has no meaning");
        Row { key: code(key).pop().unwrap(), default: code(default).pop(), flag: code(flag).pop() }
    };
    rows.iter().map(key).collect()
}

/// The leaves of a TOML table with dots; those of the families under `family`.
fn leaves(table: &toml::Table, path: &str, into: &mut BTreeMap<String, toml::Value>) {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            toml::Value::Table(inner) => leaves(inner, &key, into),
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                for item in items {
                    leaves(item.as_table().unwrap(), &key, into);
                }
            }
            value => {
                into.insert(key, value.clone());
            }
        }
    }
}

/// The output of `config show` with these arguments.
fn shown(arguments: &[String]) -> BTreeMap<String, toml::Value> {
    let output = Command::new(PROGRAM)
        .args(["config", "show"])
        .args(arguments)
        .current_dir(documents::root())
        .env_remove("NFLOG_EXPORTER_MIRROR_URL")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let mut keys = BTreeMap::new();
    leaves(&table, "", &mut keys);
    keys
}

#[test]
fn every_key_has_a_row_with_its_default() {
    let mut shown: BTreeSet<String> = shown(&[]).into_keys().collect();
    // There is no list and no output by default.
    assert!(shown.remove("list") && shown.remove("output"));
    shown.extend(["list.name", "list.file"].map(str::to_owned));
    let output = toml::Table::try_from(OutputConfig::default()).unwrap();
    shown.extend(output.keys().map(|key| format!("output.{key}")));
    let rows = keys();
    let documented: BTreeSet<String> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(documented, shown);
    assert_eq!(documented.len(), rows.len(), "a key has two rows");

    // A file with all documented defaults is the default configuration.
    let mut file = String::new();
    let mut family = String::from("[[family]]\nname = \"x\"\nlabels = [\"port\"]\n");
    let bare_output = "[[output]]\nname = \"x\"\ntarget = \"stdout:\"\n";
    let mut output = String::from(bare_output);
    for row in &rows {
        let Some(default) = &row.default else {
            let is_element =
                ["family.", "list.", "output."].iter().any(|array| row.key.starts_with(array));
            assert!(is_element, "{} has no default", row.key);
            continue;
        };
        match row.key.split_once('.') {
            Some(("family", key)) => writeln!(family, "{key} = {default}").unwrap(),
            Some(("output", key)) => writeln!(output, "{key} = {default}").unwrap(),
            _ => writeln!(file, "{} = {default}", row.key).unwrap(),
        }
    }
    assert_eq!(config::parse(&file, "defaults.toml").unwrap(), Config::default());
    let bare = "[[family]]\nname = \"x\"\nlabels = [\"port\"]\n";
    assert_eq!(
        config::parse(&family, "family.toml").unwrap(),
        config::parse(bare, "family.toml").unwrap()
    );
    assert_eq!(
        config::parse(&output, "output.toml").unwrap(),
        config::parse(bare_output, "output.toml").unwrap()
    );
}

/// A value for each flag that differs from its default; `web_config` is a web configuration file.
fn sample<'s>(flag: &str, web_config: &'s str) -> &'s str {
    match flag {
        "--nflog.group" => "7",
        "--kernel-log.file" => "/var/log/kern.log",
        "--kernel-log.syslog" => "udp://127.0.0.1:5514",
        "--kernel-log.allow" => "192.0.2.0/24",
        "--kernel-log.kmsg"
        | "--rules.install"
        | "--web.systemd-socket"
        | "--web.enable-reload" => "true",
        "--web.drilldown" => "false",
        "--rules.interface" => "eth7",
        "--geoip.database" => "tests/data/geoip/GeoIP2-Country-Test.mmdb",
        "--mirror.url" => "sqlite:/tmp/x.db",
        "--web.listen-address" => "127.0.0.1:7",
        "--web.telemetry-path" => "/x",
        "--web.config.file" => web_config,
        "--privileges.user" => "root",
        "--log.level" => "debug",
        "--log.format" => "json",
        other => panic!("add a value for {other} here"),
    }
}

#[test]
fn every_flag_has_a_row_and_sets_its_key() {
    let command = Cli::command();
    let flags = command.get_arguments().filter_map(clap::Arg::get_long);
    let flags = flags.filter(|flag| !matches!(*flag, "help" | "version" | "config.file"));
    let flags: BTreeSet<String> = flags.map(|flag| format!("--{flag}")).collect();
    let rows = keys();
    let documented: BTreeSet<String> = rows.iter().filter_map(|row| row.flag.clone()).collect();
    assert_eq!(documented, flags);

    let web_config = tempfile::NamedTempFile::new().unwrap();
    fs::write(web_config.path(), "http_server_config: {headers: {X-Frame-Options: deny}}\n")
        .unwrap();
    let web_config = web_config.path().to_str().unwrap();
    let before = shown(&[]);
    for row in &rows {
        let Some(flag) = &row.flag else { continue };
        let mut arguments = vec![format!("{flag}={}", sample(flag, web_config))];
        if flag.starts_with("--kernel-log.") {
            // Otherwise no group is read.
            arguments.push("--nflog.group=1".into());
        }
        let after = shown(&arguments);
        let changed: Vec<&String> = after
            .iter()
            .filter(|(key, value)| before[*key] != **value)
            .map(|(key, _)| key)
            .collect();
        assert_eq!(changed, [&row.key], "{flag}");
    }
}

#[test]
fn every_label_has_a_row() {
    let rows = rows("docs/configuration.md", "| label | value |");
    let documented: Vec<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let known: BTreeSet<&str> = Dimension::ALL.iter().map(|label| label.name()).collect();
    assert_eq!(documented.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    assert_eq!(documented.len(), known.len());
}
