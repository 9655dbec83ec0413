//! The settings in the file: keys, defaults, and checks of single values.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};

use super::InvalidWebConfig;

/// Maximum length of an unknown key that an error quotes; a longer text may be a secret.
const MAX_QUOTED_KEY: usize = 40;

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
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) tls_server_config: Option<TlsServer>,
    http_server_config: Option<HttpServer>,
    /// The bcrypt hash of each user.
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
    rate_limit: Option<RateLimitText>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings can contain private keys.
        formatter.write_str("Settings")
    }
}

/// `tls_server_config`. A key without a value counts as missing.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsServer {
    #[serde(deserialize_with = "or_default")]
    pub(super) cert: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) key: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) client_ca: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) cert_file: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(super) key_file: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(super) client_ca_file: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(super) client_auth_type: String,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    min_version: Option<String>,
    max_version: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) cipher_suites: Vec<String>,
    prefer_server_cipher_suites: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    pub(super) curve_preferences: Vec<String>,
}

impl TlsServer {
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

    fn files(&mut self) -> [&mut PathBuf; 3] {
        [&mut self.cert_file, &mut self.key_file, &mut self.client_ca_file]
    }
}

/// `http_server_config`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HttpServer {
    /// Accepted without effect: the server speaks HTTP/1.1, as every HTTP/2 client does.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    headers: BTreeMap<String, Option<String>>,
}

/// `rate_limit` in the file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RateLimitText {
    #[serde(deserialize_with = "or_default")]
    interval: String,
    #[serde(deserialize_with = "or_default")]
    burst: u32,
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
        let settings = serde_saphyr::from_str::<Option<Self>>(text);
        let Some(mut settings) = settings.map_err(|error| explain(&error))? else {
            return Ok(None);
        };
        for file in settings.tls_server_config.iter_mut().flat_map(TlsServer::files) {
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

    /// The files that the settings name.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let tls = self.tls_server_config.iter();
        tls.flat_map(|tls| [&tls.cert_file, &tls.key_file, &tls.client_ca_file])
            .filter(|file| !file.as_os_str().is_empty())
            .cloned()
            .collect()
    }

    /// The headers of responses.
    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, InvalidWebConfig> {
        let headers = self.http_server_config.iter().flat_map(|http| &http.headers);
        // An empty value sets no header.
        headers
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| header(name, value))
            .collect()
    }

    /// The rate limit, if there is one.
    pub(super) fn rate_limit(&self) -> Result<Option<RateLimit>, InvalidWebConfig> {
        let Some(RateLimitText { interval, burst }) = &self.rate_limit else { return Ok(None) };
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

/// The parser's error, without the text of the file: the parser quotes the line, which may have a private
/// key or a password.
fn explain(error: &serde_saphyr::Error) -> InvalidWebConfig {
    use serde_saphyr::Error::{DuplicateMappingKey, SerdeInvalidType, SerdeUnknownField};
    let error = error.without_snippet();
    let what = match error {
        SerdeUnknownField { field, expected, .. } => {
            let known = expected.join(", ");
            if field.len() <= MAX_QUOTED_KEY
                && field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                format!("unknown key {field:?}: expected {known}")
            } else {
                format!("unknown key: expected {known}")
            }
        }
        SerdeInvalidType { expected, .. } => format!("expected {expected}"),
        DuplicateMappingKey { .. } => "duplicate key".into(),
        _ => {
            "invalid YAML or value; check the indentation, quotes, brackets, and the type of the value"
                .into()
        }
    };
    match error.location() {
        Some(position) => InvalidWebConfig::setting(format!(
            "line {}, column {}: {what}",
            position.line(),
            position.column()
        )),
        None => InvalidWebConfig::setting(what),
    }
}

/// A missing value is the default.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
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
