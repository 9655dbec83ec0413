//! Whether a client may read rows of the drill-down: they have personal data, of which a password or loopback keeps
//! others out.

use std::net::IpAddr;

use hyper::{
    HeaderMap, Request, Version,
    header::{FORWARDED, HOST, HeaderName, HeaderValue, ORIGIN, VIA},
    http::uri::Authority,
};

/// A client, and how it reached the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: IpAddr,
    /// Whether the listener's address is on loopback.
    pub(super) is_on_loopback: bool,
}

/// What proxies add to a request.
const OF_PROXIES: [HeaderName; 9] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

/// Where a browser says which site's page makes a request: Fetch Metadata Request Headers, W3C.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

const OTHER_SITE: &str = "a page of another site made the request";

const BEYOND_LOOPBACK: &str = "this listener is not on loopback, and packets have personal data: set basic_auth_users in the \
     web configuration (web.config_file), or use a listener on loopback";

const BY_PROXY: &str = "a proxy forwarded the request, and packets have personal data: set basic_auth_users in the web \
     configuration (web.config_file)";

const UNKNOWN_HOST: &str = "the header Host has neither a loopback address nor localhost, as if a proxy forwarded the request or \
     another site had changed its address (DNS rebinding): use http://127.0.0.1, or set basic_auth_users in the web configuration (web.config_file)";

/// Why a client gets no rows; `None` if it may read them. `has_password`: the request was accepted with a password.
pub(super) fn refusal<B>(
    peer: Peer,
    has_password: bool,
    request: &Request<B>,
) -> Option<&'static str> {
    let headers = request.headers();
    if is_of_another_site(headers) {
        Some(OTHER_SITE)
    } else if has_password {
        None
    } else if !peer.is_on_loopback || !peer.address.to_canonical().is_loopback() {
        Some(BEYOND_LOOPBACK)
    } else if is_forwarded(request) {
        Some(BY_PROXY)
    } else if !is_local_name(headers) {
        Some(UNKNOWN_HOST)
    } else {
        None
    }
}

/// Whether a proxy forwarded the request. nginx up to 1.29 adds no header by default, and uses HTTP/1.0, which no browser
/// does.
fn is_forwarded<B>(request: &Request<B>) -> bool {
    request.version() < Version::HTTP_11
        || OF_PROXIES.iter().any(|name| request.headers().contains_key(name))
}

/// Whether a browser makes the request for a page of another origin.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let is_other = |site: &[u8]| !matches!(site, b"same-origin" | b"none");
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    let host = headers.get(HOST).map_or(&[][..], HeaderValue::as_bytes);
    let is_own = |origin: &[u8]| {
        [&b"http://"[..], b"https://"]
            .iter()
            .any(|scheme| origin.strip_prefix(*scheme) == Some(host))
    };
    headers.get(SEC_FETCH_SITE).is_some_and(|site| is_other(site.as_bytes()))
        || origin.is_some_and(|origin| !is_own(origin))
}

/// Whether the header `Host` has a loopback address or `localhost`: a name of another site can resolve to loopback, and a
/// proxy can pass on the header of its own address.
fn is_local_name(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    host.is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|host: IpAddr| host.to_canonical().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Peer =
        Peer { address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), is_on_loopback: true };

    fn refused(peer: Peer, has_password: bool, lines: &[(&str, &str)]) -> Option<&'static str> {
        let request = lines
            .iter()
            .fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        refusal(peer, has_password, &request.body(()).unwrap())
    }

    #[test]
    fn without_a_password_only_loopback_reads() {
        let host = [("host", "127.0.0.1:10239")];
        assert_eq!(refused(LOCAL, false, &host), None);
        let any = Peer { is_on_loopback: false, ..LOCAL };
        assert_eq!(refused(any, false, &host), Some(BEYOND_LOOPBACK));
        let remote = Peer { address: [192, 0, 2, 1].into(), ..any };
        assert_eq!(refused(remote, false, &host), Some(BEYOND_LOOPBACK));
        assert_eq!(refused(remote, true, &host), None);
        let mapped = Peer { address: "::ffff:127.0.0.1".parse().unwrap(), ..LOCAL };
        assert_eq!(refused(mapped, false, &host), None);
    }

    #[test]
    fn a_name_that_another_site_can_own_is_refused() {
        for host in ["127.0.0.1", "[::1]:10239", "localhost:10239", "LOCALHOST", "127.0.0.2:1"] {
            assert_eq!(refused(LOCAL, false, &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example:10239",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "192.0.2.1:10239",
            "[2001:db8::1]",
            "@",
        ] {
            assert_eq!(refused(LOCAL, false, &[("host", host)]), Some(UNKNOWN_HOST), "{host}");
        }
        assert_eq!(refused(LOCAL, false, &[]), Some(UNKNOWN_HOST));
        assert_eq!(refused(LOCAL, true, &[("host", "gate.example")]), None);
    }

    #[test]
    fn a_proxy_needs_a_password() {
        for name in OF_PROXIES {
            let lines = [("host", "127.0.0.1"), (name.as_str(), "x")];
            assert_eq!(refused(LOCAL, false, &lines), Some(BY_PROXY), "{name}");
            assert_eq!(refused(LOCAL, true, &lines), None, "{name}");
        }
        let mut old = Request::builder().header("host", "127.0.0.1").body(()).unwrap();
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(refusal(LOCAL, false, &old), Some(BY_PROXY));
        assert_eq!(refusal(LOCAL, true, &old), None);
    }

    #[test]
    fn other_sites_are_refused_even_with_a_password() {
        for site in ["cross-site", "same-site", "x"] {
            let lines = [("host", "localhost"), (SEC_FETCH_SITE, site)];
            assert_eq!(refused(LOCAL, true, &lines), Some(OTHER_SITE), "{site}");
        }
        for site in ["same-origin", "none"] {
            let lines = [("host", "localhost"), (SEC_FETCH_SITE, site)];
            assert_eq!(refused(LOCAL, false, &lines), None, "{site}");
        }
        for (origin, is_refused) in [
            ("http://localhost:1", false),
            ("https://localhost:1", false),
            ("http://localhost:2", true),
            ("http://evil.example", true),
            ("null", true),
        ] {
            let lines = [("host", "localhost:1"), ("origin", origin)];
            assert_eq!(refused(LOCAL, true, &lines).is_some(), is_refused, "{origin}");
        }
    }
}
