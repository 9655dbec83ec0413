//! Content negotiation: `Accept` and `Accept-Encoding` (RFC 9110, section 12.5).

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
};

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use super::{Client, Format};

/// The header that Prometheus sends with every scrape.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

const OPENMETRICS: &str = "application/openmetrics-text";
const PLAIN: &str = "text/plain";

/// The format of the metrics. It is `OpenMetrics` if the client names it with at least the quality of the older
/// text format. Otherwise it is the older text format, which browsers show.
pub(super) fn format(headers: &HeaderMap) -> Format {
    // The highest quality of the ranges that name a format. Versions that are not served are ignored.
    let mut openmetrics = None::<f32>;
    let mut plain = None::<f32>;
    let mut any_text = None;
    let mut anything = None;
    for value in values(headers, &ACCEPT) {
        let Some(element) = ListElement::parse(value) else { continue };
        let quality = match (element.name.as_str(), element.version) {
            (OPENMETRICS, None | Some("1.0.0")) => &mut openmetrics,
            (PLAIN, None | Some("0.0.4")) => &mut plain,
            ("text/*", _) => &mut any_text,
            ("*/*", _) => &mut anything,
            _ => continue,
        };
        *quality = Some(quality.map_or(element.quality, |best| best.max(element.quality)));
    }
    let plain = plain.or(any_text).or(anything).unwrap_or(0.0);
    match openmetrics {
        Some(quality) if quality > 0.0 && quality >= plain => Format::OpenMetrics,
        _ => Format::Plain,
    }
}

/// The kind of client.
pub(super) fn client(headers: &HeaderMap, peer: IpAddr) -> Client {
    if !headers.contains_key(SCRAPE_TIMEOUT) {
        return Client::Other;
    }
    let mut hasher = DefaultHasher::new();
    peer.hash(&mut hasher);
    headers.get(USER_AGENT).map(HeaderValue::as_bytes).hash(&mut hasher);
    Client::Prometheus(hasher.finish())
}

/// Whether to compress: the client accepts gzip with at least the quality of an uncompressed response.
pub(super) fn gzip(headers: &HeaderMap) -> bool {
    let mut gzip = None;
    let mut identity = None;
    let mut anything = None;
    for value in values(headers, &ACCEPT_ENCODING) {
        let Some(element) = ListElement::parse(value) else { continue };
        match element.name.as_str() {
            "gzip" | "x-gzip" => gzip = Some(element.quality),
            "identity" => identity = Some(element.quality),
            "*" => anything = Some(element.quality),
            _ => {}
        }
    }
    let gzip = gzip.or(anything).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// Whether a list of entity tags has this one, or `*` (RFC 9110, section 13.1.2).
pub(super) fn has_tag(headers: &HeaderMap, name: &HeaderName, tag: &str) -> bool {
    values(headers, name)
        .any(|element| element == "*" || element.strip_prefix("W/").unwrap_or(element) == tag)
}

/// One element of a list header: `name; version=…; q=…`.
struct ListElement<'a> {
    /// In lower case.
    name: String,
    version: Option<&'a str>,
    /// 0 (not at all) to 1.
    quality: f32,
}

impl<'a> ListElement<'a> {
    /// Parses an element; `None` if its quality is invalid.
    fn parse(element: &'a str) -> Option<Self> {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let mut parsed = Self { name, version: None, quality: 1.0 };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "version" => parsed.version = Some(value),
                "q" => {
                    parsed.quality = value.parse().ok().filter(|q| (0.0..=1.0).contains(q))?;
                }
                _ => {}
            }
        }
        Some(parsed)
    }
}

/// The elements of a list header, which may have several lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim).filter(|element| !element.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, value: &str) -> HeaderMap {
        value.split('\n').map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn formats() {
        let check = |accept: &str, expect: Format| {
            assert_eq!(format(&headers(&ACCEPT, accept)), expect, "{accept}");
        };
        let (open, plain) = (Format::OpenMetrics, Format::Plain);
        // Prometheus 2.42
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            open,
        );
        // Prometheus 3
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            open,
        );
        // Prometheus older than 2.5
        check("text/plain;version=0.0.4;q=1,*/*;q=0.1", plain);
        // A browser; curl
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", plain);
        check("*/*", plain);
        check("", plain);
        check("application/openmetrics-text", open);
        check("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", open);
        check("application/openmetrics-text;version=0.0.1", plain);
        check("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", plain);
        check("application/openmetrics-text;q=0.5,text/plain;q=0.6", plain);
        check("application/openmetrics-text;q=0.5,text/plain;q=0.5", open);
        check("application/openmetrics-text;q=0.5,text/*;q=0.9", plain);
        check("application/openmetrics-text;q=0.5,text/plain;version=1.0.0", open);
        check("text/*;q=0.1,*/*,application/openmetrics-text;q=0.2", open);
        check("application/openmetrics-text;q=0", plain);
        check("application/openmetrics-text;q=0, */*", plain);
        check("application/openmetrics-text;q=NaN", plain);
        check("application/openmetrics-text;q=7", plain);
        check("application/*", plain);
        check(";;;,,=,q=1;", plain);
        check("text/plain;q=0.5\napplication/openmetrics-text", open);
    }

    #[test]
    fn encodings() {
        let check = |accept: &str, expect: bool| {
            assert_eq!(gzip(&headers(&ACCEPT_ENCODING, accept)), expect, "{accept}");
        };
        check("gzip", true);
        check("gzip, deflate, br, zstd", true);
        check("GZIP;q=0.1", true);
        check("x-gzip", true);
        check("*", true);
        check("", false);
        check("identity", false);
        check("deflate, br", false);
        check("gzip;q=0", false);
        check("gzip;q=0, *", false);
        check("gzip;q=0.5, identity", false);
        check("gzip, identity;q=0.5", true);
        check("gzip;q=x", false);
    }
}
