//! Configurations of Debian's ulogd2: to a text file, and to MariaDB with its own schema.

use std::{path::Path, process::Command};

use super::{mariadb::MariaDb, server::run};

const PLUGINS: &str = "/usr/lib/x86_64-linux-gnu/ulogd";
const SCHEMA: &str = "/usr/share/doc/ulogd2/mysql-ulogd2.sql.gz";

/// What it reads, and how the kernel delivers it.
pub struct Input {
    pub group: u16,
    /// Bytes.
    pub receive_buffer: usize,
    /// Packets in a datagram.
    pub queue_threshold: u32,
    /// Hundredths of a second.
    pub queue_timeout: u32,
}

/// With the stack and the settings of Debian's configuration. The files `packets` and `ulogd.log` are in the directory.
pub fn text_file(input: &Input, directory: &Path) -> String {
    let plugins = ["inppkt_NFLOG", "raw2packet_BASE", "filter_IFINDEX", "filter_IP2STR"];
    let outputs = ["filter_PRINTPKT", "output_LOGEMU"];
    format!(
        "{}stack=log:NFLOG,base:BASE,ifi:IFINDEX,ip2str:IP2STR,print:PRINTPKT,emu:LOGEMU\n{}\
         [emu]\nfile=\"{}\"\nsync=1\n",
        global(directory, &[&plugins[..], &outputs].concat()),
        log(input),
        directory.join("packets").display(),
    )
}

fn global(directory: &Path, plugins: &[&str]) -> String {
    let plugin = |plugin: &&str| format!("plugin=\"{PLUGINS}/ulogd_{plugin}.so\"\n");
    let plugins: String = plugins.iter().map(plugin).collect();
    let log = directory.join("ulogd.log");
    format!("[global]\nlogfile=\"{}\"\nloglevel=5\n{plugins}", log.display())
}

fn log(input: &Input) -> String {
    let Input { group, receive_buffer, queue_threshold, queue_timeout } = input;
    format!(
        "[log]\ngroup={group}\nnetlink_socket_buffer_size={receive_buffer}\n\
         netlink_socket_buffer_maxsize={receive_buffer}\nnetlink_qthreshold={queue_threshold}\n\
         netlink_qtimeout={queue_timeout}\n"
    )
}

/// A database with ulogd2's schema and a user for it, until it is dropped.
pub struct Database<'s> {
    server: &'s MariaDb,
    name: String,
}

impl<'s> Database<'s> {
    pub fn new(server: &'s MariaDb) -> Self {
        let database = Self { server, name: server.database() };
        let schema = run(Command::new("zcat").arg(SCHEMA));
        server.load(&database.name, &String::from_utf8(schema.stdout).unwrap());
        database.query(&format!(
            "CREATE USER u@localhost IDENTIFIED BY 'u'; GRANT ALL ON {}.* TO u@localhost",
            database.name
        ));
        database
    }

    /// The output of SQL.
    pub fn query(&self, sql: &str) -> String {
        self.server.query(&self.name, sql)
    }

    /// With the stack of Debian's example. `ulogd.log` is in the directory. Set the variable `MYSQL_UNIX_PORT` to the
    /// server's socket: it is the only way to give its client library another one.
    pub fn configuration(&self, input: &Input, directory: &Path) -> String {
        let plugins = ["inppkt_NFLOG", "raw2packet_BASE", "filter_IFINDEX", "filter_IP2BIN"];
        let outputs = ["filter_HWHDR", "output_MYSQL"];
        format!(
            "{}stack=log:NFLOG,base:BASE,ifi:IFINDEX,ip2bin:IP2BIN,mac2str:HWHDR,mysql:MYSQL\n{}\
             [mysql]\ndb=\"{}\"\nhost=\"localhost\"\nuser=\"u\"\npass=\"u\"\ntable=\"ulog\"\n\
             procedure=\"INSERT_PACKET_FULL\"\n",
            global(directory, &[&plugins[..], &outputs].concat()),
            log(input),
            self.name,
        )
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.query(&format!("DROP USER u@localhost; DROP DATABASE {}", self.name));
        }
    }
}
