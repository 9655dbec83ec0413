//! The settings in the file: keys, defaults, and checks of single values.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::header::{HeaderName, HeaderValue};

use super::{InvalidWebConfig, section::Section, yaml::Node};

/// The origins whose pages may read a response (Fetch, 3.3.3).
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";

/// The headers that can be set. An empty list of values allows any value.
const HEADERS: [(&str, &[&str]); 6] = [
    // Not part of the toolkit's format; only responses with markers have it.
    (ALLOW_ORIGIN, &[]),
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The whole file.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) tls_server_config: TlsServer,
    http_server_config: HttpServer,
    /// The bcrypt hash of each user.
    pub(super) basic_auth_users: BTreeMap<String, String>,
    rate_limit: RateLimitText,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings can contain private keys.
        formatter.write_str("Settings")
    }
}

/// `tls_server_config`. A key without a value counts as missing.
#[derive(Default)]
pub(super) struct TlsServer {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) client_ca: String,
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) client_ca_file: PathBuf,
    pub(super) client_auth_type: String,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    min_version: Option<String>,
    max_version: Option<String>,
    pub(super) cipher_suites: Vec<String>,
    prefer_server_cipher_suites: Option<bool>,
    pub(super) curve_preferences: Vec<String>,
}

impl TlsServer {
    fn read(mut section: Section<'_>) -> Result<Self, InvalidWebConfig> {
        let tls = Self {
            cert: section.text("cert")?.unwrap_or_default(),
            key: section.text("key")?.unwrap_or_default(),
            client_ca: section.text("client_ca")?.unwrap_or_default(),
            cert_file: section.text("cert_file")?.unwrap_or_default().into(),
            key_file: section.text("key_file")?.unwrap_or_default().into(),
            client_ca_file: section.text("client_ca_file")?.unwrap_or_default().into(),
            client_auth_type: section.text("client_auth_type")?.unwrap_or_default(),
            client_allowed_sans: section.texts("client_allowed_sans")?,
            min_version: section.text("min_version")?,
            max_version: section.text("max_version")?,
            cipher_suites: section.texts("cipher_suites")?.unwrap_or_default(),
            prefer_server_cipher_suites: section.truth("prefer_server_cipher_suites")?,
            curve_preferences: section.texts("curve_preferences")?.unwrap_or_default(),
        };
        section.finish()?;
        Ok(tls)
    }

    /// Whether any key of TLS is set, so that TLS is required.
    pub(super) fn is_enabled(&self) -> bool {
        let files = [&self.cert_file, &self.key_file, &self.client_ca_file];
        let texts = [&self.cert, &self.key, &self.client_ca, &self.client_auth_type];
        files.iter().any(|file| !file.as_os_str().is_empty())
            || texts.iter().any(|text| !text.is_empty())
    }

    pub(super) fn min_version(&self) -> &str {
        self.min_version.as_deref().unwrap_or("TLS12")
    }

    pub(super) fn max_version(&self) -> &str {
        self.max_version.as_deref().unwrap_or("TLS13")
    }

    pub(super) fn prefers_own_suites(&self) -> bool {
        self.prefer_server_cipher_suites.unwrap_or(true)
    }

    fn files_mut(&mut self) -> [&mut PathBuf; 3] {
        [&mut self.cert_file, &mut self.key_file, &mut self.client_ca_file]
    }
}

/// `http_server_config`.
#[derive(Default)]
struct HttpServer {
    headers: BTreeMap<String, Option<String>>,
}

impl HttpServer {
    fn read(mut section: Section<'_>) -> Result<Self, InvalidWebConfig> {
        // Accepted without effect: the server speaks HTTP/1.1, as every HTTP/2 client does.
        section.truth("http2")?;
        let headers = section.section("headers")?.into_texts()?;
        section.finish()?;
        Ok(Self { headers })
    }
}

/// `rate_limit` in the file.
#[derive(Default)]
struct RateLimitText {
    interval: String,
    burst: u32,
}

impl RateLimitText {
    fn read(mut section: Section<'_>) -> Result<Self, InvalidWebConfig> {
        let interval = section.text("interval")?.unwrap_or_default();
        let burst = section.number("burst")?.unwrap_or_default();
        section.finish()?;
        Ok(Self { interval, burst })
    }
}

/// `rate_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimit {
    /// Time for which one request is allowed.
    pub(super) interval: Duration,
    /// Maximum requests at once.
    pub(super) burst: u32,
}

impl Settings {
    /// Parses the file. Relative paths in it are relative to `directory`. `None` for a file without a value, not
    /// even `{}`.
    pub(super) fn parse(
        content: &[u8],
        directory: &Path,
    ) -> Result<Option<Self>, InvalidWebConfig> {
        let text = std::str::from_utf8(content).map_err(|error| {
            InvalidWebConfig::setting(format!("the file is not UTF-8: {error}"))
        })?;
        let Some(root) = Node::parse(text)? else { return Ok(None) };
        let mut settings = Self::read(Section::new(&root)?)?;
        for file in settings.tls_server_config.files_mut() {
            if !file.as_os_str().is_empty() {
                if file.to_string_lossy().contains("-----BEGIN") {
                    return Err(InvalidWebConfig::setting(
                        "tls_server_config: a key that ends in _file has the text of a certificate \
                         or private key; use its path, or the text under the key without _file",
                    ));
                }
                *file = directory.join(&*file);
            }
        }
        Ok(Some(settings))
    }

    fn read(mut root: Section<'_>) -> Result<Self, InvalidWebConfig> {
        let settings = Self {
            tls_server_config: TlsServer::read(root.section("tls_server_config")?)?,
            http_server_config: HttpServer::read(root.section("http_server_config")?)?,
            basic_auth_users: root.section("basic_auth_users")?.into_required_texts()?,
            rate_limit: RateLimitText::read(root.section("rate_limit")?)?,
        };
        root.finish()?;
        Ok(settings)
    }

    /// The files that the settings name.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let tls = &self.tls_server_config;
        [&tls.cert_file, &tls.key_file, &tls.client_ca_file]
            .into_iter()
            .filter(|file| !file.as_os_str().is_empty())
            .cloned()
            .collect()
    }

    /// The headers of responses.
    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, InvalidWebConfig> {
        let headers = &self.http_server_config.headers;
        // An empty value sets no header.
        headers
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| header(name, value))
            .collect()
    }

    /// The rate limit, if there is one.
    pub(super) fn rate_limit(&self) -> Result<Option<RateLimit>, InvalidWebConfig> {
        let RateLimitText { interval, burst } = &self.rate_limit;
        let interval = duration(interval)?;
        if interval.is_zero() {
            return Ok(None);
        }
        if *burst == 0 {
            return Err(InvalidWebConfig::setting(
                "rate_limit.burst is 0, which rejects every request; use at least 1",
            ));
        }
        Ok(Some(RateLimit { interval, burst: *burst }))
    }
}

/// Parses a duration of Go, such as `500ms` or `1m30s`, and a bare 0.
fn duration(text: &str) -> Result<Duration, InvalidWebConfig> {
    if text.is_empty() || text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| {
        let expected = format!("a duration such as 1s: {error}");
        InvalidWebConfig::value("rate_limit.interval", text, &expected)
    })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidWebConfig> {
    let Some((_, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
        let known = HEADERS.map(|(known, _)| known).join(", ");
        return Err(InvalidWebConfig::setting(format!(
            "http_server_config.headers: unknown header {name:?}: expected {known}"
        )));
    };
    let invalid = |expected: &str| {
        let key = format!("http_server_config.headers.{name}");
        Err(InvalidWebConfig::value(&key, value, expected))
    };
    if !values.is_empty() && !values.contains(&value) {
        return invalid(&values.join(" or "));
    }
    if name == ALLOW_ORIGIN && !is_origin(value) {
        return invalid("* or one origin such as https://map.example");
    }
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => invalid("text that is allowed in a header"),
    }
}

/// Whether a value is `*`, `null` or an origin as browsers send it: scheme, host and port.
fn is_origin(value: &str) -> bool {
    let serialized = || {
        let url = url::Url::parse(value).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
    };
    matches!(value, "*" | "null") || serialized().as_deref() == Some(value)
}
