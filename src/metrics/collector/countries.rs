//! `nflog_country_info`: names and coordinates of the countries seen, to join on the label `country`.

use std::fmt;

use crate::{exposition::MetricWriter, geoip::CountryId};

pub(super) fn country_info(countries: &[CountryId], writer: &mut MetricWriter<'_>) -> fmt::Result {
    let mut countries: Vec<_> = countries.iter().map(|id| id.info()).collect();
    countries.sort_unstable_by_key(|info| info.code);
    writer.gauges(
        "nflog_country_info",
        "Names and coordinates of each country seen, to join on country. Always 1.",
        countries.into_iter().map(|info| {
            let names = [("country", info.code), ("iso3", info.iso3), ("name", info.name)];
            let centre = [("latitude", info.latitude), ("longitude", info.longitude)];
            ((names, centre), 1_u64)
        }),
    )
}
