//! Hostile text from rules and from a database in all outputs: the page in a real
//! Chromium, the markers, the metrics and the rows. Requires root.

use std::{collections::BTreeSet, fs, path::Path};

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    chromium::Browser,
    support::{
        Namespace, Wire, frame,
        program::{Exporter, Prometheus, open_to_all, sum, wait_for, whole},
    },
};

/// Ten bytes, like the name that it replaces.
const CITY: &str = "<img src=>";
const LINKOEPING: [u8; 4] = [89, 160, 20, 112];

/// The prefixes of three rules, byte by byte.
const MARKUP: &[u8] = b"<script>alert(1)</script>\n<img src=x onerror=alert(1)>'&{}";
const INVALID: &[u8] = &[0xff; 64];
const QUOTES: &[u8] = b"\"><b a=\"\\\",x=\"";

/// The prefixes in the outputs: invalid UTF-8 and line breaks are U+FFFD; at most 128 bytes.
fn shown(prefix: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(prefix).replace('\n', "\u{fffd}");
    while text.len() > 128 {
        text.pop();
    }
    text
}

/// Loads the rules: nft accepts every byte except a quote, iptables accepts quotes.
fn load_rules(host: &Namespace) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules");
    let rule = |port: &str, prefix: &[u8]| {
        let start = format!("tcp dport {port} counter name logged log prefix \"");
        [start.as_bytes(), prefix, b"\" group 1 drop\n"].concat()
    };
    let chain = "table inet t {\ncounter logged {}\nchain in {\ntype filter hook prerouting priority -100;\n";
    let rules = [chain.as_bytes(), &rule("22", MARKUP), &rule("23", INVALID), b"}\n}\n"].concat();
    fs::write(&file, rules).unwrap();
    host.exec("nft", &["-f", file.to_str().unwrap()]);
    let quotes = std::str::from_utf8(QUOTES).unwrap();
    let logged = ["-j", "NFLOG", "--nflog-group", "1", "--nflog-prefix", quotes];
    let to_port = ["-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "24"];
    host.exec("iptables", &[&to_port[..], &logged].concat());
    host.exec("iptables", &[&to_port[..], &["-j", "DROP"]].concat());
}

/// The city database of the tests, with markup instead of a name.
fn hostile_cities(directory: &Path) -> String {
    let original =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/geoip/GeoIP2-City-Test.mmdb");
    let mut bytes = fs::read(original).unwrap();
    let name = "Linköping".as_bytes();
    let places: Vec<_> =
        (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    assert!(!places.is_empty() && name.len() == CITY.len());
    for place in places {
        bytes[place..place + name.len()].copy_from_slice(CITY.as_bytes());
    }
    let database = directory.join("hostile.mmdb");
    fs::write(&database, bytes).unwrap();
    database.to_str().unwrap().to_owned()
}

#[test]
fn hostile_text_is_text_in_all_outputs() {
    let wire = Wire::new();
    load_rules(&wire.host);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let rows = directory.path().join("rows.db");
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}'\n[mirror.spool]\ndirectory = '{}'\n",
        rows.display(),
        directory.path().join("spool").display()
    );
    let database = hostile_cities(directory.path());
    let exporter = Exporter::start(&wire.host, &config, &["--geoip.database", &database]);
    wire.send([22, 23, 24, 22, 23, 24].map(|port| frame::syn(LINKOEPING, 40_000, port)));
    let prefixes: BTreeSet<String> = [MARKUP, INVALID, QUOTES].map(shown).into();

    // The metrics in Prometheus: six packets, two per prefix.
    let prometheus = Prometheus::start(&wire.host);
    let counted = wait_for("all packets in Prometheus", || {
        let counted = prometheus.query("sum by (prefix) (nflog_packets_total) > 0")?;
        let all: f64 = counted.iter().map(|(_, packets)| packets).sum();
        (whole(all) == 6).then_some(counted)
    });
    let counted: BTreeSet<_> =
        counted.into_iter().map(|(labels, _)| labels["prefix"].clone()).collect();
    assert_eq!(counted, prefixes);
    wait_for("all rows", || {
        let written = sum(&exporter.scrape(), "nflog_exporter_mirror_written_rows_total");
        (written == 6).then_some(())
    });

    // The rows.
    let opened = Connection::open(&rows).unwrap();
    let mut statement = opened.prepare("SELECT DISTINCT prefix, city FROM packets").unwrap();
    let stored: BTreeSet<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let expected = prefixes.iter().map(|prefix| (prefix.clone(), CITY.to_owned())).collect();
    assert_eq!(stored, expected);

    // The markers.
    let (_, xml) = exporter.get("/markers.xml").unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let cities = document.root_element().children().filter(roxmltree::Node::is_element);
    let cities: Vec<_> = cities.map(|marker| marker.attribute("city").unwrap()).collect();
    assert_eq!(cities, [CITY; 6]);
    let (_, geojson) = exporter.get("/markers.geojson").unwrap();
    let page: Value = serde_json::from_str(&geojson).unwrap();
    assert_eq!(page["features"][0]["properties"]["city"], CITY);

    // The page: the text created no element and ran no script.
    let browser = Browser::start(&wire.host);
    browser.view(1280, 800, "dark");
    browser.open("http://127.0.0.1:10239/");
    browser.until("document.querySelectorAll('#map .city').length > 0");
    let names = browser.eval(
        "[...document.querySelectorAll('[data-filter=prefix] .name')].map((it) => it.firstChild.data)",
    );
    let names: BTreeSet<String> = serde_json::from_value(names).unwrap();
    assert_eq!(names, prefixes);
    assert_eq!(browser.text("document.getElementById('sources').textContent.trim()"), "1");
    assert_eq!(browser.text("document.querySelector('#city-rows th').textContent"), CITY);
    browser.hover("#map .city");
    browser.until("document.getElementById('tooltip').checkVisibility()");
    assert_eq!(browser.text("document.querySelector('#tooltip strong').textContent"), CITY);
    browser.screenshot(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots/hostile-text.png"),
    );
    // A filter by each prefix, which is in the URL and in the query.
    for prefix in &prefixes {
        let value = serde_json::to_string(prefix).unwrap();
        let row = format!(
            "[...document.querySelectorAll('[data-filter=prefix]')].find((it) => it.dataset.value === {value})"
        );
        browser.eval(&format!("{row}.click()"));
        browser.until("document.getElementById('timeline-title').textContent.startsWith('2 packets that match')");
        browser.press("Escape");
        browser.until(
            "document.getElementById('timeline-title').textContent.startsWith('6 packets,')",
        );
    }
    assert_eq!(browser.eval("document.querySelectorAll('script').length"), 1);
    assert_eq!(browser.eval("document.querySelectorAll('img, [onerror], [a]').length"), 0);
    assert_eq!(browser.console(), [""; 0]);
}
