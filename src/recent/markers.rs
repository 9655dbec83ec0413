//! The newest packets as markers on a map: which of them, and where each stands.
//!
//! A marker tells a place, never an address.

use std::{net::IpAddr, time::Duration};

use compact_str::CompactString;
use hashbrown::HashMap;

use super::{Cell, Observation, Observations};
use crate::{
    event::Names,
    geoip::{Country, CountryId, Location},
    metrics::Dimension,
};

/// Which packets become markers: all conditions together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerQuery {
    /// At most so many, the newest of those that meet the other conditions. More than
    /// [`HELD`](super::HELD) means all there are.
    pub last: usize,
    /// Not older than this.
    pub since: Option<Duration>,
    /// To this destination port.
    pub port: Option<u16>,
    /// Of rules with this prefix, as it is shown; of rules without one when it is empty.
    pub prefix: Option<String>,
    /// From this country, or without one for this reason.
    pub country: Option<Country>,
}

impl Default for MarkerQuery {
    fn default() -> Self {
        Self { last: 10_000, since: None, port: None, prefix: None, country: None }
    }
}

/// One packet on the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// The country of the remote end.
    pub country: CountryId,
    /// Degrees north: of the city when a database tells, else of a point in the country.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// English name of the city; empty when no database tells.
    pub city: CompactString,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Markers {
    /// One a packet, the newest first.
    pub markers: Vec<Marker>,
    /// Packets that were asked for and stand nowhere: private, unknown or unreadable remote ends.
    pub left_out: u64,
    /// Packets that were looked through.
    pub held: usize,
    /// Times of the oldest and the newest of these, microseconds since 1970-01-01 UTC.
    pub reach: Option<(u64, u64)>,
}

impl MarkerQuery {
    /// Finds the markers. `since` is measured back from `now`, microseconds since 1970; from the
    /// newest packet where there is none. `location` tells where an address is, if a database does.
    #[must_use]
    pub fn find(
        &self,
        observations: &Observations,
        now: Option<u64>,
        names: &Names,
        mut location: impl FnMut(IpAddr) -> Option<Location>,
    ) -> Markers {
        // By their times, as clocks are set back and captures are joined in any order.
        let times = || observations.newest_first().map(|observation| observation.time);
        let reach = times().min().zip(times().max());
        let now = now.or(reach.map(|(_, newest)| newest)).unwrap_or_default();
        let earliest = self.since.map_or(0, |since| {
            now.saturating_sub(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
        });
        let mut prefixes = HashMap::new();
        let mut found = Markers { held: observations.len(), reach, ..Markers::default() };
        let asked = observations
            .newest_first()
            .filter(|observation| observation.time >= earliest)
            .filter(|observation| self.admits(&observation.cell, names, &mut prefixes))
            .take(self.last);
        for observation in asked {
            match marker(observation, &mut location) {
                Some(marker) => found.markers.push(marker),
                None => found.left_out += 1,
            }
        }
        found
    }

    /// Whether a packet is asked for, its time apart. `prefixes` remembers which prefixes are.
    fn admits(&self, cell: &Cell, names: &Names, prefixes: &mut HashMap<u64, bool>) -> bool {
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

#[cfg(test)]
mod tests;
