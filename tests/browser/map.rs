//! The map in Chromium: cities that join and divide, and movements by mouse, touch and keyboard. Needs root.

use std::fs;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    chromium::Browser,
    page::{ADDRESS, RULES, WIDE, metrics_of, open, screenshots},
    support::{
        Wire, frame,
        mmdb::{self, Value},
        program::{Exporter, open_to_all},
    },
};

/// The first octet of all addresses.
const OCTET: u8 = 45;

/// A city, with the packets from it.
pub struct City {
    name: String,
    country: &'static str,
    latitude: f64,
    longitude: f64,
    packets: usize,
}

fn city(
    name: impl Into<String>,
    country: &'static str,
    latitude: f64,
    longitude: f64,
    packets: usize,
) -> City {
    City { name: name.into(), country, latitude, longitude, packets }
}

/// Three cities in Germany, the first two 30 km from each other, and three far away from them.
pub fn cities() -> Vec<City> {
    vec![
        city("Berlin", "DE", 52.52, 13.40, 30),
        city("Potsdam", "DE", 52.39, 13.06, 20),
        city("Leipzig", "DE", 51.34, 12.37, 10),
        city("Tokyo", "JP", 35.68, 139.69, 40),
        city("Sydney", "AU", -33.87, 151.21, 5),
        city("Lima", "PE", -12.05, -77.04, 1),
    ]
}

/// An exporter that has received the packets of cities, and the directory of its database.
fn start<'w>(wire: &'w Wire, cities: &[City]) -> (Exporter<'w>, TempDir) {
    let (exporter, directory) = start_empty(wire, cities);
    send(wire, &exporter, cities);
    (exporter, directory)
}

/// An exporter with a database of cities, and the directory of the database.
pub fn start_empty<'w>(wire: &'w Wire, cities: &[City]) -> (Exporter<'w>, TempDir) {
    start_empty_with(wire, cities, "")
}

/// The same, with the first lines of its configuration file.
pub fn start_empty_with<'w>(
    wire: &'w Wire,
    cities: &[City],
    config: &str,
) -> (Exporter<'w>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let file = directory.path().join("cities.mmdb");
    let records: Vec<_> = cities.iter().map(record).collect();
    fs::write(&file, mmdb::cities(OCTET, 1_790_000_000, &records)).unwrap();
    wire.host.nft(RULES);
    let arguments = ["--geoip.database", file.to_str().unwrap()];
    let exporter = Exporter::start(&wire.host, &format!("{config}\n{WIDE}"), &arguments);
    (exporter, directory)
}

fn record(city: &City) -> Value {
    let names = Value::Map(vec![("en", Value::Name(city.name.clone()))]);
    let location = Value::Map(vec![
        ("latitude", Value::Double(city.latitude)),
        ("longitude", Value::Double(city.longitude)),
    ]);
    Value::Map(vec![
        ("city", Value::Map(vec![("names", names)])),
        ("country", Value::Map(vec![("iso_code", Value::Text(city.country))])),
        ("location", location),
    ])
}

/// Sends the packets of cities, and waits until the exporter shows them.
pub fn send(wire: &Wire, exporter: &Exporter, cities: &[City]) {
    // The network of a city: the record is that of the first bits below the octet.
    let size = (1_u32 << 24) >> cities.len().next_power_of_two().trailing_zeros();
    let mut packets = Vec::new();
    // In turn, so that the newest packets are from all cities.
    for round in 0..cities.iter().map(|city| city.packets).max().unwrap() {
        for (number, _) in (0..).zip(cities).filter(|(_, city)| city.packets > round) {
            let [_, high, middle, low] = (number * size + 1_u32).to_be_bytes();
            packets.push(frame::syn([OCTET, high, middle, low], 40_000, 22));
        }
    }
    wire.send(packets);
    metrics_of(wire, exporter);
}

/// What a screen reader says about each circle, the heaviest first.
fn circles(browser: &Browser) -> Json {
    browser.eval("[...document.querySelectorAll('.city')].map((it) => it.ariaLabel)")
}

/// The part of the map in view: left, top, width, height.
fn view(browser: &Browser) -> Vec<f64> {
    let text = browser.text("document.querySelector('#map svg').getAttribute('viewBox')");
    text.split(' ').map(|number| number.parse().unwrap()).collect()
}

const LEVEL: &str = "document.getElementById('zoom-level').textContent";

#[test]
fn close_cities_are_one_circle_until_the_map_is_enlarged() {
    let wire = Wire::new();
    let (_exporter, _directory) = start(&wire, &cities());
    let browser = Browser::start(&wire.host);
    for (width, height, scheme) in [(1600, 900, "dark"), (1280, 800, "light"), (390, 844, "dark")] {
        browser.view(width, height, scheme);
        open(&browser, "");
        browser.until("document.querySelectorAll('.city').length === 4");
        browser.screenshot(&screenshots().join(format!("cities-{width}-{scheme}.png")));
        let far =
            ["Tokyo, Japan, 40 packets", "Sydney, Australia, 5 packets", "Lima, Peru, 1 packets"];
        assert_eq!(
            circles(&browser),
            json!([far[0], "Berlin and 2 more cities, 60 packets, zooms in", far[1], far[2]])
        );
        browser.hover(".city[aria-label^=Berlin]");
        browser.until("document.getElementById('tooltip').checkVisibility()");
        assert_eq!(
            browser.text("document.getElementById('tooltip').innerText").replace('\n', " "),
            "Berlin and 2 more cities 60 packets click to zoom in"
        );
        // The circle with the focus keeps it when it divides.
        browser.eval("document.querySelector('.city[aria-label^=Berlin]').focus()");
        browser.press("Enter");
        browser.until("document.querySelectorAll('.city').length === 6");
        assert_eq!(
            circles(&browser),
            json!([
                far[0],
                "Berlin, Germany, 30 packets",
                "Potsdam, Germany, 20 packets",
                "Leipzig, Germany, 10 packets",
                far[1],
                far[2]
            ])
        );
        assert_eq!(browser.text("document.activeElement.ariaLabel"), "Berlin, Germany, 30 packets");
        for name in ["Berlin", "Potsdam", "Leipzig"] {
            let (x, y) = browser.centre(&format!(".city[aria-label^={name}]"));
            let (left, top) = browser.centre("#map svg");
            assert!((x - left).abs() < 500.0 && (y - top).abs() < 250.0, "{name}: {x} {y}");
        }
        browser.screenshot(&screenshots().join(format!("cities-near-{width}-{scheme}.png")));
        // The arrow keys go to the next city, also to one that is out of view.
        browser.press("ArrowLeft");
        assert_eq!(browser.text("document.activeElement.ariaLabel"), far[0]);
        let (x, _) = browser.centre(".city[aria-label^=Tokyo]");
        assert!(x > 0.0 && x < f64::from(width), "{x}");
        // Without enlargement, the focus goes to the circle that the city is part of.
        browser.eval("document.querySelector('.city[aria-label^=Leipzig]').focus()");
        browser.press("0");
        browser.until("document.querySelectorAll('.city').length === 4");
        assert!(browser.text("document.activeElement.ariaLabel").starts_with("Berlin and 2 more"));
        assert_eq!(browser.text(LEVEL), "");
    }
    // A click on one city filters by its country.
    browser.view(1280, 800, "light");
    open(&browser, "");
    browser.until("document.querySelectorAll('.city').length === 4");
    browser.eval("scrollTo(0, 0)");
    let (x, y) = browser.centre(".city[aria-label^=Tokyo]");
    browser.drag((x, y), (0.0, 0.0));
    browser.until("document.getElementById('timeline-title').textContent.includes('that match')");
    assert_eq!(browser.text("location.hash"), "#country=JP");
    browser.until("document.querySelectorAll('.city').length === 1");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn the_mouse_and_the_keyboard_move_the_map() {
    let wire = Wire::new();
    let (_exporter, _directory) = start(&wire, &cities());
    let browser = Browser::start(&wire.host);
    browser.view(1280, 600, "light");
    open(&browser, "");
    let whole = view(&browser);
    let disabled =
        |id: &str| browser.text(&format!("document.getElementById('{id}').ariaDisabled"));
    assert_eq!((disabled("zoom-out"), disabled("zoom-in")), ("true".into(), "false".into()));

    // The wheel enlarges around the mouse. A button that was released outside of the map moves nothing later.
    let japan = browser.centre("#map [data-code=JP]");
    browser.drag(japan, (5.0 - japan.0, 5.0 - japan.1));
    browser.wheel(japan, -240);
    browser.until(&format!("{LEVEL} !== ''"));
    let after = browser.centre("#map [data-code=JP]");
    assert!((japan.0 - after.0).abs() < 2.0 && (japan.1 - after.1).abs() < 2.0, "{after:?}");
    browser.hover("#zoom-in");
    assert_eq!(browser.centre("#map [data-code=JP]"), after);
    // A drag moves the map, and is no click on a country.
    browser.drag(japan, (60.0, 30.0));
    let moved = browser.centre("#map [data-code=JP]");
    assert!((moved.0 - after.0 - 60.0).abs() < 2.0, "{moved:?}");
    assert_eq!(browser.text("location.hash"), "");
    // The whole map does not reach beyond its edges, and then the wheel scrolls the page.
    browser.wheel(moved, 2000);
    browser.until(&format!("{LEVEL} === ''"));
    assert_eq!(view(&browser), whole);
    assert_eq!(browser.eval("scrollY"), 0);
    browser.wheel(moved, 120);
    browser.until("scrollY > 50");
    assert_eq!(view(&browser), whole);

    // The buttons.
    browser.eval("scrollTo(0, 0)");
    browser.click("#zoom-in");
    browser.click("#zoom-in");
    assert_eq!(browser.text(LEVEL), "4.0×");
    browser.click("#zoom-out");
    assert_eq!(browser.text(LEVEL), "2.0×");
    browser.click("#zoom-reset");
    assert_eq!(view(&browser), whole);

    // The keys.
    browser.eval("document.getElementById('map').focus()");
    browser.press("ArrowRight");
    assert_eq!(view(&browser), whole);
    browser.press("+");
    browser.press("+");
    assert_eq!(browser.text(LEVEL), "4.0×");
    let enlarged = view(&browser);
    for (key, axis, sign) in [
        ("ArrowRight", 0, 1.0),
        ("ArrowDown", 1, 1.0),
        ("ArrowLeft", 0, -1.0),
        ("ArrowUp", 1, -1.0),
    ] {
        let before = view(&browser);
        browser.press(key);
        let difference = view(&browser)[axis] - before[axis];
        assert!(difference * sign > 5.0, "{key}: {difference}");
    }
    assert_eq!(view(&browser), enlarged);
    browser.press("-");
    assert_eq!(browser.text(LEVEL), "2.0×");
    browser.press("0");
    assert_eq!(view(&browser), whole);
    // Countries are still filters.
    browser.eval("document.querySelector('#map [data-code=DE]').focus()");
    browser.press("Enter");
    browser.until("location.hash === '#country=DE'");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn two_fingers_move_the_map_and_one_scrolls_the_page() {
    let wire = Wire::new();
    let (_exporter, _directory) = start(&wire, &cities());
    let browser = Browser::start(&wire.host);
    browser.view(390, 844, "light");
    open(&browser, "");
    let whole = view(&browser);
    let (x, y) = browser.centre("#map svg");
    // Two fingers move apart, in the direction in which one scrolls.
    let apart = (0..=5).map(|step| {
        let half = 20.0 + 8.0 * f64::from(step);
        vec![(x, y - half), (x, y + half)]
    });
    browser.touch(&apart.collect::<Vec<_>>());
    browser.until(&format!("{LEVEL} !== ''"));
    let enlarged = view(&browser);
    assert!(enlarged[2] < whole[2] / 2.0, "{enlarged:?}");
    // Now one finger moves the map.
    let one = |by: f64| -> Vec<_> {
        (0..=5).map(|step| vec![(x, y + by * f64::from(step) / 5.0)]).collect()
    };
    browser.touch(&one(40.0));
    assert!(view(&browser)[1] < enlarged[1] - 5.0, "{enlarged:?}");
    assert_eq!(browser.eval("scrollY"), 0);
    browser.screenshot(&screenshots().join("enlarged-390.png"));
    // The whole map does not move.
    browser.click("#zoom-reset");
    assert_eq!(view(&browser), whole);
    // What a finger does is known from the frame that was drawn before.
    browser.run("requestAnimationFrame(() => requestAnimationFrame(() => done()));");
    browser.touch(&one(-150.0));
    browser.until("scrollY > 100");
    assert_eq!(view(&browser), whole);
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth"), true);
    assert_eq!(browser.console(), [""; 0]);
}

/// More cities than the page shows, and more packets than the exporter keeps.
#[test]
fn many_cities_are_cut_and_the_rest_is_stated() {
    let wire = Wire::new();
    let many: Vec<_> = (0..2000)
        .map(|number| {
            let (row, column) = (f64::from(number / 50), f64::from(number % 50));
            city(format!("City {number}"), "FR", 3.0 * row - 50.0, 6.0 * column - 150.0, 35)
        })
        .collect();
    let (_exporter, _directory) = start(&wire, &many);
    let browser = Browser::start(&wire.host);
    browser.view(1280, 800, "light");
    open(&browser, "");
    browser.until("document.querySelectorAll('.city').length > 0");
    let shown = browser.eval("document.querySelectorAll('.city').length").as_u64().unwrap();
    assert!((100..800).contains(&shown), "{shown}");
    let note = browser.text("document.getElementById('cities-note').textContent");
    let kept = note.strip_prefix("Cities are those of the newest 6").expect(&note);
    assert!(kept.contains(" packets, since "), "{note}");
    assert!(kept.contains("; 1,000 more cities with 3"), "{note}");
    assert!(kept.ends_with(" packets are not shown"), "{note}");
    browser.screenshot(&screenshots().join("many-cities.png"));
    browser.click("#as-table");
    assert_eq!(browser.eval("document.querySelectorAll('#city-rows tr').length"), 100);
    let more = browser.text("document.getElementById('more-cities').textContent");
    assert!(more.starts_with("and 1,900 more with "), "{more}");
    // Later overviews do not freeze the page.
    browser
        .until("performance.getEntriesByName(new URL('overview.json', location).href).length > 2");
    let requests = browser.requests();
    assert!(requests.iter().all(|url| url.starts_with(ADDRESS) || url.starts_with("data:,")));
    assert_eq!(browser.console(), [""; 0]);
}
