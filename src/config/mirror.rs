//! `[mirror]`: raw rows to a database.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize, Serializer};

use super::{problem::Problem, units};
use crate::mirror::{
    Target,
    anonymize::{self, Anonymizer, CryptoPan},
    spool::OtherTarget,
};
use crate::system::files::read_small;

/// The environment variable that holds the URL, so that no password stands on a command line.
pub const URL_VARIABLE: &str = "NFLOG_EXPORTER_MIRROR_URL";

/// `[mirror]`: each packet as a row of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mirror {
    /// `mysql://USER:PASSWORD@HOST/DATABASE`, `postgres://…` or `sqlite:PATH`; default empty: no
    /// rows are kept.
    pub url: MirrorUrl,
    /// File with the URL; default empty.
    pub url_file: PathBuf,
    /// Name of this host in the rows; default empty: the system's host name.
    pub host: String,
    /// Rows older than this are dropped, by days where the database has partitions; `0s` keeps them
    /// for ever; default 14d.
    #[serde(with = "units::duration")]
    pub retention: Duration,
    /// The oldest rows are dropped when all take more bytes than this; default 0: no limit.
    #[serde(with = "units::size")]
    pub max_size: u64,
    /// One packet in so many has a row, which carries this number as its weight; default 1.
    pub sample: u32,
    /// Log prefixes whose packets have rows; default empty: all.
    pub prefixes: Vec<String>,
    /// Countries whose packets have rows, as the label `country` shows them; default empty: all.
    pub countries: Vec<String>,
    /// What becomes of addresses; default `none`.
    pub anonymize: Anonymize,
    /// File with the key for `cryptopan`, 32 bytes or 64 hexadecimal digits; default empty.
    pub anonymize_key_file: PathBuf,
    /// Where rows wait for the database.
    pub spool: MirrorSpool,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            url: MirrorUrl::default(),
            url_file: PathBuf::new(),
            host: String::new(),
            retention: Duration::from_secs(14 * 24 * 60 * 60),
            max_size: 0,
            sample: 1,
            prefixes: Vec::new(),
            countries: Vec::new(),
            anonymize: Anonymize::default(),
            anonymize_key_file: PathBuf::new(),
            spool: MirrorSpool::default(),
        }
    }
}

/// `[mirror.spool]`: where rows wait for the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MirrorSpool {
    /// Its folder, made when missing, for one exporter alone; default `/var/lib/nflog_exporter`.
    pub directory: PathBuf,
    /// Most bytes it takes on disk; 0 keeps rows in memory only; default 1 GiB.
    #[serde(with = "units::size")]
    pub max_size: u64,
    /// What becomes of rows that wait for another database than `mirror.url`: `keep` leaves them in the spool
    /// until it is configured again, `deliver` gives them to this one, `drop` removes them; default `keep`.
    pub other_target: OtherTarget,
}

impl Default for MirrorSpool {
    fn default() -> Self {
        Self {
            directory: "/var/lib/nflog_exporter".into(),
            max_size: 1 << 30,
            other_target: OtherTarget::default(),
        }
    }
}

/// What becomes of addresses in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Anonymize {
    /// They stay.
    #[default]
    None,
    /// Of IPv4 the first 24 bits stay, of IPv6 the first 48.
    Truncate,
    /// They are encrypted so that addresses with a common prefix keep one (Crypto-PAn).
    Cryptopan,
}

/// A database's URL. Its password is shown nowhere.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct MirrorUrl(String);

impl MirrorUrl {
    /// The URL with its password: for the connection alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.masked() != self.0
    }

    /// The URL with `***` for the password, and for anything that may be one: all between the colon
    /// behind the user and the last `@`.
    fn masked(&self) -> String {
        let url = &self.0;
        let (Some((scheme, rest)), false) = (url.split_once(':'), url.starts_with("sqlite:"))
        else {
            return url.clone();
        };
        let rest = rest.trim_start_matches('/');
        let slashes = &url[scheme.len()..url.len() - rest.len()];
        let Some((login, place)) = rest.rsplit_once('@') else { return url.clone() };
        match login.split_once(':') {
            Some((user, _)) => format!("{scheme}{slashes}{user}:***@{place}"),
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

impl Mirror {
    /// The database to write to; `None` when there is none. Reads `url_file`.
    pub(super) fn read_target(&self) -> Result<Option<Target>, Problem> {
        let (key, url) = match (self.url.is_empty(), self.url_file.as_os_str().is_empty()) {
            (true, true) => return Ok(None),
            (false, true) => ("mirror.url", self.url.clone()),
            (true, false) => {
                let key = "mirror.url_file";
                let text = beside(&self.url_file).map_err(|problem| Problem::new(key, problem))?;
                let text = String::from_utf8_lossy(&text);
                let url = MirrorUrl::from(&*text);
                if url.is_empty() {
                    let path = self.url_file.display();
                    return Err(Problem::new(
                        key,
                        format!("names {path}, which is empty; write the URL into it"),
                    ));
                }
                (key, url)
            }
            (false, false) => {
                let text = "is given together with mirror.url; give one of them";
                return Err(Problem::new("mirror.url_file", text));
            }
        };
        let target = url.reveal().parse::<Target>();
        target.map(Some).map_err(|error| Problem::new(key, error.to_string()))
    }

    /// What is done to addresses. Reads `anonymize_key_file`.
    pub(super) fn read_anonymizer(&self) -> Result<Anonymizer, Problem> {
        let key = "mirror.anonymize_key_file";
        let path = &self.anonymize_key_file;
        match self.anonymize {
            Anonymize::None => Ok(Anonymizer::None),
            Anonymize::Truncate => Ok(Anonymizer::Truncate),
            Anonymize::Cryptopan if path.as_os_str().is_empty() => Err(Problem::new(
                key,
                "is missing, and mirror.anonymize = \"cryptopan\" takes a key: make one with \
                 `openssl rand -hex 32 > FILE`, the same for all hosts whose rows are compared",
            )),
            Anonymize::Cryptopan => {
                let text = beside(path).map_err(|problem| Problem::new(key, problem))?;
                let secret = anonymize::key_from_text(&text).map_err(|error| {
                    Problem::new(key, format!("names {}: {error}", path.display()))
                })?;
                Ok(Anonymizer::CryptoPan(Box::new(CryptoPan::new(&secret))))
            }
        }
    }
}

/// What a file beside the configuration holds: a URL or a key.
fn beside(path: &Path) -> Result<Vec<u8>, String> {
    read_small(path, 64 * 1024).map_err(|cause| {
        format!("names {}, which cannot be read: {cause}; check the path and that this user may read it", path.display())
    })
}

#[cfg(test)]
mod tests;
