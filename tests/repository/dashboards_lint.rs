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

/// Whether a dashboard queries Prometheus.
fn of_prometheus(dashboard: &Dashboard) -> bool {
    source_variable(dashboard)["query"] == "prometheus"
}

fn source_variable(dashboard: &Dashboard) -> &Value {
    dashboard.variables().iter().find(|variable| variable["type"] == "datasource").unwrap()
}

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
        let source = source_variable(dashboard);
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
fn firing_alerts_are_annotations_that_can_be_switched_off() {
    hold(|dashboard, wrong| {
        let annotations: Vec<_> = dashboard.annotations().collect();
        if !of_prometheus(dashboard) {
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

#[test]
fn job_and_instance_can_be_selected() {
    hold(|dashboard, wrong| {
        if !of_prometheus(dashboard) {
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
                && of_prometheus(dashboard);
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
                let whole = selector.function == "increase" && selector.range == "$__range";
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

/// The sites that an address can be looked up at, each with its URL.
const SITES: [(&str, &str); 3] = [
    ("AbuseIPDB", "https://www.abuseipdb.com/check/"),
    ("Shodan", "https://www.shodan.io/host/"),
    ("VirusTotal", "https://www.virustotal.com/gui/ip-address/"),
];

/// Whether a URL is that of another site.
fn is_outside(url: &str) -> bool {
    url.contains("://")
}

#[test]
fn addresses_link_to_other_sites_unless_a_variable_is_off() {
    let address = "${__data.fields.source:percentencode}";
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            let mut found = Vec::new();
            walk(panel, "", &mut |_, value| {
                if value["url"].as_str().is_some_and(is_outside) {
                    found.push(value);
                }
            });
            let statements = dashboard.targets_of(panel);
            let Some(statement) = statements.iter().find(|query| query.text.contains("AS lookup"))
            else {
                if !found.is_empty() || statements.iter().any(|q| q.text.contains("AS source,")) {
                    wrong.push(format!("{}: {} links", title(panel), found.len()));
                }
                continue;
            };
            let links: Vec<_> = found
                .iter()
                .map(|link| {
                    (link["title"].as_str().unwrap(), link["url"].as_str().unwrap().to_owned())
                })
                .collect();
            if links != SITES.map(|(name, url)| (name, format!("{url}{address}"))) {
                wrong.push(format!("{}: {links:?}", title(panel)));
            }
            if found.iter().any(|link| link["targetBlank"] != true) {
                wrong.push(format!("{}: the dashboard is left", title(panel)));
            }
            // Without text in the column, there is nothing to click.
            if !statement.text.contains("${lookup:sqlstring} = 'on' AND ")
                || !statement.text.contains("'private'")
            {
                wrong.push(format!("{}: links cannot be switched off", title(panel)));
            }
        }
        if let Some(lookup) = dashboard.variable("lookup") {
            assert_eq!(options_of(lookup), ["on", "off"], "{}", dashboard.file);
        } else if dashboard.uid().contains("drilldown") {
            wrong.push("no variable lookup".into());
        }
    });
}

#[test]
fn each_dashboard_links_to_the_others() {
    hold(|dashboard, wrong| {
        let links = dashboard.json["links"].as_array().unwrap();
        let by_tag = links.iter().filter(|link| {
            link["type"] == "dashboards"
                && link["tags"] == serde_json::json!(["nflog"])
                && link["asDropdown"] == false
                && link["includeVars"] == true
                && link["keepTime"] == true
        });
        if by_tag.count() != 1 || links.len() != 1 {
            wrong.push(format!("links {links:?}"));
        }
    });
}

#[test]
fn data_links_have_existing_targets_and_keep_the_time_range() {
    let all = Dashboard::all();
    let to: HashMap<_, _> = all.iter().map(|each| (format!("/d/{}", each.uid()), each)).collect();
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            let statements: String =
                dashboard.targets_of(panel).into_iter().map(|query| query.text + "\n").collect();
            let mut urls = Vec::new();
            walk(panel, "", &mut |key, value| {
                if key == "url" {
                    urls.push(value.as_str().unwrap());
                }
            });
            for url in urls.into_iter().filter(|url| !is_outside(url)) {
                let mut say = |what: &str| wrong.push(format!("{}: {what} in {url}", title(panel)));
                let (path, query) = url.split_once('?').unwrap();
                // The drill-down that is selected at the top.
                let chosen = path.strip_prefix("/d/${").and_then(|path| path.strip_suffix('}'));
                let options = chosen.and_then(|name| dashboard.variable(name)).map(options_of);
                let paths = options.map_or_else(
                    || vec![path.to_owned()],
                    |uids| uids.iter().map(|uid| format!("/d/{uid}")).collect(),
                );
                let targets: Vec<_> = paths.iter().filter_map(|path| to.get(path)).collect();
                if targets.len() != paths.len() {
                    say("no such dashboard");
                    continue;
                }
                let there = |name: &str| targets.iter().all(|each| each.variable(name).is_some());
                if !query.split('&').any(|part| part == "${__url_time_range}") {
                    say("the time range is lost");
                }
                for part in query.split('&') {
                    if let Some((name, value)) =
                        part.strip_prefix("var-").and_then(|p| p.split_once('='))
                    {
                        if !there(name) {
                            say(&format!("the target has no variable {name}"));
                        }
                        // The one selected instance, without its port.
                        if part == "var-host=${host:percentencode}" {
                            if dashboard.variable("host").is_none() {
                                say("no variable host");
                            }
                            continue;
                        }
                        // The value of the column that has the link, without its mapping.
                        if value == "${__value.raw:percentencode}" {
                            continue;
                        }
                        let field = value
                            .strip_prefix("${__data.fields.")
                            .or_else(|| value.strip_prefix("${__field.labels."))
                            .and_then(|value| value.strip_suffix(":percentencode}"));
                        if !field.is_some_and(|field| has_word(&statements, field)) {
                            say(&format!("{value} is not in the result"));
                        }
                    } else if let Some(name) =
                        part.strip_prefix("${").and_then(|part| part.strip_suffix(":queryparam}"))
                    {
                        if dashboard.variable(name).is_none() || !there(name) {
                            say(&format!("no variable {name} in both dashboards"));
                        }
                    } else if part != "${__url_time_range}" {
                        say("something unknown");
                    }
                }
            }
        }
    });
}

/// The values of a custom variable.
fn options_of(variable: &Value) -> Vec<&str> {
    let options = variable["options"].as_array().unwrap();
    options.iter().map(|option| option["value"].as_str().unwrap()).collect()
}

#[test]
fn links_keep_the_selected_values() {
    hold(|dashboard, wrong| {
        let mut urls = Vec::new();
        walk(&dashboard.json["panels"], "", &mut |key, value| {
            if key == "url" {
                urls.push(value.as_str().unwrap());
            }
        });
        for url in urls {
            let needed: &[&str] = if url.starts_with("/d/nflog-overview") {
                &["prefix", "country", "drilldown"]
            } else if url.starts_with("/d/nflog-drilldown") {
                &["lookup"]
            } else if url.starts_with("/d/nflog-senders") {
                &["prefix", "drilldown"]
            } else if url.starts_with("/d/${drilldown}") {
                &["prefix", "country", "host"]
            } else {
                &[]
            };
            for name in needed.iter().filter(|name| dashboard.variable(name).is_some()) {
                let kept = format!("${{{name}:queryparam}}");
                if !url.contains(&kept) && !url.contains(&format!("var-{name}=")) {
                    wrong.push(format!("{name} is lost in {url}"));
                }
            }
        }
    });
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|each| each == word)
}

#[test]
fn the_overview_links_to_the_packets_of_every_value() {
    let all = Dashboard::all();
    let overview = all.iter().find(|each| each.uid() == "nflog-overview").unwrap();
    let offered = options_of(overview.variable("drilldown").unwrap());
    let expected =
        ["nflog-drilldown-mysql", "nflog-drilldown-postgres", "nflog-drilldown-clickhouse"];
    assert_eq!(offered, expected);
    for (name, value) in [
        ("country", "__data.fields.country"),
        ("country", "__value.raw"),
        ("port", "__value.raw"),
        ("network", "__data.fields.network"),
        ("prefix", "__data.fields.prefix"),
    ] {
        let link = format!(
            "/d/${{drilldown}}?${{__url_time_range}}&var-{name}=${{{value}:percentencode}}"
        );
        assert!(overview.text.contains(&link), "{link}");
    }
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
                if name.and_then(|name| dashboard.variable(name)).is_none() {
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
            if !of_prometheus(dashboard) && variable["name"] != variable["allValue"] {
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
        let kind = format!("type: {}\n", source_variable(dashboard)["query"].as_str().unwrap());
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
