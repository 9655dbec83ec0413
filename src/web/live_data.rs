//! The data that live resources show.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use super::{DrilldownPages, PageInfo};
use crate::{
    conditions::{Condition, Conditions},
    event::CurrentNames,
    geoip::{GeoIp, Location},
    history::SharedHistory,
    metrics::SharedAggregate,
    mirror::Queue,
    networks::{LocationLookup, Networks},
    pipeline::{Clock, Route},
    recent::SharedRecent,
    source::nflog::GroupMeter,
    system::{Health, lock::lock},
};

/// The state of a running exporter, as its page shows it.
pub struct LiveData {
    pub(super) aggregate: SharedAggregate,
    pub(super) recent: SharedRecent,
    pub(super) clock: Clock,
    pub(super) names: CurrentNames,
    pub(super) meters: Vec<Arc<GroupMeter>>,
    pub(super) mirror: Option<Queue>,
    pub(super) history: Option<SharedHistory>,
    conditions: Option<Conditions>,
    pub(super) geoip: GeoIp,
    pub(super) health: Health,
    pub(super) info: PageInfo,
    pub(super) drilldown: DrilldownPages,
    locations: Mutex<LocationLookup>,
}

impl LiveData {
    /// Shows the events of `route`.
    #[must_use]
    pub fn new(
        route: &Route,
        meters: Vec<Arc<GroupMeter>>,
        geoip: GeoIp,
        networks: &Networks,
        health: Health,
        info: PageInfo,
    ) -> Self {
        Self {
            aggregate: route.aggregate(),
            recent: route.recent(),
            clock: route.clock(),
            names: route.current_names(),
            mirror: route.mirror(),
            history: None,
            conditions: None,
            locations: Mutex::new(networks.locations(geoip.city_lookup())),
            meters,
            geoip,
            health,
            info,
            drilldown: DrilldownPages::off("there are no rows of packets"),
        }
    }

    /// Also shows ranges of time before the recent minutes.
    #[must_use]
    pub fn with_history(mut self, history: Option<SharedHistory>) -> Self {
        self.history = history;
        self
    }

    /// Also shows unusual conditions.
    #[must_use]
    pub fn with_conditions(mut self, conditions: Option<Conditions>) -> Self {
        self.conditions = conditions;
        self
    }

    /// The unusual conditions, the most urgent first.
    pub(super) fn conditions(&self) -> Arc<[Condition]> {
        self.conditions.as_ref().map_or_else(|| [].into(), Conditions::current)
    }

    /// Also says whether sources and packets can be shown.
    #[must_use]
    pub fn with_drilldown(mut self, drilldown: DrilldownPages) -> Self {
        self.drilldown = drilldown;
        self
    }

    /// Calls `work` with the look-up of locations, which has one user at a time; `None` if there are no locations.
    pub(super) fn with_locations<T>(
        &self,
        work: impl FnOnce(Option<&mut dyn FnMut(IpAddr) -> Option<Location>>) -> T,
    ) -> T {
        let mut locations = lock(&self.locations);
        locations.refresh();
        if locations.is_empty() {
            return work(None);
        }
        work(Some(&mut |address| locations.location(address).cloned()))
    }
}
