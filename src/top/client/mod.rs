//! Requests the figures of a running exporter over HTTP.

use std::{env, io, path::Path, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, LOCATION, USER_AGENT},
};
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{
    error::{ExporterError, FiguresError, MAX_RESPONSE, TIMEOUT},
    figures::Figures,
    text,
};
use crate::{
    system::{
        accepting_client,
        files::read_small,
        http_client::{RequestSender, Stream, start_http},
        verifying_client,
    },
    web::paths,
};

/// The environment variable with the URL of the exporter.
pub const URL_VARIABLE: &str = "NFLOG_EXPORTER_TOP_URL";

/// The environment variable with the password.
pub const PASSWORD_VARIABLE: &str = "NFLOG_EXPORTER_TOP_PASSWORD";

/// Maximum size of a file with a password, bytes.
const MAX_PASSWORD: u64 = 4096;

/// The program's name in requests.
const AGENT: &str = concat!("nflog_exporter/", env!("CARGO_PKG_VERSION"));

/// How to connect to an exporter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access<'a> {
    /// A file of certificate authorities instead of those of the system.
    pub ca_file: Option<&'a Path>,
    /// Whether any certificate is accepted.
    pub is_insecure: bool,
    /// A file with the password.
    pub password_file: Option<&'a Path>,
}

/// A client of one exporter, with at most one connection.
pub struct ExporterClient {
    /// The address of the overview, without user and password.
    url: Url,
    authorization: Option<HeaderValue>,
    /// `None` for an address without TLS.
    tls: Option<TlsConnector>,
    connection: Option<RequestSender>,
}

impl ExporterClient {
    /// A client of the exporter whose page is at this address.
    ///
    /// # Errors
    /// The address, the password or the authorities cannot be used.
    pub fn new(text: &str, access: Access<'_>) -> Result<Self, ExporterError> {
        let invalid = |url: &str, reason: String| ExporterError::Url { url: url.into(), reason };
        // An address that cannot be parsed may contain a password anywhere.
        let mut url = Url::parse(text).map_err(|error| invalid("...", error.to_string()))?;
        let shown = shown(&url);
        if !url.has_host() || !["http", "https"].contains(&url.scheme()) {
            return Err(invalid(&shown, "its scheme is not http or https".into()));
        }
        let authorization = authorization(&url, access.password_file)?;
        // They fail only for addresses without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        let path = format!("{}{}", url.path().trim_end_matches('/'), paths::OVERVIEW);
        url.set_path(&path);
        let tls = match url.scheme() {
            "https" if access.is_insecure => Some(accepting_client()?),
            "https" => Some(verifying_client(access.ca_file)?),
            _ => None,
        };
        let tls = tls.map(|config| TlsConnector::from(Arc::new(config)));
        Ok(Self { url, authorization, tls, connection: None })
    }

    /// The address of the exporter for the title, without user and password.
    #[must_use]
    pub fn name(&self) -> String {
        let text = self.url.as_str();
        text.strip_suffix(&paths::OVERVIEW[1..]).unwrap_or(text).to_owned()
    }

    /// Requests the figures for a query.
    ///
    /// # Errors
    /// There are no figures; the next request can succeed.
    pub async fn figures(&mut self, query: &str) -> Result<Figures, FiguresError> {
        let body = timeout(TIMEOUT, self.body(query));
        let body =
            body.await.unwrap_or_else(|_| Err(FiguresError::Timeout { url: self.shown() }))?;
        Figures::parse(&String::from_utf8_lossy(&body)).map_err(|error| {
            // It can contain a text of the response.
            let cause = text::safe_message(&error.to_string());
            FiguresError::Invalid { url: self.shown(), cause }
        })
    }

    /// The address of requests, for messages.
    fn shown(&self) -> String {
        self.url.to_string()
    }

    async fn body(&mut self, query: &str) -> Result<Bytes, FiguresError> {
        let (mut sender, response) = self.response(query).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.rejected(response).await);
        }
        let body = self.read(response).await?;
        if sender.ready().await.is_ok() {
            self.connection = Some(sender);
        }
        Ok(body)
    }

    /// Sends a request, over the previous connection if the server did not close it.
    async fn response(
        &mut self,
        query: &str,
    ) -> Result<(RequestSender, Response<Incoming>), FiguresError> {
        if let Some(mut sender) = self.connection.take() {
            // The server can close it at any time.
            if let Ok(response) = sender.send_request(self.request(query)?).await {
                return Ok((sender, response));
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(self.request(query)?).await;
        let response = response.map_err(|error| self.http(&error))?;
        Ok((sender, response))
    }

    fn request(&self, query: &str) -> Result<Request<Full<Bytes>>, FiguresError> {
        let separator = if query.is_empty() { "" } else { "?" };
        let mut request = Request::get(format!("{}{separator}{query}", self.url.path()))
            .header(HOST, self.host())
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, AGENT);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Full::default()).map_err(|error| self.http(&error))
    }

    /// Host and port, as the address has them.
    fn host(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    async fn connect(&self) -> Result<RequestSender, FiguresError> {
        let port = self.url.port_or_known_default().unwrap_or(80);
        let stream = match self.url.host() {
            Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
            Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
            host => {
                let name = host.map(|host| host.to_string()).unwrap_or_default();
                TcpStream::connect((name, port)).await
            }
        };
        let stream =
            stream.map_err(|cause| FiguresError::Connect { peer: self.host().into(), cause })?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let encrypted = match self.server_name() {
                    Ok(name) => tls.connect(name, stream).await,
                    Err(error) => Err(error),
                };
                let failed = |cause| FiguresError::Tls { peer: self.host().into(), cause };
                Box::new(encrypted.map_err(failed)?)
            }
        };
        let (sender, _) = start_http(stream).await.map_err(|error| self.http(&error))?;
        Ok(sender)
    }

    fn server_name(&self) -> io::Result<ServerName<'static>> {
        match self.url.host() {
            Some(Host::Ipv4(address)) => Ok(ServerName::IpAddress(address.into())),
            Some(Host::Ipv6(address)) => Ok(ServerName::IpAddress(address.into())),
            host => {
                let name = host.map(|host| host.to_string()).unwrap_or_default();
                ServerName::try_from(name).map_err(io::Error::other)
            }
        }
    }

    /// Reads a body of limited size.
    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, FiguresError> {
        let body = Limited::new(response.into_body(), MAX_RESPONSE).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| {
            if error.is::<LengthLimitError>() {
                FiguresError::TooLarge { url: self.shown() }
            } else {
                self.http(&*error)
            }
        })
    }

    /// The error of a response with another status than 200.
    async fn rejected(&self, response: Response<Incoming>) -> FiguresError {
        let (url, status) = (self.shown(), response.status().as_u16());
        match status {
            401 if self.authorization.is_some() => FiguresError::WrongPassword { url },
            401 => FiguresError::NoPassword { url },
            404 => FiguresError::NotFound { url },
            300..=399 => {
                let location = response.headers().get(LOCATION);
                let location = String::from_utf8_lossy(location.map_or(&[], |it| it.as_bytes()));
                FiguresError::Redirect { url, status, location: text::safe(&location) }
            }
            _ => {
                let body = self.read(response).await.unwrap_or_default();
                let body = String::from_utf8_lossy(&body);
                let line = text::safe(body.lines().next().unwrap_or_default());
                // A page of a proxy says nothing in its first line.
                let is_reason = !line.is_empty() && !line.starts_with('<');
                let reason = if is_reason { format!(": {line}") } else { String::new() };
                FiguresError::Status { url, status, reason }
            }
        }
    }

    fn http(&self, error: &(dyn std::error::Error + 'static)) -> FiguresError {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause = format!("{cause}: {error}");
            source = error.source();
        }
        let advice =
            if self.tls.is_none() { "; for an exporter with TLS, use https://" } else { "" };
        FiguresError::Http { peer: self.host().into(), cause: text::safe(&cause), advice }
    }
}

/// An address without user and password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// The header `Authorization` (RFC 7617): the user of the address, and the password of the file, of the environment or of
/// the address. `None` without a user.
fn authorization(url: &Url, file: Option<&Path>) -> Result<Option<HeaderValue>, ExporterError> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(url.username());
    if user.is_empty() {
        return match file {
            None if url.password().is_none() => Ok(None),
            _ => Err(ExporterError::Password(
                "there is a password, and no user: write https://USER@HOST:PORT".into(),
            )),
        };
    }
    let password = match file {
        Some(file) => Some(password_in(file)?),
        None => url.password().map(decoded).or_else(|| env::var(PASSWORD_VARIABLE).ok()),
    };
    let password = password.ok_or_else(|| {
        ExporterError::Password(format!(
            "there is no password for the user {user:?}: use --password-file, or set {PASSWORD_VARIABLE}"
        ))
    })?;
    let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let invalid = |_| ExporterError::Password("the user or the password is invalid".into());
    let mut header = HeaderValue::from_str(&format!("Basic {login}")).map_err(invalid)?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The first line of a file.
fn password_in(file: &Path) -> Result<String, ExporterError> {
    let path = file.display();
    let text = read_small(file, MAX_PASSWORD).map_err(|error| {
        ExporterError::Password(format!("--password-file: cannot read {path}: {error}"))
    })?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(ExporterError::Password(format!("--password-file: {path} has no password")));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests;
