//! The Grafana dashboards of `dashboards/`: panels, variables, statements,
//! and statements with variables and macros expanded as Grafana does.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// One dashboard's file.
pub struct Dashboard {
    pub file: String,
    pub text: String,
    pub json: Value,
}

/// A statement in a dashboard.
pub struct Query {
    /// File, and panel or variable.
    pub place: String,
    /// The query, in the language of the data source.
    pub text: String,
    /// Type of the data source.
    pub source: String,
}

/// A selector in an expression, as `rate(name{matchers}[range])`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub function: String,
    pub name: String,
    pub matchers: String,
    pub range: String,
}

impl Dashboard {
    /// All dashboards.
    pub fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
        let mut all: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| {
                let file = path.file_name().unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
                Self { file, text, json }
            })
            .collect();
        all.sort_by(|a, b| a.file.cmp(&b.file));
        assert!(!all.is_empty(), "no dashboards");
        all
    }

    /// The `uid`, which is in its URL.
    pub fn uid(&self) -> &str {
        self.json["uid"].as_str().unwrap()
    }

    /// All items in the grid, including the headings of rows.
    pub fn grid(&self) -> &[Value] {
        self.json["panels"].as_array().unwrap()
    }

    /// The panels, without headings, and those of collapsed rows.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        self.grid()
            .iter()
            .flat_map(|item| {
                std::iter::once(item).chain(item["panels"].as_array().into_iter().flatten())
            })
            .filter(|panel| panel["type"] != "row")
    }

    /// The template variables.
    pub fn variables(&self) -> &[Value] {
        self.json["templating"]["list"].as_array().unwrap()
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Value> {
        self.variables().iter().find(|variable| variable["name"] == name)
    }

    /// The variable that selects the data source.
    pub fn source_variable(&self) -> &Value {
        self.variables().iter().find(|variable| variable["type"] == "datasource").unwrap()
    }

    /// Whether it queries Prometheus.
    pub fn is_of_prometheus(&self) -> bool {
        self.source_variable()["query"] == "prometheus"
    }

    /// The statements of panels.
    pub fn targets(&self) -> Vec<Query> {
        self.panels().flat_map(|panel| self.targets_of(panel)).collect()
    }

    /// The statements of one panel.
    pub fn targets_of(&self, panel: &Value) -> Vec<Query> {
        let targets = panel["targets"].as_array().into_iter().flatten();
        let query = |target: &Value| Query {
            place: format!("{}: {}", self.file, panel["title"].as_str().unwrap()),
            text: target["expr"].as_str().or(target["rawSql"].as_str()).unwrap().to_owned(),
            source: target["datasource"]["type"].as_str().unwrap().to_owned(),
        };
        targets.map(query).collect()
    }

    /// The annotations that the dashboard adds to its graphs, without those of Grafana itself.
    pub fn annotations(&self) -> impl Iterator<Item = &Value> {
        let all = self.json["annotations"]["list"].as_array().unwrap();
        all.iter().filter(|annotation| annotation["builtIn"] != 1)
    }

    /// The statements of annotations.
    pub fn annotation_queries(&self) -> Vec<Query> {
        let query = |annotation: &Value| Query {
            place: format!("{}: {}", self.file, annotation["name"].as_str().unwrap()),
            text: annotation["expr"].as_str().unwrap().to_owned(),
            source: annotation["datasource"]["type"].as_str().unwrap().to_owned(),
        };
        self.annotations().map(query).collect()
    }

    /// The statements of variables.
    pub fn variable_queries(&self) -> Vec<Query> {
        let queries = self.variables().iter().filter(|variable| variable["type"] == "query");
        let query = |variable: &Value| Query {
            place: format!("{}: variable {}", self.file, variable["name"].as_str().unwrap()),
            text: variable["query"].as_str().unwrap().to_owned(),
            source: variable["datasource"]["type"].as_str().unwrap().to_owned(),
        };
        queries.map(query).collect()
    }
}

/// Runs a rule for all dashboards, and panics with all faults.
pub fn hold(rule: impl Fn(&Dashboard, &mut Vec<String>)) {
    let mut wrong = Vec::new();
    for dashboard in Dashboard::all() {
        let mut of_this = Vec::new();
        rule(&dashboard, &mut of_this);
        wrong.extend(of_this.into_iter().map(|what| format!("{}: {what}", dashboard.file)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The title of a panel.
pub fn title(panel: &Value) -> &str {
    panel["title"].as_str().unwrap_or_default()
}

/// Every value in a document with its key.
pub fn walk<'v>(value: &'v Value, key: &'v str, visit: &mut dyn FnMut(&'v str, &'v Value)) {
    visit(key, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| walk(value, key, visit)),
        Value::Array(elements) => elements.iter().for_each(|value| walk(value, key, visit)),
        _ => {}
    }
}

/// Function and arguments of `label_values(metric, label)`.
pub fn label_values(query: &str) -> Option<(&str, &str)> {
    let (metric, label) =
        query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(',')?;
    Some((metric.trim(), label.trim()))
}

/// The expression that a variable queries in Prometheus: the metric of `label_values`, or the argument of
/// `query_result`. Other text is an expression itself.
pub fn expression(query: &str) -> &str {
    let result = query.strip_prefix("query_result(").and_then(|rest| rest.strip_suffix(')'));
    result.or_else(|| label_values(query).map(|(metric, _)| metric)).unwrap_or(query)
}

/// The selectors with braces in an expression.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let last_word = |text: &str| text[text.trim_end_matches(word).len()..].to_owned();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = expression[at..].find('{').map(|open| at + open) {
        // `${variable}` is not a selector.
        if expression[..open].ends_with('$') {
            at = open + 1;
            continue;
        }
        let close = open + closing(&expression[open..]);
        let before = &expression[..open];
        let name = last_word(before);
        let outer = before[..before.len() - name.len()].trim_end();
        let function = outer.strip_suffix('(').map(last_word).unwrap_or_default();
        let rest = expression[close + 1..].strip_prefix('[');
        let range = rest.and_then(|rest| rest.split_once(']')).map_or("", |(range, _)| range);
        found.push(Selector {
            function,
            name,
            matchers: expression[open + 1..close].to_owned(),
            range: range.to_owned(),
        });
        at = close + 1;
    }
    found
}

/// The position of the brace that closes the first brace of the text.
fn closing(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '}' if !quoted => return at,
            _ => {}
        }
    }
    panic!("no end of {text}");
}

/// The metrics of the exporter in a statement, with or without braces.
pub fn metrics(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words
        .filter(|word| ["nflog_", "nflog:", "process_"].iter().any(|p| word.starts_with(p)))
        .collect()
}

/// The selected values of each variable; none means all.
pub type Choice<'c> = BTreeMap<&'c str, Vec<String>>;

/// The time range, `$__rate_interval` and `$__interval` in seconds.
pub const RANGE: u64 = 300;
const RATE_INTERVAL: u64 = 60;
const INTERVAL: u64 = 10;

/// The statement as Grafana sends it, for the time from `RANGE` before `now` until a minute after.
pub fn fill(dashboard: &Dashboard, query: &Query, choice: &Choice<'_>, now: u64) -> String {
    let text = globals(&query.text, &query.source, now);
    let mut filled = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let (name, format, behind) = if let Some(braced) = after.strip_prefix('{') {
            let (inner, behind) = braced.split_once('}').unwrap();
            let (name, format) = inner.split_once(':').unwrap_or((inner, ""));
            (name, format, behind)
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, behind) = after.split_at(end.unwrap_or(after.len()));
            (name, "", behind)
        };
        if name.is_empty() {
            filled.push('$');
        } else {
            filled.push_str(&value(dashboard, query, choice, name, format));
        }
        rest = behind;
    }
    filled + rest
}

/// The value of a variable, formatted for the data source.
fn value(
    dashboard: &Dashboard,
    query: &Query,
    choice: &Choice<'_>,
    name: &str,
    format: &str,
) -> String {
    let variable = dashboard.variable(name);
    let variable = variable.unwrap_or_else(|| panic!("{}: no variable {name}", query.place));
    let chosen = choice.get(name).map(Vec::as_slice).unwrap_or_default();
    if chosen.is_empty() && variable["includeAll"] == true {
        let all = variable["allValue"].as_str();
        return all.unwrap_or_else(|| panic!("{}: nothing for {name}", query.place)).to_owned();
    }
    let preset = variable["current"]["value"].as_str().map(|value| vec![value.to_owned()]);
    let chosen = match (&preset, variable["type"].as_str()) {
        (Some(preset), Some("custom")) if chosen.is_empty() => preset,
        _ => chosen,
    };
    match format {
        "sqlstring" => {
            // Grafana doubles quotes, puts a backslash before double quotes, and escapes nothing else.
            let quoted =
                |value: &String| format!("'{}'", value.replace('\'', "''").replace('"', "\\\""));
            if chosen.is_empty() {
                "''".to_owned()
            } else {
                chosen.iter().map(quoted).collect::<Vec<_>>().join(",")
            }
        }
        // The name of an index; every test chooses one.
        "raw" => chosen.concat(),
        "" if query.source == "prometheus" => {
            let escaped = |value: &String| {
                let special = |c: char| r"\^$*+?.()|[]{}".contains(c);
                value.chars().fold(String::new(), |mut text, c| {
                    if special(c) {
                        text.push_str(r"\\");
                    }
                    text.push(c);
                    text
                })
            };
            format!("({})", chosen.iter().map(escaped).collect::<Vec<_>>().join("|"))
        }
        _ => panic!("{}: ${{{name}:{format}}} is not quoted", query.place),
    }
}

/// Expands the macros and variables of Grafana and its data sources.
fn globals(text: &str, source: &str, now: u64) -> String {
    let (from, to) = (now - RANGE, now + 60);
    let mut text = text
        .replace("$__rate_interval", &format!("{RATE_INTERVAL}s"))
        .replace("$__range", &format!("{RANGE}s"))
        .replace("$__interval_ms", &(INTERVAL * 1000).to_string())
        .replace("$__interval_s", &INTERVAL.to_string())
        .replace("$__interval", &format!("{INTERVAL}s"))
        .replace("$__fromTime", &format!("toDateTime({from})"))
        .replace("$__toTime", &format!("toDateTime({to})"));
    while let Some(start) = text.find("$__") {
        let open = start + text[start..].find('(').unwrap();
        let end = open + text[open..].find(')').unwrap();
        let arguments: Vec<_> = text[open + 1..end].split(',').map(str::trim).collect();
        let column = arguments[0];
        let filled = match (&text[start + 3..open], source) {
            ("timeFilter", "mysql") => {
                format!("{column} BETWEEN FROM_UNIXTIME({from}) AND FROM_UNIXTIME({to})")
            }
            ("timeFilter", "grafana-clickhouse-datasource") => {
                format!("{column} >= toDateTime({from}) AND {column} <= toDateTime({to})")
            }
            ("timeInterval", "grafana-clickhouse-datasource") => {
                format!("toStartOfInterval(toDateTime({column}), INTERVAL {INTERVAL} second)")
            }
            ("unixEpochFrom", _) => from.to_string(),
            ("unixEpochTo", _) => to.to_string(),
            ("timeFilter", _) => {
                format!("{column} BETWEEN to_timestamp({from}) AND to_timestamp({to})")
            }
            ("timeGroupAlias", "mysql") => {
                format!("UNIX_TIMESTAMP({column}) DIV {INTERVAL} * {INTERVAL} AS \"time\"")
            }
            ("timeGroupAlias", _) => {
                format!("floor(extract(epoch from {column})/{INTERVAL})*{INTERVAL} AS \"time\"")
            }
            (name, _) => panic!("macro {name}"),
        };
        text.replace_range(start..=end, &filled);
    }
    text
}
