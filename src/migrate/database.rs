//! Converts ulogd's database plugins to the mirror's URL, with advice for the first start.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{MigrateError, connection, grammar::ConfSection};

/// The unreserved characters of a URL (RFC 3986), which are not encoded.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same in a path.
const PATH: &AsciiSet = &PART.remove(b'/');

/// The directory to which the packaged service may write (`StateDirectory=` of its unit).
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

/// Why a key of these plugins has no equivalent; `None` if it is converted.
pub(super) fn no_equivalent(key: &str) -> Option<&'static str> {
    match key {
        "reconnect" | "connect_timeout" => {
            Some("the connection is retried by itself, and rows wait in the spool meanwhile")
        }
        "backlog_memcap" | "backlog_oneshot_requests" | "ring_buffer_size" | "buffer" => {
            Some("rows wait in the spool, see [mirror.spool]")
        }
        _ => None,
    }
}

/// A database that ulogd wrote to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) url: String,
    /// Advice for the first start, in lines.
    pub(super) advice: Vec<String>,
    /// Settings of the section without an equivalent.
    pub(super) notes: Vec<String>,
}

/// The advice on the rows that ulogd wrote.
const COPY: &str = "Copy ulogd's rows into `packets` with: nflog_exporter --config.file THIS_FILE migrate rows FROM-URL";

/// The parameters of a connection to a database server.
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
    /// Converts a section of the plugin MYSQL, PGSQL, DBI or SQLITE3. The inner error is the reason why there
    /// is no equivalent.
    ///
    /// # Errors
    /// A value of the section is invalid.
    pub(super) fn new(
        section: &ConfSection,
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
                let why = format!("dbtype={other} is not supported; mysql and pgsql are");
                return Ok(Err(why));
            }
            (_, None) => return Ok(Err("dbtype is missing, so ulogd wrote no rows".into())),
        }))
    }
}

impl Server {
    /// The parameters in a section. ulogd's DBI ignores the port.
    fn new(section: &ConfSection, has_port: bool) -> Result<Self, MigrateError> {
        let text = |key: &str| Ok(section.text(key)?.unwrap_or_default());
        let mut notes = Vec::new();
        let mut port = String::new();
        // 0 means the default port.
        if let Some((number, text)) =
            section.number("port", u32::from(u16::MAX))?.filter(|(number, _)| *number != 0)
        {
            if has_port {
                notes.extend(
                    text.map(|text| format!("port={text}: parsed as {number}, as in ulogd")),
                );
                port = number.to_string();
            } else {
                notes.push(format!(
                    "port={number}: ulogd's DBI ignores it, and connects to the default port; if the database \
                     uses this port, add it after the host in mirror.url"
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

    /// The parameters in a connection string.
    ///
    /// # Errors
    /// The database if the string is a URL, or why it is invalid.
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
                // Optional encryption has no equivalent.
                "sslmode" if matches!(value.as_str(), "prefer" | "allow") => {}
                "sslmode" | "sslrootcert" => {
                    server.parameters.push(format!("{key}={}", utf8_percent_encode(&value, PATH)));
                }
                _ => {
                    server.notes.push(format!("connstring: {key} has no equivalent in mirror.url"));
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
            // libpq interprets an absolute path as the directory of a socket.
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

    /// Whether the server is on another host, with ulogd's default of optional encryption.
    fn is_remote(&self) -> bool {
        let host = self.host.as_str();
        let is_here =
            matches!(host, "" | "localhost" | "::1" | "[::1]") || host.starts_with("127.");
        !is_here && !host.starts_with('/') && self.parameters.is_empty()
    }
}

fn sqlite(path: &str) -> Database {
    // Two slashes at the start would be those of sqlite://PATH.
    let path = match path.trim_start_matches('/') {
        relative if relative.len() == path.len() => relative.to_owned(),
        below_root => format!("/{below_root}"),
    };
    let mut advice = vec![
        "`ulog` in this file is ulogd's own table, which does not get the new rows. Stop ulogd and rename it".into(),
        "before the first start; the new `ulog` is then created:".into(),
        format!("  sqlite3 {path} 'ALTER TABLE ulog RENAME TO ulogd_ulog'"),
        COPY.into(),
    ];
    if !Path::new(&path).starts_with(STATE_DIRECTORY) {
        let directory = Path::new(&path).parent().unwrap_or(Path::new("/"));
        advice.extend([
            format!("The packaged service can write to {STATE_DIRECTORY} only: stop ulogd, move the file there, and"),
            "change the URL; or run `systemctl edit nflog_exporter`, add below [Service]".into(),
            format!("ReadWritePaths={}", directory.display()),
            "and make the user nflog_exporter the owner of the directory and the file.".into(),
        ]);
        if !path.starts_with('/') {
            advice.push(
                "The path is relative to the directory in which the exporter is started.".into(),
            );
        }
    }
    // SQLite would interpret it as a URL.
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
        rename_advice(database, &format!("mysql {database} -e 'RENAME TABLE ulog TO ulogd_ulog'"));
    if matches!(server.host.as_str(), "" | "localhost") {
        advice.push(
            "ulogd connects to the socket for `localhost`, this program by TCP: for the socket, append \
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
    let mut advice = rename_advice(
        database,
        &format!("psql {database} -c 'ALTER TABLE ulog RENAME TO ulogd_ulog'"),
    );
    if server.host.is_empty() {
        advice.push(
            "Without a host, ulogd connects to the socket, this program by TCP: for the socket, append \
             ?host=/var/run/postgresql to the URL."
                .into(),
        );
    }
    advice.extend(server.is_remote().then(|| certificate("sslmode=require", "sslmode=disable")));
    Database { url: server.url("postgres"), advice, notes: server.notes }
}

/// The advice on certificates, which ulogd does not verify.
fn certificate(unverified: &str, off: &str) -> String {
    format!(
        "The server needs a certificate that is valid for its name, unlike with ulogd: append ?{unverified} \
         to the URL to accept any certificate, or ?{off} to disable encryption."
    )
}

/// The advice on `ulog`, a table or view of ulogd's schema.
fn rename_advice(database: &str, command: &str) -> Vec<String> {
    vec![
        "`ulog` in this database is ulogd's own view, which does not have the new rows. Stop ulogd and rename it".into(),
        "before the first start; the new `ulog` is then created:".into(),
        format!("  {command}"),
        COPY.into(),
        format!(
            "Or use a separate database: create one, and replace {database:?} in the URL by its name."
        ),
    ]
}
