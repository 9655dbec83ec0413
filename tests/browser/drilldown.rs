//! Sources and packets of the page in Chromium, with real packets and their rows in SQLite. Needs root, and the rules that
//! `tests/run axe` installs.

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::{
    accessibility::{SMALL_TARGETS, check},
    chromium::Browser,
    page::{ADDRESS, LOW_CONTRAST, RULES, WIDE, fill, open, screenshots},
    support::{
        Wire,
        program::{Exporter, open_to_all, sum, wait_for},
    },
};

/// The cells of a column of a list, as the page shows them.
fn column(browser: &Browser, list: &str, column: usize) -> Vec<String> {
    let script = format!(
        "[...document.querySelectorAll('#drilldown-{list}-rows tr')].map((row) => row.children[{column}].textContent)"
    );
    let cells = browser.eval(&script);
    cells.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned()).collect()
}

/// Waits until nothing is loaded, without an error.
fn until_loaded(browser: &Browser) {
    browser.until(
        "!document.getElementById('drilldown').hidden && !document.getElementById('drilldown').ariaBusy",
    );
    assert_eq!(browser.text("document.getElementById('drilldown-state').textContent"), "");
}

/// The first column of a query.
fn texts(rows: &Connection, query: &str) -> Vec<String> {
    let mut statement = rows.prepare(query).unwrap();
    let texts = statement.query_map([], |row| row.get(0)).unwrap();
    texts.map(Result::unwrap).collect()
}

fn number(rows: &Connection, query: &str) -> i64 {
    rows.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Cells with words that have a width of few letters, so that each word fills several lines.
const NARROW: &str = "[...document.querySelectorAll('#drilldown td:not(.whole, .number)')]
    .filter((cell) => cell.checkVisibility() && cell.offsetWidth < 80).map((cell) => cell.textContent)";

/// The lists have enough contrast, and fit into windows of each size.
fn is_readable(browser: &Browser) {
    for (width, height) in [(1920, 1080), (1280, 800), (390, 844)] {
        for scheme in ["light", "dark"] {
            browser.view(width, height, scheme);
            open(browser, &format!("?{width}{scheme}#country=JP"));
            until_loaded(browser);
            browser.eval("document.getElementById('drilldown').scrollIntoView()");
            browser.screenshot(&screenshots().join(format!("drilldown-{width}-{scheme}.png")));
            let report = browser.eval(LOW_CONTRAST);
            assert_eq!(report["lowContrast"], json!([]), "{width}, {scheme}");
            check(browser, "sources and packets");
            assert_eq!(browser.eval(SMALL_TARGETS), json!([]), "{width}");
            let inside = "document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(browser.eval(inside), true, "{width}: scrolls sideways");
            assert_eq!(browser.eval(NARROW), json!([]), "{width}");
            let reachable =
                "document.getElementById('drilldown').getBoundingClientRect().top < innerHeight";
            assert_eq!(browser.eval(reachable), true, "{width}: cannot be scrolled to");
        }
    }
}

/// The four bytes of an IPv4 address.
fn hex(address: &str) -> String {
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    format!("{:08X}", address.to_bits())
}

/// A click on the head of a column sorts all sources; again, in the other direction. `of_sources` is the rest of a query for
/// those on the page.
fn sorts_all_sources(browser: &Browser, rows: &Connection, of_sources: &str) {
    let order = |browser: &Browser| {
        let marks = "[...document.querySelectorAll('#drilldown-sources-head th')].map((th) => th.ariaSort ?? '').join()";
        browser.text(marks)
    };
    assert_eq!(order(browser), ",descending,,,,,");
    for (column_number, marks, sql) in [
        (3, ",,descending,,,,", "count(DISTINCT destination_port) DESC"),
        (3, ",,ascending,,,,", "count(DISTINCT destination_port)"),
        (5, ",,,,descending,,", "max(time) DESC"),
        (4, ",,,descending,,,", "min(time) DESC"),
        (1, "ascending,,,,,,", "source"),
    ] {
        browser.click(&format!("#drilldown-sources-head th:nth-child({column_number}) button"));
        until_loaded(browser);
        assert_eq!(order(browser), marks);
        let sorted = of_sources.replace("count(*) DESC", sql);
        let expected = texts(rows, &format!("SELECT hex(substr(source, 13)) {sorted}"));
        let shown = column(browser, "sources", 0);
        assert_eq!(shown.iter().map(|it| hex(it)).collect::<Vec<_>>(), expected, "{sql}");
    }
    let csv = browser.text("new URL(document.getElementById('drilldown-sources-csv').href).search");
    assert_eq!(csv, "?country=JP&sort=address");
    browser.click("#drilldown-sources-head th:nth-child(2) button");
    until_loaded(browser);
    assert_eq!(order(browser), ",descending,,,,,");
}

#[test]
fn a_filter_lists_its_sources_and_packets() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let file = directory.path().join("rows.db");
    let config = format!(
        "{WIDE}\n[mirror]\nurl = 'sqlite:{}'\nspool.directory = '{}'\n",
        file.display(),
        directory.path().join("spool").display()
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let received = sum(&fill(&wire, &exporter), "nflog_exporter_received_packets_total");
    wait_for("all rows", || {
        (sum(&exporter.scrape(), "nflog_exporter_mirror_written_rows_total") == received)
            .then_some(())
    });
    let rows = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let browser = Browser::start(&wire.host);
    browser.view(1280, 800, "light");
    open(&browser, "");
    assert_eq!(browser.eval("document.getElementById('drilldown').hidden"), true);

    // A click on a country lists its sources, the busiest first, and its packets, the newest first.
    browser.click("[data-filter=country][data-value=JP]");
    until_loaded(&browser);
    let of_sources = "FROM packets WHERE country = 'JP' GROUP BY source ORDER BY count(*) DESC, source LIMIT 100";
    let packets = texts(&rows, &format!("SELECT CAST(count(*) AS TEXT) {of_sources}"));
    assert_eq!(column(&browser, "sources", 1), packets);
    let addresses = texts(&rows, &format!("SELECT hex(substr(source, 13)) {of_sources}"));
    let shown = column(&browser, "sources", 0);
    assert_eq!(shown.iter().map(|it| hex(it)).collect::<Vec<_>>(), addresses);
    let newest =
        "SELECT prefix FROM packets WHERE country = 'JP' ORDER BY time DESC, id DESC LIMIT 100";
    assert_eq!(column(&browser, "packets", 1), texts(&rows, newest));
    browser.screenshot(&screenshots().join("drilldown.png"));

    sorts_all_sources(&browser, &rows, of_sources);

    // A click on an address lists its packets, and stays in the link.
    let first = &shown[0];
    browser.click("#drilldown-sources-rows tr:first-child button");
    browser.until("!document.getElementById('drilldown-address').hidden");
    until_loaded(&browser);
    assert_eq!(browser.text("document.activeElement.id"), "drilldown-address");
    assert_eq!(browser.text("location.hash"), format!("#country=JP&address={first}"));
    let of_first: usize = packets[0].parse().unwrap();
    assert_eq!(column(&browser, "packets", 2), vec![first.clone(); of_first]);
    open(&browser, &format!("?#address={first}"));
    until_loaded(&browser);
    assert_eq!(column(&browser, "packets", 2).len(), of_first);
    browser.click("#drilldown-address");
    browser.until("document.getElementById('drilldown').hidden");

    // Pages of packets follow each other, and the button keeps the focus.
    open(&browser, "?#prefix=input+drop");
    until_loaded(&browser);
    let ids = "SELECT CAST(source_port AS TEXT) || hex(substr(source, 13)) FROM packets WHERE prefix = 'input drop' \
               ORDER BY time DESC, id DESC LIMIT 100";
    let page = |browser: &Browser| {
        let (ports, sources) = (column(browser, "packets", 3), column(browser, "packets", 2));
        ports
            .iter()
            .zip(&sources)
            .map(|(port, source)| port.clone() + &hex(source))
            .collect::<Vec<_>>()
    };
    assert_eq!(page(&browser), texts(&rows, ids));
    browser.click("#drilldown-packets-next");
    browser.until(
        "document.getElementById('drilldown-packets-count').textContent === '101 to 200 and more'",
    );
    until_loaded(&browser);
    assert_eq!(page(&browser), texts(&rows, &format!("{ids} OFFSET 100")));
    assert_eq!(browser.text("document.activeElement.id"), "drilldown-packets-next");
    browser.click("#drilldown-packets-previous");
    browser.until(
        "document.getElementById('drilldown-packets-count').textContent === '1 to 100 and more'",
    );

    // CSV has all of them.
    let lines = browser.eval(
        "fetch(document.getElementById('drilldown-packets-csv').href).then((answer) => answer.text())\
         .then((text) => text.split('\\r\\n').length)",
    );
    let count = number(&rows, "SELECT count(*) FROM packets WHERE prefix = 'input drop'");
    assert_eq!(lines, count + 2);
    assert_eq!(browser.console(), [""; 0]);

    // A hostile prefix is a text; the folded value has a reason.
    open(&browser, "?again#prefix=%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    until_loaded(&browser);
    assert_eq!(column(&browser, "packets", 1)[0], "<script>alert(1)</script>");
    open(&browser, "?reason#port=other");
    browser.until("document.getElementById('drilldown-state').textContent.includes('rows have their true value')");

    is_readable(&browser);

    // Another site gets no rows, not even by a link.
    browser.open("http://localhost:10239/");
    browser.eval(&format!("location = '{ADDRESS}packets.json'"));
    browser.until("document.body.textContent.includes('a page of another site made the request')");
}

#[test]
fn a_page_without_permission_says_why() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    let config = format!(
        "{WIDE}\n[web]\nlisten_addresses = [':10239']\n[mirror]\nurl = 'sqlite:{}'\nspool.directory = '{}'\n",
        path("rows.db"),
        path("spool")
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    fill(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    open(&browser, "#country=JP");
    browser.until(
        "document.getElementById('drilldown-state').textContent.includes('basic_auth_users')",
    );
    assert_eq!(browser.eval("document.getElementById('drilldown-lists').hidden"), true);
    let requests: Vec<Value> = browser.requests().into_iter().map(Value::from).collect();
    let of_rows = |url: &&Value| url.as_str().is_some_and(|url| url.contains("packets.json"));
    assert_eq!(requests.iter().filter(of_rows).count(), 0);
}
