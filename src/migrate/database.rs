//! Where ulogd's rows went, as the mirror's URL, and what to know before the first start.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{MigrateError, connection, grammar::Section};

/// What is left as it is in a part of a URL (RFC 3986, unreserved).
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same in a path.
const PATH: &AsciiSet = &PART.remove(b'/');

/// What the packaged service may write to (`StateDirectory=` of its unit).
const STATE_DIRECTORY: &str = "/var/lib/nflog_exporter";

/// The keys of ulogd's plugins that write to a database.
const MYSQL_KEYS: [&str; 12] = [
    "table",
    "reconnect",
    "connect_timeout",
    "procedure",
    "backlog_memcap",
    "backlog_oneshot_requests",
    "ring_buffer_size",
    "db",
    "host",
    "user",
    "pass",
    "port",
];
const SQLITE_KEYS: [&str; 3] = ["db", "table", "buffer"];

/// The keys of a plugin that writes to a database; `None` for any other.
pub(super) fn keys(plugin: &str) -> Option<Vec<&'static str>> {
    match plugin {
        "MYSQL" => Some(MYSQL_KEYS.to_vec()),
        "PGSQL" => Some([&MYSQL_KEYS[..], &["schema", "connstring"]].concat()),
        "DBI" => Some([&MYSQL_KEYS[..], &["schema", "dbtype"]].concat()),
        "SQLITE3" => Some(SQLITE_KEYS.to_vec()),
        _ => None,
    }
}

/// A database that ulogd wrote to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) url: String,
    /// What to know before the first start, in lines.
    pub(super) advice: Vec<String>,
    /// What of the section could not be carried over.
    pub(super) notes: Vec<String>,
}

/// How a server is reached, before it is a URL.
#[derive(Default)]
struct Server {
    host: String,
    port: String,
    user: String,
    password: String,
    database: String,
    /// Parameters of the URL, encoded.
    parameters: Vec<String>,
    notes: Vec<String>,
}

impl Database {
    /// What a section of the plugin MYSQL, PGSQL, DBI or SQLITE3 says; or why there is no such database
    /// here.
    ///
    /// # Errors
    /// A value of the section cannot be read.
    pub(super) fn new(
        section: &Section,
        plugin: &str,
    ) -> Result<Result<Self, String>, MigrateError> {
        let dbtype = if plugin == "DBI" { section.text("dbtype")? } else { None };
        Ok(Ok(match (plugin, dbtype.as_deref()) {
            ("SQLITE3", _) => sqlite(&section.text("db")?.unwrap_or_default()),
            ("MYSQL", _) => mysql(Server::new(section, true)?),
            ("PGSQL", _) => match section.text("connstring")?.filter(|text| !text.is_empty()) {
                Some(text) => match Server::from_connection_string(&text) {
                    Ok(server) => postgres(server),
                    Err(database) => return Ok(database),
                },
                None => postgres(Server::new(section, true)?),
            },
            (_, Some("mysql")) => mysql(Server::new(section, false)?),
            (_, Some("pgsql")) => postgres(Server::new(section, false)?),
            (_, Some(other)) => {
                let why = format!("dbtype={other} cannot be written to; mysql and pgsql can");
                return Ok(Err(why));
            }
            (_, None) => return Ok(Err("dbtype is missing, so ulogd wrote no rows".into())),
        }))
    }
}

impl Server {
    /// What the keys of a section say; DBI never used its port.
    fn new(section: &Section, has_port: bool) -> Result<Self, MigrateError> {
        let text = |key: &str| Ok(section.text(key)?.unwrap_or_default());
        let mut notes = Vec::new();
        let mut port = String::new();
        // 0 is the default's.
        if let Some((number, text)) =
            section.number("port", u32::from(u16::MAX))?.filter(|(number, _)| *number != 0)
        {
            if has_port {
                notes.extend(
                    text.map(|text| format!("port={text}: taken as {number}, as ulogd does")),
                );
                port = number.to_string();
            } else {
                notes.push(format!(
                    "port={number}: ulogd's DBI never used it, and connected to the default port; write it \
                     after the host in mirror.url if the database is there"
                ));
            }
        }
        Ok(Self {
            host: text("host")?,
            port,
            user: text("user")?,
            password: text("pass")?,
            database: text("db")?,
            parameters: Vec::new(),
            notes,
        })
    }

    /// What libpq makes of a connection string; the outer error is a URL or the reason for there being
    /// none.
    fn from_connection_string(text: &str) -> Result<Self, Result<Database, String>> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(Ok(Database {
                url: text.to_owned(),
                advice: Vec::new(),
                notes: Vec::new(),
            }));
        }
        let Some(parameters) = connection::parameters(text) else {
            return Err(Err("connstring is not KEY=VALUE…, so ulogd wrote no rows".into()));
        };
        let mut server = Self::default();
        let mut address = None;
        for (key, value) in parameters {
            match key.as_str() {
                "host" => server.host = value,
                "hostaddr" => address = Some(value),
                "port" => server.port = value,
                "user" => server.user = value,
                "password" => server.password = value,
                "dbname" => server.database = value,
                // libpq encrypts then where it can, which is not offered here.
                "sslmode" if matches!(value.as_str(), "prefer" | "allow") => {}
                "sslmode" | "sslrootcert" => {
                    server.parameters.push(format!("{key}={}", utf8_percent_encode(&value, PATH)));
                }
                _ => {
                    server
                        .notes
                        .push(format!("connstring: {key} has no counterpart in mirror.url"));
                }
            }
        }
        if let Some(address) = address.filter(|address| !address.is_empty()) {
            server.host = address;
        }
        Ok(server)
    }

    fn url(&self, scheme: &str) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, PART).to_string();
        let mut parameters = self.parameters.clone();
        let host = match self.host.as_str() {
            "" => "localhost".into(),
            // For libpq, and nothing else, this is the directory of a socket.
            directory if scheme == "postgres" && directory.starts_with('/') => {
                parameters.push(format!("host={}", utf8_percent_encode(directory, PATH)));
                "localhost".into()
            }
            address if address.contains(':') => {
                format!("[{}]", address.trim_matches(|bracket| bracket == '[' || bracket == ']'))
            }
            name => encoded(name),
        };
        let with = |mark: &str, text: &str| match text {
            "" => String::new(),
            text => format!("{mark}{}", encoded(text)),
        };
        let question = if parameters.is_empty() { "" } else { "?" };
        format!(
            "{scheme}://{}{}@{host}{}/{}{question}{}",
            encoded(&self.user),
            with(":", &self.password),
            with(":", &self.port),
            encoded(&self.database),
            parameters.join("&")
        )
    }

    /// Whether ulogd reached it through a network, and encrypted nothing unless the server wanted it.
    fn is_remote(&self) -> bool {
        let host = self.host.as_str();
        let is_here =
            matches!(host, "" | "localhost" | "::1" | "[::1]") || host.starts_with("127.");
        !is_here && !host.starts_with('/') && self.parameters.is_empty()
    }
}

fn sqlite(path: &str) -> Database {
    // Two slashes in front would be those of sqlite://PATH.
    let path = match path.trim_start_matches('/') {
        relative if relative.len() == path.len() => relative.to_owned(),
        below_root => format!("/{below_root}"),
    };
    let mut advice = Vec::new();
    if !Path::new(&path).starts_with(STATE_DIRECTORY) {
        let directory = Path::new(&path).parent().unwrap_or(Path::new("/"));
        advice.extend([
            format!("The packaged service can write to {STATE_DIRECTORY} and nowhere else: stop ulogd, and move"),
            "the file there and change the URL; or run `systemctl edit nflog_exporter`, write below [Service]".into(),
            format!("ReadWritePaths={}", directory.display()),
            "and make the directory and the file the user nflog_exporter's.".into(),
        ]);
        if !path.starts_with('/') {
            advice.push(
                "The path is relative to the directory that the exporter is started in.".into(),
            );
        }
    }
    // SQLite itself would read it as an URL.
    let here = if path.starts_with("file:") { "./" } else { "" };
    Database {
        url: format!("sqlite:{here}{}", utf8_percent_encode(&path, PATH)),
        advice,
        notes: Vec::new(),
    }
}

fn mysql(server: Server) -> Database {
    let database = &server.database;
    let mut advice =
        renamed(database, &format!("mysql {database} -e 'RENAME TABLE ulog TO ulogd_ulog'"));
    if matches!(server.host.as_str(), "" | "localhost") {
        advice.push(
            "`localhost` was the socket for ulogd, and is TCP here: for the socket, append \
             ?socket=/run/mysqld/mysqld.sock to the URL."
                .into(),
        );
    }
    advice
        .extend(server.is_remote().then(|| certificate("ssl-mode=REQUIRED", "ssl-mode=DISABLED")));
    Database { url: server.url("mysql"), advice, notes: server.notes }
}

fn postgres(server: Server) -> Database {
    let database = &server.database;
    let mut advice =
        renamed(database, &format!("psql {database} -c 'ALTER TABLE ulog RENAME TO ulogd_ulog'"));
    if server.host.is_empty() {
        advice.push(
            "Without a host it was the socket for ulogd, and is TCP here: for the socket, append \
             ?host=/var/run/postgresql to the URL."
                .into(),
        );
    }
    advice.extend(server.is_remote().then(|| certificate("sslmode=require", "sslmode=disable")));
    Database { url: server.url("postgres"), advice, notes: server.notes }
}

/// What to know where ulogd verified nothing.
fn certificate(unverified: &str, off: &str) -> String {
    format!(
        "The server needs a certificate that is valid for its name, of which ulogd did not ask: append \
         ?{unverified} to the URL to take any, or ?{off} to encrypt nothing."
    )
}

/// What to do about the `ulog` that ulogd's own schema has.
fn renamed(database: &str, command: &str) -> Vec<String> {
    vec![
        "`ulog` in this database is ulogd's own view, which never shows the rows that are written now. Stop".into(),
        "ulogd and rename it before the first start, and `ulog` will be the new one:".into(),
        format!("  {command}"),
        format!(
            "Or write to a database of this program's own: create one, and replace {database:?} in the URL by its \
             name."
        ),
    ]
}
