//! What stands behind a database URL's `?`: how the connection is encrypted, and its socket.

use std::{ffi::OsString, net::IpAddr, os::unix::ffi::OsStringExt, path::PathBuf};

use percent_encoding::percent_decode_str;

use super::{
    Kind, Place, Tls,
    parse::{TargetError, decode},
};

/// Least likeness (Jaro-Winkler, 0 to 1) that is worth a suggestion.
const ALIKE: f64 = 0.75;

/// What the parameters say. A value is beside the name it was given by.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    mode: Option<(&'static str, Mode)>,
    roots: Option<(&'static str, PathBuf)>,
    /// A socket, or the folder it is in.
    pub(super) socket: Option<PathBuf>,
}

impl Parameters {
    /// Reads them. None is passed over.
    pub(super) fn read(kind: Kind, query: &str) -> Result<Self, TargetError> {
        let mut told = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, parameter) =
                Parameter::find(kind, given).ok_or_else(|| unknown(kind, given))?;
            let refuse = |problem| Err(TargetError::Parameter { name, problem });
            let twice = match parameter {
                Parameter::Mode => {
                    let value = decode(value)?.to_ascii_lowercase().replace('_', "-");
                    let mode = match value.as_str() {
                        "disable" | "disabled" => Mode::Off,
                        "require" | "required" => Mode::Unverified,
                        "verify-full" | "verify-identity" => Mode::Verified,
                        "verify-ca" => return refuse(VERIFY_CA),
                        "allow" | "prefer" | "preferred" => return refuse(OPPORTUNISTIC),
                        _ => return refuse(MODES),
                    };
                    told.mode.replace((name, mode)).is_some()
                }
                Parameter::Roots => told.roots.replace((name, path(value))).is_some(),
                Parameter::Socket | Parameter::Folder => {
                    let path = path(value);
                    if !path.is_absolute() {
                        return refuse(if parameter == Parameter::Socket {
                            SOCKET
                        } else {
                            FOLDER
                        });
                    }
                    told.socket.replace(path).is_some()
                }
            };
            if twice {
                return refuse("is given twice");
            }
            if told.roots.as_ref().is_some_and(|(_, path)| path.as_os_str().is_empty()) {
                return refuse("names no file");
            }
        }
        Ok(told)
    }

    /// How a connection to this place is encrypted.
    pub(super) fn tls(self, place: &Place) -> Result<Tls, TargetError> {
        let Self { mode, roots, .. } = self;
        let local = match place {
            Place::Tcp { host, .. } => is_loopback(host),
            Place::Socket { .. } | Place::File(_) => {
                // Said rather than passed over: who asks for encryption must not believe in it.
                return match (mode, roots) {
                    (None | Some((_, Mode::Off)), None) => Ok(Tls::Off),
                    (Some((name, _)), None) | (_, Some((name, _))) => Err(TargetError::Parameter {
                        name,
                        problem: "asks for TLS, which a socket in the file system does not have",
                    }),
                };
            }
        };
        match (mode.map(|(_, mode)| mode), roots) {
            (None, None) if local => Ok(Tls::Off),
            (None | Some(Mode::Verified), roots) => {
                Ok(Tls::Verified { roots: roots.map(|(_, path)| path) })
            }
            (Some(Mode::Off), None) => Ok(Tls::Off),
            (Some(Mode::Unverified), None) => Ok(Tls::Unverified),
            (Some(_), Some((name, _))) => Err(TargetError::Parameter {
                name,
                problem: "names whom to trust, where nothing is verified: set the mode to verify-full",
            }),
        }
    }
}

/// How much of TLS is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    Unverified,
    Verified,
}

/// A parameter behind the `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    Mode,
    Roots,
    Socket,
    Folder,
}

impl Parameter {
    /// Spellings for a server; the first is the one in messages. `_` stands for `-` as well, and
    /// capitals for small letters.
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
                ("host", Self::Folder),
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

const MODES: &str = "is not one of disable, require, verify-full";
const VERIFY_CA: &str = "is verify-ca, which would take any host's certificate: write verify-full";
const OPPORTUNISTIC: &str = "would go on without encryption when the server offers none: \
                             write disable, require or verify-full";
const SOCKET: &str = "is not an absolute path of a socket";
const FOLDER: &str =
    "is not the absolute path of a socket's folder; a host's name stands behind ://";

/// A parameter that is not known.
fn unknown(kind: Kind, given: &str) -> TargetError {
    let known: Vec<_> = Parameter::spellings(kind).iter().map(|(name, _)| *name).collect();
    // A password that was not encoded could stand here.
    let shown = given.len() <= 32
        && given.bytes().all(|it| it.is_ascii_alphabetic() || it == b'-' || it == b'_');
    let likeness = |to: &str| strsim::jaro_winkler(&given.to_lowercase(), to);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let suggestion = match nearest {
        Some(nearest) if likeness(nearest) >= ALIKE => format!("did you mean {nearest}?"),
        Some(_) => format!("known here: {}", known.join(", ")),
        None => "there are none for SQLite; write a ? in its path as %3F".to_owned(),
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
