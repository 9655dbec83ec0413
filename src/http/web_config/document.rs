//! The file as it is written: its keys, their defaults, and what is wrong in themselves.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};

use super::Problem;

/// Longest key that an error quotes; what is longer is none.
const LONGEST_KEY: usize = 40;

/// Who may read an answer from a page of another origin (Fetch, 3.3.3).
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";

/// The headers that may be set, and the values where not all are allowed.
const HEADERS: [(&str, &[&str]); 6] = [
    // Not in the toolkit's format; only answers with markers carry it.
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
pub(super) struct Document {
    pub(super) tls_server_config: Option<TlsServer>,
    http_server_config: Option<HttpServer>,
    /// A user's bcrypt hash.
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
    rate_limit: Option<RateLimitText>,
}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It has private keys.
        formatter.write_str("Document")
    }
}

/// `tls_server_config`. A key without a value is one that is not there.
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
    /// Whether it asks for TLS at all, complete or not.
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
    /// Taken and without effect: this server speaks HTTP/1.1, which every client of HTTP/2 speaks.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    headers: BTreeMap<String, Option<String>>,
}

/// `rate_limit`, as it is written.
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
    /// Time in which one more request is allowed.
    pub(super) interval: Duration,
    /// Most requests at once.
    pub(super) burst: u32,
}

impl Document {
    /// Reads the file's text; relative paths in it start at `folder`. `None` for a file that says
    /// nothing, not even `{}`.
    pub(super) fn parse(content: &[u8], folder: &Path) -> Result<Option<Self>, Problem> {
        let text = std::str::from_utf8(content)
            .map_err(|error| Problem::said(format!("is no UTF-8: {error}")))?;
        let document = serde_saphyr::from_str::<Option<Self>>(text);
        let Some(mut document) = document.map_err(|error| told(&error))? else { return Ok(None) };
        for file in document.tls_server_config.iter_mut().flat_map(TlsServer::files) {
            if !file.as_os_str().is_empty() {
                if file.to_string_lossy().contains("-----BEGIN") {
                    return Err(Problem::said(
                        "tls_server_config: a key that ends in _file has the text of a certificate \
                         or key; write its path there, or the text under the key without _file",
                    ));
                }
                *file = folder.join(&*file);
            }
        }
        Ok(Some(document))
    }

    /// The files it names.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let tls = self.tls_server_config.iter();
        tls.flat_map(|tls| [&tls.cert_file, &tls.key_file, &tls.client_ca_file])
            .filter(|file| !file.as_os_str().is_empty())
            .cloned()
            .collect()
    }

    /// What every answer carries.
    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
        let headers = self.http_server_config.iter().flat_map(|http| &http.headers);
        // An empty value sets none.
        headers
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| header(name, value))
            .collect()
    }

    /// The limit; `None` when there is none.
    pub(super) fn rate_limit(&self) -> Result<Option<RateLimit>, Problem> {
        let Some(RateLimitText { interval, burst }) = &self.rate_limit else { return Ok(None) };
        let interval = duration(interval)?;
        if interval.is_zero() {
            return Ok(None);
        }
        if *burst == 0 {
            return Err(Problem::said(
                "rate_limit.burst is 0, so that no request would ever be answered; use 1 or more",
            ));
        }
        Ok(Some(RateLimit { interval, burst: *burst }))
    }
}

/// What the parser found, in words of our own: its own quote the line, and that may be a private key
/// or a password.
fn told(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error::{DuplicateMappingKey, SerdeInvalidType, SerdeUnknownField};
    let error = error.without_snippet();
    let what = match error {
        SerdeUnknownField { field, expected, .. } => {
            let known = expected.join(", ");
            if field.len() <= LONGEST_KEY
                && field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                format!("there is no key {field:?} here, only {known}")
            } else {
                format!("there is a key here that is none of {known}")
            }
        }
        SerdeInvalidType { expected, .. } => format!("expected {expected}"),
        DuplicateMappingKey { .. } => "a key stands there twice".into(),
        _ => {
            "not as expected; look at indentation, quotes and brackets, and what kind of value the \
              key takes"
                .into()
        }
    };
    match error.location() {
        Some(place) => {
            Problem::said(format!("line {}, column {}: {what}", place.line(), place.column()))
        }
        None => Problem::said(what),
    }
}

/// Nothing written is the default.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// Durations as Go writes them, `500ms` or `1m30s`, and a bare 0.
fn duration(text: &str) -> Result<Duration, Problem> {
    if text.is_empty() || text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| {
        Problem::said(format!("rate_limit.interval is {text:?}, which is no duration: {error}"))
    })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Problem> {
    let Some((_, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
        let known = HEADERS.map(|(known, _)| known).join(", ");
        return Err(Problem::said(format!(
            "http_server_config.headers has {name:?}, which cannot be set; there are {known}"
        )));
    };
    if !values.is_empty() && !values.contains(&value) {
        return Err(Problem::said(format!(
            "http_server_config.headers.{name} is {value:?}; use {}",
            values.join(" or ")
        )));
    }
    if name == ALLOW_ORIGIN && !is_origin(value) {
        return Err(Problem::said(format!(
            "http_server_config.headers.{name} is {value:?}; use * or one origin such as \
             https://map.example"
        )));
    }
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(Problem::said(format!(
            "http_server_config.headers.{name} is {value:?}, which no header can carry"
        ))),
    }
}

/// Whether it is `*`, `null` or an origin as browsers write it: scheme, host and port.
fn is_origin(value: &str) -> bool {
    let written = || {
        let url = url::Url::parse(value).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
    };
    matches!(value, "*" | "null") || written().as_deref() == Some(value)
}
