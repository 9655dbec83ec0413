//! The markers over the wire, read back with parsers.

use compact_str::ToCompactString as _;

use super::*;
use crate::{
    geoip::{Country, CountryId},
    recent::Marker,
};

const XML: &str = "/markers.xml";
const GEOJSON: &str = "/markers.geojson";

fn marker(code: &str, latitude: f64, longitude: f64, city: &str) -> Marker {
    let country = CountryId::from_code(code).unwrap();
    Marker { country, latitude, longitude, city: city.to_compact_string() }
}

fn serve_markers(markers: Vec<Marker>) -> Served {
    let reach = Some((1_700_000_000_000_000, 1_700_000_060_500_000));
    let markers = Markers { markers, left_out: 3, held: 9, reach };
    Served::new(Options { markers, ..Options::default() })
}

#[test]
fn a_query_that_cannot_be_followed_is_told_why() {
    let served = Served::new(Options::default());
    let check = |query: &str, reason: &str| {
        for path in [XML, GEOJSON] {
            let reply = served.get(&format!("{path}?{query}"));
            assert_eq!((reply.status, reply.text()), (400, &*format!("{reason}\n")), "{query}");
            assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        }
    };
    let last =
        |value| format!("last={value:?} is not a number of packets from 1 on, such as 10000");
    check("last=0", &last("0"));
    check("last=", &last(""));
    check("last=-1", &last("-1"));
    check("last=many", &last("many"));
    check("last=1&last=1", "the parameter \"last\" stands there twice");
    let since =
        |value| format!("since={value:?} is not a duration with its unit, such as 10m or 1h30m");
    check("since=5", &since("5"));
    check("since=-5m", &since("-5m"));
    check("since=", &since(""));
    check("since=99999999999999999999y", &since("99999999999999999999y"));
    let port = |value| format!("port={value:?} is not a port from 0 to 65535");
    check("port=65536", &port("65536"));
    check("port=ssh", &port("ssh"));
    check("port=", &port(""));
    let country = |value| {
        format!("country={value:?} is not two letters of ISO 3166-1 such as NL, private or unknown")
    };
    check("country=ZZ", &country("ZZ"));
    check("country=other", &country("other"));
    check("country=", &country(""));
    let names = "there are last, since, port, prefix and country";
    check("proto=tcp", &format!("unknown parameter \"proto\": {names}"));
    check("Last=1", &format!("unknown parameter \"Last\": {names}"));
    check("%3Cb%3E%22%0A", &format!("unknown parameter \"<b>\\\"\\n\": {names}"));
    assert!(served.page.asked.lock().unwrap().is_none(), "something was looked for");
}

#[test]
fn a_query_is_read() {
    let served = Served::new(Options::default());
    let check = |query: &str, expect: MarkerQuery| {
        for path in [XML, GEOJSON] {
            assert_eq!(served.get(&format!("{path}{query}")).status, 200, "{query}");
            let asked = served.page.asked.lock().unwrap().take();
            assert_eq!(asked.as_ref(), Some(&expect), "{query}");
        }
    };
    let all = MarkerQuery::default();
    check("", MarkerQuery { last: 10_000, ..all.clone() });
    check("?", all.clone());
    check("?last=1", MarkerQuery { last: 1, ..all.clone() });
    check("?last=1000000", MarkerQuery { last: 1_000_000, ..all.clone() });
    let huge = MarkerQuery { last: usize::MAX, ..all.clone() };
    check("?last=99999999999999999999999999", huge);
    check("?prefix=", MarkerQuery { prefix: Some(String::new()), ..all.clone() });
    check("?country=Private", MarkerQuery { country: Some(Country::Private), ..all });
    let every = MarkerQuery {
        last: 5,
        since: Some(Duration::from_secs(5400)),
        port: Some(65535),
        prefix: Some("a b\"<&'>\u{fffd}=".into()),
        country: Country::from_code("NL"),
    };
    let prefix = "prefix=a+b%22%3C%26%27%3E%ff%3D";
    check(&format!("?country=nl&{prefix}&port=65535&since=1h30m&last=5"), every.clone());
    check(&format!("?_=1&country=nl&_=2&{prefix}&port=65535&since=1h30m&last=5&0.123"), every);
    check("?_=1700000000000", MarkerQuery::default());
    check("?1700000000", MarkerQuery::default());
    check("?nocache=0.7&t=1", MarkerQuery::default());
}

/// What no parser may trip over, and what comes of it in XML, which cannot write some of it.
const HOSTILE: &str = "<b>\"&'</b>]]>\t\n\r\0\u{1b}\u{7f}\u{fffe}\u{ffff}東";
const HOSTILE_IN_XML: &str = "<b>\"&'</b>]]>\t\n\r\u{fffd}\u{fffd}\u{7f}\u{fffd}\u{fffd}東";

#[test]
fn xml() {
    let served = serve_markers(vec![
        marker("NL", 52.3, 4.9, ""),
        marker("CI", -7.0, -5.5, HOSTILE),
        marker("CI", 0.000_001, 180.0, "London"),
    ]);
    let reply = served.get(XML);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/xml; charset=utf-8"));
    let first = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <markers entries=\"3\" left_out=\"3\" held=\"9\" oldest=\"1700000000\" newest=\"1700000060.5\">\n\
        <marker country_code=\"NL\" country_name=\"Netherlands\" lng=\"4.9\" lat=\"52.3\"/>\n";
    assert!(reply.text().starts_with(first), "{}", reply.text());
    let document = roxmltree::Document::parse(reply.text()).unwrap();
    let read: Vec<_> = document
        .root_element()
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|node| {
            assert_eq!(node.tag_name().name(), "marker");
            ["country_code", "country_name", "lng", "lat", "city"].map(|name| node.attribute(name))
        })
        .collect();
    let ivory = Some("Côte d'Ivoire");
    assert_eq!(read.len(), 3);
    assert_eq!(read[0], [Some("NL"), Some("Netherlands"), Some("4.9"), Some("52.3"), None]);
    assert_eq!(read[1], [Some("CI"), ivory, Some("-5.5"), Some("-7"), Some(HOSTILE_IN_XML)]);
    assert_eq!(read[2], [Some("CI"), ivory, Some("180"), Some("0.000001"), Some("London")]);
}

#[test]
fn geojson() {
    let served =
        serve_markers(vec![marker("NL", 52.3, 4.9, ""), marker("GB", -7.0, -5.5, HOSTILE)]);
    let reply = served.get(GEOJSON);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/geo+json"));
    let read: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let expect = serde_json::json!({
        "type": "FeatureCollection",
        "entries": 2, "left_out": 3, "held": 9,
        "oldest": 1_700_000_000.0, "newest": 1_700_000_060.5,
        "features": [
            {
                "type": "Feature",
                "geometry": { "type": "Point", "coordinates": [4.9, 52.3] },
                "properties": { "country_code": "NL", "country_name": "Netherlands" },
            },
            {
                "type": "Feature",
                "geometry": { "type": "Point", "coordinates": [-5.5, -7.0] },
                "properties": {
                    "country_code": "GB", "country_name": "United Kingdom", "city": HOSTILE,
                },
            },
        ],
    });
    assert_eq!(read, expect);
}

#[test]
fn without_a_packet_both_are_whole() {
    let served = Served::new(Options::default());
    let reply = served.get(XML);
    let document = roxmltree::Document::parse(reply.text()).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("entries"), Some("0"));
    assert_eq!((root.attribute("held"), root.attribute("newest")), (Some("0"), None));
    let read: serde_json::Value = serde_json::from_slice(&served.get(GEOJSON).body).unwrap();
    let expect = serde_json::json!({
        "type": "FeatureCollection", "entries": 0, "left_out": 0, "held": 0, "features": [],
    });
    assert_eq!(read, expect);
}

#[test]
fn nobody_keeps_them_and_they_come_compressed() {
    let served = serve_markers(vec![marker("NL", 52.3, 4.9, "Amsterdam"); 1000]);
    for path in [XML, GEOJSON] {
        let plain = served.get(path);
        assert_eq!(plain.header("cache-control"), Some("no-store"));
        assert_eq!(plain.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
        assert_eq!(plain.header("content-encoding"), None);
        let packed = served.ask("GET", path, "Accept-Encoding: gzip\r\n");
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert!(packed.body.len() < plain.body.len() / 10);
        let mut body = Vec::new();
        flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut body).unwrap();
        assert_eq!(body, plain.body);
        let head = served.ask("HEAD", path, "");
        let length = plain.body.len().to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(&*length)));
        let refused = served.ask("POST", path, "");
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    }
}

#[test]
fn another_origin_may_read_them_where_that_is_set() {
    let content =
        "http_server_config: {headers: {Access-Control-Allow-Origin: 'https://map.example'}}";
    let served = Served::new(Options { guard: guard(content, "", ""), ..Options::default() });
    let origin =
        |path: &str| served.get(path).header("access-control-allow-origin").map(ToOwned::to_owned);
    for path in [XML, GEOJSON, "/markers.xml?_=1", "/markers.xml?port=x"] {
        assert_eq!(origin(path).as_deref(), Some("https://map.example"), "{path}");
    }
    for path in ["/metrics", "/", "/overview.json", "/nowhere"] {
        assert_eq!(origin(path), None, "{path}");
    }
}
