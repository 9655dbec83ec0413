//! The file as it is written: its keys, their defaults, and what is wrong in themselves.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::Problem;

/// The headers that may be set, and the values where not all are allowed.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Document {
    pub(super) tls_server_config: Option<TlsServer>,
    http_server_config: Option<HttpServer>,
    /// A user's bcrypt hash.
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
    rate_limit: Option<RateLimit>,
}

/// `tls_server_config`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsServer {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) client_ca: String,
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) client_ca_file: PathBuf,
    pub(super) client_auth_type: String,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: String,
    pub(super) max_version: String,
    pub(super) cipher_suites: Vec<String>,
    pub(super) prefer_server_cipher_suites: bool,
    pub(super) curve_preferences: Vec<String>,
}

impl Default for TlsServer {
    fn default() -> Self {
        Self {
            cert: String::new(),
            key: String::new(),
            client_ca: String::new(),
            cert_file: PathBuf::new(),
            key_file: PathBuf::new(),
            client_ca_file: PathBuf::new(),
            client_auth_type: String::new(),
            client_allowed_sans: None,
            min_version: "TLS12".into(),
            max_version: "TLS13".into(),
            cipher_suites: Vec::new(),
            prefer_server_cipher_suites: true,
            curve_preferences: Vec::new(),
        }
    }
}

impl TlsServer {
    /// Whether it asks for TLS at all, complete or not.
    pub(super) fn is_enabled(&self) -> bool {
        let files = [&self.cert_file, &self.key_file, &self.client_ca_file];
        let texts = [&self.cert, &self.key, &self.client_ca, &self.client_auth_type];
        files.iter().any(|file| !file.as_os_str().is_empty())
            || texts.iter().any(|text| !text.is_empty())
    }

    fn files(&mut self) -> [&mut PathBuf; 3] {
        [&mut self.cert_file, &mut self.key_file, &mut self.client_ca_file]
    }
}

/// `http_server_config`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HttpServer {
    /// Taken and without effect: this server speaks HTTP/1.1, which every client of HTTP/2 speaks.
    #[serde(rename = "http2")]
    _http2: bool,
    headers: BTreeMap<String, String>,
}

impl Default for HttpServer {
    fn default() -> Self {
        Self { _http2: true, headers: BTreeMap::new() }
    }
}

/// `rate_limit`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RateLimit {
    /// Time in which one more request is allowed; zero sets no limit.
    #[serde(with = "humantime_text")]
    pub(super) interval: Duration,
    /// Most requests at once.
    pub(super) burst: u32,
}

impl Document {
    /// Reads the file's text; relative paths in it start at `folder`.
    pub(super) fn parse(content: &[u8], folder: &Path) -> Result<Self, Problem> {
        let text = std::str::from_utf8(content)
            .map_err(|error| Problem::said(format!("is no UTF-8: {error}")))?;
        let mut document = serde_saphyr::from_str::<Option<Self>>(text)
            .map_err(|error| Problem::said(error.to_string()))?
            .unwrap_or_default();
        for file in document.tls_server_config.iter_mut().flat_map(TlsServer::files) {
            if !file.as_os_str().is_empty() {
                *file = folder.join(&*file);
            }
        }
        Ok(document)
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
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| header(name, value))
            .collect()
    }

    /// The limit; `None` when there is none.
    pub(super) fn rate_limit(&self) -> Result<Option<RateLimit>, Problem> {
        let Some(limit) = self.rate_limit.filter(|limit| !limit.interval.is_zero()) else {
            return Ok(None);
        };
        if limit.burst == 0 {
            return Err(Problem::said(
                "rate_limit.burst is 0, so that no request would ever be answered; use 1 or more",
            ));
        }
        Ok(Some(limit))
    }
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
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(Problem::said(format!(
            "http_server_config.headers.{name} is {value:?}, which no header can carry"
        ))),
    }
}

mod humantime_text {
    //! Durations as Go writes them, `500ms` or `1m30s`, and a bare 0.

    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, de::Error as _};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        if text == "0" {
            return Ok(Duration::ZERO);
        }
        humantime::parse_duration(&text)
            .map_err(|error| D::Error::custom(format!("{text:?} is no duration: {error}")))
    }
}
