//! The figures of the period before the selected time range, and what is new since, computed by promtool from series
//! with known increases.

use std::{collections::BTreeMap, fmt::Write as _, fs, process::Command};

use serde_json::json;

use crate::support::dashboards::{Choice, Dashboard, Query, RANGE, fill, title};

/// The end of the selected time range, in minutes since the first sample. The time range begins 5 minutes before it.
const END: u64 = 15;

/// How a counter grows in each minute of the period before the time range, and of the time range.
#[derive(Clone, Copy)]
enum Growth {
    /// Its growth in both.
    Both(u64, u64),
    /// It begins at 0 with the time range.
    New(u64),
    /// A gauge that exists from the first minute of the time range on.
    Started,
}
use Growth::{Both, New, Started};

/// The result of a query: labels and values.
type Result = BTreeMap<String, f64>;

/// Values in the notation of promtool, one for each minute.
fn values(growth: Growth) -> String {
    let steps = RANGE / 60;
    let (start, more) = (END - steps, steps - 1);
    match growth {
        Both(before, now) => {
            let first = before * steps + now;
            format!("0x{} {before}+{before}x{more} {first}+{now}x{more}", start - steps)
        }
        New(now) => format!("_x{start} 0 {now}+{now}x{more}"),
        Started => format!("_x{} 1x{}", start + 1, more - 1),
    }
}

fn dashboard(uid: &str) -> Dashboard {
    Dashboard::all().into_iter().find(|dashboard| dashboard.uid() == uid).expect(uid)
}

/// The statement of a panel with a letter, for all values of all variables.
fn statement(dashboard: &Dashboard, name: &str, letter: &str) -> String {
    let panel = dashboard.panels().find(|panel| title(panel) == name).expect(name);
    let targets = panel["targets"].as_array().unwrap();
    let at = targets.iter().position(|target| target["refId"] == letter).expect(letter);
    let query: Query = dashboard.targets_of(panel).remove(at);
    let all = ["job", "instance"].map(|name| (name, vec![".+".to_owned()]));
    // The pattern is not escaped, as that of a variable that has one.
    fill(dashboard, &query, &Choice::from(all), RANGE).replace(r"(\\.\\+)", ".+")
}

/// Checks with promtool that statements have these results.
fn check(series: &[(&str, Growth)], expected: &[(String, Result)]) {
    let mut input = Vec::new();
    for (name, growth) in series {
        input.push(json!({ "series": name, "values": values(*growth) }));
    }
    let tests: Vec<_> = expected
        .iter()
        .map(|(text, result)| {
            let samples: Vec<_> = result
                .iter()
                .map(|(labels, value)| json!({ "labels": labels, "value": value }))
                .collect();
            json!({ "expr": text, "eval_time": format!("{END}m"), "exp_samples": samples })
        })
        .collect();
    let document = json!({
        "evaluation_interval": "1m",
        "tests": [{ "interval": "1m", "input_series": input, "promql_expr_test": tests }],
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("test.yml");
    fs::write(&file, document.to_string()).unwrap();
    let output = Command::new("promtool").args(["test", "rules"]).arg(&file).output().unwrap();
    let mut text = String::new();
    for part in [&output.stdout, &output.stderr] {
        write!(text, "{}", String::from_utf8_lossy(part)).unwrap();
    }
    assert!(output.status.success(), "{text}\n{document:#}");
}

fn result<const N: usize>(samples: [(&str, f64); N]) -> Result {
    samples.map(|(labels, value)| (labels.to_owned(), value)).into()
}

const INFO: &str = "nflog_exporter_build_info{job=\"nflog\",instance=\"a:1\"}";

/// A series of a host.
fn series(metric: &str, labels: &str) -> String {
    format!("{metric}{{job=\"nflog\",instance=\"a:1\",{labels}}}")
}

#[test]
fn lists_show_the_period_before_and_what_is_new() {
    let overview = dashboard("nflog-overview");
    let port = |port: &str| {
        series(
            "nflog_packets_total",
            &format!("prefix=\"p\",proto=\"tcp\",country=\"JP\",port=\"{port}\""),
        )
    };
    let country = |code: &str| {
        series("nflog_country_packets_total", &format!("prefix=\"p\",country=\"{code}\""))
    };
    let info = |code: &str| {
        series(
            "nflog_country_info",
            &format!("country=\"{code}\",iso3=\"{code}X\",name=\"{code} name\""),
        )
    };
    let all = [
        (INFO.to_owned(), Both(0, 0)),
        // Grows, is new without a series and with one, has ended, and is folded.
        (port("22"), Both(10, 20)),
        (port("23"), New(3)),
        (port("80"), Both(0, 4)),
        (port("25"), Both(7, 0)),
        (port("other"), Both(50, 50)),
        (country("JP"), Both(10, 20)),
        (country("DE"), New(3)),
        (country("BR"), Both(7, 0)),
        // Not in the list: it has no entry in nflog_country_info.
        (country("private"), Both(9, 9)),
        (info("JP"), Both(0, 1)),
        (info("DE"), Both(0, 1)),
        (info("BR"), Both(0, 1)),
    ];
    let all: Vec<_> = all.iter().map(|(name, growth)| (name.as_str(), *growth)).collect();
    let of_overview = |panel: &str, letter: &str| statement(&overview, panel, letter);
    check(
        &all,
        &[
            (
                of_overview("Top ports", "A"),
                result([
                    ("{proto=\"tcp\",port=\"22\"}", 100.0),
                    ("{proto=\"tcp\",port=\"23\"}", 15.0),
                    ("{proto=\"tcp\",port=\"80\"}", 20.0),
                ]),
            ),
            (
                of_overview("Top ports", "B"),
                result([
                    ("{proto=\"tcp\",port=\"22\"}", 50.0),
                    ("{proto=\"tcp\",port=\"23\"}", 0.0),
                    ("{proto=\"tcp\",port=\"80\"}", 0.0),
                ]),
            ),
            (
                of_overview("Top countries", "B"),
                result([("{country=\"JP\"}", 50.0), ("{country=\"DE\"}", 0.0)]),
            ),
            (of_overview("Countries", "A"), result([("{}", 2.0)])),
            (of_overview("Countries", "B"), result([("{}", 2.0)])),
            (of_overview("Packets", "C"), result([("{}", 130.0)])),
            (of_overview("Packets by instance", "C"), result([("{instance=\"a:1\"}", 130.0)])),
        ],
    );
}

#[test]
fn nothing_is_new_if_prometheus_had_no_exporter_before() {
    let overview = dashboard("nflog-overview");
    let port =
        series("nflog_packets_total", "prefix=\"p\",proto=\"tcp\",country=\"JP\",port=\"22\"");
    let expected = [
        (statement(&overview, "Top ports", "A"), result([("{proto=\"tcp\",port=\"22\"}", 10.0)])),
        (statement(&overview, "Top ports", "B"), result([])),
    ];
    check(&[(INFO, Started), (&port, New(2))], &expected);
}

#[test]
fn autonomous_systems_have_the_name_that_most_exporters_know() {
    let overview = dashboard("nflog-overview");
    let asn = |asn: &str| series("nflog_asn_packets_total", &format!("prefix=\"p\",asn=\"{asn}\""));
    let info = |instance: &str, asn: &str, name: &str| {
        format!(
            "nflog_asn_info{{job=\"nflog\",instance=\"{instance}\",asn=\"{asn}\",name=\"{name}\"}}"
        )
    };
    let all = [
        (asn("64496"), Both(1, 2)),
        (asn("64497"), Both(0, 1)),
        (asn("64498"), Both(0, 3)),
        (asn("private"), Both(0, 4)),
        // Databases of several ages.
        (info("a:1", "64496", "New name"), Both(0, 0)),
        (info("b:1", "64496", "Name"), Both(0, 0)),
        (info("c:1", "64496", "Name"), Both(0, 0)),
        (info("a:1", "64497", "One"), Both(0, 0)),
        (info("b:1", "64497", "Another"), Started),
        (info("b:1", "64499", "Without packets"), Both(0, 0)),
    ];
    let all: Vec<_> = all.iter().map(|(name, growth)| (name.as_str(), *growth)).collect();
    let panel = "Top autonomous systems (all countries)";
    let table = statement(&overview, panel, "A");
    let graph = statement(&overview, "By autonomous system (all countries)", "A");
    let named = [
        ("{asn=\"64496\",name=\"Name\"}", 10.0),
        ("{asn=\"64498\"}", 15.0),
        ("{asn=\"private\"}", 20.0),
    ];
    let rates = named.map(|(labels, packets)| (labels, packets / 300.0));
    let without_ties = |statement: &str| format!("({statement}) unless on (asn) {{asn=\"64497\"}}");
    check(
        &all,
        &[
            (without_ties(&table), result(named)),
            (without_ties(&graph), result(rates)),
            // Two names that equally many exporters know: one of them.
            (format!("count({table})"), result([("{}", 4.0)])),
            (format!("count({graph})"), result([("{}", 4.0)])),
        ],
    );
    // Without names.
    let numbers: Vec<_> = all.into_iter().filter(|(name, _)| name.contains("packets")).collect();
    let expected = [("{asn=\"64497\"}", 5.0), ("{asn=\"64496\"}", 10.0)];
    let rest = [("{asn=\"64498\"}", 15.0), ("{asn=\"private\"}", 20.0)];
    check(&numbers, &[(table, result([expected[0], expected[1], rest[0], rest[1]]))]);
}

#[test]
fn silent_senders_have_no_packets_in_the_time_range() {
    let senders = dashboard("nflog-senders");
    let host = |host: &str| {
        series("nflog_host_packets_total", &format!("host=\"{host}\",prefix=\"p\",country=\"JP\""))
    };
    let all = [
        (host("well"), Both(1, 1)),
        (host("silent"), Both(2, 0)),
        (host("idle"), Both(0, 0)),
        (host("new"), New(1)),
        (host("other"), Both(5, 0)),
    ];
    let all: Vec<_> = all.iter().map(|(name, growth)| (name.as_str(), *growth)).collect();
    let of_senders = |panel: &str, letter: &str| statement(&senders, panel, letter);
    check(
        &all,
        &[
            (
                of_senders("Senders without packets", "A"),
                result([("{host=\"silent\"}", 10.0), ("{host=\"idle\"}", 0.0)]),
            ),
            (of_senders("Silent senders", "A"), result([("{}", 2.0)])),
            (of_senders("Senders", "A"), result([("{}", 2.0)])),
            (of_senders("Senders", "B"), result([("{}", 2.0)])),
        ],
    );
}
