use super::*;
use crate::top::fixture;

fn view() -> View {
    let mut view = View::new("test".into(), Selection::default(), TimeZone::UTC);
    view.update(Ok(fixture::live()), Instant::now());
    view
}

fn values(view: &View, kind: ListKind) -> Vec<&str> {
    view.entries(kind).iter().map(|entry| entry.value.as_str()).collect()
}

#[test]
fn lists_are_sorted_and_folded_values_are_last() {
    let mut view = view();
    assert_eq!(values(&view, ListKind::Ports)[..3], ["23", "22", "445"]);
    let mut first = Vec::new();
    for _ in SortOrder::ALL {
        let ports = values(&view, ListKind::Ports);
        assert_eq!(ports.last(), Some(&"other"), "{:?}", view.selection.sort);
        first.push((view.selection.sort, ports[0].to_owned()));
        view.act(KeyAction::NextSort, 1);
    }
    let expect = [
        (SortOrder::Packets, "23"),
        (SortOrder::Rate, "8080"),
        (SortOrder::Change, "443"),
        (SortOrder::Name, "22"),
    ];
    assert_eq!(first, expect.map(|(sort, port)| (sort, port.to_owned())));
    assert_eq!(view.selection.sort, SortOrder::Packets);
    view.act(KeyAction::PreviousSort, 1);
    assert_eq!(view.selection.sort, SortOrder::Name);
}

#[test]
fn a_selected_value_stays_selected_when_the_order_changes() {
    let mut view = view();
    view.act(KeyAction::NextList, 1);
    view.act(KeyAction::Down, 1);
    view.act(KeyAction::Down, 1);
    let selected =
        |view: &View| values(view, ListKind::Ports)[view.selected(ListKind::Ports)].to_owned();
    assert_eq!(selected(&view), "445");
    view.act(KeyAction::NextSort, 1);
    assert_eq!(selected(&view), "445");
    view.act(KeyAction::First, 1);
    assert_eq!(selected(&view), "8080");
    view.act(KeyAction::Last, 1);
    assert_eq!(selected(&view), "other");
    view.act(KeyAction::PageUp, 100);
    assert_eq!(view.selected(ListKind::Ports), 0);
    // It is no longer in the list: its position stays.
    view.act(KeyAction::Last, 1);
    view.update(
        Figures::parse(
            r#"{"window":{"seconds":600,"slices":60,"running":4},"received":0,"timeline":[]}"#,
        )
        .map_err(|error| error.to_string()),
        Instant::now(),
    );
    assert_eq!(view.selected(ListKind::Ports), 0);
    assert_eq!(view.act(KeyAction::ToggleFilter, 1), Effect::None);
}

#[test]
fn the_selected_entry_is_visible() {
    let mut view = view();
    let kind = ListKind::Countries;
    let entries = view.entries(kind).len();
    assert!(entries > 8);
    for _ in 0..entries {
        view.act(KeyAction::Down, 1);
        let (first, selected) = (view.first_visible(kind, 4), view.selected(kind));
        assert!(first <= selected && selected < first + 4);
    }
    assert_eq!(view.first_visible(kind, 4), entries - 4);
    // The list scrolls only at its edge.
    view.act(KeyAction::Up, 1);
    assert_eq!(view.first_visible(kind, 4), entries - 4);
    assert_eq!(view.first_visible(kind, 1000), 0);
}

#[test]
fn filters_are_toggled_replaced_and_removed() {
    let mut view = view();
    assert!(view.is_answered());
    assert_eq!(view.act(KeyAction::ToggleFilter, 1), Effect::Fetch);
    assert_eq!(view.selection.query(), "country=CN");
    assert!(!view.is_answered());
    view.update(Err("no connection".into()), Instant::now());
    assert!(!view.is_answered());
    view.update(Ok(fixture::live()), Instant::now());
    assert!(view.is_answered());
    view.act(KeyAction::Down, 1);
    view.act(KeyAction::ToggleFilter, 1);
    assert_eq!(view.selection.query(), "country=US");
    view.act(KeyAction::NextList, 1);
    view.act(KeyAction::ToggleFilter, 1);
    view.act(KeyAction::Range(Range::Day), 1);
    assert_eq!(view.selection.query(), "country=US&port=23&range=24h");
    assert_eq!(view.selection.filters[0].name, "US United States");
    view.act(KeyAction::RemoveFilter, 1);
    assert_eq!(view.selection.query(), "country=US&range=24h");
    view.act(KeyAction::PreviousList, 1);
    view.act(KeyAction::ToggleFilter, 1);
    assert_eq!(view.selection.query(), "range=24h");
    assert_eq!(view.act(KeyAction::ClearFilters, 1), Effect::Draw);
    view.act(KeyAction::ToggleFilter, 1);
    assert_eq!(view.act(KeyAction::ClearFilters, 1), Effect::Fetch);
    assert!(view.selection.filters.is_empty());
}

#[test]
fn values_are_escaped_in_queries() {
    let filter = |kind, value: &str| ValueFilter { kind, value: value.into(), name: String::new() };
    let filters =
        vec![filter(ListKind::Prefixes, "a b&c=\n"), filter(ListKind::Networks, "192.0.2.0/24")];
    let selection = Selection { filters, ..Selection::default() };
    assert_eq!(selection.query(), "prefix=a+b%26c%3D%0A&network=192.0.2.0%2F24");
}

#[test]
fn figures_stay_when_there_are_no_newer_ones() {
    let mut view = view();
    let received = view.received;
    view.update(Err("no connection".into()), Instant::now());
    assert_eq!((view.received, view.error.as_deref()), (received, Some("no connection")));
    assert!(view.figures.is_some());
    view.update(Ok(fixture::live()), Instant::now());
    assert!(view.error.is_none());
}

#[test]
fn ranges_need_a_history() {
    let mut view = view();
    let figures = fixture::LIVE.replace("\"capture\": false", "\"capture\": true");
    view.update(Ok(Figures::parse(&figures).unwrap()), Instant::now());
    assert_eq!(view.act(KeyAction::Range(Range::Hour), 1), Effect::Draw);
    assert!(view.notice.unwrap().contains("recording"));
    let figures = fixture::LIVE.replace("\"range\": \"10m\",", "");
    view.update(Ok(Figures::parse(&figures).unwrap()), Instant::now());
    assert_eq!(view.act(KeyAction::Range(Range::Hour), 1), Effect::Draw);
    assert!(view.notice.unwrap().contains("history"));
    assert_eq!(view.selection.range, Range::TenMinutes);
    view.act(KeyAction::Down, 1);
    assert_eq!(view.notice, None);
}

#[test]
fn pause_and_help() {
    let mut view = view();
    assert_eq!(view.act(KeyAction::Pause, 1), Effect::Draw);
    assert!(view.is_paused);
    assert_eq!(view.act(KeyAction::Pause, 1), Effect::Fetch);
    view.act(KeyAction::Help, 1);
    // Keys do nothing else while the help is shown.
    assert_eq!(view.act(KeyAction::ToggleFilter, 1), Effect::Draw);
    assert!(!view.shows_help && view.selection.filters.is_empty());
    assert_eq!(view.act(KeyAction::Quit, 1), Effect::Quit);
}
