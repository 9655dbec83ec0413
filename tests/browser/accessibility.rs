//! The page and the HTML report for users of keyboards, screen readers and magnifiers, and in other languages: the rules
//! of WCAG 2.2, levels A and AA, by axe-core. Needs root, and the rules that `tests/run axe` installs.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    chromium::Browser,
    map::{cities, send, start_empty},
    page::{ADDRESS, RULES, WIDE, fill, open, screenshots},
    report::write_report,
    support::{
        Wire,
        program::Exporter,
        report_traffic::{NflogCapture, week},
    },
};

/// Runs the rules; the result has a line for each element that violates one, and the number of rules that passed.
const RULES_OF_WCAG: &str = "
    axe.run(document, {
        runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
        resultTypes: ['violations'],
    }).then(({ violations, passes }) => done({
        violations: violations.flatMap(({ id, help, nodes }) =>
            nodes.map((node) => `${id} (${help}): ${node.html.slice(0, 200)} ${node.any.map((it) => it.message).join()}`)),
        passed: passes.length,
    }), (error) => done({ violations: [String(error)], passed: 0 }));";

/// Checks that the page in the browser violates no rule.
#[track_caller]
pub fn check(browser: &Browser, what: &str) {
    let library =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/node_modules/axe-core/axe.min.js");
    let library = fs::read_to_string(&library).unwrap_or_else(|error| {
        panic!("{}: {error}: `tests/run axe` installs it", library.display())
    });
    if browser.eval("typeof axe") != "object" {
        browser.run(&format!("{library}; done();"));
    }
    let result = browser.run(RULES_OF_WCAG);
    assert_eq!(result["violations"], json!([]), "{what}");
    assert!(result["passed"].as_u64().unwrap() > 10, "{what}: {result}");
}

/// Each element that can be used and has less than 24 pixels of height or width. Links within a sentence are exempt, and
/// so are countries, which the list of countries has too.
pub const SMALL_TARGETS: &str = "[...document.querySelectorAll('button, nav a, .city')]
    .filter((it) => it.checkVisibility())
    .filter((it) => { const { width, height } = it.getBoundingClientRect(); return width < 24 || height < 24; })
    .map((it) => it.outerHTML.slice(0, 120))";

#[test]
fn the_page_violates_no_rule() {
    let wire = Wire::new();
    let cities = cities();
    let (exporter, _directory) = start_empty(&wire, &cities);
    let browser = Browser::start(&wire.host);
    let views =
        [(1280, 800, "light"), (1280, 800, "dark"), (390, 844, "light"), (390, 844, "dark")];
    for (width, height, scheme) in views {
        browser.view(width, height, scheme);
        browser.open(ADDRESS);
        browser.until("document.getElementById('empty').checkVisibility()");
        check(&browser, &format!("without packets, {width} {scheme}"));
    }
    send(&wire, &exporter, &cities);
    for (width, height, scheme) in views {
        browser.view(width, height, scheme);
        open(&browser, "");
        browser.until("document.querySelectorAll('.city').length > 0");
        check(&browser, &format!("with packets, {width} {scheme}"));
        assert_eq!(browser.eval(SMALL_TARGETS), json!([]), "{width} {scheme}");
        browser.click("#zoom-in");
        check(&browser, &format!("enlarged, {width} {scheme}"));
        browser.click("#as-table");
        browser.until("document.getElementById('country-rows').checkVisibility()");
        check(&browser, &format!("table, {width} {scheme}"));
        browser.screenshot(&screenshots().join(format!("table-{width}-{scheme}.png")));
        open(&browser, "?#port=22&range=1h");
        browser.until("document.getElementById('filters').checkVisibility()");
        browser
            .until("document.getElementById('timeline-title').textContent.includes('that match')");
        check(&browser, &format!("filter, {width} {scheme}"));
        assert_eq!(browser.eval(SMALL_TARGETS), json!([]), "{width} {scheme}");
    }
    assert_eq!(browser.console(), [""; 0]);
}

/// The rules find what violates them.
#[test]
fn a_violation_is_found() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let _exporter = Exporter::start(&wire.host, WIDE, &[]);
    let browser = Browser::start(&wire.host);
    browser.open(ADDRESS);
    browser.until("document.getElementById('empty').checkVisibility()");
    check(&browser, "before");
    browser.eval("document.getElementById('theme').replaceChildren(), document.getElementById('theme').removeAttribute('aria-label')");
    let result = browser.run(RULES_OF_WCAG);
    let found = result["violations"][0].as_str().unwrap();
    assert!(found.starts_with("button-name"), "{result}");
}

/// Whether the focus can be seen: by an outline, or by another line around a shape of the map.
const FOCUS: &str = "(() => {
    const it = document.activeElement;
    const style = getComputedStyle(it.classList.contains('city') ? it.querySelector('.dot') : it);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const box = it.getBoundingClientRect();
    return {
        name: it === document.body ? 'body' : it.id || it.dataset.code || it.dataset.value || it.className.baseVal || it.textContent,
        seen: outlined || (it.closest('svg') !== null && parseFloat(style.strokeWidth) >= 2),
        inside: box.bottom > 0 && box.top < innerHeight,
    };
})()";

#[test]
fn the_keyboard_reaches_everything_and_shows_where_it_is() {
    let wire = Wire::new();
    let cities = cities();
    let (exporter, _directory) = start_empty(&wire, &cities);
    send(&wire, &exporter, &cities);
    let browser = Browser::start(&wire.host);
    browser.view(1280, 800, "light");
    open(&browser, "");
    browser.until("document.querySelectorAll('.city').length > 0");
    let mut reached = Vec::new();
    for _ in 0..100 {
        browser.press("Tab");
        let focus = browser.eval(FOCUS);
        // After the last element, the focus leaves the page.
        if focus["name"] == "body" {
            break;
        }
        assert_eq!((&focus["seen"], &focus["inside"]), (&true.into(), &true.into()), "{focus}");
        reached.push(focus["name"].clone());
    }
    let first: Vec<_> = reached.iter().map(|name| name.as_str().unwrap()).collect();
    // One stop for all countries and one for all cities.
    let map = first.iter().position(|name| *name == "map").expect("the map is reached");
    assert_eq!(first[map + 1..map + 6], ["DE", "city", "zoom-in", "zoom-out", "zoom-reset"]);
    for name in ["timeline", "theme", "as-table", "22", "tcp", "Metrics", "Ready"] {
        assert!(first.contains(&name), "{name} is missing: {first:?}");
    }
    // The table scrolls by keys.
    browser.click("#as-table");
    browser.eval("document.getElementById('map-table').focus()");
    assert_eq!(browser.text("document.activeElement.id"), "map-table");
}

#[test]
fn the_narrowest_window_does_not_scroll_sideways() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    fill(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    // A window of 1280 by 1024 pixels, magnified four times.
    browser.view(320, 256, "light");
    for filter in ["", "?#country=JP&port=22"] {
        open(&browser, filter);
        let inside = "document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.eval(inside), true, "{filter}");
        let texts = browser.eval(
            "[...document.querySelectorAll('h1, h2, dt, dd, button, #timeline-title, #elsewhere')]
             .filter((it) => it.checkVisibility() && it.getBoundingClientRect().right > innerWidth)
             .map((it) => it.textContent)",
        );
        assert_eq!(texts, json!([]), "{filter}");
        check(&browser, &format!("320 pixels, {filter}"));
    }
    browser.click("#as-table");
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth"), true);
    browser.screenshot(&screenshots().join("narrowest.png"));
}

#[test]
fn numbers_and_times_have_the_form_of_the_browsers_language() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let exporter = Exporter::start(&wire.host, WIDE, &[]);
    fill(&wire, &exporter);
    let browser = Browser::start(&wire.host);
    let text =
        |selector: &str| browser.text(&format!("document.querySelector('{selector}').textContent"));
    for (locale, received, share, rate, time) in [
        (
            "en-US",
            "5,000",
            r"^\\d+\\.\\d%$",
            r"^(\\d+\\.\\d|\\d+)$",
            r"since \\d\\d:\\d\\d:\\d\\d [AP]M",
        ),
        (
            "de-DE",
            "5.000",
            r"^\\d+,\\d\\u00a0%$",
            r"^(\\d+,\\d|\\d+)$",
            r"seit|since \\d\\d:\\d\\d:\\d\\d\\)",
        ),
        // Arabic digits, with their own separators.
        (
            "ar-EG",
            "٥٬٠٠٠",
            r"^[٠-٩]+٫[٠-٩]\\u200e?٪\\u061c?$",
            r"^[٠-٩]+(٫[٠-٩])?$",
            r"since [٠-٩]+:[٠-٩]+:[٠-٩]+",
        ),
    ] {
        browser.locale(locale);
        browser.view(1280, 800, "light");
        open(&browser, "");
        assert_eq!(text("#received").trim(), received, "{locale}");
        for (selector, expression) in [
            ("#country-rows td:nth-child(5)", share),
            ("[data-filter=country] .per-second", rate),
            ("#timeline-title", time),
        ] {
            let matches = format!(
                "new RegExp('{expression}').test(document.querySelector('{selector}').textContent)"
            );
            assert_eq!(browser.eval(&matches), true, "{locale}: {selector}: {:?}", text(selector));
        }
        // Texts stay English.
        assert_eq!(text("#country-title"), "Countries");
        assert_eq!(browser.text("document.documentElement.lang"), "en");
        browser.screenshot(&screenshots().join(format!("locale-{locale}.png")));
    }
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn the_report_violates_no_rule() {
    let wire = Wire::new();
    let browser = Browser::start(&wire.host);
    for (what, capture) in [("a week", week()), ("no packets", NflogCapture::new())] {
        let directory = tempfile::tempdir().unwrap();
        let page = write_report(&capture, directory.path());
        for (width, height, scheme) in [
            (1280, 900, "light"),
            (1280, 900, "dark"),
            (390, 844, "light"),
            (390, 844, "dark"),
            (320, 256, "light"),
        ] {
            browser.view(width, height, scheme);
            browser.open(&page);
            check(&browser, &format!("{what}, {width} {scheme}"));
            let inside = browser.eval("document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(inside, Value::Bool(true), "{what}, {width}");
        }
    }
}
