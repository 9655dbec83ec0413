//! Parses the parameters of a database URL: encryption and socket.

use std::{ffi::OsString, net::IpAddr, os::unix::ffi::OsStringExt, path::PathBuf};

use percent_encoding::percent_decode_str;

use super::{Endpoint, Kind, TargetError, Tls, percent::decode};
use crate::settings::suggestion;

/// What the scheme of the URL says about encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Nothing: the parameters or the host decide.
    Usual,
    /// Not encrypted.
    Plain,
    /// Encrypted.
    Encrypted,
}

/// The parameters, each with the name it was given by.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    mode: Option<(&'static str, TlsMode)>,
    roots: Option<(&'static str, PathBuf)>,
    /// Whether `target_session_attrs` is given.
    session: bool,
    /// A socket, or its directory.
    pub(super) socket: Option<PathBuf>,
}

impl Parameters {
    /// Parses the parameters; an unknown one is an error.
    pub(super) fn read(kind: Kind, query: &str) -> Result<Self, TargetError> {
        let mut parameters = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, parameter) =
                Parameter::find(kind, given).ok_or_else(|| unknown(kind, given))?;
            let refuse = |problem| Err(TargetError::Parameter { name, problem });
            let twice = match parameter {
                Parameter::Mode => {
                    let value = decode(value)?.to_ascii_lowercase().replace('_', "-");
                    let mode = match value.as_str() {
                        "disable" | "disabled" => TlsMode::Off,
                        "require" | "required" => TlsMode::Unverified,
                        "verify-full" | "verify-identity" => TlsMode::Verified,
                        "verify-ca" => return refuse(VERIFY_CA),
                        "allow" | "prefer" | "preferred" => return refuse(OPPORTUNISTIC),
                        _ => return refuse(MODES),
                    };
                    parameters.mode.replace((name, mode)).is_some()
                }
                // Rows are only written where they can be: it is the default.
                Parameter::Session => match decode(value)?.to_ascii_lowercase().as_str() {
                    "read-write" | "primary" => std::mem::replace(&mut parameters.session, true),
                    _ => return refuse(SESSIONS),
                },
                Parameter::Order => return refuse(ORDER),
                Parameter::Roots => parameters.roots.replace((name, path(value))).is_some(),
                Parameter::Socket | Parameter::Directory => {
                    let path = path(value);
                    if !path.is_absolute() {
                        return refuse(if parameter == Parameter::Socket {
                            SOCKET
                        } else {
                            DIRECTORY
                        });
                    }
                    parameters.socket.replace(path).is_some()
                }
            };
            if twice {
                return refuse("is given twice");
            }
            if parameters.roots.as_ref().is_some_and(|(_, path)| path.as_os_str().is_empty()) {
                return refuse("names no file");
            }
        }
        Ok(parameters)
    }

    /// The encryption of a connection to this endpoint.
    pub(super) fn tls(self, scheme: Scheme, endpoint: &Endpoint) -> Result<Tls, TargetError> {
        let Self { mode, roots, .. } = self;
        let name = mode.map(|(name, _)| name).or(roots.as_ref().map(|(name, _)| *name));
        let problem = match (scheme, mode.map(|(_, mode)| mode), &roots) {
            (Scheme::Plain, None | Some(TlsMode::Off), None) => return Ok(Tls::Off),
            (Scheme::Plain, ..) => "requests TLS: write clickhouses:// for HTTPS",
            (Scheme::Encrypted, Some(TlsMode::Off), _) => {
                "turns TLS off: write clickhouse:// for HTTP without TLS"
            }
            (Scheme::Encrypted | Scheme::Usual, ..) => "",
        };
        if let Some(name) = name.filter(|_| !problem.is_empty()) {
            return Err(TargetError::Parameter { name, problem });
        }
        let local = match endpoint {
            Endpoint::Tcp { host, .. } => scheme == Scheme::Usual && is_loopback(host),
            Endpoint::Socket { .. } | Endpoint::File(_) => {
                // An error, so that an administrator does not expect an encrypted connection.
                return match (mode, roots) {
                    (None | Some((_, TlsMode::Off)), None) => Ok(Tls::Off),
                    (Some((name, _)), None) | (_, Some((name, _))) => Err(TargetError::Parameter {
                        name,
                        problem: "requests TLS, which a socket in the file system does not have",
                    }),
                };
            }
        };
        match (mode.map(|(_, mode)| mode), roots) {
            (None, None) if local => Ok(Tls::Off),
            (None | Some(TlsMode::Verified), roots) => {
                Ok(Tls::Verified { roots: roots.map(|(_, path)| path) })
            }
            (Some(TlsMode::Off), None) => Ok(Tls::Off),
            (Some(TlsMode::Unverified), None) => Ok(Tls::Unverified),
            (Some(_), Some((name, _))) => Err(TargetError::Parameter {
                name,
                problem: "names trusted authorities, but nothing is verified: set the mode to verify-full",
            }),
        }
    }
}

/// The requested encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsMode {
    Off,
    Unverified,
    Verified,
}

/// A parameter of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    Mode,
    Roots,
    Socket,
    Directory,
    Session,
    Order,
}

impl Parameter {
    /// The accepted spellings; messages show the first. `_` is accepted for `-`, and case is ignored.
    fn spellings(kind: Kind) -> &'static [(&'static str, Self)] {
        match kind {
            Kind::MySql => &[
                ("ssl-mode", Self::Mode),
                ("ssl-ca", Self::Roots),
                ("socket", Self::Socket),
                ("sslmode", Self::Mode),
                ("sslrootcert", Self::Roots),
            ],
            Kind::Postgres => &[
                ("sslmode", Self::Mode),
                ("sslrootcert", Self::Roots),
                ("host", Self::Directory),
                ("target-session-attrs", Self::Session),
                ("load-balance-hosts", Self::Order),
                ("ssl-mode", Self::Mode),
                ("ssl-ca", Self::Roots),
            ],
            Kind::ClickHouse => &[
                ("sslmode", Self::Mode),
                ("sslrootcert", Self::Roots),
                ("ssl-mode", Self::Mode),
                ("ssl-ca", Self::Roots),
            ],
            Kind::Sqlite => &[],
        }
    }

    fn find(kind: Kind, name: &str) -> Option<(&'static str, Self)> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        Self::spellings(kind).iter().copied().find(|(spelling, _)| *spelling == name)
    }
}

const SESSIONS: &str = "is not read-write or primary: rows are written to servers that accept them";
const ORDER: &str = "is not a part of the URL here: set mirror.server_order = \"random\"";
const MODES: &str = "is not one of disable, require, verify-full";
const VERIFY_CA: &str = "is verify-ca, which accepts any host's certificate: write verify-full";
const OPPORTUNISTIC: &str = "falls back to no encryption when the server offers none: \
                             write disable, require or verify-full";
const SOCKET: &str = "is not an absolute path of a socket";
const DIRECTORY: &str =
    "is not the absolute path of a socket's directory; a host name belongs after ://";

/// An unknown parameter.
fn unknown(kind: Kind, given: &str) -> TargetError {
    let known: Vec<_> = Parameter::spellings(kind).iter().map(|(name, _)| *name).collect();
    // It could be a password that was not encoded.
    let shown = given.len() <= 32
        && given.bytes().all(|it| it.is_ascii_alphabetic() || it == b'-' || it == b'_');
    let suggestion = match known.as_slice() {
        [] => "there are none for SQLite; write a ? in its path as %3F".to_owned(),
        known => suggestion(given, known),
    };
    TargetError::Unknown {
        name: if shown { format!(" {given}") } else { String::new() },
        suggestion,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn path(value: &str) -> PathBuf {
    let bytes: Vec<u8> = percent_decode_str(value).collect();
    OsString::from_vec(bytes).into()
}
