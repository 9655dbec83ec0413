//! A client of HTTPS: proxies of the environment, redirects, and no connection without TLS.

use std::{env, fmt, future::Future, io, path::Path, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{
        AUTHORIZATION, HOST, HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
    },
};
use hyper_util::{
    client::proxy::matcher::{Intercept, Matcher},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::error::{MAX_REDIRECTS, RequestError, UpdateSetupError, with_sources};
use crate::system::{
    http_client::{Stream, start_http},
    verifying_client,
};

/// Maximum time to resolve a name and connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// The program's name in requests.
const AGENT: &str = concat!("nflog_exporter/", env!("CARGO_PKG_VERSION"));

/// The client.
pub(super) struct Client {
    tls: TlsConnector,
    proxies: Matcher,
}

/// Additional headers of a request.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

impl Client {
    /// Trusts the certificate authorities of a file, or without one those of the system. The environment names the
    /// proxies: `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, also in lower case.
    ///
    /// # Errors
    /// There are no certificate authorities, or a proxy of the environment is invalid.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, UpdateSetupError> {
        let config = verifying_client(ca_file)?;
        check_proxies(|name| env::var(name).ok())?;
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), proxies: Matcher::from_env() })
    }

    /// Sends a GET request, and follows redirects. Only the server of the URL receives the authorization.
    ///
    /// # Errors
    /// There is no response.
    pub(super) async fn get(
        &self,
        url: &Url,
        authorization: Option<&HeaderValue>,
        headers: &Headers,
    ) -> Result<Response<Incoming>, RequestError> {
        let mut current = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let authorization = authorization.filter(|_| current.origin() == url.origin());
            let response = self.request(&current, authorization, headers).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).ok_or(RequestError::NoLocation)?;
            let location = location.to_str().ok();
            let target = location.and_then(|location| current.join(location).ok());
            current = target
                .filter(|target| target.scheme() == "https" && target.has_host())
                .ok_or(RequestError::Insecure)?;
        }
        Err(RequestError::Redirects)
    }

    async fn request(
        &self,
        url: &Url,
        authorization: Option<&HeaderValue>,
        headers: &Headers,
    ) -> Result<Response<Incoming>, RequestError> {
        let peer = Peer::of(url);
        let stream = self.connect(url, &peer).await?;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::get(target).header(USER_AGENT, AGENT);
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        request = request.header(HOST, host);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::default())?;
        Ok(start_http(stream).await?.0.send_request(request).await?)
    }

    /// A connection with TLS, directly or through a proxy.
    async fn connect(&self, url: &Url, peer: &Peer) -> Result<Box<dyn Stream>, RequestError> {
        let uri = url.as_str().parse::<Uri>().map_err(hyper::http::Error::from)?;
        let stream = match self.proxies.intercept(&uri) {
            Some(proxy) => self.tunnel(&proxy, peer).await?,
            None => Box::new(open(peer).await?),
        };
        self.encrypt(stream, &peer.host).await
    }

    /// A connection to the peer through a proxy, by the method CONNECT (RFC 9110, 9.3.6).
    async fn tunnel(
        &self,
        proxy: &Intercept,
        peer: &Peer,
    ) -> Result<Box<dyn Stream>, RequestError> {
        let uri = proxy.uri();
        let failed = |reason: String| RequestError::Proxy {
            proxy: uri.to_string(),
            peer: peer.to_string(),
            reason,
        };
        let url = Url::parse(&uri.to_string()).map_err(|error| failed(error.to_string()))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(failed(format!("{} is not supported, only http and https", url.scheme())));
        }
        let at = Peer::of(&url);
        let mut stream: Box<dyn Stream> = Box::new(open(&at).await?);
        if url.scheme() == "https" {
            stream = self.encrypt(stream, &at.host).await?;
        }
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(peer.to_string())
            .header(HOST, peer.to_string());
        if let Some(authorization) = proxy.basic_auth() {
            request = request.header(PROXY_AUTHORIZATION, authorization);
        }
        let request = request.body(Full::default())?;
        let response = start_http(stream).await?.0.send_request(request).await;
        let response = response.map_err(|error| failed(with_sources(&error)))?;
        if !response.status().is_success() {
            return Err(failed(format!("the status {}", response.status())));
        }
        let upgraded = hyper::upgrade::on(response).await;
        Ok(Box::new(TokioIo::new(upgraded.map_err(|error| failed(with_sources(&error)))?)))
    }

    async fn encrypt(
        &self,
        stream: Box<dyn Stream>,
        host: &Host,
    ) -> Result<Box<dyn Stream>, RequestError> {
        let failed = |cause| RequestError::Tls { host: host.to_string(), cause };
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|error| failed(io::Error::other(error)))?,
            Host::Ipv4(address) => ServerName::IpAddress((*address).into()),
            Host::Ipv6(address) => ServerName::IpAddress((*address).into()),
        };
        Ok(Box::new(self.tls.connect(name, stream).await.map_err(failed)?))
    }
}

/// Checks the variables of the environment that name proxies: the library ignores an invalid one, and the requests would not
/// use it.
fn check_proxies(value: impl Fn(&str) -> Option<String>) -> Result<(), UpdateSetupError> {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let Some(proxy) = value(variable).filter(|proxy| !proxy.is_empty()) else { continue };
        let matcher = Matcher::builder().https(proxy).build();
        if matcher.intercept(&Uri::from_static("https://example.com")).is_none() {
            return Err(UpdateSetupError::Proxy { variable });
        }
    }
    Ok(())
}

fn is_redirect(status: StatusCode) -> bool {
    // 304 is the response to a condition.
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

async fn open(peer: &Peer) -> Result<TcpStream, RequestError> {
    let connect = match &peer.host {
        Host::Domain(name) => limited(TcpStream::connect((name.as_str(), peer.port))).await,
        Host::Ipv4(address) => limited(TcpStream::connect((*address, peer.port))).await,
        Host::Ipv6(address) => limited(TcpStream::connect((*address, peer.port))).await,
    };
    connect.map_err(|cause| RequestError::Connect { peer: peer.to_string(), cause })
}

async fn limited(connect: impl Future<Output = io::Result<TcpStream>>) -> io::Result<TcpStream> {
    timeout(CONNECT_LIMIT, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Host and port of a server.
struct Peer {
    host: Host,
    port: u16,
}

impl Peer {
    /// The server of a URL with a host.
    fn of(url: &Url) -> Self {
        let host = url.host().map_or(Host::Domain(String::new()), |host| host.to_owned());
        Self { host, port: url.port_or_known_default().unwrap_or(443) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_proxy_is_an_error() {
        for (proxy, is_valid) in [
            ("", true),
            ("http://127.0.0.1:9", true),
            ("user:password@proxy.example.net:3128", true),
            ("https://[::1]:9/", true),
            ("::::", false),
            ("htp://127.0.0.1:9", false),
        ] {
            for variable in ["HTTPS_PROXY", "all_proxy"] {
                let checked = check_proxies(|name| (name == variable).then(|| proxy.to_owned()));
                assert_eq!(checked.is_ok(), is_valid, "{proxy}: {checked:?}");
            }
        }
    }
}
