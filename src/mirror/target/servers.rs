//! The servers of one database, as its URL lists them.

use std::{fmt, iter, path::Path};

use super::{Endpoint, Kind, Target, authority};

/// Maximum number of servers of a URL: their names must fit into the header of a spool's segment.
pub const MAX_SERVERS: usize = 16;

/// The servers of one database, in the order of the URL: a cluster, or a primary and its standbys.
#[derive(Clone, PartialEq, Eq)]
pub struct Servers {
    first: Target,
    others: Vec<Target>,
}

impl Servers {
    /// The first server of the URL, and the others.
    pub(super) fn new(first: Target, others: Vec<Target>) -> Self {
        Self { first, others }
    }

    /// All servers, in the order of the URL.
    pub fn iter(&self) -> impl Iterator<Item = &Target> + Clone {
        iter::once(&self.first).chain(&self.others)
    }

    /// Number of servers, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// The server at this position of the URL, counted around.
    #[must_use]
    pub fn at(&self, index: usize) -> &Target {
        (index % self.count()).checked_sub(1).map_or(&self.first, |other| &self.others[other])
    }

    /// The only server; `None` if there are several.
    #[must_use]
    pub fn single(self) -> Option<Target> {
        self.others.is_empty().then_some(self.first)
    }

    /// The file of an `SQLite` database.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.first.endpoint {
            Endpoint::File(path) => Some(path),
            Endpoint::Tcp { .. } | Endpoint::Socket { .. } => None,
        }
    }

    /// The protocol of all servers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.first.kind
    }

    /// Identifies the database as [`Target::identity`] does, by all its servers.
    #[must_use]
    pub fn identity(&self) -> String {
        let identities = self.iter().map(Target::identity);
        identities.reduce(|all, one| join(&all, &one).unwrap_or(all)).unwrap_or_default()
    }
}

impl From<Target> for Servers {
    fn from(only: Target) -> Self {
        Self { first: only, others: Vec::new() }
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Does not show the password.
impl fmt::Display for Servers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { kind, user, database, .. } = &self.first;
        if self.others.is_empty() {
            return fmt::Display::fmt(&self.first, formatter);
        }
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        let hosts: Vec<_> = self
            .iter()
            .filter_map(|target| match &target.endpoint {
                Endpoint::Tcp { host, port } => Some(authority(host, *port)),
                Endpoint::Socket { .. } | Endpoint::File(_) => None,
            })
            .collect();
        write!(formatter, "{}://{user}{}/{database}", kind.name(), hosts.join(","))
    }
}

/// Whether two identities are of one database: they are equal, or they list a common server and name the same database
/// there. So rows in the spool stay those of a database to whose URL a server is added.
#[must_use]
pub fn is_same_database(one: &str, other: &str) -> bool {
    let is_shared = |(one, other): (Identity<'_>, Identity<'_>)| {
        (one.scheme, one.database) == (other.scheme, other.database)
            && one.servers.split(',').any(|server| other.servers.split(',').any(|it| it == server))
    };
    one == other || split(one).zip(split(other)).is_some_and(is_shared)
}

/// The parts of the identity of a database on servers.
struct Identity<'a> {
    scheme: &'a str,
    servers: &'a str,
    database: &'a str,
}

/// Splits an identity; `None` for a file.
fn split(identity: &str) -> Option<Identity<'_>> {
    let (scheme, rest) = identity.split_once("://").filter(|(scheme, _)| !scheme.contains(':'))?;
    let (servers, database) = rest.split_once('/')?;
    Some(Identity { scheme, servers, database })
}

/// An identity with the servers of both.
fn join(one: &str, other: &str) -> Option<String> {
    let (Identity { scheme, servers, database }, other) = (split(one)?, split(other)?);
    Some(format!("{scheme}://{servers},{}/{database}", other.servers))
}
