//! The HTML report in Chromium, opened from a file. Needs root.
//!
//! Screenshots are written to `target/screenshots`.

use std::{fs, path::Path, process::Command};

use crate::{
    chromium::Browser,
    support::{
        Wire,
        program::EXPORTER,
        report_traffic::{NflogCapture, week},
    },
};

/// Writes the report on a capture.
pub fn write_report(capture: &NflogCapture, directory: &Path) -> String {
    let file = directory.join("week.pcap");
    fs::write(&file, capture.bytes()).unwrap();
    let page = directory.join("report.html");
    let mut command = Command::new(EXPORTER);
    command.arg("report").arg(file).args(["--format=html", "--output"]).arg(&page);
    assert!(command.status().unwrap().success());
    format!("file://{}", page.display())
}

/// The text of an element is shown in full, and the page is not wider than the window.
const FITS: &str = "document.documentElement.scrollWidth <= innerWidth";

#[test]
fn the_report_is_readable_on_each_screen_and_loads_nothing() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let page = write_report(&week(), directory.path());
    let browser = Browser::start(&wire.host);
    browser.open(&page);
    let screenshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    for (width, height, scheme) in [
        (1280, 900, "light"),
        (1280, 900, "dark"),
        (375, 800, "light"),
        (375, 800, "dark"),
        (1920, 1080, "dark"),
    ] {
        browser.view(width, height, scheme);
        browser.until(&format!("innerWidth === {width}"));
        assert_eq!(browser.eval(FITS), true, "{width} {scheme}");
        // The page scrolls, also on a wall screen.
        let end = "(scrollTo(0, 1e6), document.querySelector('footer').getBoundingClientRect().bottom <= innerHeight)";
        assert_eq!(browser.eval(end), true, "{width} {scheme}");
        browser.eval("scrollTo(0, 0)");
        // The tables with bars show all of their columns.
        let tables = "[...document.querySelectorAll('.lists .scroll')].every((it) => it.scrollWidth <= it.clientWidth)";
        assert_eq!(browser.eval(tables), true, "{width} {scheme}");
        let dark = browser.text("getComputedStyle(document.body).backgroundColor");
        assert_eq!(dark == "rgb(10, 15, 20)", scheme == "dark", "{dark}");
        // Countries have the colours of their levels, and the others another one.
        let colour = |selector: &str| {
            browser.text(&format!("getComputedStyle(document.querySelector('{selector}')).fill"))
        };
        assert_ne!(colour("#map [data-code=JP]"), colour("#map [data-code=KZ]"));
        let map = "document.querySelector('#map svg').getBoundingClientRect().width";
        let map = browser.eval(map).as_f64().unwrap();
        assert!(map > f64::from(width.min(1400)) * 0.8, "{map}");
        browser.screenshot(&screenshots.join(format!("report-{width}-{scheme}.png")));
    }
    assert_eq!(browser.eval("document.querySelectorAll('#map [data-level]').length"), 11);
    assert_eq!(
        browser.text("document.querySelector('#map [data-code=ZA] title').textContent"),
        "South Africa: 200 packets"
    );
    assert_eq!(browser.eval("document.querySelectorAll('figure rect').length"), 8);
    // Hostile text is text.
    let prefixes = browser.text("document.body.innerText");
    assert!(
        prefixes.contains("<script>alert(1)</script> a|b`c` [x](http://evil.example)"),
        "{prefixes}"
    );
    assert_eq!(browser.eval("document.scripts.length"), 0);
    assert_eq!(browser.console(), [""; 0]);
    let requests = browser.requests();
    assert!(requests.iter().all(|url| *url == page || url == "data:,"), "{requests:?}");
}

#[test]
fn a_report_without_packets_has_an_empty_map() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let page = write_report(&NflogCapture::new(), directory.path());
    let browser = Browser::start(&wire.host);
    browser.open(&page);
    assert_eq!(browser.eval("document.querySelectorAll('#map [data-level]').length"), 0);
    assert_eq!(browser.eval("document.querySelectorAll('#map [data-code]').length > 200"), true);
    assert!(browser.text("document.body.innerText").contains("no packets"));
    assert_eq!((browser.console(), browser.eval(FITS)), (vec![], true.into()));
}
