//! Parses a database's URL. No message repeats a part of it that could hold the password.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::{
    Endpoint, Kind, MAX_SERVERS, Servers, Target, TargetError, Tls,
    parameters::{Parameters, Scheme},
    percent::{decode, one_line},
};

/// Parses a database URL:
///
/// - `mysql://user:password@host:3306/database`, also `mariadb://`. Parameters after `?`:
///   `ssl-mode` (`DISABLED`, `REQUIRED`, `VERIFY_IDENTITY`), `ssl-ca` (a PEM file), `socket` (a path).
/// - `postgres://user:password@host:5432/database`, also `postgresql://`. Parameters: `sslmode`
///   (`disable`, `require`, `verify-full`), `sslrootcert` (a PEM file), `host` (the directory of a
///   socket). A host that begins with `%2F` is a directory, too.
/// - `clickhouse://user:password@host:8123/database` for HTTP, `clickhouses://user:password@host:8443/database` for
///   HTTPS. Parameters of the second: `sslmode` (`require`, `verify-full`), `sslrootcert` (a PEM file).
/// - `sqlite:PATH` or `sqlite://PATH`, which are the same: `sqlite:///a` and `sqlite:/a` are absolute,
///   `sqlite://a` and `sqlite:a` relative. No parameters.
///
/// A server's URL can list several hosts of one database, as libpq does: `mysql://user@a:3306,b,[2001:db8::1]:3307/d`. Each
/// has its own port. `ClickHouse` takes one.
///
/// `%` with two hexadecimal digits encodes a byte. In a server's URL, every character that RFC 3986 does not
/// allow must be encoded, and an `@` in user and password; in a path, any other `%` and all other characters
/// are literal. Each server accepts the other's spellings for TLS. Certificates are verified, except over a
/// socket or to a loopback host, where TLS is off by default; for ClickHouse the scheme decides. A socket takes precedence over the host.
impl FromStr for Servers {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        if text.contains(char::is_control) {
            return Err(TargetError::Syntax("it has a control character in it"));
        }
        let (scheme, rest) = text.split_once(':').ok_or(TargetError::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => file(rest).map(Self::from),
            "mysql" | "mariadb" => servers(Kind::MySql, Scheme::Usual, text, rest),
            "postgres" | "postgresql" => servers(Kind::Postgres, Scheme::Usual, text, rest),
            "clickhouse" => servers(Kind::ClickHouse, Scheme::Plain, text, rest),
            "clickhouses" => servers(Kind::ClickHouse, Scheme::Encrypted, text, rest),
            _ => Err(TargetError::Scheme),
        }
    }
}

/// Parses a URL with one host.
impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let several = TargetError::Hosts("this database is read from one host: name one");
        text.parse::<Servers>()?.single().ok_or(several)
    }
}

/// Parses the part after `sqlite:`.
fn file(rest: &str) -> Result<Target, TargetError> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Parameters::read(Kind::Sqlite, query)?;
    let path: Vec<u8> = percent_decode_str(path).collect();
    // A database in memory keeps nothing, and SQLite itself parses `file:` as a URL.
    if path.is_empty() || path == b":memory:" || path.starts_with(b"file:") || path.contains(&0) {
        return Err(TargetError::NoFile);
    }
    Ok(Target {
        kind: Kind::Sqlite,
        endpoint: Endpoint::File(OsString::from_vec(path).into()),
        user: String::new(),
        password: String::new(),
        database: String::new(),
        tls: Tls::Off,
    })
}

/// Parses the URL of one or several servers; `rest` is the part after the scheme.
fn servers(kind: Kind, scheme: Scheme, text: &str, rest: &str) -> Result<Servers, TargetError> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(TargetError::Syntax("// is missing after the scheme"));
    };
    encoded(rest)?;
    let authority = authority(rest);
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if !hosts.contains(',') {
        return server(kind, scheme, text, rest).map(Servers::from);
    }
    if kind == Kind::ClickHouse {
        return Err(TargetError::Hosts(ONE_CLICKHOUSE));
    }
    let start = text.len() - rest.len() + authority.len() - hosts.len();
    let (before, after) = (&text[..start], &text[start + hosts.len()..]);
    let mut targets: Vec<Target> = Vec::new();
    for host in hosts.split(',') {
        if host.is_empty() {
            return Err(TargetError::Hosts("one of them is empty"));
        }
        let url = format!("{before}{host}{after}");
        let target = server(kind, scheme, &url, &url[text.len() - rest.len()..])?;
        if !matches!(target.endpoint, Endpoint::Tcp { .. }) {
            return Err(TargetError::Hosts("a socket cannot be one of several"));
        }
        if targets.iter().any(|other| other.identity() == target.identity()) {
            return Err(TargetError::Hosts("one of them is listed twice"));
        }
        if targets.len() == MAX_SERVERS {
            return Err(TargetError::Hosts("there are more than 16"));
        }
        targets.push(target);
    }
    let first = targets.remove(0);
    Ok(Servers::new(first, targets))
}

/// A replica that lags would return an old position.
const ONE_CLICKHOUSE: &str = "ClickHouse takes one, because the position of a writer is read back from its rows, which a \
                              replica may lack: name one server, or a proxy that stays with one";

/// User, password and hosts: the part before the path.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Parses the URL of one server; `rest` is the part after `//`.
fn server(kind: Kind, scheme: Scheme, text: &str, rest: &str) -> Result<Target, TargetError> {
    let (url, hostless) = parse_url(text, rest)?;
    let mut parameters = Parameters::read(kind, url.query().unwrap_or_default())?;
    let database = url.path().strip_prefix('/').unwrap_or_default();
    if database.contains('/') {
        return Err(TargetError::Syntax("it has more than one / after the host"));
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
    let default_port = match (kind, scheme) {
        (Kind::ClickHouse, Scheme::Encrypted) => 8443,
        (Kind::ClickHouse, _) => 8123,
        (Kind::MySql, _) => 3306,
        _ => 5432,
    };
    let port = url.port().unwrap_or(default_port);
    if port == 0 {
        return Err(TargetError::Syntax("the port is 0"));
    }
    let directory = (kind == Kind::Postgres && host.starts_with('/')).then(|| PathBuf::from(&host));
    let endpoint = match parameters.socket.take().or(directory) {
        Some(path) => Endpoint::Socket { path, port },
        None if host.is_empty() => return Err(TargetError::NoHost),
        None => Endpoint::Tcp { host, port },
    };
    Ok(Target {
        kind,
        tls: parameters.tls(scheme, &endpoint)?,
        endpoint,
        user: one_line(url.username())?,
        password: decode(url.password().unwrap_or_default())?,
        database,
    })
}

/// Parses the URL of a server, and rejects the misplaced characters of a password that is not encoded. Returns
/// whether it has no host.
fn parse_url(text: &str, rest: &str) -> Result<(Url, bool), TargetError> {
    // libpq's URLs may have a user without a host, which the parser rejects: a host is inserted and ignored.
    let authority = authority(rest);
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
    // A password with an unencoded / or ? ends the host, and puts the @ after it.
    if url.path().contains('@') || url.query().unwrap_or_default().contains('@') {
        return Err(TargetError::Syntax("it has an @ after the host"));
    }
    Ok((url, hostless))
}

/// Rejects characters that must be percent-encoded in a URL (RFC 3986, section 2), and those that parsers
/// treat differently.
fn encoded(rest: &str) -> Result<(), TargetError> {
    let authority = authority(rest);
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

/// Describes a syntax error without quoting the URL.
fn syntax(error: url::ParseError) -> &'static str {
    use url::ParseError as E;
    match error {
        E::InvalidPort => "the port is not a number from 1 to 65535",
        E::InvalidIpv6Address => "the host in [ ] is not an IPv6 address",
        E::EmptyHost => "it has no host",
        E::InvalidDomainCharacter => "the host has an invalid character",
        _ => "it is not a URL",
    }
}
