//! The data that live resources show, and the dispatch from resource and query to body.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    BadQuery, LiveResource, PageInfo,
    markers::{MarkerList, MarkerQuery, geojson, xml},
    overview::{self, OverviewQuery},
};
use crate::{
    event::CurrentNames,
    geoip::{CityLookup, GeoIp, Location},
    metrics::SharedAggregate,
    mirror::Queue,
    pipeline::{Clock, Route},
    recent::{SharedRecent, WindowMode},
    source::nflog::GroupMeter,
    system::Health,
};

/// The state of a running exporter, as its page shows it.
pub struct LiveData {
    pub(super) aggregate: SharedAggregate,
    pub(super) recent: SharedRecent,
    pub(super) clock: Clock,
    pub(super) names: CurrentNames,
    pub(super) meters: Vec<Arc<GroupMeter>>,
    pub(super) mirror: Option<Queue>,
    pub(super) geoip: GeoIp,
    pub(super) health: Health,
    pub(super) info: PageInfo,
    city_lookup: Mutex<CityLookup>,
}

impl LiveData {
    /// Shows the events of `route`.
    #[must_use]
    pub fn new(
        route: &Route,
        meters: Vec<Arc<GroupMeter>>,
        geoip: GeoIp,
        health: Health,
        info: PageInfo,
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
            info,
        }
    }

    /// The body of a resource for a query, which is the part of the URL after its `?`. Takes some
    /// milliseconds of processor time.
    ///
    /// # Errors
    /// The query is invalid.
    pub fn render(&self, resource: LiveResource, query: &str) -> Result<String, BadQuery> {
        match resource {
            LiveResource::Overview => Ok(overview::render(self, &OverviewQuery::parse(query)?)),
            LiveResource::MarkersXml => Ok(xml::write(&self.markers(query)?)),
            LiveResource::MarkersGeoJson => Ok(geojson::write(&self.markers(query)?)),
        }
    }

    /// Calls `work` with the look-up of cities, which has one user at a time.
    pub(super) fn with_locations<T>(
        &self,
        work: impl FnOnce(&mut dyn FnMut(IpAddr) -> Option<Location>) -> T,
    ) -> T {
        let mut city_lookup = self.city_lookup.lock().unwrap_or_else(PoisonError::into_inner);
        city_lookup.refresh();
        work(&mut |address| city_lookup.location(address).cloned())
    }

    fn markers(&self, query: &str) -> Result<MarkerList, BadQuery> {
        let query = MarkerQuery::parse(query)?;
        let recent = self.recent.lock();
        let (mode, observations) = (recent.mode(), recent.observations());
        // Under the same lock: the names of the observations.
        let names = self.names.get();
        drop(recent);
        let now = match mode {
            WindowMode::Live => SystemTime::now().duration_since(UNIX_EPOCH).ok(),
            WindowMode::Capture => None,
        };
        let now = now.and_then(|now| u64::try_from(now.as_micros()).ok());
        Ok(self.with_locations(|location| query.find(&observations, now, &names, location)))
    }
}
