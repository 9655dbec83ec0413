//! ulogd2 with its own schema and the stack of Debian's example.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    figures::{Figures, cpu},
    live,
    mariadb::server_id,
    support::{Wire, mariadb::MariaDb, program::wait_for},
};

/// Maximum number of packets sent.
const PACKETS: u64 = 50_000;

/// Maximum time for counting its rows.
const LONGEST: Duration = Duration::from_secs(20);

/// Packets sent at a time, four times a second: more than it can process.
const BURST: usize = 1_250;

/// Time without a new row after which the run ends.
const QUIET: Duration = Duration::from_secs(2);

const PLUGINS: &str = "/usr/lib/x86_64-linux-gnu/ulogd";
const SCHEMA: &str = "/usr/share/doc/ulogd2/mysql-ulogd2.sql.gz";

/// Sends packets faster than it processes them, and counts its rows from the first to the last. Unless
/// `durable`, its commits, one for each packet, do not wait for the disk.
pub fn run(server: &MariaDb, durable: bool) -> Figures {
    let flush = |when: u8| {
        server.query("mysql", &format!("SET GLOBAL innodb_flush_log_at_trx_commit = {when}"));
    };
    flush(u8::from(durable));
    let database = server.database();
    let schema = Command::new("zcat").arg(SCHEMA).output().unwrap();
    server.load(&database, &String::from_utf8(schema.stdout).unwrap());
    server.query(
        &database,
        &format!(
            "CREATE USER u@localhost IDENTIFIED BY 'u'; GRANT ALL ON {database}.* TO u@localhost"
        ),
    );
    let wire = Wire::new();
    wire.host.nft(&live::rules(2));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("ulogd.conf");
    let log = directory.path().join("ulogd.log");
    fs::write(&config, configuration(&log.display().to_string(), &database)).unwrap();
    let child = wire
        .host
        .command("ulogd")
        .arg("--configfile")
        .arg(&config)
        // The only way to give its client library another socket.
        .env("MYSQL_UNIX_PORT", server.socket())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ulogd = Ended(child);
    wait_for("ulogd2", || {
        let groups = wire
            .host
            .run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log").unwrap());
        (!groups.is_empty()).then_some(())
    });

    let rows = || -> u64 {
        server.query(&database, "SELECT IFNULL(MAX(_id), 0) FROM ulog2").parse().unwrap()
    };
    let mut numbers = 0..PACKETS;
    let mut send = || wire.send(numbers.by_ref().take(BURST).map(live::packet));
    send();
    let first = wait_for("ulogd2's first rows", || Some(rows()).filter(|rows| *rows > 0));
    let (id, server_id) = (ulogd.0.id(), server_id(server));
    let (spent, answered, began) = (cpu(id), cpu(server_id), Instant::now());
    let (mut last, mut time) = (first, Duration::ZERO);
    // Packets that overflowed its socket never become rows: stop when no more rows appear.
    while last < PACKETS && began.elapsed() < LONGEST && began.elapsed() < time + QUIET {
        send();
        // Rarely, because each query is work for the server.
        sleep(Duration::from_millis(250));
        let now = rows();
        if now > last {
            (last, time) = (now, began.elapsed());
        }
    }
    let figures = Figures {
        rows: last - first,
        time,
        client: cpu(id).saturating_sub(spent),
        server: cpu(server_id).saturating_sub(answered),
    };
    drop(ulogd);
    flush(1);
    server.query(&database, &format!("DROP USER u@localhost; DROP DATABASE {database}"));
    figures
}

/// A process that ends when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configuration(log: &str, database: &str) -> String {
    let plugins = [
        "inppkt_NFLOG",
        "raw2packet_BASE",
        "filter_IFINDEX",
        "filter_IP2BIN",
        "filter_HWHDR",
        "output_MYSQL",
    ]
    .map(|plugin| format!("plugin=\"{PLUGINS}/ulogd_{plugin}.so\"\n"))
    .concat();
    format!(
        "[global]\nlogfile=\"{log}\"\nloglevel=5\n{plugins}\
         stack=log2:NFLOG,base1:BASE,ifi1:IFINDEX,ip2bin1:IP2BIN,mac2str1:HWHDR,mysql1:MYSQL\n\
         [log2]\ngroup=2\nnetlink_socket_buffer_size=16777216\n\
         netlink_socket_buffer_maxsize=16777216\nnetlink_qthreshold=50\nnetlink_qtimeout=1\n\
         [mysql1]\ndb=\"{database}\"\nhost=\"localhost\"\nuser=\"u\"\npass=\"u\"\ntable=\"ulog\"\n\
         procedure=\"INSERT_PACKET_FULL\"\n"
    )
}
