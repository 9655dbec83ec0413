//! The database to write to and its servers, parsed from its URL. No message contains its password.

mod error;
mod parameters;
mod parse;
mod percent;
mod servers;

use std::{fmt, path::PathBuf};

pub use error::TargetError;
pub use servers::{MAX_SERVERS, Servers, is_same_database};

use super::kind::Kind;

/// A database on one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Its protocol.
    pub kind: Kind,
    /// How to reach it.
    pub endpoint: Endpoint,
    /// User; empty for the server's default.
    pub user: String,
    /// Password; empty for none.
    pub password: String,
    /// Name of the database; empty for `SQLite`.
    pub database: String,
    /// Encryption of the connection.
    pub tls: Tls,
}

/// How to reach a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Over TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket: for MySQL its path, for PostgreSQL its directory.
    Socket {
        /// Path of the socket or directory.
        path: PathBuf,
        /// Port, part of the socket's name in PostgreSQL.
        port: u16,
    },
    /// An SQLite file.
    File(PathBuf),
}

/// Encryption of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not encrypted.
    Off,
    /// Encrypted, without verification of the server.
    Unverified,
    /// Encrypted, and the certificate must be valid for the host name.
    Verified {
        /// PEM file of trusted authorities; `None` for the system's.
        roots: Option<PathBuf>,
    },
}

impl Target {
    /// The server without its database: host and port, or the path of its socket or file.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => authority(host, *port),
            Endpoint::Socket { path, .. } | Endpoint::File(path) => path.display().to_string(),
        }
    }

    /// Identifies the database: without user, password and TLS, and equal for all spellings of its URL.
    #[must_use]
    pub fn identity(&self) -> String {
        let Self { kind, endpoint, database, .. } = self;
        let scheme = kind.name();
        match endpoint {
            Endpoint::File(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("{scheme}:{}", path.display())
            }
            Endpoint::Tcp { host, port } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                format!("{scheme}://{}/{database}", authority(&host, *port))
            }
            Endpoint::Socket { path, port } => match kind {
                Kind::Postgres => {
                    format!("{scheme}://localhost:{port}/{database} by {}", path.display())
                }
                _ => format!("{scheme}://localhost/{database} by {}", path.display()),
            },
        }
    }
}

/// Host and port as in a URL.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Does not show the password.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, endpoint, user, database, .. } = self;
        let scheme = kind.name();
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        match endpoint {
            Endpoint::File(path) => write!(formatter, "sqlite:{}", path.display()),
            Endpoint::Tcp { host, port } => {
                write!(formatter, "{scheme}://{user}{}/{database}", authority(host, *port))
            }
            Endpoint::Socket { path, .. } => {
                write!(formatter, "{scheme}://{user}localhost/{database} by {}", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests;
