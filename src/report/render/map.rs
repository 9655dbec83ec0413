//! The map of the world with the packets of each country, coloured as on the built-in page.

use std::{collections::HashMap, fmt::Write as _};

use super::numbers::count;
use crate::{
    geoip::{Country, CountryId},
    web::assets::{WORLD_MAP, escape},
};

/// Number of colours.
const LEVELS: f64 = 6.0;

/// The start of a line with the shapes of a country.
const COUNTRY: &str = "<g data-code=\"";

/// The SVG of the map: a country with packets has a colour by its number of packets, and a tooltip.
pub(super) fn map(countries: &[(&str, u64)]) -> String {
    let by_code: HashMap<_, _> = countries.iter().copied().collect();
    let most = most(countries);
    let map = WORLD_MAP.text();
    let mut svg = String::with_capacity(map.len() + 128 * countries.len());
    for line in map.lines() {
        let country = line.strip_prefix(COUNTRY).and_then(|rest| rest.split_once("\">"));
        let packets =
            country.and_then(|(code, _)| by_code.get(code)).filter(|packets| **packets > 0);
        if let (Some((code, shapes)), Some(&packets)) = (country, packets) {
            let (level, title) = (level(packets, most), escape(&title(code, packets)));
            // Writing to a String never fails.
            let _ = writeln!(
                svg,
                "{COUNTRY}{code}\" data-level=\"{level}\"><title>{title}</title>{shapes}"
            );
        } else {
            svg.push_str(line);
            svg.push('\n');
        }
    }
    svg.replacen("<svg ", "<svg role=\"img\" aria-label=\"World map of packets by country\" ", 1)
}

/// The number of packets of the darkest colour.
fn most(countries: &[(&str, u64)]) -> u64 {
    let located = countries.iter().filter(|(code, _)| CountryId::from_code(code).is_some());
    located.map(|(_, packets)| *packets).max().unwrap_or(0).max(10)
}

/// The colours and the numbers of packets that they stand for.
pub(super) fn legend(countries: &[(&str, u64)]) -> String {
    let colours: String =
        [1, 2, 3, 4, 5, 6].map(|level| format!("<i data-level=\"{level}\"></i>")).concat();
    let most = count(most(countries));
    format!(
        "<span class=\"legend\" aria-hidden=\"true\"><b>1</b>{colours}<b>{most} packets</b></span>\n"
    )
}

fn title(code: &str, packets: u64) -> String {
    let name = match Country::from_code(code) {
        Some(Country::Known(id)) => id.info().name,
        _ => code,
    };
    format!("{name}: {} packets", count(packets))
}

/// The colour of a country, 1 to 6. Logarithmic: each level is this many times the previous one, so that few countries
/// have the highest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a small number"
)]
fn level(packets: u64, most: u64) -> u8 {
    let most = most as f64;
    let step = most.powf(1.0 / LEVELS).min(4.0);
    (LEVELS - (most / packets as f64).log(step).floor()).clamp(1.0, LEVELS) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_have_the_levels_of_the_page() {
        assert_eq!([1, 4, 15, 16, 17, 64].map(|packets| level(packets, 64)), [1, 2, 4, 4, 5, 6]);
        assert_eq!([1, 1_000, 1_000_000].map(|packets| level(packets, 1_000_000)), [1, 2, 6]);
        assert_eq!(level(u64::MAX, u64::MAX), 6);
    }

    #[test]
    fn the_map_is_valid_and_shows_each_country_once() {
        let countries: Vec<_> = CountryId::all().map(|id| (id.info().code, 7)).collect();
        let all = [&countries[..], &[("private", 9), ("unknown", 3)]].concat();
        let svg = map(&all);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let coloured = document.descendants().filter(|node| node.has_attribute("data-level"));
        assert_eq!(coloured.count(), CountryId::COUNT);
        assert!(svg.contains("<title>Côte d&#39;Ivoire: 7 packets</title>"));
        let none = map(&[]);
        assert!(!none.contains("data-level") && !none.contains("<title>"));
        roxmltree::Document::parse(&none).unwrap();
    }
}
