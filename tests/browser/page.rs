//! The page in Chromium with real packets, in network namespaces. Needs root.
//!
//! Screenshots are written to `target/screenshots`. With `NFLOG_EXPORTER_SCREENSHOT=SECONDS`, the test sends
//! traffic for that time and replaces `assets/page.png`:
//!
//! ```text
//! NFLOG_EXPORTER_SCREENSHOT=600 cargo test --test browser page::picture
//! ```

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    chromium::Browser,
    support::{
        Wire, frame,
        program::{Exporter, samples, sum, wait_for, whole},
    },
};

pub const ADDRESS: &str = "http://127.0.0.1:10239/";

/// Budgets at which no series folds.
pub const WIDE: &str = "
    [[family]]
    name = 'traffic'
    max_series = 20000
    max_new_series_per_hour = 20000
";

/// Three prefixes, one of them hostile.
pub const RULES: &str = "
    table inet t {
        counter logged {}
        chain in {
            type filter hook prerouting priority -100;
            iifname != wan0 return
            tcp dport 22 counter name logged log prefix \"ssh\" group 1 drop
            meta l4proto tcp counter name logged log prefix \"input drop\" group 1 drop
            meta l4proto udp counter name logged log prefix \"<script>alert(1)</script>\" group 1 drop
            icmp type echo-request counter name logged log prefix \"ping\" group 1 drop
        }
    }
";

const TCP_PORTS: [u16; 12] = [22, 23, 22, 445, 3389, 80, 22, 443, 8080, 23, 5900, 6379];
const UDP_PORTS: [u16; 5] = [53, 5060, 123, 1900, 161];

/// The same packets from all countries on each call; some networks send many.
fn world(from: u32, count: u32) -> Vec<Vec<u8>> {
    let mix = |number: u32| {
        let mixed = (number ^ (number >> 16)).wrapping_mul(0x45d9_f3b5);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x119d_e1f3);
        mixed ^ (mixed >> 16)
    };
    let busy =
        [[133, 11], [200, 160], [193, 0], [130, 75], [218, 92], [45, 148], [103, 7], [91, 240]];
    (from..from + count)
        .map(|number| {
            let [kind, second, third, last] = mix(number).to_be_bytes();
            let heavy = usize::from(kind % 40);
            // Nearly all unicast addresses of the Internet.
            let first = 1 + mix(number.wrapping_add(77_777)).to_be_bytes()[2] % 222;
            let source = match busy.get(heavy) {
                Some(&[x, y]) => [x, y, 0, last],
                None if first == 127 => [128, second, third, last],
                None => [first, second, third, last],
            };
            match kind % 7 {
                0 => frame::udp(source, 40_000, UDP_PORTS[usize::from(second) % 5], b"x"),
                1 if second % 4 == 0 => frame::ping(source),
                _ => frame::syn(source, 40_000, TCP_PORTS[usize::from(third) % 12]),
            }
        })
        .collect()
}

/// Whether a wall screen shows everything, and nothing covers the footer.
const INSIDE: &str = "(() => {
    const box = (selector) => document.querySelector(selector).getBoundingClientRect();
    const bottoms = [...document.querySelectorAll('main > section')].map((it) => it.getBoundingClientRect().bottom);
    return document.documentElement.scrollHeight <= innerHeight && box('footer').bottom <= innerHeight &&
        box('footer').top >= Math.max(box('main').bottom, ...bottoms);
})()";

/// Whether the rows of each panel end above the text below them.
const APART: &str = "[...document.querySelectorAll('.panel')].every((panel) =>
    panel.querySelector('.rows > :last-child').getBoundingClientRect().bottom <=
    panel.querySelector('.more').getBoundingClientRect().top + 1)";

pub fn screenshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots")
}

/// Sends packets and waits until the exporter shows all of them; returns its metrics.
pub fn fill(wire: &Wire, exporter: &Exporter) -> String {
    wire.send(world(0, 5000));
    metrics_of(wire, exporter)
}

pub fn metrics_of(wire: &Wire, exporter: &Exporter) -> String {
    wait_for("all packets in the metrics", || {
        let text = exporter.scrape();
        let all =
            sum(&text, "nflog_exporter_received_packets_total") == wire.host.counter("logged");
        (all && sum(&text, "nflog_exporter_pending_packets") == 0).then_some(text)
    })
}

/// Opens the page and waits for its figures and its map.
pub fn open(browser: &Browser, hash: &str) {
    browser.open(&format!("{ADDRESS}{hash}"));
    browser.until("document.body.dataset.ready === ''");
    browser.until("document.querySelectorAll('#map [data-code] > path').length > 100");
}

/// Packets by a label, of the series that `keep` selects.
fn by(
    text: &str,
    label: &str,
    keep: impl Fn(&BTreeMap<String, String>) -> bool,
) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (labels, value) in samples(text, "nflog_packets_total") {
        // A new series can have no packets.
        if value > 0.0 && keep(&labels) {
            let name = labels.get(label).cloned().unwrap_or_else(|| "none".into());
            *sums.entry(name).or_default() += whole(value);
        }
    }
    sums
}

/// Value and packets of the rows that a panel shows.
fn rows(browser: &Browser, dimension: &str) -> BTreeMap<String, u64> {
    let script = format!(
        "Object.fromEntries([...document.querySelectorAll('[data-filter={dimension}]')].map((row) => \
         [row.dataset.value, row.querySelector('.count').textContent]))"
    );
    let Value::Object(rows) = browser.eval(&script) else { panic!("no rows") };
    rows.into_iter()
        .map(|(value, count)| (value, count.as_str().unwrap().replace(',', "").parse().unwrap()))
        .collect()
}

/// Checks that every row has the count of the metrics, and that no value with more packets is missing.
fn assert_rows(shown: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) {
    assert!(!shown.is_empty());
    for (value, packets) in shown {
        assert_eq!(Some(packets), counted.get(value), "{value} in {counted:?}");
    }
    let lowest = shown.values().min().unwrap();
    for (value, packets) in counted {
        assert!(packets <= lowest || shown.contains_key(value), "{value} is missing: {shown:?}");
    }
}

/// The texts with too little contrast, and the number of texts checked.
pub const LOW_CONTRAST: &str = r"(() => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const lowContrast = [];
  let seen = 0;
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.closest('.unseen, noscript')) continue;
    seen += 1;
    const grounds = [ground(element)];
    const row = element.closest('.row');
    if (row) grounds.push(getComputedStyle(row, '::before').backgroundColor);
    for (const background of grounds) {
      const ratio = contrast(getComputedStyle(element).color, background);
      if (!(ratio >= 4.5)) lowContrast.push(`${walk.currentNode.data}: ${ratio.toFixed(2)}`);
    }
  }
  return { seen, lowContrast };
})()";

#[test]
fn the_page_shows_the_metrics_and_requests_no_other_host() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    let metrics = fill(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    open(&browser, "");

    let received = sum(&metrics, "nflog_exporter_received_packets_total");
    assert!(received > 4000, "{received}");
    let number = |id: &str| {
        let text = browser.text(&format!("document.getElementById('{id}').textContent"));
        text.trim().replace(',', "").parse::<u64>().unwrap_or_else(|_| panic!("{id}: {text}"))
    };
    assert_eq!(number("received"), received);
    assert_eq!(number("lost"), 0);
    for (dimension, label) in
        [("country", "country"), ("port", "port"), ("prefix", "prefix"), ("proto", "proto")]
    {
        assert_rows(&rows(&browser, dimension), &by(&metrics, label, |_| true));
    }
    // The table has every country; the map shades those with an outline.
    let countries = by(&metrics, "country", |_| true);
    let shaded = browser.eval("document.querySelectorAll('#map [data-level]').length");
    let placed = countries.keys().filter(|code| code.len() == 2).count();
    assert_eq!(shaded, placed, "{countries:?}");
    assert!(placed > 40);
    let listed = browser.eval("document.querySelectorAll('#country-rows tr').length");
    assert_eq!(listed, countries.len());

    // A hostile prefix is shown as text.
    let hostile = "<script>alert(1)</script>";
    let names = browser.eval(
        "[...document.querySelectorAll('[data-filter=prefix] .name')].map((name) => name.textContent)",
    );
    assert!(names.as_array().unwrap().contains(&hostile.into()), "{names}");
    assert_eq!(browser.eval("document.querySelectorAll('script').length"), 1);

    // After two polls, there are no requests to other hosts and no errors.
    browser
        .until("performance.getEntriesByName(new URL('overview.json', location).href).length > 2");
    let requests = browser.requests();
    assert!(requests.iter().any(|url| url.ends_with("/world.svg")), "{requests:?}");
    for url in &requests {
        assert!(url.starts_with(ADDRESS) || url.starts_with("data:,"), "{url}");
    }
    assert_eq!(browser.console(), [""; 0]);

    // The test sees a request to another host, which the policy forbids.
    browser.eval(
        "document.body.append(Object.assign(new Image(), { src: 'http://192.0.2.1/x.png' }))",
    );
    let rejected = wait_for("the message of the policy", || browser.console().pop());
    assert!(rejected.contains("Content Security Policy"), "{rejected}");
    assert_eq!(browser.refusals(), ["csp"]);
}

#[test]
fn every_size_and_scheme_is_readable() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    fill(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    for (width, height) in [(1920, 1080), (1600, 900), (1280, 800), (390, 844), (360, 780)] {
        for scheme in ["light", "dark"] {
            browser.view(width, height, scheme);
            open(&browser, "");
            browser.screenshot(&screenshots().join(format!("{width}x{height}-{scheme}.png")));
            let report = browser.eval(LOW_CONTRAST);
            assert_eq!(report["lowContrast"], serde_json::json!([]), "{width}, {scheme}");
            assert!(report["seen"].as_u64().unwrap() > 100, "{report}");
            let inside = "document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(browser.eval(inside), true, "{width}: scrolls sideways");
            assert_eq!(browser.eval(APART), true, "{width}: rows overlap the text below");
            if width >= 1600 {
                assert_eq!(browser.eval(INSIDE), true, "{width}: a wall screen must not scroll");
            }
        }
    }
    // The schemes differ, and the choice is stored.
    let ground = "getComputedStyle(document.body).backgroundColor";
    browser.view(1280, 800, "light");
    let light = browser.text(ground);
    browser.click("#theme");
    assert_ne!(browser.text(ground), light);
    open(&browser, "");
    assert_ne!(browser.text(ground), light);
}

#[test]
fn a_range_of_time_is_chosen_and_stays_in_the_address() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    let metrics = fill(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    browser.view(1280, 800, "light");
    open(&browser, "");
    assert_eq!(browser.eval("document.querySelectorAll('#ranges button').length"), 5);
    let title = "document.getElementById('timeline-title').textContent";
    let pressed = "document.querySelector('#ranges [aria-pressed=true]').dataset.range";
    assert_eq!(browser.text(pressed), "10m");
    for (range, text) in
        [("1h", "last 60 min"), ("24h", "last 24 h"), ("7d", "last 7 d"), ("30d", "last 30 d")]
    {
        browser.click(&format!("[data-range='{range}']"));
        browser.until(&format!("{title}.includes('{text}')"));
        assert_eq!(browser.text("location.hash"), format!("#range={range}"));
        assert_eq!(browser.text(pressed), range);
        // Nothing is folded, and nothing is missing.
        assert_rows(&rows(&browser, "country"), &by(&metrics, "country", |_| true));
        assert_rows(&rows(&browser, "port"), &by(&metrics, "port", |_| true));
        // The exporter has not counted for so long.
        assert_eq!(browser.eval("document.body.classList.contains('compared')"), false);
    }
    // A filter keeps the range, and so does a link.
    browser.click("[data-filter=country][data-value=JP]");
    browser.until(&format!("{title}.includes('that match')"));
    assert_eq!(browser.text("location.hash"), "#country=JP&range=30d");
    open(&browser, "?#range=24h&port=22");
    browser.until(&format!("{title}.includes('last 24 h')"));
    assert_eq!(browser.text(pressed), "24h");
    browser.press("Escape");
    browser.until("document.getElementById('filters').hidden");
    assert_eq!(browser.text("location.hash"), "#range=24h");
    browser.screenshot(&screenshots().join("range.png"));
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn unusual_conditions_are_named() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    let browser = Browser::start(&wire.host);
    browser.view(1600, 900, "dark");
    open(&browser, "");
    assert_eq!(browser.eval("document.getElementById('conditions').hidden"), true);
    let scan = (1..=200).map(|port| frame::syn([203, 0, 113, 7], 40_000, port));
    let logins = (0..900).map(|port| frame::syn([203, 0, 113, 8], 20_000 + port, 22));
    // Before the other sources: among as many as the table of port scans has entries, its first ports may not count.
    wire.send(scan.chain(logins));
    fill(&wire, &exporter);
    let item = |alert: &str| format!("document.querySelector('#conditions [title={alert}]')");
    // The conditions may be checked while only a part of the packets has arrived, and their text changes.
    let ports = format!(
        "+{}?.textContent.match(/^warning: One source sent packets with prefix input drop to (\\d+) ports in 10 minutes$/)?.[1]",
        item("NflogPortSweep")
    );
    // An estimate, with a standard error of 3 %.
    browser.until(&format!("{ports} >= 175 && {ports} <= 225"));
    browser.until(&format!("{} !== null", item("NflogBruteForce")));
    let text = browser.text(&format!("{}.textContent", item("NflogBruteForce")));
    assert!(text.contains(" to login port 22 "), "{text}");
    // The lists make room at once.
    assert_eq!(browser.eval(INSIDE), true);
    assert_eq!(browser.eval(APART), true);
    browser.screenshot(&screenshots().join("conditions-wall.png"));
    browser.view(1280, 800, "dark");
    browser.screenshot(&screenshots().join("conditions.png"));
    browser.view(390, 844, "light");
    browser.screenshot(&screenshots().join("conditions-phone.png"));
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn a_click_and_a_key_set_a_filter() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    let metrics = fill(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    browser.view(1280, 800, "dark");
    open(&browser, "");

    let all = by(&metrics, "country", |_| true);
    browser.click("[data-filter=country][data-value=JP]");
    browser.until("document.getElementById('timeline-title').textContent.includes('that match')");
    let of_japan = |labels: &BTreeMap<String, String>| labels["country"] == "JP";
    assert_rows(&rows(&browser, "port"), &by(&metrics, "port", of_japan));
    assert_rows(&rows(&browser, "prefix"), &by(&metrics, "prefix", of_japan));
    assert_rows(&rows(&browser, "country"), &all);
    assert_eq!(browser.text("location.hash"), "#country=JP");
    assert_eq!(
        browser.text("document.querySelector('#map [aria-pressed=true]').dataset.code"),
        "JP"
    );
    browser.screenshot(&screenshots().join("filtered.png"));

    // The link has the same filter, with a port.
    open(&browser, "?#country=JP&port=22");
    browser.until("document.querySelectorAll('#filters .chip').length === 2");
    let ssh = |labels: &BTreeMap<String, String>| {
        of_japan(labels) && labels.get("port").is_some_and(|port| port == "22")
    };
    assert_rows(&rows(&browser, "prefix"), &by(&metrics, "prefix", ssh));

    // With the keyboard: focus a row, filter, keep the focus over polls, and clear.
    open(&browser, "?again");
    let focused = "document.activeElement?.dataset?.filter ?? ''";
    let steps = (0..60).take_while(|_| {
        browser.press("Tab");
        browser.text(focused) != "country"
    });
    assert!(steps.count() < 30, "the countries cannot be reached");
    let value = browser.text("document.activeElement.dataset.value");
    assert_eq!(browser.text("getComputedStyle(document.activeElement).outlineStyle"), "solid");
    browser.press("Enter");
    browser.until("document.getElementById('timeline-title').textContent.includes('that match')");
    let chosen = |labels: &BTreeMap<String, String>| labels["country"] == value;
    assert_rows(&rows(&browser, "port"), &by(&metrics, "port", chosen));
    let polls = "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('overview')).length";
    let before = browser.eval(polls).as_u64().unwrap();
    browser.until(&format!("{polls} > {before} + 1"));
    assert_eq!(browser.text("document.activeElement.dataset.value"), value, "the focus was lost");
    assert_eq!(browser.text("document.activeElement.getAttribute('aria-pressed')"), "true");
    browser.press("Escape");
    browser.until("document.getElementById('filters').hidden");
    browser.until("!document.getElementById('timeline-title').textContent.includes('that match')");
    assert_rows(&rows(&browser, "port"), &by(&metrics, "port", |_| true));
    assert_eq!(browser.console(), [""; 0]);

    // The table shows the same numbers as the map.
    browser.click("#as-table");
    browser.until("document.getElementById('map').hidden");
    let first = browser.text("document.querySelector('#country-rows td:nth-child(3)').textContent");
    assert_eq!(first.replace(',', "").parse::<u64>().unwrap(), *all.values().max().unwrap());
}

/// Packets from 5,000 networks, of which one sends every fiftieth.
fn flood(count: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let [.., high, low] = (number * 1_237 % 5_000).to_be_bytes();
            let source =
                if number % 50 == 49 { [203, 0, 113, 7] } else { [70 + low % 60, high, low, 1] };
            frame::udp(source, 40_000, UDP_PORTS[0], b"x")
        })
        .collect()
}

/// `other` is the last row of the networks, apart from the others and without a bar, though it has most packets.
#[test]
fn folded_networks_are_last_and_have_no_bar() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    wire.send(flood(20_000));
    metrics_of(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    for (width, height) in [(1920, 1080), (1280, 800), (390, 844)] {
        browser.view(width, height, "light");
        open(&browser, "");
        browser.screenshot(&screenshots().join(format!("flood-{width}x{height}.png")));
        let rows = browser.eval(
            "[...document.querySelectorAll('[data-filter=network]')].map((row) => { \
             const box = row.getBoundingClientRect(); \
             const bar = new DOMMatrix(getComputedStyle(row, '::before').transform).a; \
             const { borderTopWidth } = getComputedStyle(row.parentElement); \
             return [row.dataset.value, row.querySelector('.count').textContent.replace(',', ''), bar, \
             borderTopWidth, box.top, box.bottom]; })",
        );
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 10, "{width}: {rows:?}");
        let packets = |row: &Value| row[1].as_str().unwrap().parse::<u32>().unwrap();
        let bar = |row: &Value| row[2].as_f64().unwrap();
        let (other, values) = rows.split_last().unwrap();
        assert_eq!((&other[0], bar(other)), (&"other".into(), 0.0), "{width}: {rows:?}");
        assert!(values.iter().all(|row| packets(row) < packets(other)), "{rows:?}");
        assert_ne!(other[3], "0px");
        assert!(other[4].as_f64() > values[8][5].as_f64(), "{width}: {rows:?}");
        assert_eq!((&values[0][0], packets(&values[0])), (&"203.0.113.0/24".into(), 400));
        // The bars of the others are in proportion to the heaviest of them.
        for row in values {
            let expect = f64::from(packets(row)) / 400.0;
            assert!((bar(row) - expect).abs() < 0.01, "{width}: {rows:?}");
            assert_eq!(row[3], "0px");
        }
        let apart = "[...document.querySelectorAll('.panel')].every((panel) => \
             panel.querySelector('.rows > :last-child').getBoundingClientRect().bottom <= \
             panel.querySelector('.more').getBoundingClientRect().top + 1)";
        assert_eq!(browser.eval(apart), true, "{width}: rows overlap the text below");
        assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth"), true);
    }
    assert_eq!(browser.eval(LOW_CONTRAST)["lowContrast"], serde_json::json!([]));
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn an_empty_page_has_instructions_and_a_disconnected_one_the_time() {
    let wire = Wire::new();
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    let browser = Browser::start(&wire.host);
    browser.view(1280, 800, "light");
    browser.open(ADDRESS);
    browser.until("document.getElementById('empty').checkVisibility()");
    assert!(
        browser.text("document.getElementById('empty').textContent").contains("--rules.install")
    );
    browser.screenshot(&screenshots().join("empty.png"));
    assert_eq!(browser.console(), [""; 0]);
    assert_eq!(browser.eval("document.getElementById('state').checkVisibility()"), false);
    drop(exporter);
    browser.until("/^No connection to the exporter since \\d+:\\d\\d:\\d\\d [AP]M;/.test(document.getElementById('state').textContent)");
    let _exporter = Exporter::start(&wire.host, WIDE, &[]);
    browser.until("!document.getElementById('state').checkVisibility()");
}

/// Makes the screenshot of the README.
#[test]
fn picture() {
    // Without the variable, a few seconds of traffic check that the test works.
    let (seconds, file) = env::var("NFLOG_EXPORTER_SCREENSHOT").map_or_else(
        |_| (3, screenshots().join("page.png")),
        |seconds| {
            let seconds =
                seconds.parse().expect("NFLOG_EXPORTER_SCREENSHOT is a number of seconds");
            (seconds, Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/page.png"))
        },
    );
    let wire = Wire::new();
    // The screenshot does not show a hostile prefix.
    wire.host.nft(&RULES.replace("<script>alert(1)</script>", "udp probe"));
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    let start = Instant::now();
    let mut sent = 0;
    for second in 0..seconds {
        // A constant rate with a wave, and surges from time to time.
        let wave = 40 + second / 12 % 17 + if second % 240 > 200 { 45 } else { 0 };
        wire.send(world(sent, wave));
        sent += wave;
        std::thread::sleep((start + Duration::from_secs(u64::from(second) + 1)) - Instant::now());
    }
    metrics_of(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    browser.view(1600, 900, "dark");
    open(&browser, "");
    browser.screenshot(&file);
}
