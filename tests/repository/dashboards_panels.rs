//! The appearance of panels in Grafana, as far as the files determine it: one function per
//! rule, each for a fault that was seen in Grafana.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use crate::support::dashboards::{Dashboard, hold, selectors, title, walk};

/// The colour of a background without a meaning.
const GREY: &str = "#6e7687";

/// The properties that a panel overrides, each with the name or pattern of the fields.
fn overrides(panel: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    overrides.flat_map(|each| {
        let fields = each["matcher"]["options"].as_str().unwrap();
        each["properties"].as_array().unwrap().iter().map(move |property| (fields, property))
    })
}

/// The value of a property that a panel overrides for the fields of a name.
fn overridden<'p>(panel: &'p Value, field: &str, id: &str) -> Option<&'p Value> {
    overrides(panel)
        .find(|(fields, property)| *fields == field && property["id"] == id)
        .map(|(_, property)| &property["value"])
}

/// The columns of a table: those that it arranges, otherwise those that its SQL names.
fn columns(panel: &Value) -> Vec<String> {
    let mut transformations = panel["transformations"].as_array().into_iter().flatten();
    let organized = transformations.rfind(|each| each["id"] == "organize");
    if let Some(options) = organized.map(|each| &each["options"]) {
        let mut names: Vec<_> = options["indexByName"].as_object().unwrap().keys().collect();
        let renamed = options["renameByName"].as_object().unwrap();
        names.extend(renamed.keys().filter(|name| options["indexByName"].get(name).is_none()));
        return names
            .into_iter()
            .map(|name| renamed.get(name).map_or(&**name, |new| new.as_str().unwrap()).to_owned())
            .collect();
    }
    let sql = panel["targets"][0]["rawSql"].as_str().expect("SQL or columns that are arranged");
    let (list, _) = sql.strip_prefix("SELECT").unwrap().split_once("\nFROM").unwrap();
    let mut depth = 0;
    let expressions = list.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    expressions.map(|each| each.split([' ', '\n']).next_back().unwrap().to_owned()).collect()
}

#[test]
fn missing_data_is_not_green() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|p| p["type"] == "stat" || p["type"] == "bargauge") {
            let defaults = &panel["fieldConfig"]["defaults"];
            let base = &defaults["thresholds"]["steps"][0]["color"];
            if defaults["color"]["mode"] == "thresholds" && base != "text" && base != GREY {
                wrong.push(format!("{} is {base} without data", title(panel)));
            }
            let text = defaults["noValue"].as_str().unwrap_or_default();
            if text.starts_with(|c: char| c.is_ascii_digit()) {
                wrong.push(format!("{} shows {text} without data", title(panel)));
            }
        }
    });
}

#[test]
fn numbers_are_not_abbreviated() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            let defaults = &panel["fieldConfig"]["defaults"];
            // Without decimals, 9,400 and 8,600 are both 9 K; the ticks of an axis have their own decimals.
            let short = defaults["unit"] == "short";
            if short && (panel["type"] != "timeseries" || !defaults["decimals"].is_null()) {
                wrong.push(format!("{} abbreviates its numbers", title(panel)));
            }
        }
        walk(&dashboard.json, "", &mut |key, value| {
            let unit = if key == "unit" { value } else { &value["value"] };
            // Grafana puts SI prefixes in front of these: mp/s, Kwr/s; and mixes kB with MiB.
            let prefixed = ["pps", "wps", "cps", "Bps", "decbytes"];
            let is_unit = key == "unit" || value["id"] == "unit";
            if is_unit && unit.as_str().is_some_and(|unit| prefixed.contains(&unit)) {
                wrong.push(format!("the unit {unit}"));
            }
        });
    });
}

#[test]
fn numbers_that_are_names_are_text() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "table") {
            for column in columns(panel) {
                let is_name = ["port", "source_port", "asn"].contains(&&*column);
                if is_name && overridden(panel, &column, "unit") != Some(&json!("string")) {
                    wrong.push(format!("{}: {column} is formatted as a number", title(panel)));
                }
                if column == "tcp_flags" {
                    let names = overridden(panel, &column, "mappings").unwrap();
                    if names[0]["options"]["2"]["text"] != "SYN" {
                        wrong.push(format!("{}: {column} are numbers", title(panel)));
                    }
                }
            }
        }
    });
}

#[test]
fn columns_of_tables_fit_their_panel() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "table") {
            let mut free = 0;
            for column in columns(panel) {
                let cell = overridden(panel, &column, "custom.cellOptions");
                if cell.is_some_and(|cell| cell["type"] == "gauge") {
                    // Otherwise the range is that of all numeric columns.
                    if overridden(panel, &column, "fieldMinMax") != Some(&json!(true)) {
                        wrong.push(format!("{}: {column} has no range of its own", title(panel)));
                    }
                    free += 1;
                } else if overridden(panel, &column, "custom.width").is_none() {
                    free += 1;
                }
            }
            // Columns without a width have at least 150 pixels, and displace others.
            if free > 1 {
                wrong.push(format!("{}: {free} columns without a width", title(panel)));
            }
        }
    });
}

#[test]
fn heatmaps_have_a_color_scale_and_are_never_empty() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "heatmap") {
            let options = &panel["options"];
            if options["color"]["scheme"] != "Inferno" || options["color"]["exponent"] != 0.3 {
                wrong.push(format!("{} has the colours {}", title(panel), options["color"]));
            }
            if options["yAxis"]["axisWidth"] != 90 {
                wrong.push(format!("{} truncates its names", title(panel)));
            }
            // Without a series, Grafana shows a TypeError.
            for query in dashboard.targets_of(panel) {
                let fallback = query.text.split_once("\nor (label_replace(vector(0), ");
                if !fallback.is_some_and(|(_, rest)| rest.contains("unless on () sum(")) {
                    wrong.push(format!("{} may have no series", title(panel)));
                }
            }
        }
    });
}

#[test]
fn maps_show_the_selected_time_range() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "geomap") {
            for query in dashboard.targets_of(panel) {
                let whole = query.text.contains("[$__range]") || query.source != "prometheus";
                if !whole || query.text.contains("$__rate_interval") {
                    wrong.push(format!("{} shows another time range", title(panel)));
                }
            }
            let base = &panel["options"]["basemap"];
            let layers = panel["options"]["layers"].as_array().unwrap();
            let names: BTreeSet<_> =
                layers.iter().chain([base]).map(|each| each["name"].as_str()).collect();
            if base["tooltip"] != false || names.len() != layers.len() + 1 {
                wrong.push(format!("{}: the pop-up has tabs {names:?}", title(panel)));
            }
            let least = if dashboard.uid().contains("drilldown") { 5 } else { 3 };
            let size = &layers.last().unwrap()["config"]["style"]["size"]["min"];
            if size.as_i64() < Some(least) {
                wrong.push(format!("{}: markers of {size} pixels", title(panel)));
            }
        }
    });
}

#[test]
fn legends_leave_room_for_the_graph() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "timeseries") {
            let legend = &panel["options"]["legend"];
            if legend["placement"] != "right" || legend["calcs"] != json!(["mean", "max"]) {
                wrong.push(format!("{}: {legend}", title(panel)));
            }
            if panel["gridPos"]["w"].as_u64() < Some(12) {
                wrong.push(format!("{} is too narrow for its legend", title(panel)));
            }
        }
        if dashboard.text.contains("palette-classic-by-name") {
            wrong.push("colours by name: two series may have the same".into());
        }
    });
}

#[test]
fn bars_have_names() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "bargauge") {
            // A single bar has no other name.
            let name = panel["fieldConfig"]["defaults"]["displayName"].as_str();
            if !name.is_some_and(|name| name.starts_with("${__field.labels.")) {
                wrong.push(format!("{}: {name:?}", title(panel)));
            }
        }
    });
}

#[test]
fn folded_packets_are_separate_and_have_no_links() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            let text: String =
                dashboard.targets_of(panel).into_iter().map(|query| query.text).collect();
            let labels: BTreeSet<_> = text
                .split("by (")
                .skip(1)
                .flat_map(|rest| rest.split(')').next().unwrap().split(", "))
                .collect();
            let counts = text.contains("increase(") || text.contains("rate(");
            let table = panel["type"] == "table";
            for (label, left_out, needed) in [
                ("port", "port!~\"|other\"", true),
                ("network", "network!=\"other\"", true),
                ("prefix", "prefix!=\"other\"", table),
            ] {
                if needed && counts && labels.contains(label) && !text.contains(left_out) {
                    wrong.push(format!("{} counts other as a {label}", title(panel)));
                }
            }
            // An override cannot remove links from a series: it can only add some to the other series.
            let defaults = &panel["fieldConfig"]["defaults"]["links"];
            let of_series = |links: &Value| links.to_string().contains("__field.labels.");
            let is_linked = overrides(panel).any(|(fields, property)| {
                fields != "/^(?!other$)/"
                    && property["id"] == "links"
                    && of_series(&property["value"])
            });
            if of_series(defaults) || is_linked {
                wrong.push(format!("{} links to the packets of other", title(panel)));
            }
        }
    });
}

#[test]
fn titles_name_the_filters_that_do_not_apply() {
    hold(|dashboard, wrong| {
        let filters = ["prefix", "country"].map(|name| (name, dashboard.variable(name).is_some()));
        if filters.contains(&("country", false)) {
            return;
        }
        for panel in dashboard.panels() {
            let queries = dashboard.targets_of(panel);
            let reaches = |name: &str| {
                queries.iter().all(|query| {
                    query.text.contains(&format!("{name}=~\"${name}\""))
                        || query.text.contains(&format!("{{{name}:sqlstring}}"))
                })
            };
            let expected = match (reaches("prefix"), reaches("country")) {
                (true, true) => "",
                (true, false) => "(all countries)",
                (false, true) => "(all prefixes)",
                (false, false) => "(unfiltered)",
            };
            let (_, said) = title(panel).split_once('(').unwrap_or(("", ""));
            if said.trim_end_matches(')') != expected.trim_matches(['(', ')']) {
                wrong.push(format!("{} lacks {expected:?}", title(panel)));
            }
        }
    });
}

#[test]
fn every_metric_of_the_exporter_is_in_a_panel() {
    // Families that an operator adds, and metrics that Prometheus has itself.
    let absent = [
        "nflog_asn_packets_total",
        "nflog_asn_bytes_total",
        "nflog_exporter_last_scrape_timestamp_seconds",
    ];
    let scrape = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/daemon/testdata/scrape.txt");
    let scrape = fs::read_to_string(scrape).unwrap();
    let metrics: BTreeSet<_> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .filter(|name| !name.is_empty() && !absent.contains(name))
        .collect();
    let asked: BTreeSet<String> = Dashboard::all()
        .iter()
        .flat_map(Dashboard::targets)
        .filter(|query| query.source == "prometheus")
        .flat_map(|query| selectors(&query.text))
        .map(|selector| selector.name)
        .collect();
    let missing: Vec<_> = metrics.into_iter().filter(|name| !asked.contains(*name)).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
    assert!(asked.contains("ALERTS"), "no panel of alerts that fire");
}
