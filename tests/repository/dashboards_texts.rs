//! Texts in panels are neither truncated nor of arbitrary size in a window of 1000 pixels: one
//! function per rule, each for a fault that was seen in Grafana. Widths are estimates in pixels.

use serde_json::{Value, json};

use crate::support::dashboards::{hold, title};

/// The width of a column of the grid, without the space between panels.
const GRID_COLUMN: usize = 38;

#[test]
fn titles_fit_their_panel() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            let columns = usize::try_from(panel["gridPos"]["w"].as_u64().unwrap()).unwrap();
            // The margins, and the icon that shows the description.
            let width = title(panel).chars().count() * 8 + 60;
            if width > columns * GRID_COLUMN {
                wrong.push(format!("the title {:?} is truncated", title(panel)));
            }
        }
    });
}

#[test]
fn texts_of_stats_and_bars_have_a_fixed_size() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|p| p["type"] == "stat" || p["type"] == "bargauge") {
            let sizes = &panel["options"]["text"];
            // Otherwise a panel with one short value has a text as high as the panel.
            if sizes["titleSize"] != 14
                || !(18..=36).contains(&sizes["valueSize"].as_i64().unwrap_or(0))
            {
                wrong.push(format!("{}: text of size {sizes}", title(panel)));
            }
            // In a panel of this height, a graph is behind the text.
            if panel["type"] == "stat" && panel["options"]["graphMode"] != "none" {
                wrong.push(format!("{}: a graph behind the value", title(panel)));
            }
        }
    });
}

#[test]
fn names_of_bars_have_the_width_of_the_panel() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "bargauge") {
            let options = &panel["options"];
            // At the left of its bar, a name is truncated to two fifths of the panel.
            if options["namePlacement"] != "top" {
                wrong.push(format!("{}: names at {}", title(panel), options["namePlacement"]));
            }
            // Without a maximum, one bar fills the panel. The name takes 21 pixels of the height.
            let heights = [&options["sizing"], &options["minVizHeight"], &options["maxVizHeight"]];
            if heights != [&json!("manual"), &json!(36), &json!(48)] {
                wrong.push(format!("{}: heights {heights:?}", title(panel)));
            }
        }
    });
}

#[test]
fn legends_with_several_names_for_each_instance_have_the_whole_width() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "timeseries") {
            let targets = panel["targets"].as_array().unwrap();
            let by_instance = targets.iter().filter(|target| {
                target["legendFormat"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("{{instance}} "))
            });
            if by_instance.count() > 2 && panel["gridPos"]["w"] != 24 {
                wrong.push(format!("{} is too narrow for its names", title(panel)));
            }
        }
    });
}

#[test]
fn headers_of_columns_fit_their_width() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels().filter(|panel| panel["type"] == "table") {
            for column in panel["fieldConfig"]["overrides"].as_array().unwrap() {
                let property = |id: &str| -> Option<&Value> {
                    let mut all = column["properties"].as_array().unwrap().iter();
                    all.find(|each| each["id"] == id).map(|each| &each["value"])
                };
                let Some(width) = property("custom.width").and_then(Value::as_u64) else {
                    continue;
                };
                let name = column["matcher"]["options"].as_str().unwrap();
                let icon = if property("custom.filterable") == Some(&json!(true)) { 24 } else { 0 };
                let header = name.chars().count() * 15 / 2 + 12 + icon;
                if usize::try_from(width).unwrap() < header {
                    wrong.push(format!("{}: {name} needs {header} pixels", title(panel)));
                }
            }
        }
    });
}

#[test]
fn names_of_columns_are_in_lower_case() {
    hold(|dashboard, wrong| {
        for panel in dashboard.panels() {
            let transformations = panel["transformations"].as_array().into_iter().flatten();
            for each in transformations.filter(|each| each["id"] == "organize") {
                for name in each["options"]["renameByName"].as_object().unwrap().values() {
                    if name.as_str().unwrap().contains(char::is_uppercase) {
                        wrong.push(format!("{}: the column {name}", title(panel)));
                    }
                }
            }
        }
    });
}
