//! Live resources over HTTP: methods, headers, compression and errors.

use super::*;
use crate::web::paths;

const PATHS: [(&str, &str, &str); 3] = [
    (paths::OVERVIEW, "Overview", "application/json"),
    (paths::MARKERS_XML, "MarkersXml", "application/xml; charset=utf-8"),
    (paths::MARKERS_GEOJSON, "MarkersGeoJson", "application/geo+json"),
];

#[test]
fn each_path_gets_its_resource_and_query() {
    let served = Served::new(Options { text: "x".into(), ..Options::default() });
    for (path, resource, content_type) in PATHS {
        for (query, expect) in
            [("", ""), ("?", ""), ("?port=22&country=a%26b", "port=22&country=a%26b")]
        {
            let reply = served.get(&format!("{path}{query}"));
            let body = format!("{resource} {expect:?} x");
            assert_eq!((reply.status, reply.text()), (200, &*body), "{path}{query}");
            assert_eq!(reply.header("content-type"), Some(content_type), "{path}");
        }
    }
}

#[test]
fn an_invalid_query_has_a_reason() {
    let served = Served::new(Options::default());
    for (path, ..) in PATHS {
        let reply = served.get(&format!("{path}?invalid"));
        let reason = "duplicate parameter \"<b>\": give it once\n";
        assert_eq!((reply.status, reply.text()), (400, reason), "{path}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn responses_are_not_cached_and_are_compressed() {
    let served = Served::new(Options { text: "x".repeat(100_000), ..Options::default() });
    for (path, ..) in PATHS {
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
        let rejected = served.ask("POST", path, "");
        assert_eq!((rejected.status, rejected.header("allow")), (405, Some("GET, HEAD")));
    }
}

#[test]
fn only_markers_are_readable_from_another_origin() {
    let content =
        "http_server_config: {headers: {Access-Control-Allow-Origin: 'https://map.example'}}";
    let web_config = web_config(content, "", "");
    let served = Served::new(Options { web_config, ..Options::default() });
    let origin =
        |path: &str| served.get(path).header("access-control-allow-origin").map(ToOwned::to_owned);
    for path in ["/markers.xml", "/markers.geojson", "/markers.xml?_=1", "/markers.xml?invalid"] {
        assert_eq!(origin(path).as_deref(), Some("https://map.example"), "{path}");
    }
    for path in ["/metrics", "/", "/overview.json", "/nowhere"] {
        assert_eq!(origin(path), None, "{path}");
    }
}
