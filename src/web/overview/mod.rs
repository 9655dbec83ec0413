//! `/overview.json`: the figures of the page, and the state of every part of the exporter.

mod json;
mod lists;
mod query;

use self::json::{CurrentRate, DatabaseInfo, GroupFigures, MirrorState, Overview, WindowInfo};
use super::LiveData;
use crate::{
    metrics::Dimension,
    recent::{self, Facets},
    system::clock::unix_seconds,
};

pub(super) use query::OverviewQuery;

/// Rows at the start of each list that have a timeline.
const ROWS_WITH_TIMELINE: usize = 14;

/// The figures of the packets that match a query, as JSON.
pub(super) fn render(data: &LiveData, query: &OverviewQuery) -> String {
    let now = data.clock.now();
    let recent = data.recent.lock();
    let (span, observations) = (recent.span(now), recent.observations());
    // Under the same lock: the names of the copies.
    let names = &data.names.get();
    drop(recent);
    let filter = query.filter(&span, names);
    let Facets { total, timeline, lists } = recent::facets(&span, &filter, ROWS_WITH_TIMELINE);
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
        window: WindowInfo::from(&span),
        now: CurrentRate { packets_per_second, bytes_per_second },
        received,
        lost: groups.iter().map(|group| group.lost).sum(),
        undecoded,
        filter: query.parameters(),
        total: total.into(),
        timeline: timeline.to_vec(),
        countries: countries.iter().map(|row| lists::country(row, names)).collect(),
        ports: lists::top(Dimension::Port, ports, names),
        prefixes: lists::top(Dimension::Prefix, prefixes, names),
        protocols: lists::top(Dimension::Proto, protocols, names),
        networks: lists::top(Dimension::Network, networks, names),
        places: data
            .with_locations(|location| lists::cities(&observations, &filter, names, location)),
        source_addresses,
        sources,
        groups,
        mirror: data.mirror.as_ref().map(MirrorState::from),
        databases: data.geoip.status().into_iter().map(DatabaseInfo::from).collect(),
        health: data.health.healthy().and_then(|()| data.health.ready()).err(),
    };
    // Every value is a number, a text or a list of them, so serializing does not fail.
    serde_json::to_string(&overview).unwrap_or_default()
}
