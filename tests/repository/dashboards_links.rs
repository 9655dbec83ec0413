//! The links of dashboards: to each other, to the packets of a value, and to other sites.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::dashboards::{Dashboard, hold, title, walk};

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
