//! The history of recent packets, with a clock that the test moves.

use super::*;
use crate::{
    event::{Event, NameField, fixture::tcp},
    geoip::GeoIp,
    metrics::{Aggregate, SharedAggregate},
    recent::{Filter, facets},
};

/// 2026-12-04 00:00:00 UTC, when the clock of the packets starts.
const START: u64 = 1_796_342_400;

fn route() -> Route {
    let geoip = GeoIp::open(&[]).unwrap();
    let aggregate = SharedAggregate::new(Aggregate::new(&[], &[1], 1, Duration::ZERO));
    Route::new(geoip.locator(), aggregate, Clock::running())
}

/// Packets at this second of the clock.
fn receive(history: &SharedHistory, at: u64, packets: usize, prefix: &str) {
    let mut interner = Interner::new(history.0.names.get());
    let mut event: Event = tcp("DE", [198, 51, 100, 7], 22);
    event.prefix = interner.intern(NameField::Prefix, prefix.as_bytes());
    history.0.recent.lock().push(&vec![event; packets], Duration::from_secs(at));
}

/// All packets of a view, and the text of its only prefix.
fn counted(view: &View) -> (u64, Option<String>) {
    let facets = facets(&view.span, &Filter::default(), 0);
    assert_eq!(facets.timeline.iter().sum::<u64>(), facets.total.packets);
    let prefix = facets.lists[2].first().and_then(|row| {
        crate::metrics::Dimension::Prefix.text(row.value, &view.names).map(|text| text.to_string())
    });
    (facets.total.packets, prefix)
}

fn view(history: &SharedHistory, range: Range, at: u64) -> (u64, Option<String>) {
    counted(&history.view_at(range, START + at, Duration::from_secs(at)))
}

#[test]
fn a_range_has_the_packets_of_this_moment_and_of_the_past() {
    let history = SharedHistory::new(&route(), Loaded::default(), false);
    let drop = Some("drop".to_owned());
    assert_eq!(view(&history, Range::Hour, 0), (0, None));
    for at in 0..3000 {
        receive(&history, at, 2, "drop");
        if at % 400 == 7 {
            for range in [Range::Hour, Range::Day, Range::Month] {
                assert_eq!(
                    view(&history, range, at),
                    (2 * (at + 1), drop.clone()),
                    "{range:?} {at}"
                );
            }
        }
    }
    assert_eq!(view(&history, Range::Hour, 2999).0, 6000);
    // Whole minutes, with the current one: from 1440 s on. Then whole parts of 20 minutes.
    assert_eq!(view(&history, Range::Hour, 5000).0, 2 * (3000 - 1440));
    assert_eq!(view(&history, Range::Day, 86_400 + 1200).0, 2 * (3000 - 2400));
    assert_eq!(view(&history, Range::Week, 500_000), (6000, drop));
}

#[test]
fn the_range_before_is_known_once_all_of_it_was_counted() {
    let history = SharedHistory::new(&route(), Loaded::default(), false);
    lock(&history.0.state).since = START;
    for at in 0..2400 {
        receive(&history, at, 1, "drop");
        view(&history, Range::Hour, at);
        let before = history.before_at(Range::TenMinutes, START + at);
        let expect = (at >= 1190).then_some(600);
        assert_eq!(before.map(|view| counted(&view).0), expect, "{at}");
        assert!(history.before_at(Range::Hour, START + at).is_none());
    }
}

#[test]
fn a_later_run_continues_with_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let now = now();
    for run in 1..=3 {
        let (history, thread) = SharedHistory::start(&route(), Some(directory.path())).unwrap();
        receive(&history, 0, 5, &format!("run {run}"));
        let view = history.view(Range::Day);
        let facets = facets(&view.span, &Filter::default(), 0);
        assert_eq!(facets.total.packets, 5 * run);
        let prefixes = facets.lists[2].iter().map(|row| {
            crate::metrics::Dimension::Prefix.text(row.value, &view.names).unwrap().to_string()
        });
        let mut prefixes: Vec<_> = prefixes.collect();
        prefixes.sort();
        assert_eq!(prefixes, (1..=run).map(|run| format!("run {run}")).collect::<Vec<_>>());
        assert!(history.since() / 10 >= now / 10 - 1 && history.since() <= now + 60);
        thread.end();
    }
}

/// Two slices wait for the first write, which replaces the file by all of them.
#[test]
fn slices_that_wait_together_are_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut files, _) = HistoryFiles::open(directory.path()).unwrap();
    let history = SharedHistory::new(&route(), Loaded::default(), true);
    for at in [3, 13, 23] {
        receive(&history, at, 5, "drop");
    }
    let mut state = lock(&history.0.state);
    history.take_finished(&mut state, START + 33, Duration::from_secs(33));
    assert_eq!(state.waiting.len(), 3);
    drop(state);
    history.write(&mut files, &mut false);
    drop(files);
    let (_, loaded) = HistoryFiles::open(directory.path()).unwrap();
    assert_eq!(loaded.slices[0].len(), 3);
}

#[test]
fn a_directory_that_cannot_be_used_costs_only_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (history, thread) = SharedHistory::start(&route(), Some(&file)).unwrap();
    receive(&history, 0, 5, "drop");
    assert_eq!(counted(&history.view(Range::Hour)).0, 5);
    thread.end();
    assert!(lock(&history.0.state).waiting.is_empty());
}
