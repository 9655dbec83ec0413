//! The whole text of a scrape, against golden files and Prometheus's own tools.

mod example;
mod promtool;

use self::example::{Scrape, scrape};
use crate::{exposition::to_plain, metrics::process::ProcessMetrics, system::golden::check_golden};

/// Both formats of a scrape, `OpenMetrics` first.
fn texts(scrape: Scrape) -> [String; 2] {
    let openmetrics = scrape.render();
    let plain = to_plain(&openmetrics);
    [openmetrics, plain]
}

#[test]
fn the_whole_text() {
    let [openmetrics, plain] = texts(scrape("drop: ", "dbip-country"));
    check_golden("src/daemon/testdata/scrape.openmetrics", &openmetrics);
    check_golden("src/daemon/testdata/scrape.txt", &plain);
}

#[test]
fn the_text_does_not_depend_on_the_order_of_the_snapshot() {
    let mut shuffled = scrape("drop", "dbip");
    shuffled.packets.snapshot.families[0].series.reverse();
    shuffled.packets.snapshot.source_addresses.reverse();
    shuffled.packets.snapshot.countries.reverse();
    assert_eq!(texts(shuffled), texts(scrape("drop", "dbip")));
}

#[test]
fn a_metric_without_samples_is_left_out() {
    let mut empty = scrape("drop", "dbip");
    empty.groups.0.clear();
    empty.databases.0.clear();
    empty.networks.0.clear();
    empty.packets.snapshot.countries.clear();
    empty.packets.as_names.clear();
    empty.process = ProcessMetrics::default();
    empty.packets.snapshot.families[1].series.clear();
    for text in texts(empty) {
        for absent in [
            "process_",
            "geoip",
            "_list_",
            "_networks_",
            "country_info",
            "asn_info",
            "lost_packets",
            "nflog_asn_packets",
        ] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
    }
}

#[test]
fn help_texts_need_no_escapes() {
    let [openmetrics, plain] = texts(scrape("drop", "dbip"));
    for help in openmetrics.lines().chain(plain.lines()).filter(|line| line.starts_with("# HELP")) {
        assert!(!help.contains(['\\', '"']) && help.ends_with('.'), "{help}");
    }
}

#[test]
fn hostile_names_stay_inside_their_quotes() {
    let check = |prefix: &str, expect: &str| {
        for text in texts(scrape(prefix, "x\n# EOF\ny\\z\"")) {
            assert!(
                text.contains(&format!(r#"{{prefix="{expect}",proto="icmp",country="DE"}} 3"#))
            );
            assert!(text.contains(r#"{database="x\n# EOF\ny\\z\"",result="success"} 2"#));
            assert!(text.lines().all(|line| !line.starts_with('y')));
        }
    };
    check(r#"a"b"#, r#"a\"b"#);
    check(r"a\", r"a\\");
    check(r#""} 1"#, r#"\"} 1"#);
    check(r"\n", r"\\n");
    check("# EOF", "# EOF");
    check("Ünïcode 🦀", "Ünïcode 🦀");
    check("a\nb", "a\u{fffd}b");
}
