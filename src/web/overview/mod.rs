//! `/overview.json`: the figures of the page, and the state of every part of the exporter.

mod before;
mod cities;
mod drilldown;
mod json;
mod lists;
mod query;
mod value_text;

use self::{
    before::Before,
    drilldown::DrilldownState,
    json::{
        ConditionRow, CurrentRate, DatabaseInfo, GroupFigures, MirrorState, Overview, Total,
        WindowInfo,
    },
};
use super::LiveData;
use crate::{
    history::{Range, View},
    metrics::Dimension,
    recent::{self, Facets},
    system::clock::unix_seconds,
};

pub(super) use query::OverviewQuery;

/// Rows at the start of each list that have a timeline.
const ROWS_WITH_TIMELINE: usize = 14;

/// The figures of the packets that match a query, as JSON. `refusal` is why the client gets no rows of the drill-down.
pub(super) fn render(
    data: &LiveData,
    query: &OverviewQuery,
    refusal: Option<&'static str>,
) -> String {
    let now = data.clock.now();
    let recent = data.recent.lock();
    let (span, observations) = (recent.span(now), recent.observations());
    // Under the same lock: the names of the copies.
    let names = data.names.get();
    drop(recent);
    let range = query.range.unwrap_or_default();
    let history = data.history.as_ref();
    // The newest packets have the names of the program, the ranges of the history their own.
    let current_names = names.clone();
    let View { span, names } = match history {
        Some(history) if range != Range::TenMinutes => history.view(range),
        _ => View { span, names },
    };
    let names = &names;
    let before = history.and_then(|history| history.before(range));
    let before = before.and_then(|view| Before::new(&view, query));
    let before = before.as_ref();
    let filter = query.filter(&span, names);
    let Facets { total, timeline, lists } = recent::facets(&span, &filter, ROWS_WITH_TIMELINE);
    let places = data.with_locations(|location| {
        let filter = query.filter_newest(&observations, &current_names);
        cities::cities(&observations, &filter, total.packets, &current_names, location)
    });
    let mut aggregate = data.aggregate.lock();
    let (received, undecoded) = (aggregate.received_packets(), aggregate.undecoded_packets());
    let (source_addresses, sources) = aggregate.source_addresses(now);
    let sources = lists::sources(sources, &data.names.get());
    drop(aggregate);
    let groups: Vec<GroupFigures> = data.meters.iter().map(|meter| (&**meter).into()).collect();
    let (packets_per_second, bytes_per_second) = span.rate();
    let [countries, protocols, prefixes, ports, networks] = &lists;
    let overview = Overview {
        version: data.info.version,
        time: unix_seconds(),
        telemetry_path: &data.info.telemetry_path,
        window: WindowInfo::new(&span, history.map(|history| (range, history.since()))),
        now: CurrentRate { packets_per_second, bytes_per_second },
        received,
        lost: groups.iter().map(|group| group.lost).sum(),
        undecoded,
        filter: query.parameters(),
        total: Total::new(total, before.map(Before::total)),
        timeline,
        countries: countries.iter().map(|row| lists::country(row, names, before)).collect(),
        ports: lists::top(Dimension::Port, ports, names, before),
        prefixes: lists::top(Dimension::Prefix, prefixes, names, before),
        protocols: lists::top(Dimension::Proto, protocols, names, before),
        networks: lists::top(Dimension::Network, networks, names, before),
        places,
        source_addresses,
        sources,
        groups,
        mirror: data.mirror.as_ref().map(MirrorState::from),
        drilldown: DrilldownState::new(&data.drilldown, refusal),
        databases: data.geoip.status().into_iter().map(DatabaseInfo::from).collect(),
        conditions: data.conditions().iter().map(ConditionRow::from).collect(),
        health: data.health.healthy().and_then(|()| data.health.ready()).err(),
    };
    // Every value is a number, a text or a list of them, so serializing does not fail.
    serde_json::to_string(&overview).unwrap_or_default()
}
