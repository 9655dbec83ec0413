//! The cities of the newest packets.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::{
    json::{CityList, CityRow, Remainder},
    value_text::text,
};
use crate::{
    event::Names,
    geoip::Location,
    metrics::Dimension,
    recent::{Filter, Observation, Observations},
    sort::sort_by,
};

/// Maximum rows. The others are summed up.
const MAX_ROWS: usize = 1000;

/// The newest `total` packets that match, by city. The heaviest cities come first.
///
/// `total` is the number of all packets in the range. Fewer are kept one by one in a flood or in a long range; the list
/// then says since when it has them. Without `location`, no packet has a city.
pub(super) fn cities(
    observations: &Observations,
    filter: &Filter,
    total: u64,
    names: &Names,
    mut location: Option<&mut dyn FnMut(IpAddr) -> Option<Location>>,
) -> CityList {
    let matching = observations.newest_first().filter(|it| filter.matches(&it.cell));
    let matching = matching.take(usize::try_from(total).unwrap_or(usize::MAX));
    let mut by_address: HashMap<(IpAddr, u64), u64> = HashMap::new();
    let (mut packets, mut oldest) = (0, u64::MAX);
    for Observation { time, remote, cell } in matching {
        packets += 1;
        oldest = oldest.min(*time);
        if let Some(remote) = remote
            && location.is_some()
        {
            *by_address.entry((*remote, cell.value(Dimension::Country))).or_default() += 1;
        }
    }
    let mut cities: HashMap<(i64, i64), CityRow> = HashMap::new();
    for ((address, country), packets) in by_address {
        let Some(location) = location.as_mut().and_then(|location| location(address)) else {
            continue;
        };
        let city = cities
            .entry(location_key(location.latitude, location.longitude))
            .or_insert_with(|| CityRow {
                latitude: location.latitude,
                longitude: location.longitude,
                city: location.city.to_string(),
                country: text(Dimension::Country, country, names),
                packets: 0,
            });
        city.packets += packets;
    }
    let mut rows: Vec<_> = cities.into_values().collect();
    sort_by(&mut rows, |a, b| {
        (b.packets, &a.city, &a.country).cmp(&(a.packets, &b.city, &b.country))
    });
    let rest = rows.split_off(rows.len().min(MAX_ROWS));
    let more =
        Remainder { values: rest.len(), packets: rest.iter().map(|city| city.packets).sum() };
    CityList {
        rows,
        more,
        packets,
        since: (packets < total && packets > 0).then_some(oldest / 1_000_000),
    }
}

/// Coordinates in hundredths of a degree: locations within about a kilometre are one city.
#[expect(clippy::cast_possible_truncation, reason = "degrees times a hundred")]
fn location_key(latitude: f64, longitude: f64) -> (i64, i64) {
    ((latitude * 100.0).round() as i64, (longitude * 100.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::{Event, fixture::tcp},
        recent::{RING_CAPACITY, Recent, WindowMode},
    };

    /// The cities of packets from these addresses, a second apart; `total` packets are in the range.
    fn listed(addresses: impl IntoIterator<Item = u32>, total: u64) -> CityList {
        let events = addresses.into_iter().zip(1..);
        let events: Vec<_> = events
            .map(|(address, second)| Event { time: second * 1_000_000, ..tcp("DE", address, 22) })
            .collect();
        let mut recent = Recent::new(WindowMode::Live);
        recent.push(&events, Duration::ZERO);
        // Every 256 addresses are a city, of which the first has none.
        let mut location = |address| {
            let IpAddr::V4(address) = address else { return None };
            let number = address.to_bits() >> 8;
            let city = format!("city {number}").into();
            let longitude = f64::from(number) / 1000.0;
            (number > 0).then_some(Location { city, latitude: 50.0, longitude })
        };
        let filter = Filter::default();
        cities(&recent.observations(), &filter, total, &Names::default(), Some(&mut location))
    }

    #[test]
    fn packets_add_up_by_city_and_the_heaviest_is_first() {
        let list = listed([0x1001, 0x2001, 0x2002, 0x0001], 4);
        let rows: Vec<_> = list.rows.iter().map(|row| (&*row.city, row.packets)).collect();
        assert_eq!(rows, [("city 32", 2), ("city 16", 1)]);
        assert_eq!((list.packets, list.since, list.more.values), (4, None, 0));
        assert_eq!(list.rows[0].country, "DE");
    }

    #[test]
    fn only_the_packets_of_the_range_are_counted() {
        let list = listed([0x1001, 0x2001, 0x2002], 2);
        assert_eq!((list.rows.len(), list.rows[0].packets, list.packets), (1, 2, 2));
        assert_eq!(list.since, None);
    }

    #[test]
    fn a_list_that_misses_packets_says_since_when_it_is_complete() {
        let list = listed([0x1001, 0x2001, 0x2002], 9);
        assert_eq!((list.packets, list.since), (3, Some(1)));
        assert_eq!(listed([], 9).since, None);
    }

    #[test]
    fn packets_without_any_locations_are_counted() {
        let mut recent = Recent::new(WindowMode::Live);
        let event = Event { time: 5_000_000, ..tcp("DE", 1, 22) };
        recent.push(&[event; 3], Duration::ZERO);
        let filter = Filter::default();
        let list = cities(&recent.observations(), &filter, 4, &Names::default(), None);
        assert_eq!((list.rows.len(), list.packets, list.since), (0, 3, Some(5)));
    }

    /// Each packet of the ring is of another city.
    #[test]
    fn a_list_of_too_many_cities_is_cut_and_its_rest_summed_up() {
        let number = u32::try_from(RING_CAPACITY).unwrap();
        let list = listed((1..=number).map(|number| number << 12), RING_CAPACITY as u64);
        assert_eq!(list.rows.len(), MAX_ROWS);
        assert_eq!(list.more.values, RING_CAPACITY - MAX_ROWS);
        assert_eq!(list.more.packets, (RING_CAPACITY - MAX_ROWS) as u64);
    }
}
