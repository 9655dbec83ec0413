//! The search for packets that become markers, and the location of each.

use std::net::IpAddr;

use compact_str::CompactString;
use hashbrown::HashMap;

use super::MarkerQuery;
use crate::{
    event::Names,
    geoip::{Country, CountryId, Location},
    metrics::Dimension,
    recent::{Cell, Observation, Observations},
};

/// One packet on the map.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::web) struct Marker {
    /// The country of the remote end.
    pub(in crate::web) country: CountryId,
    /// Degrees north of the city if a database has it, otherwise of a point in the country.
    pub(in crate::web) latitude: f64,
    /// Degrees east.
    pub(in crate::web) longitude: f64,
    /// English name of the city; empty if no database has it.
    pub(in crate::web) city: CompactString,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::web) struct MarkerList {
    /// One for each packet, the newest first.
    pub(in crate::web) markers: Vec<Marker>,
    /// Packets that match and have no location: their remote address is private, unknown or unreadable.
    pub(in crate::web) left_out: u64,
    /// Packets that were searched.
    pub(in crate::web) held: usize,
    /// Times of the oldest and the newest packet searched, microseconds since 1970-01-01 UTC.
    pub(in crate::web) reach: Option<(u64, u64)>,
}

impl MarkerQuery {
    /// Finds the packets that match. `since` counts back from `now`, in microseconds since 1970, or from
    /// the newest packet if `now` is `None`. `location` looks up the city of an address.
    pub(in crate::web) fn find(
        &self,
        observations: &Observations,
        now: Option<u64>,
        names: &Names,
        mut location: impl FnMut(IpAddr) -> Option<Location>,
    ) -> MarkerList {
        // Not by position: clocks are set back, and captures can be given in any order.
        let times = || observations.newest_first().map(|observation| observation.time);
        let reach = times().min().zip(times().max());
        let now = now.or(reach.map(|(_, newest)| newest)).unwrap_or_default();
        let earliest = self.since.map_or(0, |since| {
            now.saturating_sub(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
        });
        let mut prefixes = HashMap::new();
        let mut found = MarkerList { held: observations.len(), reach, ..MarkerList::default() };
        let matching = observations
            .newest_first()
            .filter(|observation| observation.time >= earliest)
            .filter(|observation| self.matches(&observation.cell, names, &mut prefixes))
            .take(self.last);
        for observation in matching {
            match marker(observation, &mut location) {
                Some(marker) => found.markers.push(marker),
                None => found.left_out += 1,
            }
        }
        found
    }

    /// Whether a packet matches all conditions except the time. `prefixes` caches which prefixes match.
    fn matches(&self, cell: &Cell, names: &Names, prefixes: &mut HashMap<u64, bool>) -> bool {
        let value = |dimension| cell.value(dimension);
        self.port.is_none_or(|port| value(Dimension::Port) == u64::from(port))
            && self.country.is_none_or(|country| value(Dimension::Country) == country.to_bits())
            && self.prefix.as_ref().is_none_or(|prefix| {
                let value = value(Dimension::Prefix);
                *prefixes.entry(value).or_insert_with(|| {
                    Dimension::Prefix.text(value, names).is_some_and(|text| text == *prefix)
                })
            })
    }
}

fn marker(
    observation: &Observation,
    location: impl FnOnce(IpAddr) -> Option<Location>,
) -> Option<Marker> {
    let remote = observation.remote?;
    let Country::Known(country) = Country::from_bits(observation.cell.value(Dimension::Country))
    else {
        return None;
    };
    let Location { city, latitude, longitude } = location(remote).unwrap_or_else(|| {
        let info = country.info();
        Location {
            city: CompactString::default(),
            latitude: info.latitude,
            longitude: info.longitude,
        }
    });
    Some(Marker { country, latitude, longitude, city })
}
