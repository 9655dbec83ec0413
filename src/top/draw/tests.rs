use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    history::Range,
    system::golden::check_golden,
    top::{
        figures::{Figures, ListKind},
        fixture,
        keys::KeyAction,
        plain::lines,
        view::{ReadProgress, Selection},
    },
};

const UNICODE: Look = Look { has_colour: true, has_unicode: true };
const ASCII: Look = Look { has_colour: false, has_unicode: false };

fn empty() -> View {
    View::new("http://192.0.2.1:10239/".into(), Selection::default(), TimeZone::UTC)
}

fn live() -> View {
    let mut view = empty();
    view.update(Ok(fixture::live()), Instant::now());
    view
}

/// A frame of a terminal of this size, as a buffer.
fn frame(view: &mut View, look: Look, (width, height): (u16, u16), now: Instant) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            draw(view, look, now, frame.area(), frame.buffer_mut());
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

fn text(view: &mut View, look: Look, size: (u16, u16)) -> String {
    lines(&frame(view, look, size, Instant::now()))
}

fn check(name: &str, view: &mut View, look: Look, size: (u16, u16)) {
    check_golden(&format!("src/top/testdata/{name}.txt"), &text(view, look, size));
}

#[test]
fn screens_of_some_sizes() {
    for size @ (width, height) in [(80, 24), (120, 40), (200, 60), (40, 12), (40, 10), (60, 18)] {
        check(&format!("live-{width}x{height}"), &mut live(), UNICODE, size);
    }
    check("live-ascii", &mut live(), ASCII, (80, 24));
    check("too-small", &mut live(), UNICODE, (30, 5));
}

#[test]
fn lists_filters_and_orders() {
    let mut view = live();
    view.act(KeyAction::NextList, 1);
    view.act(KeyAction::Down, 1);
    view.act(KeyAction::ToggleFilter, 1);
    view.act(KeyAction::NextSort, 1);
    view.act(KeyAction::Pause, 1);
    check("ports", &mut view, UNICODE, (80, 24));
    let mut view = live();
    view.selection.focus = ListKind::Prefixes;
    view.selection.range = Range::Day;
    view.act(KeyAction::Last, 1);
    check("prefixes", &mut view, UNICODE, (80, 24));
    view.act(KeyAction::Help, 1);
    check("help", &mut view, UNICODE, (80, 24));
    check("help-small", &mut view, ASCII, (40, 12));
}

#[test]
fn no_figures_and_errors() {
    check("waiting", &mut empty(), UNICODE, (80, 24));
    let mut view = empty();
    view.update(
        Err("cannot connect to 192.0.2.1:10239: connection refused".into()),
        Instant::now(),
    );
    check("no-connection", &mut view, UNICODE, (80, 24));
    let mut view = live();
    let received = view.received.unwrap();
    view.update(Err("http://192.0.2.1:10239/overview.json did not respond within 8 s; check the network between this host and the exporter, and that it runs".into()), Instant::now());
    let frame = frame(&mut view, UNICODE, (80, 24), received + Duration::from_secs(75));
    check_golden("src/top/testdata/old.txt", &lines(&frame));
    let nothing = r#"{"window":{"seconds":600,"slices":60,"running":4,"range":"10m","since":1796046700},"time":1796046753,"received":0,"timeline":[0,0,0]}"#;
    let mut view = empty();
    view.update(Ok(Figures::parse(nothing).unwrap()), Instant::now());
    check("no-packets", &mut view, UNICODE, (80, 24));
}

/// A view with some conditions of the page.
fn unusual(conditions: &[(&str, &str, &str, f64, &str)]) -> View {
    let conditions = conditions.iter().map(|(severity, text, subject, value, unit)| {
        serde_json::json!({"severity": severity, "text": text, "subject": subject, "dimension": "prefix",
            "value": value, "unit": unit, "more": 0})
    });
    let conditions = serde_json::json!(conditions.collect::<Vec<_>>());
    let figures = fixture::LIVE.replacen('{', &format!("{{\"conditions\": {conditions},"), 1);
    let mut view = empty();
    view.update(Ok(Figures::parse(&figures).unwrap()), Instant::now());
    view
}

#[test]
fn unusual_conditions_are_below_the_summary() {
    let all = [
        ("critical", "The mirror dropped {value} rows in the last 15 minutes", "", 1234.0, "count"),
        (
            "warning",
            "One source sent packets with prefix {subject} to {value} ports in 10 minutes",
            "drop-in",
            131.0,
            "count",
        ),
        (
            "info",
            "{value} of the packets of family traffic were counted as other in the last 15 minutes; totals stay exact",
            "",
            0.123,
            "share",
        ),
    ];
    check("conditions-80x24", &mut unusual(&all), UNICODE, (80, 24));
    check("conditions-ascii", &mut unusual(&all), ASCII, (80, 24));
    check("conditions-120x40", &mut unusual(&all), UNICODE, (120, 40));
    check("conditions-40x10", &mut unusual(&all), UNICODE, (40, 10));
    check("conditions-one", &mut unusual(&all[1..2]), UNICODE, (80, 24));
}

#[test]
fn a_recording() {
    let mut view = live();
    let recording = fixture::LIVE.replace("\"capture\": false", "\"capture\": true");
    view.update(Ok(Figures::parse(&recording).unwrap()), Instant::now());
    view.source = "mixed.pcap".into();
    view.progress = Some(ReadProgress::Reading("mixed.pcap 45 %".into()));
    check("recording", &mut view, UNICODE, (80, 24));
}

/// The cells of a row that have a style.
#[test]
fn without_colours_no_cell_has_one() {
    let now = Instant::now();
    let is_coloured = |look| {
        let buffer = frame(&mut live(), look, (120, 40), now);
        let cells = buffer.content();
        cells.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(is_coloured(UNICODE));
    assert!(!is_coloured(Look { has_colour: false, ..UNICODE }));
    assert!(text(&mut live(), ASCII, (120, 40)).is_ascii());
}

/// Text of packets and of a hostile server, at every size.
#[test]
fn hostile_text_and_numbers_do_not_disturb_the_screen() {
    let long = "東\u{301}\u{301}e\u{1b}]0;x\u{7}\u{202e}\u{200d}👩‍👩‍👧".repeat(40);
    let row = serde_json::json!({"value": long, "name": long, "packets": u64::MAX, "before": 1, "timeline": vec![u64::MAX; 100]});
    let list = serde_json::json!({"rows": vec![row.clone(); 30], "more": {"values": u64::MAX, "packets": u64::MAX}});
    let overview = serde_json::json!({
        "version": long, "time": 1e300, "window": {"seconds": 1e300, "slices": 1e300, "running": 5, "range": long, "since": 1e300},
        "now": {"packets_per_second": 1e308, "bytes_per_second": -1e308}, "received": u64::MAX, "lost": u64::MAX, "undecoded": u64::MAX,
        "total": {"packets": u64::MAX, "before": 1}, "timeline": vec![u64::MAX; 100], "countries": vec![row; 300],
        "ports": list, "networks": list, "prefixes": list, "protocols": list, "source_addresses": 1e308,
        "mirror": {"up": false, "lag_seconds": 1e308, "queued": u64::MAX, "spooled": u64::MAX, "dropped": u64::MAX}, "health": long,
        "conditions": vec![serde_json::json!({"severity": long, "text": long.clone() + "{value} {subject}",
            "subject": long, "dimension": "prefix", "value": 1e308, "unit": "count", "more": u64::MAX}); 2000],
    });
    let figures = Figures::parse(&overview.to_string()).unwrap();
    for kind in ListKind::ALL {
        let mut view = empty();
        view.source.clone_from(&long);
        view.update(Ok(figures.clone()), Instant::now());
        view.selection.focus = kind;
        view.act(KeyAction::ToggleFilter, 1);
        view.act(KeyAction::Last, 1);
        for width in (1..120).step_by(3) {
            for (height, look) in [(1, UNICODE), (10, ASCII), (24, UNICODE), (40, UNICODE)] {
                let shown = text(&mut view, look, (width, height));
                let unsafe_text = shown
                    .lines()
                    .any(|line| line.contains(crate::system::untrusted_text::is_unsafe));
                assert!(!unsafe_text, "{width}x{height}: {shown}");
                let widest = shown.lines().map(crate::top::text::columns).max();
                assert!(widest <= Some(width.into()), "{width}x{height}: {shown}");
            }
        }
    }
}
