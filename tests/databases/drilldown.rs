//! The drill-down with each database: the same answers, computed here from the rows; time limit, cancellation and a user
//! that can only read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use nflog_exporter::{
    mirror::{
        Drilldown, DrilldownError, Target,
        row::{Row, RowContext},
        rows_query::{PACKET_COLUMNS, Question, RowCondition, RowPosition, SourceOrder, Subject},
        store::{Batch, ClickHouse, MySql, Postgres, Sqlite, Store, Writer},
        time_text::time_text,
    },
    packet::{Direction, protocol},
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    clickhouse::ClickHouseServer,
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    program::wait_for,
    sample_rows::{NOON, tcp},
};

/// More rows than are searched for packets by time.
const ROWS: u64 = 25_000;

/// Fewer rows than a long period has, and more than a short one.
const FEW: u32 = 20_000;

/// Time between two rows, microseconds. Three rows have the same time.
const STEP: u64 = 1_000_000;

/// The host of the exporter; a few rows have another one.
const HOST: &str = "gate";

const COUNTRIES: [&str; 4] = ["CN", "US", "NL", "private"];

fn source(n: u64) -> IpAddr {
    let low = u8::try_from(n % 251).unwrap();
    if n.is_multiple_of(7) {
        Ipv6Addr::new(0x2001, 0xdb8, u16::from(low) % 3, 0, 0, 0, 0, 1).into()
    } else {
        Ipv4Addr::new(203, 0, 113 + low % 2, low).into()
    }
}

fn row(n: u64) -> Row {
    // Sources with many and with few packets. A source has one place.
    let kind = if n.is_multiple_of(3) { n % 11 } else { (n * n) % 251 };
    let place = match source(kind) {
        IpAddr::V4(address) => u16::from(address.octets()[3]),
        IpAddr::V6(address) => 300 + address.segments()[2],
    };
    let proto = match n % 5 {
        0 => Some(17),
        1 => Some(1),
        _ => Some(6),
    };
    let has_ports = proto != Some(1);
    let port = [22, 23, 80, 443][usize::try_from(n % 4).unwrap()];
    let port = if n == 77 { 4999 } else { port };
    Row {
        prefix: if n.is_multiple_of(2) { "drop".into() } else { "a'\\\"%_ b,=".into() },
        direction: Some(Direction::In),
        ip_version: Some(if source(kind).is_ipv4() { 4 } else { 6 }),
        source: Some(source(kind)).filter(|_| n % 1_000 != 999),
        protocol: proto,
        source_port: has_ports.then_some(40_000),
        destination_port: has_ports.then_some(port),
        country: COUNTRIES[usize::from(place) % 4].into(),
        city: format!("City {place}").into(),
        asn: (place.is_multiple_of(2)).then(|| 64_496 + u32::from(place)),
        weight: if n.is_multiple_of(10) { 5 } else { 1 },
        context: RowContext {
            host: if n.is_multiple_of(50) { "other".into() } else { "".into() },
            ..RowContext::default()
        },
        ..tcp(NOON + n / 3 * STEP)
    }
}

fn rows() -> Vec<Row> {
    (0..ROWS).map(row).collect()
}

fn fill<S: Store>(target: &Target) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut store = S::connect(target).await.unwrap();
        store.prepare().await.unwrap();
        let writer = Writer { id: [7; 16], host: HOST.to_owned() };
        store.position(&writer, 0).await.unwrap();
        let mut from = 0;
        for rows in rows().chunks(5_000) {
            let to = from + rows.len() as u64;
            store.write(&writer, Batch { from, to, rows }).await.unwrap();
            from = to;
        }
    });
}

fn meets(row: &Row, condition: &RowCondition) -> bool {
    match condition {
        RowCondition::Host(host) => row.host(HOST) == host,
        RowCondition::Country(country) => row.country == *country,
        RowCondition::Prefix(prefix) => row.prefix == *prefix,
        RowCondition::Protocol(protocol) => row.protocol == *protocol,
        RowCondition::Port(port) => row.destination_port == *port,
        RowCondition::Source(None) => row.source.is_none(),
        RowCondition::Source(Some(range)) => row.source.is_some_and(|source| {
            source.is_ipv4() == range.start().is_ipv4() && range.contains(&source)
        }),
    }
}

fn matching<'r>(rows: &'r [Row], question: &Question) -> Vec<&'r Row> {
    let is_wanted = |row: &&Row| {
        question.period.contains(&row.time)
            && question.conditions.iter().all(|condition| meets(row, condition))
    };
    rows.iter().filter(is_wanted).collect()
}

/// A line for each source in an order: the columns of an answer.
fn expected_sources(rows: &[Row], question: &Question, order: &str) -> Vec<String> {
    let mut sources: BTreeMap<IpAddr, Vec<&Row>> = BTreeMap::new();
    for row in matching(rows, question) {
        if let Some(source) = row.source {
            sources.entry(source).or_default().push(row);
        }
    }
    let mut lines: Vec<_> = sources
        .into_iter()
        .map(|(source, rows)| {
            let packets: u32 = rows.iter().map(|row| row.weight).sum();
            let ports: BTreeSet<_> = rows.iter().filter_map(|row| row.destination_port).collect();
            let time = |row: Option<&&Row>| time_text(row.unwrap().time);
            let first = rows[0];
            let line = format!(
                "{source} {packets} {} {} {} {} {} {}",
                ports.len(),
                time(rows.first()),
                time(rows.last()),
                first.country,
                first.city,
                first.asn.map_or(String::new(), |asn| asn.to_string()),
            );
            let (first, last) = (rows[0].time, rows[rows.len() - 1].time);
            let key = match order.trim_start_matches('-') {
                "packets" => u64::from(packets),
                "ports" => ports.len() as u64,
                "first_seen" => first,
                "last_seen" => last,
                // Those are already in the order of their addresses.
                _ => 0,
            };
            (key, line)
        })
        .collect();
    // Stable: equal ones stay in the order of their addresses.
    match order {
        "-address" => lines.reverse(),
        order if order.starts_with('-') => lines.sort_by_key(|(key, _)| std::cmp::Reverse(*key)),
        _ => lines.sort_by_key(|(key, _)| *key),
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The columns of an answer that identify a packet, and others of each kind.
const COMPARED: [&str; 9] = [
    "time",
    "host",
    "prefix",
    "source",
    "destination",
    "destination_port",
    "protocol",
    "country",
    "weight",
];

fn packet_line(row: &Row) -> String {
    let text = |value: Option<String>| value.unwrap_or_default();
    [
        time_text(row.time),
        row.host(HOST).to_owned(),
        row.prefix.to_string(),
        text(row.source.map(|it| it.to_string())),
        text(row.destination.map(|it| it.to_string())),
        text(row.destination_port.map(|it| it.to_string())),
        text(row.protocol.map(|it| protocol::name(it).into_owned())),
        row.country.to_string(),
        row.weight.to_string(),
    ]
    .join(" ")
}

/// The packets of an answer. Rows are numbered in the order of their times.
fn expected_packets(rows: &[Row], question: &Question) -> Vec<String> {
    matching(rows, question).into_iter().rev().map(packet_line).collect()
}

type Cells = (Vec<Option<String>>, Option<RowPosition>);

fn answer(drilldown: &Drilldown, question: &Question) -> Result<Vec<Cells>, DrilldownError> {
    let mut cells = Vec::new();
    drilldown.answer(question, CancellationToken::new(), &mut |row| cells.push(row))?;
    Ok(cells)
}

fn line(cells: &[Option<String>]) -> String {
    let texts: Vec<_> = cells.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect();
    texts.join(" ")
}

fn compared(cells: &[Option<String>]) -> String {
    let place = |name: &&str| PACKET_COLUMNS.iter().position(|it| it.name == *name).unwrap();
    let cells: Vec<_> = COMPARED.iter().map(|name| cells[place(name)].clone()).collect();
    line(&cells)
}

/// All pages of an answer about sources.
fn all_sources(drilldown: &Drilldown, question: &Question, order: &str) -> Vec<String> {
    let order = SourceOrder::from_name(order).unwrap();
    let mut lines = Vec::new();
    loop {
        let subject = Subject::Sources { order, skip: u32::try_from(lines.len()).unwrap() };
        let page = answer(drilldown, &Question { subject, ..question.clone() }).unwrap();
        lines.extend(page.iter().map(|(cells, _)| line(cells)));
        if page.len() < question.limit as usize {
            return lines;
        }
    }
}

/// All pages of an answer about packets.
fn all_packets(drilldown: &Drilldown, question: &Question) -> Vec<String> {
    let (mut lines, mut before) = (Vec::new(), None);
    loop {
        let subject = Subject::Packets { before };
        let mut page = answer(drilldown, &Question { subject, ..question.clone() }).unwrap();
        lines.extend(page.iter().map(|(cells, _)| compared(cells)));
        if page.len() < question.limit as usize {
            return lines;
        }
        before = page.pop().unwrap().1;
        assert!(before.is_some());
    }
}

/// Conditions of questions; each is asked about this host and all hosts, a long and a short period.
fn conditions() -> Vec<Vec<RowCondition>> {
    let address = source(5);
    let v4 = |text: &str| text.parse::<IpAddr>().unwrap();
    vec![
        vec![],
        vec![RowCondition::Country("NL".into())],
        vec![RowCondition::Country("DE".into())],
        vec![RowCondition::Port(Some(4999))],
        vec![RowCondition::Port(None)],
        vec![RowCondition::Prefix("a'\\\"%_ b,=".into()), RowCondition::Port(Some(22))],
        vec![RowCondition::Prefix("' OR 1 = 1 --".into())],
        vec![RowCondition::Protocol(Some(17)), RowCondition::Country("CN".into())],
        vec![RowCondition::Protocol(None)],
        vec![RowCondition::Source(Some(address..=address))],
        vec![RowCondition::Source(Some(v4("203.0.114.0")..=v4("203.0.114.255")))],
        vec![RowCondition::Source(Some(
            v4("2001:db8:1::")..=v4("2001:db8:1:ffff:ffff:ffff:ffff:ffff"),
        ))],
        vec![RowCondition::Source(None)],
    ]
}

/// Compares line by line: a difference of thousands of lines would not be readable.
#[track_caller]
fn assert_same(lines: &[String], expected: &[String], question: &Question) {
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(line, expected, "{question:?}");
    }
    assert_eq!(lines.len(), expected.len(), "{question:?}");
}

/// Compares all answers with the rows.
fn compare(drilldown: &Drilldown) {
    let rows = rows();
    let end = NOON + ROWS * STEP;
    let periods = [NOON..=end, NOON + 100 * STEP..=NOON + 1_000 * STEP];
    for conditions in conditions() {
        for period in &periods {
            for host in [Some(RowCondition::Host(HOST.into())), None] {
                let conditions = conditions.iter().cloned().chain(host).collect();
                let subject = Subject::Packets { before: None };
                let mut question =
                    Question { period: period.clone(), conditions, subject, limit: 50 };
                let expected = expected_sources(&rows, &question, "-packets");
                let sources = all_sources(drilldown, &question, "-packets");
                assert_same(&sources, &expected, &question);
                let expected = expected_packets(&rows, &question);
                // Pages of a size that is not that of a group of equal times.
                question.limit = if expected.len() > 3_000 { 1_999 } else { 97 };
                assert_same(&all_packets(drilldown, &question), &expected, &question);
            }
        }
    }
    // Every order, on pages whose ends are among equal sources.
    for order in SourceOrder::all().map(SourceOrder::name) {
        for conditions in [vec![], vec![RowCondition::Country("CN".into())]] {
            let subject = Subject::Packets { before: None };
            let question = Question { period: NOON..=end, conditions, subject, limit: 7 };
            let expected = expected_sources(&rows, &question, &order);
            assert!(expected.len() > 14, "{expected:?}");
            assert_same(&all_sources(drilldown, &question, &order), &expected, &question);
        }
    }
    // As many as CSV has.
    let question = Question {
        period: NOON..=end,
        conditions: vec![RowCondition::Port(Some(80))],
        subject: Subject::Packets { before: None },
        limit: 50_000,
    };
    assert_same(&all_packets(drilldown, &question), &expected_packets(&rows, &question), &question);
}

fn drilldown(target: &Target) -> Drilldown {
    Drilldown::new(target.clone().into(), HOST.into()).with_few_rows(FEW)
}

fn of_url(url: &str) -> Drilldown {
    drilldown(&url.parse().unwrap())
}

fn everything() -> Question {
    Question {
        period: NOON..=NOON + ROWS * STEP,
        conditions: vec![],
        subject: Subject::Packets { before: None },
        limit: 50_000,
    }
}

/// The first row cancels the query: its call ends, and few rows come after it.
fn cancels(drilldown: &Drilldown) {
    let (cancelled, mut rows) = (CancellationToken::new(), 0);
    let cancel = cancelled.clone();
    let answered = drilldown.answer(&everything(), cancelled, &mut |_| {
        cancel.cancel();
        rows += 1;
    });
    assert!(matches!(answered, Err(DrilldownError::Cancelled)), "{answered:?}");
    assert!((1..ROWS).contains(&rows), "{rows}");
}

/// While a lock blocks the table, a query ends with its time limit or with its client, also on the server.
fn ends_when_blocked(drilldown: &Drilldown, running: impl Fn() -> String) {
    assert_eq!(running(), "0");
    let limited = drilldown.clone().with_limit(Duration::from_secs(1));
    let answered = answer(&limited, &everything());
    assert!(matches!(answered, Err(DrilldownError::TimeLimit)), "{answered:?}");
    wait_for("no query on the server", || (running() == "0").then_some(()));
    let cancelled = CancellationToken::new();
    std::thread::scope(|scope| {
        let blocked =
            scope.spawn(|| drilldown.answer(&everything(), cancelled.clone(), &mut |_| ()));
        wait_for("the query on the server", || (running() == "1").then_some(()));
        cancelled.cancel();
        let answered = blocked.join().unwrap();
        assert!(matches!(answered, Err(DrilldownError::Cancelled)), "{answered:?}");
    });
    wait_for("no query on the server", || (running() == "0").then_some(()));
}

#[test]
fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packets.db");
    let url = format!("sqlite:{}", path.display());
    let target: Target = url.parse().unwrap();
    fill::<Sqlite>(&target);
    let drilldown = drilldown(&target);
    compare(&drilldown);
    cancels(&drilldown);
    // The limit ends while rows arrive: each is taken slowly.
    let limited = drilldown.with_limit(Duration::from_secs(5));
    let (started, mut rows) = (Instant::now(), 0);
    let answered = limited.answer(&everything(), CancellationToken::new(), &mut |_| {
        rows += 1;
        if rows == 1 {
            wait_for("the limit", || (started.elapsed() > Duration::from_secs(5)).then_some(()));
        }
    });
    assert!(matches!(answered, Err(DrilldownError::TimeLimit)), "{answered:?}");
    assert!((1..ROWS).contains(&rows), "{rows}");
    let missing = of_url(&format!("{url}.missing"));
    let error = answer(&missing, &everything()).unwrap_err().to_string();
    assert!(error.contains("there is no such file"), "{error}");
    assert!(!directory.path().join("packets.db.missing").exists());
}

#[test]
fn mariadb() {
    let server = MariaDb::shared();
    let database = server.database();
    fill::<MySql>(&server.target(&database));
    let user = format!("{database}_r");
    server.load(
        &database,
        &format!("CREATE USER {user} IDENTIFIED BY 'secret'; GRANT SELECT ON {database}.packets TO {user}"),
    );
    let drilldown = of_url(&server.url(&user, "secret", &database));
    compare(&drilldown);
    cancels(&drilldown);
    // A table lock of another session, which ends with this client.
    let lock = "LOCK TABLES packets WRITE; DO SLEEP(120)";
    std::thread::scope(|scope| {
        let sleeping =
            "SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%' AND db = ";
        let sleeping = format!("{sleeping}'{database}'");
        let locking = scope.spawn(|| server.try_load(&database, lock));
        let id = wait_for("the lock", || {
            Some(server.query(&database, &sleeping)).filter(|id| !id.is_empty())
        });
        let running = format!(
            "SELECT count(*) FROM information_schema.processlist WHERE user = '{user}' AND info LIKE '%packets%'"
        );
        ends_when_blocked(&drilldown, || server.query(&database, &running));
        server.load(&database, &format!("KILL {id}"));
        assert!(locking.join().unwrap().is_err());
    });
    server.load(&database, &format!("DROP USER {user}"));
    let error = answer(&drilldown, &everything()).unwrap_err().to_string();
    assert!(
        error.contains("cannot be read") && error.contains("check user and password"),
        "{error}"
    );
}

#[test]
fn postgresql() {
    let server = PostgresServer::shared();
    let database = server.database();
    fill::<Postgres>(&server.target(&database));
    let user = format!("{database}_r");
    server.psql(
        &database,
        &format!("CREATE USER {user} PASSWORD 'secret'; GRANT SELECT ON packets TO {user}"),
    );
    let drilldown = of_url(&server.url(&user, "secret", &database));
    compare(&drilldown);
    cancels(&drilldown);
    let lock = "BEGIN; LOCK TABLE packets IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120)";
    std::thread::scope(|scope| {
        let locking = scope.spawn(|| server.try_psql(&database, lock));
        let sleeping = format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = 'PgSleep'"
        );
        let pid = wait_for("the lock", || {
            Some(server.psql(&database, &sleeping)).filter(|pid| !pid.is_empty())
        });
        let running = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}' AND state = 'active'"
        );
        ends_when_blocked(&drilldown, || server.psql(&database, &running));
        server.psql(&database, &format!("SELECT pg_terminate_backend({pid})"));
        assert!(locking.join().unwrap().is_err());
    });
    server.psql(&database, &format!("DROP OWNED BY {user}; DROP USER {user}"));
    let error = answer(&drilldown, &everything()).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn clickhouse() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    fill::<ClickHouse>(&server.target(&database));
    let drilldown = drilldown(&server.target(&database));
    compare(&drilldown);
    cancels(&drilldown);
    let limited = drilldown.with_limit(Duration::ZERO);
    let answered = answer(&limited, &everything());
    assert!(matches!(answered, Err(DrilldownError::TimeLimit)), "{answered:?}");
}

/// The first server that can be connected to answers; without one, the reasons are listed.
#[test]
fn further_servers_answer() {
    let server = MariaDb::shared();
    let database = server.database();
    fill::<MySql>(&server.target(&database));
    let user = format!("{database}_r");
    server.load(
        &database,
        &format!("CREATE USER {user} IDENTIFIED BY 'secret'; GRANT SELECT ON {database}.packets TO {user}"),
    );
    let servers = |ports: &str| {
        let url = format!("mysql://{user}:secret@{ports}/{database}");
        Drilldown::new(url.parse().unwrap(), HOST.into())
    };
    let question = Question { limit: 1, ..everything() };
    let drilldown = servers(&format!("127.0.0.1:1,127.0.0.1:{}", server.port()));
    assert_eq!(answer(&drilldown, &question).unwrap().len(), 1);
    let error = answer(&servers("127.0.0.1:1,127.0.0.1:2"), &question).unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1/") && error.contains("127.0.0.1:2/"), "{error}");
    server.load(&database, &format!("DROP USER {user}"));
}
