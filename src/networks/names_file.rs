//! Parses the file of named networks: prefixes with a name, and for private ranges a country and a place.

use std::{collections::HashMap, net::IpAddr, path::Path, sync::Arc};

use super::{
    address_table::{AddressBatch, AddressTable},
    file::{NetworksError, read_lines},
    prefix::AddressRange,
    range_table::{Range, narrowest},
};
use crate::{
    geoip::{CountryId, Location},
    system::{files::Fingerprint, untrusted_text::is_unsafe},
};

/// Maximum number of different names.
pub const MAX_NAMES: usize = 4000;
/// Maximum number of prefixes.
const MAX_ENTRIES: usize = 65_536;
/// Maximum length of a name or a city, bytes.
const MAX_TEXT: usize = 128;

/// One line of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedNetwork {
    /// Index of its name.
    pub(super) name: u16,
    /// Country to count its addresses for.
    pub(super) country: Option<CountryId>,
    /// Where its addresses are on the map.
    pub(super) location: Option<Location>,
}

/// The networks of a file.
#[derive(Debug)]
pub(super) struct NamedNetworks {
    /// The different names.
    pub(super) names: Vec<Arc<str>>,
    networks: Vec<NamedNetwork>,
    table: AddressTable<u32>,
}

impl NamedNetworks {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<(Self, Fingerprint), NetworksError> {
        let mut parser = Parser::default();
        let fingerprint = read_lines(path, |line| parser.line(line))?;
        Ok((parser.networks(), fingerprint))
    }

    /// The longest prefix with this address.
    pub(super) fn get(&self, address: IpAddr) -> Option<&NamedNetwork> {
        self.networks.get(self.table.get(address)? as usize)
    }

    /// Passes the number of each address that a prefix has, with the longest one.
    pub(super) fn get_all(&self, batch: &AddressBatch, mut take: impl FnMut(usize, &NamedNetwork)) {
        self.table.get_all(batch, |number, index| take(number, &self.networks[index as usize]));
    }

    /// Number of prefixes.
    pub(super) fn len(&self) -> usize {
        self.networks.len()
    }
}

#[derive(Debug, Default)]
struct Parser {
    indices: HashMap<Arc<str>, u16>,
    names: Vec<Arc<str>>,
    networks: Vec<NamedNetwork>,
    /// The lines of the prefixes, to find duplicates.
    seen: HashMap<(IpAddr, IpAddr), usize>,
    line: usize,
    v4: Vec<Range<u32, u32>>,
    v6: Vec<Range<u128, u32>>,
}

impl Parser {
    fn networks(self) -> NamedNetworks {
        NamedNetworks {
            names: self.names,
            networks: self.networks,
            table: AddressTable::new(narrowest(self.v4), narrowest(self.v6)),
        }
    }

    /// Parses `prefix, name, country, city, latitude, longitude`; the last four are optional.
    fn line(&mut self, line: &str) -> Result<(), String> {
        self.line += 1;
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        if !(2..=6).contains(&fields.len()) {
            return Err("expected: prefix, name, country, city, latitude, longitude; the last four can be omitted"
                .into());
        }
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        let range = AddressRange::prefix(field(0)).ok_or_else(|| {
            format!("invalid prefix {:?}: use an address or a prefix such as 10.1.0.0/16", field(0))
        })?;
        let country = match field(2) {
            "" => None,
            code => Some(CountryId::from_code(code).ok_or_else(|| {
                format!("invalid country {code:?}: use two letters (ISO 3166-1), or leave it empty")
            })?),
        };
        let location = location(country, text("city", field(3))?, field(4), field(5))?;
        let name = self.name(field(1))?;
        self.add(range, NamedNetwork { name, country, location })
    }

    fn name(&mut self, name: &str) -> Result<u16, String> {
        if name.is_empty() || name == "other" {
            return Err(format!(
                "invalid name {name:?}: use any text except \"other\", which is the label's value of all remaining names"
            ));
        }
        if let Some(index) = self.indices.get(text("name", name)?) {
            return Ok(*index);
        }
        let index = u16::try_from(self.names.len()).ok().filter(|it| usize::from(*it) < MAX_NAMES);
        let index = index.ok_or_else(|| format!("there are more than {MAX_NAMES} names"))?;
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.indices.insert(name, index);
        Ok(index)
    }

    fn add(&mut self, range: AddressRange, network: NamedNetwork) -> Result<(), String> {
        let index = u32::try_from(self.networks.len()).unwrap_or(u32::MAX);
        let ends = match range {
            AddressRange::V4(start, end) => {
                self.v4.push(Range { start, end, value: index });
                (IpAddr::V4(start.into()), IpAddr::V4(end.into()))
            }
            AddressRange::V6(start, end) => {
                self.v6.push(Range { start, end, value: index });
                (IpAddr::V6(start.into()), IpAddr::V6(end.into()))
            }
        };
        if let Some(line) = self.seen.insert(ends, self.line) {
            return Err(format!("the prefix is also in line {line}; remove one of them"));
        }
        if self.networks.len() >= MAX_ENTRIES {
            return Err(format!("there are more than {MAX_ENTRIES} prefixes"));
        }
        self.networks.push(network);
        Ok(())
    }
}

/// Checks a text of the file.
fn text<'a>(what: &str, text: &'a str) -> Result<&'a str, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the {what} is longer than {MAX_TEXT} bytes"));
    }
    if text.contains(is_unsafe) {
        return Err(format!("the {what} has control characters or invisible ones"));
    }
    Ok(text)
}

/// The place of a network. A city without coordinates is at the centre of its country.
fn location(
    country: Option<CountryId>,
    city: &str,
    latitude: &str,
    longitude: &str,
) -> Result<Option<Location>, String> {
    let (latitude, longitude) = match (latitude, longitude) {
        ("", "") if city.is_empty() => return Ok(None),
        ("", "") => {
            let info = country.ok_or("a city without coordinates needs a country")?.info();
            (info.latitude, info.longitude)
        }
        ("", _) | (_, "") => return Err("a latitude and a longitude belong together".into()),
        (latitude, longitude) => {
            (degrees("latitude", latitude, 90.0)?, degrees("longitude", longitude, 180.0)?)
        }
    };
    Ok(Some(Location { city: city.into(), latitude, longitude }))
}

fn degrees(what: &str, text: &str, max: f64) -> Result<f64, String> {
    let degrees = text.parse().ok().filter(|degrees: &f64| (-max..=max).contains(degrees));
    degrees.ok_or_else(|| format!("invalid {what} {text:?}: use degrees from -{max} to {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NamedNetworks, String> {
        let mut parser = Parser::default();
        text.lines().try_for_each(|line| parser.line(line.trim()))?;
        Ok(parser.networks())
    }

    #[test]
    fn the_longest_prefix_names_an_address() {
        let networks = parse(
            "# prefix, name, country, city, latitude, longitude\n\n\
             10.0.0.0/8, intranet\n\
             10.1.0.0/16, office-berlin, DE, Bad Homburg, 52.52, -13.4\n\
             10.1.2.3, printer, nl,\n\
             10.2.0.0/16, office-berlin, DE, Berlin\n\
             2001:db8::/32, Labor Köln\n",
        )
        .unwrap();
        let name = |address: &str| {
            let network = networks.get(address.parse().unwrap())?;
            Some(&*networks.names[usize::from(network.name)])
        };
        assert_eq!(name("10.255.0.1"), Some("intranet"));
        assert_eq!(name("10.1.255.255"), Some("office-berlin"));
        assert_eq!(name("10.1.2.3"), Some("printer"));
        assert_eq!(name("10.1.2.4"), Some("office-berlin"));
        assert_eq!(name("11.0.0.0"), None);
        assert_eq!(name("2001:db8::1"), Some("Labor Köln"));
        assert_eq!((networks.len(), networks.names.len()), (5, 4));
        let network = |address: &str| networks.get(address.parse().unwrap()).unwrap();
        let code = |address| network(address).country.map(|country| country.info().code);
        assert_eq!(
            (code("10.1.2.4"), code("10.1.2.3"), code("10.3.0.0")),
            (Some("DE"), Some("NL"), None)
        );
        let place = |address| network(address).location.clone();
        let expect = Location { city: "Bad Homburg".into(), latitude: 52.52, longitude: -13.4 };
        assert_eq!(place("10.1.2.4"), Some(expect));
        let centre = CountryId::from_code("DE").unwrap().info();
        let expect = Location {
            city: "Berlin".into(),
            latitude: centre.latitude,
            longitude: centre.longitude,
        };
        assert_eq!(place("10.2.0.0"), Some(expect));
        assert_eq!((place("10.1.2.3"), place("10.3.0.0")), (None, None));
    }

    #[test]
    fn invalid_lines_are_explained() {
        let check = |text: &str, expect: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expect), "{text:?}: {error}");
        };
        check("10.0.0.0/8", "expected: prefix, name,");
        check("10.0.0.0/8,a,,,,,", "expected: prefix, name,");
        check("10.0.0.0/33, a", "invalid prefix \"10.0.0.0/33\"");
        check("10.0.0.1-10.0.0.2, a", "invalid prefix");
        check("10.0.0.0/8, ", "invalid name \"\"");
        check("10.0.0.0/8, other", "invalid name \"other\"");
        check("10.0.0.0/8, a\u{1b}b", "the name has control characters");
        check("10.0.0.0/8, a\u{202e}b", "the name has control characters or invisible ones");
        check(&format!("10.0.0.0/8, {}", "x".repeat(129)), "the name is longer than 128 bytes");
        check("10.0.0.0/8, a, XX", "invalid country \"XX\"");
        check("10.0.0.0/8, a, , Berlin", "a city without coordinates needs a country");
        check("10.0.0.0/8, a, DE, , 1", "a latitude and a longitude belong together");
        check("10.0.0.0/8, a, DE, , 91, 1", "invalid latitude \"91\"");
        check("10.0.0.0/8, a, DE, , 1, NaN", "invalid longitude \"NaN\"");
        check("10.0.0.0/8, a\n10.9.9.9/8, b", "the prefix is also in line 1");
        let many: String = (0..=MAX_NAMES)
            .fold(String::new(), |text, n| text + &format!("10.0.{}.{}, n{n}\n", n / 256, n % 256));
        check(&many, "there are more than 4000 names");
    }
}
