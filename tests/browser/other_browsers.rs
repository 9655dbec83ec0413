//! The page in Firefox and `WebKit`: it loads without errors, and the map, the lists and the keys work. Needs root.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    firefox::Firefox,
    map::{cities, send, start_empty_with},
    page::ADDRESS,
    support::{
        Wire,
        program::{open_to_all, wait_for},
    },
    webkit::WebKit,
};

/// What the tests need of a browser.
pub trait OtherBrowser {
    /// Opens an address.
    fn open(&self, address: &str);

    /// The value of an expression in the page.
    fn eval(&self, expression: &str) -> Value;

    /// Moves the mouse with its button pressed, by some pixels to the right and down.
    fn drag(&self, from: (f64, f64), by: f64);

    /// Presses and releases a key.
    fn press(&self, key: char);
}

/// Waits until an expression is true.
fn until(browser: &impl OtherBrowser, what: &str) {
    wait_for(what, || browser.eval(what).as_bool()?.then_some(()));
}

/// The Enter key of `WebDriver`.
const ENTER: char = '\u{e007}';

const LEVEL: &str = "document.getElementById('zoom-level').textContent";

/// Twice the time of a movement of the map.
const MOVEMENT: Duration = Duration::from_millis(500);

const VIEW: &str = "document.querySelector('#map svg').getAttribute('viewBox')";

/// A point of the map at which there is Germany, and no city.
const IN_GERMANY: &str = "(({ left, top, width, height }) =>
    Array.from({ length: 400 }, (_, i) => [left + (width * (i % 20)) / 20, top + (height * Math.floor(i / 20)) / 20])
        .map((point) => point.map(Math.round))
        .find((point) => document.elementFromPoint(...point)?.closest('[data-code=DE]')))
    (document.querySelector('#map svg').getBoundingClientRect())";

/// Opens the page with packets from some cities and their rows in `SQLite`.
fn check(wire: &Wire, browser: &impl OtherBrowser) {
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    let config = format!(
        "mirror.url = 'sqlite:{}'\nmirror.spool.directory = '{}'",
        path("rows.db"),
        path("spool")
    );
    let (exporter, _database) = start_empty_with(wire, &cities(), &config);
    send(wire, &exporter, &cities());

    browser.open(ADDRESS);
    until(browser, "document.body.dataset.ready === ''");
    // The map, with 10 shapes of countries and the circles of cities that cover some pixels.
    until(browser, "document.querySelectorAll('#map [data-code] > path').length > 200");
    until(browser, "document.querySelectorAll('.city').length === 4");
    let drawn = "[...document.querySelectorAll('.city, #map [data-level]')].map((it) => it.getBoundingClientRect())\
                 .every(({ width, height }) => width > 5 && height > 5)";
    assert_eq!(browser.eval(drawn), true);
    for list in ["country", "port", "prefix", "network", "proto"] {
        let rows = format!("document.querySelectorAll('[data-filter={list}]').length > 0");
        assert_eq!(browser.eval(&rows), true, "{list}");
    }

    // The keys enlarge the map until the cities divide.
    browser.eval("document.getElementById('map').focus()");
    (0..4).for_each(|_| browser.press('+'));
    until(browser, &format!("{LEVEL} !== ''"));
    browser.press('0');
    until(browser, &format!("{LEVEL} === ''"));
    browser.eval("document.querySelector('.city[aria-label^=Berlin]').focus()");
    browser.press(ENTER);
    until(browser, "document.querySelectorAll('.city').length === 6");
    until(
        browser,
        "document.activeElement.getAttribute('aria-label') === 'Berlin, Germany, 30 packets'",
    );

    // A drag moves the map, and is no click on the country below the mouse.
    let (mut view, mut since) = (Value::Null, Instant::now());
    wait_for("the end of the movement", || {
        let now = browser.eval(VIEW);
        if now != view {
            (view, since) = (now, Instant::now());
        }
        (since.elapsed() > MOVEMENT).then_some(())
    });
    let point = browser.eval(IN_GERMANY);
    browser.drag((point[0].as_f64().unwrap(), point[1].as_f64().unwrap()), 40.0);
    assert_ne!(browser.eval(VIEW), view);
    assert_eq!(browser.eval("location.hash"), "");

    // A filter lists sources and packets.
    browser.eval("document.querySelector('[data-filter=country][data-value=JP]').focus()");
    browser.press(ENTER);
    until(browser, "document.querySelectorAll('#drilldown-sources-rows tr').length === 1");
    until(browser, "document.querySelectorAll('#drilldown-packets-rows tr').length === 40");
    assert_eq!(browser.eval("document.getElementById('state').hidden"), true);
}

#[test]
fn the_page_works_in_firefox() {
    let wire = Wire::new();
    let browser = Firefox::start(&wire.host);
    check(&wire, &browser);
    assert_eq!(browser.problems(), [""; 0]);
    // The policy forbids this script, which shows that the console is read.
    browser.eval(
        "document.body.append(Object.assign(document.createElement('script'), { text: '0' }))",
    );
    wait_for("the message of the policy", || browser.problems().first().map(|_| ()));
}

/// The driver of `WebKit` does not pass on the console, but the page itself shows that a script failed.
#[test]
fn the_page_works_in_webkit() {
    let wire = Wire::new();
    check(&wire, &WebKit::start(&wire.host));
}
