//! A database's URL taken apart. No message repeats a part of it that could hold the password.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::{Kind, Place, Target, Tls, parameters::Parameters};

/// A database URL that cannot be used: what is wrong with it and how to mend it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It does not begin with a scheme that is known here.
    #[error(
        "the database URL begins with none of mysql://, mariadb://, postgres://, postgresql://, \
         sqlite:"
    )]
    Scheme,
    /// It is no URL.
    #[error(
        "the database URL cannot be read: {0}; write it as scheme://user:password@host/database, \
         and of special characters in user, password and database % as %25, / as %2F, ? as %3F, \
         # as %23, @ as %40, : as %3A, a space as %20, and any other byte as % and its two \
         hexadecimal digits"
    )]
    Syntax(&'static str),
    /// It leads to no server.
    #[error("the database URL names no host and no socket; write scheme://user@host/database")]
    NoHost,
    /// It names no database.
    #[error("the database URL names no database; put its name behind the host: …@host/NAME")]
    NoDatabase,
    /// It names no file.
    #[error("the database URL names no file that can be kept; write sqlite:/path/to/file.db")]
    NoFile,
    /// A parameter that does not exist.
    #[error("the database URL has an unknown parameter{name}; {suggestion}")]
    Unknown {
        /// Its name with a blank in front; empty where it could be a part of a password.
        name: String,
        /// What was meant, as far as can be told.
        suggestion: String,
    },
    /// A parameter with a value that cannot be.
    #[error("the database URL's parameter {name} {problem}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with its value and what would be right.
        problem: &'static str,
    },
}

/// Reads a database URL:
///
/// - `mysql://user:password@host:3306/database`, also `mariadb://`. Parameters behind a `?`:
///   `ssl-mode` (`DISABLED`, `REQUIRED`, `VERIFY_IDENTITY`), `ssl-ca` (a PEM file), `socket` (a path).
/// - `postgres://user:password@host:5432/database`, also `postgresql://`. Parameters: `sslmode`
///   (`disable`, `require`, `verify-full`), `sslrootcert` (a PEM file), `host` (the folder of a
///   socket). A host that begins with `%2F` is a folder, too.
/// - `sqlite:PATH` or `sqlite://PATH`, which are the same: `sqlite:///a` and `sqlite:/a` are absolute,
///   `sqlite://a` and `sqlite:a` relative. No parameters.
///
/// Everywhere `%` with two hexadecimal digits stands for a byte. In a server's URL, every character that
/// RFC 3986 does not allow has to be written so, and an `@` in user and password; in a path, any other `%`
/// and all other characters stand for themselves. Either
/// server takes the other's spellings for TLS. Certificates are verified, but not over a socket or
/// to a loopback host, where TLS is off unless asked for. A socket goes before the host.
impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        if text.contains(char::is_control) {
            return Err(TargetError::Syntax("it has a control character in it"));
        }
        let (scheme, rest) = text.split_once(':').ok_or(TargetError::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => file(rest),
            "mysql" | "mariadb" => server(Kind::MySql, text, rest),
            "postgres" | "postgresql" => server(Kind::Postgres, text, rest),
            _ => Err(TargetError::Scheme),
        }
    }
}

/// The part behind `sqlite:`.
fn file(rest: &str) -> Result<Target, TargetError> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Parameters::read(Kind::Sqlite, query)?;
    let path: Vec<u8> = percent_decode_str(path).collect();
    // Memory keeps nothing, and what begins with file: is read as an URL by SQLite itself.
    if path.is_empty() || path == b":memory:" || path.starts_with(b"file:") || path.contains(&0) {
        return Err(TargetError::NoFile);
    }
    Ok(Target {
        kind: Kind::Sqlite,
        place: Place::File(OsString::from_vec(path).into()),
        user: String::new(),
        password: String::new(),
        database: String::new(),
        tls: Tls::Off,
    })
}

/// A whole URL and its part behind the scheme.
fn server(kind: Kind, text: &str, rest: &str) -> Result<Target, TargetError> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(TargetError::Syntax("// is missing behind the scheme"));
    };
    encoded(rest)?;
    // libpq's URLs may have a user and no host, others may not: one is put there and left out again.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hostless = authority.is_empty() || authority.ends_with('@');
    let url = if hostless && !authority.is_empty() {
        Url::parse(&text.replacen(authority, &format!("{authority}localhost"), 1))
    } else {
        Url::parse(text)
    };
    let url = url.map_err(|error| TargetError::Syntax(syntax(error)))?;
    if url.fragment().is_some() {
        return Err(TargetError::Syntax("it has a # in it"));
    }
    // Where a password has a / or a ? of its own, what comes behind it is taken for these.
    if url.path().contains('@') || url.query().unwrap_or_default().contains('@') {
        return Err(TargetError::Syntax("it has an @ behind the host"));
    }
    let mut parameters = Parameters::read(kind, url.query().unwrap_or_default())?;
    let database = url.path().strip_prefix('/').unwrap_or_default();
    if database.contains('/') {
        return Err(TargetError::Syntax("it has more than one / behind the host"));
    }
    let database = one_line(database)?;
    if database.is_empty() {
        return Err(TargetError::NoDatabase);
    }
    let host = match url.host() {
        _ if hostless => String::new(),
        Some(Host::Domain(name)) => one_line(name)?,
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => String::new(),
    };
    let default_port = if kind == Kind::MySql { 3306 } else { 5432 };
    let port = url.port().unwrap_or(default_port);
    if port == 0 {
        return Err(TargetError::Syntax("the port is 0"));
    }
    let folder = (kind == Kind::Postgres && host.starts_with('/')).then(|| PathBuf::from(&host));
    let place = match parameters.socket.take().or(folder) {
        Some(path) => Place::Socket { path, port },
        None if host.is_empty() => return Err(TargetError::NoHost),
        None => Place::Tcp { host, port },
    };
    Ok(Target {
        kind,
        tls: parameters.tls(&place)?,
        place,
        user: one_line(url.username())?,
        password: decode(url.password().unwrap_or_default())?,
        database,
    })
}

/// Refuses what has to be percent-encoded in a URL (RFC 3986, section 2), and what readers of URLs take
/// differently.
fn encoded(rest: &str) -> Result<(), TargetError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let mut after_percent = rest.split('%').skip(1);
    let is_code = |text: &str| {
        let digits = text.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let what = if login.contains('@') {
        "it has an @ in user or password that is not encoded"
    } else if rest.contains(char::is_whitespace) {
        "it has a space in it"
    } else if !rest.is_ascii() {
        "it has a character in it that is not ASCII"
    } else if !rest.chars().all(is_allowed) || login.contains(['[', ']']) {
        "it has a character in it that has to be encoded, one of \" < > \\ ^ ` { | } [ ]"
    } else if !after_percent.all(is_code) {
        "it has a % without two hexadecimal digits after it"
    } else {
        return Ok(());
    };
    Err(TargetError::Syntax(what))
}

/// What keeps it from being an URL, in words that repeat nothing of it.
fn syntax(error: url::ParseError) -> &'static str {
    use url::ParseError as E;
    match error {
        E::InvalidPort => "what stands behind the host's : is no port",
        E::InvalidIpv6Address => "what stands in [] is no IPv6 address",
        E::EmptyHost => "it has no host",
        E::InvalidDomainCharacter => "the host has a character that no host has",
        _ => "it is no URL",
    }
}

/// Text with its percent codes decoded.
pub(super) fn decode(value: &str) -> Result<String, TargetError> {
    let text = percent_decode_str(value).decode_utf8();
    let text =
        text.map_err(|_| TargetError::Syntax("it has a % with two digits that make no text"))?;
    if text.contains('\0') {
        return Err(TargetError::Syntax("it has a %00 in it"));
    }
    Ok(text.into_owned())
}

/// Text that is shown in messages.
fn one_line(value: &str) -> Result<String, TargetError> {
    let text = decode(value)?;
    if text.contains(char::is_control) {
        return Err(TargetError::Syntax("it has a control character in it"));
    }
    Ok(text)
}
