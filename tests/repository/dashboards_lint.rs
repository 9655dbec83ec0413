//! The dashboards follow the rules of Grafana's linter, and are consistent with each other:
//! one function per rule. Requires promtool.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    process::Command,
};

use serde_json::Value;

use crate::support::dashboards::{
    Dashboard, expression, hold, label_values, metrics, selectors, title, walk,
};

#[test]
fn there_are_six_dashboards_with_stable_names() {
    let uids: Vec<_> = Dashboard::all().iter().map(|each| each.uid().to_owned()).collect();
    let expected = [
        "nflog-drilldown-clickhouse",
        "nflog-drilldown-mysql",
        "nflog-drilldown-postgres",
        "nflog-health",
        "nflog-overview",
        "nflog-senders",
    ];
    assert_eq!(uids, expected);
    hold(|dashboard, wrong| {
        if !dashboard.json["title"].as_str().unwrap().starts_with("Firewall / ") {
            wrong.push("the title does not begin with Firewall /".into());
        }
    });
}

#[test]
fn files_are_valid_for_file_provisioning() {
    hold(|dashboard, wrong| {
        let json = &dashboard.json;
        for (key, expected) in [
            ("id", Value::Null),
            ("editable", false.into()),
            ("schemaVersion", 42.into()),
            ("timezone", "browser".into()),
        ] {
            if json.get(key) != Some(&expected) {
                wrong.push(format!("{key} is not {expected}"));
            }
        }
        for absent in ["__inputs", "__requires", "__elements"] {
            if json.get(absent).is_some() {
                wrong.push(format!("{absent}: no provider resolves it"));
            }
        }
        if !json["tags"].as_array().unwrap().contains(&"nflog".into()) {
            wrong.push("no tag nflog".into());
        }
        if json["description"].as_str().unwrap_or_default().is_empty() {
            wrong.push("no description".into());
        }
        let indents = dashboard.text.lines().map(|line| line.len() - line.trim_start().len());
        if !indents.clone().all(|indent| indent % 2 == 0) || indents.count() < 100 {
            wrong.push("is not written with two spaces".into());
        }
    });
}

#[test]
fn the_data_source_is_a_variable_with_the_conventional_name() {
    hold(|dashboard, wrong| {
        let sources: Vec<_> =
            dashboard.variables().iter().filter(|each| each["type"] == "datasource").collect();
        let [source] = sources[..] else {
            wrong.push(format!("{} data source variables", sources.len()));
            return;
        };
        let kind = source["query"].as_str().unwrap();
        let titled = kind[..1].to_uppercase() + &kind[1..];
        let usual = [
            (format!("{kind}_datasource"), format!("{titled} data source")),
            ("datasource".to_owned(), "Data source".to_owned()),
        ];
        let own = (source["name"].as_str().unwrap(), source["label"].as_str().unwrap());
        if !usual.iter().any(|(name, label)| own == (name, label)) {
            wrong.push(format!("data source variable {own:?}"));
        }
    });
}

#[test]
fn every_query_uses_the_selected_data_source() {
    hold(|dashboard, wrong| {
        let source = dashboard.source_variable();
        let uid = format!("${{{}}}", source["name"].as_str().unwrap());
        let mut check = |what: &str, of: &Value| {
            if of["datasource"]["uid"] != *uid || of["datasource"]["type"] != source["query"] {
                wrong.push(format!("{what} asks {}", of["datasource"]));
            }
        };
        for panel in dashboard.panels() {
            check(title(panel), panel);
            for target in panel["targets"].as_array().unwrap() {
                check(title(panel), target);
            }
        }
        for variable in dashboard.variables().iter().filter(|each| each["type"] == "query") {
            check(variable["name"].as_str().unwrap(), variable);
        }
        for annotation in dashboard.annotations() {
            check(annotation["name"].as_str().unwrap(), annotation);
        }
    });
}

#[test]
fn job_and_instance_can_be_selected() {
    hold(|dashboard, wrong| {
        if !dashboard.is_of_prometheus() {
            return;
        }
        for (name, label) in [("job", "Job"), ("instance", "Instance")] {
            let Some(variable) = dashboard.variable(name) else {
                wrong.push(format!("no variable {name}"));
                continue;
            };
            let as_it_should = variable["type"] == "query"
                && variable["label"] == label
                && variable["multi"] == true
                && variable["includeAll"] == true
                // With a pattern for all, `up` and `process_*` would include other programs.
                && variable["allValue"].is_null();
            if !as_it_should {
                wrong.push(format!("variable {name}: {variable}"));
            }
        }
    });
}

#[test]
fn query_variables_are_refreshed_with_the_time_range() {
    hold(|dashboard, wrong| {
        for variable in dashboard.variables().iter().filter(|each| each["type"] == "query") {
            if variable["refresh"] != 2 {
                wrong.push(format!("{} has refresh {}", variable["name"], variable["refresh"]));
            }
            let by_name = ["job", "instance"].contains(&variable["name"].as_str().unwrap())
                && dashboard.is_of_prometheus();
            if variable["includeAll"] == true && !by_name && variable["allValue"].as_str().is_none()
            {
                wrong.push(format!("{} expands All to a list of its values", variable["name"]));
            }
            // The URL must not set a variable that is derived from others.
            if variable["hide"] == 2 && variable["skipUrlSync"] != true {
                wrong.push(format!("{} is hidden and can be set in the URL", variable["name"]));
            }
        }
    });
}

#[test]
fn variables_of_prometheus_use_label_values() {
    hold(|dashboard, wrong| {
        for query in dashboard.variable_queries() {
            // Grafana interprets text with line breaks as the name of a metric.
            let result = query.text.starts_with("query_result(") && !query.text.contains('\n');
            if query.source == "prometheus" && !result && label_values(&query.text).is_none() {
                wrong.push(format!("{}: {}", query.place, query.text));
            }
        }
    });
}

#[test]
fn every_selector_filters_by_job_and_instance() {
    hold(|dashboard, wrong| {
        let mut queries = dashboard.targets();
        queries.extend(dashboard.annotation_queries());
        for query in queries.iter().filter(|each| each.source == "prometheus") {
            let found = selectors(&query.text);
            if found.is_empty() {
                wrong.push(format!("{}: no selector in {}", query.place, query.text));
            }
            for selector in &found {
                for name in ["job", "instance"] {
                    // Alerts about more than one exporter have no such label.
                    let or_none = if selector.name == "ALERTS" { "|" } else { "" };
                    let matcher = format!("{name}=~\"${name}{or_none}\"");
                    if !selector.matchers.contains(&matcher) {
                        wrong.push(format!("{}: {} lacks {matcher}", query.place, selector.name));
                    }
                }
            }
            let bare = metrics(&query.text).len()
                - found.iter().filter(|s| !["up", "ALERTS"].contains(&&*s.name)).count();
            if bare > 0 {
                wrong.push(format!("{}: a metric without matchers in {}", query.place, query.text));
            }
        }
    });
}

#[test]
fn counters_are_rates_or_increases() {
    hold(|dashboard, wrong| {
        for query in dashboard.targets().iter().filter(|each| each.source == "prometheus") {
            for selector in selectors(&query.text) {
                let counter = selector.name.ends_with("_total");
                let over_time = ["rate", "irate", "increase"].contains(&&*selector.function);
                if counter != (over_time && !selector.range.is_empty()) {
                    wrong.push(format!("{}: {selector:?}", query.place));
                }
            }
        }
    });
}

#[test]
fn rates_use_the_rate_interval() {
    hold(|dashboard, wrong| {
        for query in dashboard.targets().iter().filter(|each| each.source == "prometheus") {
            for selector in selectors(&query.text).iter().filter(|each| !each.range.is_empty()) {
                let is_of_range = ["increase", "last_over_time"].contains(&&*selector.function);
                let whole = is_of_range && selector.range == "$__range";
                if selector.range != "$__rate_interval" && !whole {
                    wrong.push(format!("{}: {selector:?}", query.place));
                }
            }
        }
    });
}

#[test]
fn every_panel_has_a_title_and_a_description() {
    hold(|dashboard, wrong| {
        let mut titles = BTreeSet::new();
        for panel in dashboard.grid() {
            if title(panel).is_empty() || !titles.insert(title(panel)) {
                wrong.push(format!("panel {} has no unique title", panel["id"]));
            }
        }
        for panel in dashboard.panels() {
            let description = panel["description"].as_str().unwrap_or_default();
            if !description.ends_with('.') {
                wrong.push(format!("{} has no description", title(panel)));
            }
        }
    });
}

#[test]
fn every_panel_has_a_unit() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            if panel["fieldConfig"]["defaults"]["unit"].as_str().is_none() {
                wrong.push(format!("{} has no unit", title(panel)));
            }
        }
    });
}

#[test]
fn every_panel_has_queries_with_unique_letters() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            let targets = panel["targets"].as_array().unwrap();
            let letters: BTreeSet<_> = targets.iter().map(|each| each["refId"].as_str()).collect();
            if targets.is_empty() || letters.len() != targets.len() || letters.contains(&None) {
                wrong.push(format!("{}: {} queries, {letters:?}", title(panel), targets.len()));
            }
        }
    });
}

#[test]
fn panels_fill_the_grid_without_overlap() {
    hold(|dashboard, wrong| {
        let mut ids = BTreeSet::new();
        let mut taken = HashMap::new();
        for panel in dashboard.grid() {
            if !ids.insert(panel["id"].as_u64().unwrap()) {
                wrong.push(format!("id {} is used twice", panel["id"]));
            }
            let [x, y, w, h] =
                ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            if w == 0 || h == 0 || x + w > 24 {
                wrong.push(format!("{} is outside the grid", title(panel)));
            }
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                if let Some(other) = taken.insert(cell, title(panel)) {
                    wrong.push(format!("{} overlaps {other}", title(panel)));
                }
            }
        }
        let rows: BTreeSet<_> = taken.keys().map(|(_, y)| y).collect();
        let gaps =
            (0..**rows.last().unwrap()).any(|y| (0..24).any(|x| !taken.contains_key(&(x, y))));
        if gaps {
            wrong.push("there are gaps between panels".into());
        }
    });
}

#[test]
fn maps_need_no_other_server() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "geomap") {
            let base = &panel["options"]["basemap"];
            if base["type"] != "geojson" || base["config"]["src"] != "public/maps/countries.geojson"
            {
                wrong.push(format!("{}: {base}", title(panel)));
            }
            // A map cannot show time series.
            let is_table = |target: &Value| {
                // In ClickHouse's data source, the format is a number.
                target["format"] == "table" || target["queryType"] == "table"
            };
            if !panel["targets"].as_array().unwrap().iter().all(is_table) {
                wrong.push(format!("{} does not request a table", title(panel)));
            }
            if panel["options"]["layers"].as_array().unwrap().last().unwrap()["type"] != "markers" {
                wrong.push(format!("the markers of {} are not the top layer", title(panel)));
            }
        }
        // Links to other sites are opened only by a click.
        let mut outside = Vec::new();
        walk(&dashboard.json, "", &mut |key, value| {
            let text = value.as_str().unwrap_or_default();
            if (text.contains("http://") || text.contains("https://")) && key != "url" {
                outside.push(text);
            }
        });
        if !outside.is_empty() {
            wrong.push(format!("other servers: {outside:?}"));
        }
    });
}

/// The only variable that is not quoted: the name of an index cannot be a string.
const INDEX: &str = "index:raw";

/// Whether the variable with the index is one of two names, and nobody can set it.
fn is_fixed(dashboard: &Dashboard) -> bool {
    dashboard.variable("index").is_some_and(|variable| {
        let query = variable["query"].as_str().unwrap();
        query.starts_with("SELECT IF($__unixEpochTo() - $__unixEpochFrom() <= ")
            && query.ends_with(", 'PRIMARY', 'by_source') AS name")
            && variable["hide"] == 2
            && variable["skipUrlSync"] == true
    })
}

#[test]
fn variables_in_sql_are_quoted_strings() {
    hold(|dashboard, wrong| {
        let mut queries = dashboard.targets();
        queries.extend(dashboard.variable_queries());
        for query in queries.iter().filter(|each| each.source != "prometheus") {
            for part in query.text.split("${").skip(1) {
                let inside = part.split('}').next().unwrap();
                let name = inside.strip_suffix(":sqlstring");
                let is_quoted = name.is_some_and(|name| dashboard.variable(name).is_some());
                let is_safe = is_quoted || (inside == INDEX && is_fixed(dashboard));
                if !is_safe {
                    wrong.push(format!("{}: ${{{inside}}}", query.place));
                }
            }
            // `$name` without braces: only Grafana's own variables, which are numbers and columns.
            for part in query.text.split('$').skip(1) {
                if part.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                    wrong.push(format!("{}: ${part}", query.place));
                }
            }
            // Every statement filters by time, unless it reads no table.
            let filters = [
                "$__timeFilter(time)",
                "time < FROM_UNIXTIME($__unixEpochFrom())",
                "time < to_timestamp($__unixEpochFrom())",
                "time < $__fromTime",
            ];
            let is_bounded = filters.iter().any(|filter| query.text.contains(filter));
            if query.text.contains("FROM packets") && !is_bounded {
                wrong.push(format!("{} has no time filter", query.place));
            }
        }
        for variable in dashboard.variables().iter().filter(|each| each["includeAll"] == true) {
            if !dashboard.is_of_prometheus() && variable["name"] != variable["allValue"] {
                wrong.push(format!("all of {} is {}", variable["name"], variable["allValue"]));
            }
        }
    });
}

#[test]
fn every_expression_is_promql() {
    let mut rules = "groups:\n- name: dashboards\n  rules:\n".to_owned();
    let mut count = 0;
    for dashboard in Dashboard::all() {
        let mut queries = dashboard.targets();
        queries.extend(dashboard.variable_queries());
        queries.extend(dashboard.annotation_queries());
        for query in queries.iter().filter(|each| each.source == "prometheus") {
            let text =
                expression(&query.text).replace("$__rate_interval", "1m").replace("$__range", "1h");
            count += 1;
            let text = serde_json::to_string(&text).unwrap();
            writeln!(rules, "  - record: dashboards:expression_{count}\n    expr: {text}").unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yml");
    fs::write(&file, &rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{rules}");
    assert!(said.contains(&format!("{count} rules found")), "{said}");
}

#[test]
fn provisioning_files_contain_every_data_source_and_no_secret() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/provisioning");
    let sources = fs::read_to_string(format!("{directory}/datasources/nflog.yaml")).unwrap();
    hold(|dashboard, wrong| {
        let kind = format!("type: {}\n", dashboard.source_variable()["query"].as_str().unwrap());
        if !sources.contains(&kind) {
            wrong.push(format!("no data source of {kind}"));
        }
    });
    for line in sources.lines().filter_map(|line| line.trim().strip_prefix("password:")) {
        assert!(
            line.trim().starts_with("$__env{") || line.trim().starts_with("\"$__env{"),
            "{line}"
        );
    }
    let provider = fs::read_to_string(format!("{directory}/dashboards/nflog.yaml")).unwrap();
    assert!(provider.contains("type: file"), "{provider}");
}
