//! Partitions, tables and positions that are removed by hand while rows are delivered. Requires root, and
//! MariaDB and PostgreSQL of Debian's packages.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Wire, frame,
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    program::{Exporter, samples, sum, wait_for},
};

/// Logs all UDP, counts it, and drops it.
const RULES: &str = "
    table inet t {
        counter logged {}
        chain in {
            type filter hook prerouting priority -100;
            iifname wan0 meta l4proto udp counter name logged log prefix \"load\" group 1 drop
        }
    }
";

/// Packets per second of the load.
const RATE: u32 = 2_000;

/// Rows that are written after each removal.
const MORE: u64 = 2_000;

/// A server with a database `log`.
enum Database {
    Maria(MariaDb),
    Postgres(PostgresServer),
}

impl Database {
    fn mariadb() -> Self {
        let server = MariaDb::start();
        server.query("mysql", "CREATE DATABASE log");
        Self::Maria(server)
    }

    fn postgres() -> Self {
        let server = PostgresServer::start();
        server.psql("postgres", "CREATE DATABASE log");
        Self::Postgres(server)
    }

    fn url(&self) -> String {
        match self {
            Self::Maria(server) => {
                format!("mysql://root@localhost/log?socket={}", server.socket().display())
            }
            Self::Postgres(server) => {
                let (directory, port) = (server.directory().display(), server.port());
                format!("postgres://postgres@localhost:{port}/log?host={directory}")
            }
        }
    }

    fn query(&self, sql: &str) -> String {
        match self {
            Self::Maria(server) => server.query("log", sql),
            Self::Postgres(server) => server.psql("log", sql),
        }
    }

    /// A statement that selects the number of each row of a table or partition.
    fn numbers_of(&self, table: &str) -> String {
        let source = match self {
            Self::Maria(_) => "CONV(RIGHT(HEX(source), 4), 16, 10)",
            Self::Postgres(_) => "source - '133.11.0.0'::inet",
        };
        format!("SELECT {source} + 65536 * (source_port - 20000) FROM {table};")
    }

    /// Number of completed transactions, and of connections.
    fn work(&self) -> (u64, u64) {
        let text = self.query(match self {
            Self::Maria(_) => {
                "SELECT SUM(IF(VARIABLE_NAME <> 'CONNECTIONS', VARIABLE_VALUE, 0)), \
                 SUM(IF(VARIABLE_NAME = 'CONNECTIONS', VARIABLE_VALUE, 0)) \
                 FROM information_schema.GLOBAL_STATUS \
                 WHERE VARIABLE_NAME IN ('COM_COMMIT', 'COM_ROLLBACK', 'CONNECTIONS')"
            }
            Self::Postgres(_) => {
                "SELECT xact_commit + xact_rollback, sessions FROM pg_stat_database \
                 WHERE datname = 'log'"
            }
        });
        let (ended, connections) = text.split_once(['\t', '|']).unwrap();
        (ended.parse().unwrap(), connections.parse().unwrap())
    }
}

/// The frame with this number; each has a different source.
fn numbered(number: u32) -> Vec<u8> {
    let [_, high, middle, low] = number.to_be_bytes();
    frame::udp([133, 11, middle, low], 20_000 + u16::from(high), 53, b"x")
}

fn config(url: &str, spool: &Path) -> String {
    let spool = spool.display();
    format!("[mirror]\nurl = '{url}'\nhost = 'test'\n[mirror.spool]\ndirectory = '{spool}'\n")
}

/// Rows written, whether the mirror is up, and waiting rows; checks the account against the packets.
#[track_caller]
fn scrape(exporter: &Exporter<'_>) -> (u64, bool, u64) {
    let text = exporter.scrape();
    let rows = |what: &str| sum(&text, &format!("nflog_exporter_mirror_{what}"));
    let (written, waiting) =
        (rows("written_rows_total"), rows("spooled_rows") + rows("queued_rows"));
    assert_eq!(rows("dropped_rows_total"), 0);
    assert_eq!(written + waiting, sum(&text, "nflog_exporter_received_packets_total"));
    let lag = samples(&text, "nflog_exporter_mirror_lag_seconds")[0].1;
    assert!((0.0..60.0).contains(&lag), "{lag}");
    (written, rows("up") == 1, waiting)
}

/// Sends numbered packets at [`RATE`] while `work` runs, and returns their number.
fn under_load(wire: &Wire, work: impl FnOnce()) -> u64 {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let began = Instant::now();
            wire.send((0..).map_while(|number| {
                let due = began + Duration::from_secs(1) * number / RATE;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                (!stop.load(Relaxed)).then(|| numbered(number))
            }))
        });
        let stop = StopOnDrop(&stop);
        work();
        drop(stop);
        load.join().unwrap()
    })
}

/// Ends the load, also if an assertion fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A removal, and a text that the log must contain afterwards.
struct Removal {
    /// Statements that print the numbers of the rows that they remove.
    sql: String,
    logged: &'static str,
}

fn removal(sql: impl Into<String>, logged: &'static str) -> Removal {
    Removal { sql: sql.into(), logged }
}

/// Removes one object after another while rows are delivered. Afterwards the table has each row once that
/// was not removed with an object.
fn check(database: &Database, removals: impl FnOnce() -> Vec<Removal>, kept: &str) {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let spool = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(&wire.host, &config(&database.url(), spool.path()), &[]);
    let mut removed = String::new();
    let goes_on = |what: &str| {
        let before = scrape(&exporter).0;
        let began = Instant::now();
        wait_for(what, || {
            let (written, up, _) = scrape(&exporter);
            (up && written >= before + MORE).then_some(())
        });
        began.elapsed()
    };
    let sent = under_load(&wire, || {
        goes_on("rows");
        let work = database.work();
        for Removal { sql, logged } in removals() {
            let lines = exporter.program.log().lines().count();
            removed += &database.query(&sql);
            removed.push('\n');
            eprintln!("{:?} {sql}", goes_on(&sql));
            // Without escaped quotes.
            let log = exporter.program.log().replace('\\', "");
            let new: Vec<_> = log.lines().skip(lines).collect();
            eprintln!("{}", new.join("\n"));
            assert!(new.len() < 20, "{new:?}");
            assert!(new.iter().any(|line| line.contains(logged)) || logged.is_empty(), "{logged}");
        }
        // At 2,000 rows per second, the delivery commits about five transactions per second.
        let (ended, connections) = database.work();
        let (ended, connections) = (ended - work.0, connections - work.1);
        eprintln!("{ended} transactions, {connections} connections");
        assert!(ended < 3_000, "{ended}");
        assert!(connections < 100, "{connections}");
    });
    wait_for("all rows", || {
        let (written, up, waiting) = scrape(&exporter);
        (wire.host.counter("logged") == sent && written == sent && up && waiting == 0).then_some(())
    });
    removed += &database.query(kept);
    let numbers: Vec<u64> = removed.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let distinct: BTreeSet<_> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "there are duplicate rows");
    let missing: Vec<_> = (0..sent).filter(|number| !distinct.contains(number)).collect();
    assert!(missing.is_empty(), "{} rows are missing: {:?}…", missing.len(), missing.first());
    assert_eq!(numbers.len() as u64, sent);
}

const REGISTERED: &str = "it was registered again";

#[test]
fn mariadb_keeps_the_rows_that_were_not_removed() {
    let database = Database::mariadb();
    let numbers = |table: &str| database.numbers_of(table);
    // The lock ensures that the selected rows are the removed rows.
    let locked = |select: &str, statement: &str| {
        format!("LOCK TABLES packets WRITE; {select} {statement}; UNLOCK TABLES")
    };
    let removals = || {
        let day = |days: i32| {
            database.query(&format!(
                "SELECT DATE_FORMAT(UTC_TIMESTAMP() + INTERVAL {days} DAY, 'p%Y%m%d')"
            ))
        };
        let (today, tomorrow) = (day(0), day(1));
        let later = [today.clone(), tomorrow, day(2), day(3)];
        let of = |part: &str| numbers(&format!("packets PARTITION ({part})"));
        let drop_parts = |parts: &str| {
            locked(&of(parts), &format!("ALTER TABLE packets DROP PARTITION {parts}"))
        };
        vec![
            removal("TRUNCATE TABLE nflog_writers", REGISTERED),
            removal("DELETE FROM nflog_writers", REGISTERED),
            removal("UPDATE nflog_writers SET delivered = 0", REGISTERED),
            removal("DROP TABLE nflog_writers", "nflog_writers' doesn't exist"),
            removal(locked(&numbers("packets"), "TRUNCATE TABLE packets"), ""),
            removal(
                locked(&of(&today), &format!("ALTER TABLE packets TRUNCATE PARTITION {today}")),
                "",
            ),
            removal(drop_parts(&today), ""),
            // Only yesterday's partition stays: no partition accepts the rows.
            removal(drop_parts(&format!("{}, pmax", later[1..].join(", "))), "no partition"),
            removal(drop_parts(&today), ""),
            removal(locked(&numbers("packets"), "DROP TABLE packets"), "packets' doesn't exist"),
        ]
    };
    check(&database, removals, &numbers("packets"));
    let partitions =
        "SELECT COUNT(*) FROM information_schema.PARTITIONS WHERE TABLE_NAME = 'packets'";
    assert_eq!(database.query(partitions), "6");
}

#[test]
fn postgres_keeps_the_rows_that_were_not_removed() {
    let database = Database::postgres();
    let numbers = |table: &str| database.numbers_of(table);
    let locked = |select: &str, statement: &str| {
        format!("BEGIN; LOCK TABLE packets IN ACCESS EXCLUSIVE MODE; {select} {statement}; COMMIT")
    };
    let day = database.query("SELECT to_char(now() AT TIME ZONE 'UTC', '\"packets_p\"YYYYMMDD')");
    let removals = || {
        vec![
            removal("TRUNCATE TABLE nflog_writers", REGISTERED),
            removal("DELETE FROM nflog_writers", REGISTERED),
            removal("UPDATE nflog_writers SET delivered = 0", REGISTERED),
            removal("DROP TABLE nflog_writers", "\"nflog_writers\" does not exist"),
            removal(locked(&numbers("packets"), "TRUNCATE TABLE packets"), ""),
            removal(locked(&numbers(&day), &format!("TRUNCATE TABLE {day}")), ""),
            removal(format!("ALTER TABLE packets DETACH PARTITION {day}"), ""),
            // The detached table has the name of the new day's partition.
            removal(
                locked(&numbers("packets_default"), "DROP TABLE packets_default"),
                "is not a partition of packets (was it detached?): rename it",
            ),
            removal(format!("ALTER TABLE {day} RENAME TO kept"), ""),
            // Now the day's partition is created again, and receives the rows of the default partition.
            removal(
                locked(&numbers("packets_default"), "DROP TABLE packets_default"),
                "no partition",
            ),
            removal(locked(&numbers(&day), &format!("DROP TABLE {day}")), ""),
            removal(
                locked(&numbers("packets"), "DROP TABLE packets CASCADE"),
                "\"packets\" does not exist",
            ),
        ]
    };
    check(&database, removals, &(numbers("packets") + &numbers("kept")));
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'packets'::regclass";
    assert_eq!(database.query(partitions), "6");
}
