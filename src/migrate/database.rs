//! Where ulogd's rows went, as the mirror's URL, and what to know before the first start.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ini::Section;

/// What is left as it is in a part of a URL (RFC 3986, unreserved).
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same in a path.
const PATH: &AsciiSet = &PART.remove(b'/');

/// A database that ulogd wrote to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) url: String,
    /// Lines for people.
    pub(super) advice: Vec<String>,
}

impl Database {
    /// What a section of the plugin MYSQL, PGSQL or SQLITE3 says.
    pub(super) fn new(section: &Section<'_>, plugin: &str) -> Self {
        let of = |key: &str| section.get(key).unwrap_or_default();
        match plugin {
            "SQLITE3" => sqlite(of("db")),
            "MYSQL" => Self { url: server(section, "mysql"), advice: mysql(of("host"), of("db")) },
            _ => Self { url: server(section, "postgres"), advice: postgres(of("host"), of("db")) },
        }
    }
}

fn sqlite(path: &str) -> Database {
    // Two slashes in front would be those of sqlite://PATH.
    let path = match path.trim_start_matches('/') {
        relative if relative.len() == path.len() => relative.to_owned(),
        below_root => format!("/{below_root}"),
    };
    // SQLite itself would read it as an URL.
    let here = if path.starts_with("file:") { "./" } else { "" };
    Database {
        url: format!("sqlite:{here}{}", utf8_percent_encode(&path, PATH)),
        // ulogd's tables there have other names.
        advice: Vec::new(),
    }
}

fn server(section: &Section<'_>, scheme: &str) -> String {
    let of = |key: &str| section.get(key).unwrap_or_default();
    let encoded = |key: &str| utf8_percent_encode(of(key), PART);
    let host = of("host");
    // For libpq, and nothing else, this is a folder with a socket.
    let folder = scheme == "postgres" && host.starts_with('/');
    let parameter =
        if folder { format!("?host={}", utf8_percent_encode(host, PATH)) } else { String::new() };
    let host = match host {
        "" => "localhost".into(),
        _ if folder => "localhost".into(),
        address if address.contains(':') => {
            format!("[{}]", address.trim_matches(|bracket| bracket == '[' || bracket == ']'))
        }
        name => utf8_percent_encode(name, PART).to_string(),
    };
    let port = match of("port") {
        "" | "0" => String::new(),
        port => format!(":{}", utf8_percent_encode(port, PART)),
    };
    let password = match of("pass") {
        "" => String::new(),
        _ => format!(":{}", encoded("pass")),
    };
    format!("{scheme}://{}{password}@{host}{port}/{}{parameter}", encoded("user"), encoded("db"))
}

fn mysql(host: &str, database: &str) -> Vec<String> {
    let mut advice =
        renamed(database, &format!("mysql {database} -e 'RENAME TABLE ulog TO ulogd_ulog'"));
    if matches!(host, "" | "localhost") {
        advice.push(
            "`localhost` was the socket for ulogd, and is TCP here: for the socket, put \
             ?socket=/run/mysqld/mysqld.sock behind the URL."
                .into(),
        );
    }
    advice
}

fn postgres(host: &str, database: &str) -> Vec<String> {
    let mut advice =
        renamed(database, &format!("psql {database} -c 'ALTER TABLE ulog RENAME TO ulogd_ulog'"));
    if host.is_empty() {
        advice.push(
            "Without a host it was the socket for ulogd, and is TCP here: for the socket, put \
             ?host=/var/run/postgresql behind the URL."
                .into(),
        );
    }
    advice
}

/// What to do about the `ulog` that ulogd's own schema has.
fn renamed(database: &str, command: &str) -> Vec<String> {
    vec![
        "`ulog` in this database is ulogd's own view, which never shows the rows that are written now. Stop".into(),
        "ulogd and rename it before the first start, and `ulog` will be the new one:".into(),
        format!("  {command}"),
        format!(
            "Or write to a database of this program's own: make one, and put its name in the place of {database:?}."
        ),
    ]
}
