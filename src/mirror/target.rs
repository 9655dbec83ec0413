//! Where rows go: the database's URL taken apart, with its password kept out of every message.

mod parameters;
mod parse;

use std::{fmt, path::PathBuf};

pub use parse::TargetError;

use super::store::Kind;

/// A database to write to.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// What it speaks.
    pub kind: Kind,
    /// How to reach it.
    pub place: Place,
    /// User to log in as; empty for the server's default.
    pub user: String,
    /// Its password; empty for none.
    pub password: String,
    /// Name of the database; empty for `SQLite`.
    pub database: String,
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
}

/// How to reach a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Over TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// Through a socket in the file system: for MySQL the socket itself, for PostgreSQL the folder.
    Socket {
        /// Where it is.
        path: PathBuf,
        /// Port, part of the socket's name in PostgreSQL.
        port: u16,
    },
    /// A file of our own.
    File(PathBuf),
}

/// How a connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// Encrypted, whoever the server is.
    Unverified,
    /// Encrypted, and the certificate must be valid for the host's name.
    Verified {
        /// PEM file of the authorities to trust; `None` for the system's.
        roots: Option<PathBuf>,
    },
}

impl Target {
    /// The database alone: without user, password and TLS, the same however the URL writes it.
    #[must_use]
    pub fn identity(&self) -> String {
        let Self { kind, place, database, .. } = self;
        let scheme = kind.name();
        match place {
            Place::File(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("{scheme}:{}", path.display())
            }
            Place::Tcp { host, port } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                format!("{scheme}://{host}:{port}/{database}")
            }
            Place::Socket { path, port } => match kind {
                Kind::Postgres => {
                    format!("{scheme}://localhost:{port}/{database} by {}", path.display())
                }
                _ => format!("{scheme}://localhost/{database} by {}", path.display()),
            },
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Without the password.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, user, database, .. } = self;
        let scheme = kind.name();
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        match place {
            Place::File(path) => write!(formatter, "sqlite:{}", path.display()),
            Place::Tcp { host, port } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                write!(formatter, "{scheme}://{user}{host}:{port}/{database}")
            }
            Place::Socket { path, .. } => {
                write!(formatter, "{scheme}://{user}localhost/{database} by {}", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests;
