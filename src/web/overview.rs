//! What the page and the markers show, put together: the latest minutes and the state of every part.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use hashbrown::HashMap;
use serde::Serialize;

use crate::{
    cli,
    event::{CurrentNames, Names},
    geoip::{CityLookup, Country, GeoIp},
    metrics::{ABSENT, Dimension, OTHER, SharedAggregate},
    mirror::Queue,
    pipeline::{Clock, Route},
    recent::{
        self, Cell, Count, Facets, Filter, MarkerQuery, Markers, Observations, Pace, Row, SLICES,
        SharedRecent, Span,
    },
    source::nflog::GroupMeter,
    system::Health,
    web::{BadFilter, LatestPage},
};

/// Rows of each list.
const ROWS: usize = 10;

/// First rows of a list that come with a timeline.
const DETAILED: usize = 14;

/// Places shown at most.
const PLACES: usize = 300;

/// A value that no packet has: what a filter asks for that nothing in the window is called by.
const NOBODY: u64 = u64::MAX - 2;

/// What a packet without ports has for a port.
const NONE: &str = "none";

/// The page of a running exporter.
pub struct Overview {
    aggregate: SharedAggregate,
    recent: SharedRecent,
    clock: Clock,
    names: CurrentNames,
    meters: Vec<Arc<GroupMeter>>,
    mirror: Option<Queue>,
    geoip: GeoIp,
    city_lookup: Mutex<CityLookup>,
    health: Health,
    telemetry_path: String,
}

impl Overview {
    /// Shows what comes along `route`.
    #[must_use]
    pub fn new(
        route: &Route,
        meters: Vec<Arc<GroupMeter>>,
        geoip: GeoIp,
        health: Health,
        telemetry_path: String,
    ) -> Self {
        Self {
            aggregate: route.aggregate(),
            recent: route.recent(),
            clock: route.clock(),
            names: route.current_names(),
            mirror: route.mirror(),
            city_lookup: Mutex::new(geoip.city_lookup()),
            meters,
            geoip,
            health,
            telemetry_path,
        }
    }

    /// The value that each text of a filter stands for, among those in the window.
    fn filter(asked: &[(String, String)], span: &Span, names: &Names) -> Result<Filter, BadFilter> {
        let mut filter = Filter::default();
        for (name, text) in asked {
            let place = Cell::DIMENSIONS
                .iter()
                .position(|dimension| dimension.name() == name)
                .ok_or_else(|| BadFilter::Unknown(name.clone()))?;
            if filter.0[place].is_some() {
                return Err(BadFilter::Repeated(name.clone()));
            }
            filter.0[place] = Some(find(place, text, span, names));
        }
        Ok(filter)
    }

    fn list(dimension: Dimension, rows: &[Row], names: &Names) -> List {
        let (first, rest) = rows.split_at(rows.len().min(ROWS));
        List {
            rows: first.iter().map(|row| Self::line(dimension, row, names)).collect(),
            more: More {
                values: rest.len(),
                packets: rest.iter().map(|row| row.count.packets).sum(),
            },
        }
    }

    fn line(dimension: Dimension, row: &Row, names: &Names) -> Line {
        let name = match dimension {
            Dimension::Port => u16::try_from(row.value).map_or("", recent::service),
            Dimension::Network if row.value != OTHER && row.value != ABSENT => match row.country {
                Some(OTHER) | None => "",
                Some(country) => Country::from_bits(country).code(),
            },
            _ => "",
        };
        Line {
            value: text(dimension, row.value, names),
            name,
            count: row.count.into(),
            timeline: row.timeline.as_deref().map(|timeline| timeline.to_vec()),
        }
    }

    /// The newest packets by city, where a database tells cities.
    fn places(&self, observations: &Observations, filter: &Filter, names: &Names) -> Vec<Place> {
        let mut city_lookup = self.city_lookup.lock().unwrap_or_else(PoisonError::into_inner);
        city_lookup.refresh();
        let mut by_address: HashMap<(IpAddr, u64), u64> = HashMap::new();
        for observation in observations.newest_first().filter(|it| filter.admits(&it.cell)) {
            if let Some(remote) = observation.remote {
                *by_address.entry((remote, observation.cell.values()[0])).or_default() += 1;
            }
        }
        let mut places: HashMap<(i64, i64), Place> = HashMap::new();
        for ((address, country), packets) in by_address {
            let Some(location) = city_lookup.location(address) else { continue };
            let place = places
                .entry(location_key(location.latitude, location.longitude))
                .or_insert_with(|| Place {
                    latitude: location.latitude,
                    longitude: location.longitude,
                    city: location.city.to_string(),
                    country: text(Dimension::Country, country, names),
                    packets: 0,
                });
            place.packets += packets;
        }
        let mut places: Vec<_> = places.into_values().collect();
        places.sort_unstable_by(|a, b| {
            (b.packets, &a.city, &a.country).cmp(&(a.packets, &b.city, &b.country))
        });
        places.truncate(PLACES);
        places
    }

    fn mirror_state(&self) -> Option<MirrorState> {
        let figures = self.mirror.as_ref()?.figures();
        Some(MirrorState {
            up: figures.up,
            lag_seconds: figures.lag.as_secs_f64(),
            written: figures.account.written,
            queued: figures.account.queued,
            spooled: figures.account.spooled,
            dropped: figures.account.dropped.iter().sum(),
            spool_bytes: figures.spool_size,
            spool_limit_bytes: figures.spool_limit,
        })
    }

    fn groups(&self) -> Vec<Group> {
        let group = |meter: &Arc<GroupMeter>| Group {
            number: meter.group,
            lost: meter.lost_packets.load(Ordering::Relaxed),
            socket_drops: meter.socket_drops.load(Ordering::Relaxed),
        };
        self.meters.iter().map(group).collect()
    }
}

/// The value of this text. What is shown is what may be asked for, so texts are compared as shown.
fn find(place: usize, asked: &str, span: &Span, names: &Names) -> u64 {
    let mut known = HashMap::new();
    for (_, slice) in &span.slices {
        for (cell, _) in slice.cells() {
            let value = cell.values()[place];
            let same = known
                .entry(value)
                .or_insert_with(|| text(Cell::DIMENSIONS[place], value, names) == asked);
            if *same {
                return value;
            }
        }
    }
    NOBODY
}

fn text(dimension: Dimension, value: u64, names: &Names) -> String {
    dimension.text(value, names).map_or_else(|| NONE.into(), Into::into)
}

impl LatestPage for Overview {
    fn overview(&self, asked: &[(String, String)]) -> Result<String, BadFilter> {
        let now = self.clock.now();
        let recent = self.recent.lock();
        let (span, observations) = (recent.span(now), recent.observations());
        // Under the same lock, so that it has the names of what was copied; so below.
        let names = self.names.get();
        drop(recent);
        let filter = Self::filter(asked, &span, &names)?;
        let Facets { total, timeline, lists } = recent::facets(&span, &filter, DETAILED);
        let mut aggregate = self.aggregate.lock();
        let (received, undecoded) = (aggregate.received_packets(), aggregate.undecoded_packets());
        let (source_addresses, sources) = aggregate.source_addresses(now);
        let names_of_sources = self.names.get();
        drop(aggregate);
        let groups = self.groups();
        let (packets_per_second, bytes_per_second) = span.rate();
        let [countries, protocols, prefixes, ports, networks] = &lists;
        let figures = Figures {
            version: cli::VERSION,
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            telemetry_path: &self.telemetry_path,
            window: Window {
                seconds: span.width.as_secs() * SLICES as u64,
                slices: SLICES,
                running: span.running.as_secs_f64(),
                capture: span.pace == Pace::Capture,
            },
            now: Now { packets_per_second, bytes_per_second },
            received,
            lost: groups.iter().map(|group| group.lost).sum(),
            undecoded,
            filter: asked.iter().cloned().collect(),
            total: total.into(),
            timeline: timeline.to_vec(),
            countries: countries.iter().map(|row| country(row, &names)).collect(),
            ports: Self::list(Dimension::Port, ports, &names),
            prefixes: Self::list(Dimension::Prefix, prefixes, &names),
            protocols: Self::list(Dimension::Proto, protocols, &names),
            networks: Self::list(Dimension::Network, networks, &names),
            places: self.places(&observations, &filter, &names),
            source_addresses,
            sources: sources
                .into_iter()
                .map(|(prefix, addresses)| Source {
                    prefix: names_of_sources.text(prefix).to_string(),
                    addresses,
                })
                .collect(),
            groups,
            mirror: self.mirror_state(),
            databases: self.geoip.status().into_iter().map(Database::from).collect(),
            health: self.health.healthy().and_then(|()| self.health.ready()).err(),
        };
        // Numbers, texts and lists of them: nothing there that has no JSON.
        Ok(serde_json::to_string(&figures).unwrap_or_default())
    }

    fn markers(&self, query: &MarkerQuery) -> Markers {
        let recent = self.recent.lock();
        let (pace, observations) = (recent.pace(), recent.observations());
        let names = self.names.get();
        drop(recent);
        let now = match pace {
            Pace::Live => SystemTime::now().duration_since(UNIX_EPOCH).ok(),
            Pace::Capture => None,
        };
        let now = now.and_then(|now| u64::try_from(now.as_micros()).ok());
        let mut city_lookup = self.city_lookup.lock().unwrap_or_else(PoisonError::into_inner);
        city_lookup.refresh();
        query.find(&observations, now, &names, |address| city_lookup.location(address).cloned())
    }
}

fn country(row: &Row, names: &Names) -> CountryLine {
    let info = match Country::from_bits(row.value) {
        Country::Known(id) if row.value != OTHER => Some(id.info()),
        _ => None,
    };
    let value = text(Dimension::Country, row.value, names);
    CountryLine {
        name: info.map_or_else(|| without_country(&value), |info| info.name),
        iso3: info.map(|info| info.iso3),
        latitude: info.map(|info| info.latitude),
        longitude: info.map(|info| info.longitude),
        value,
        count: row.count.into(),
        timeline: row.timeline.as_deref().map(|timeline| timeline.to_vec()),
    }
}

/// What a value of the label `country` that is none means.
fn without_country(value: &str) -> &'static str {
    match value {
        "private" => "Private addresses",
        "unknown" => "Unknown to the database",
        _ => "Other countries",
    }
}

/// A hundredth of a degree: what is closer than a kilometre is one place.
#[expect(clippy::cast_possible_truncation, reason = "degrees times a hundred")]
fn location_key(latitude: f64, longitude: f64) -> (i64, i64) {
    ((latitude * 100.0).round() as i64, (longitude * 100.0).round() as i64)
}

/// The page's figures: fields as they stand in the JSON.
#[derive(Serialize)]
struct Figures<'a> {
    version: &'static str,
    time: f64,
    telemetry_path: &'a str,
    window: Window,
    now: Now,
    received: u64,
    lost: u64,
    undecoded: u64,
    filter: std::collections::BTreeMap<String, String>,
    total: Sum,
    timeline: Vec<u64>,
    countries: Vec<CountryLine>,
    ports: List,
    prefixes: List,
    protocols: List,
    networks: List,
    places: Vec<Place>,
    /// Estimated distinct sources of the last 10 minutes, and by prefix.
    source_addresses: f64,
    sources: Vec<Source>,
    groups: Vec<Group>,
    mirror: Option<MirrorState>,
    databases: Vec<Database>,
    health: Option<String>,
}

#[derive(Serialize)]
struct Window {
    seconds: u64,
    slices: usize,
    /// Seconds that the last slice has run.
    running: f64,
    capture: bool,
}

#[derive(Serialize)]
struct Now {
    packets_per_second: f64,
    bytes_per_second: f64,
}

#[derive(Serialize)]
struct Sum {
    packets: u64,
    bytes: u64,
}

impl From<Count> for Sum {
    fn from(count: Count) -> Self {
        Self { packets: count.packets, bytes: count.bytes }
    }
}

#[derive(Serialize)]
struct CountryLine {
    value: String,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iso3: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<f64>,
    #[serde(flatten)]
    count: Sum,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<u64>>,
}

#[derive(Serialize)]
struct List {
    rows: Vec<Line>,
    more: More,
}

#[derive(Serialize)]
struct Line {
    value: String,
    name: &'static str,
    #[serde(flatten)]
    count: Sum,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<u64>>,
}

#[derive(Serialize)]
struct More {
    values: usize,
    packets: u64,
}

#[derive(Serialize)]
struct Place {
    latitude: f64,
    longitude: f64,
    city: String,
    country: String,
    packets: u64,
}

#[derive(Serialize)]
struct Source {
    prefix: String,
    addresses: f64,
}

#[derive(Serialize)]
struct Group {
    #[serde(rename = "group")]
    number: u16,
    lost: u64,
    socket_drops: u64,
}

#[derive(Serialize)]
struct MirrorState {
    up: bool,
    lag_seconds: f64,
    written: u64,
    queued: u64,
    spooled: u64,
    dropped: u64,
    spool_bytes: u64,
    spool_limit_bytes: u64,
}

#[derive(Serialize)]
struct Database {
    name: String,
    edition: String,
    built: u64,
}

impl From<crate::geoip::DatabaseStatus> for Database {
    fn from(status: crate::geoip::DatabaseStatus) -> Self {
        Self { name: status.name, edition: status.edition, built: status.build_timestamp }
    }
}
