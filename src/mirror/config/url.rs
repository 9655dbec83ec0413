//! The configured URL of the database. Its password is masked in every output.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// The environment variable for the URL, so that its password is not on the command line.
pub const URL_VARIABLE: &str = "NFLOG_EXPORTER_MIRROR_URL";

/// The URL of a database. No output shows its password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct MirrorUrl(String);

impl MirrorUrl {
    /// The URL with its password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether no URL is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it contains a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.masked() != self.0
    }

    /// The URL with `***` instead of the password: everything between the colon after the user and the last `@`, because
    /// a password can contain `@`.
    fn masked(&self) -> String {
        let url = &self.0;
        let (Some((scheme, rest)), false) = (url.split_once(':'), url.starts_with("sqlite:"))
        else {
            return url.clone();
        };
        let rest = rest.trim_start_matches('/');
        let slashes = &url[scheme.len()..url.len() - rest.len()];
        let Some((login, location)) = rest.rsplit_once('@') else { return url.clone() };
        match login.split_once(':') {
            Some((user, _)) => format!("{scheme}{slashes}{user}:***@{location}"),
            None => url.clone(),
        }
    }
}

impl From<&str> for MirrorUrl {
    fn from(url: &str) -> Self {
        Self(url.trim().to_owned())
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked())
    }
}

impl fmt::Debug for MirrorUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.masked())
    }
}

impl Serialize for MirrorUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
