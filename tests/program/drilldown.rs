//! The drill-down of the page over HTTP, with rows in SQLite: answers, permissions, limits on clients, and the settings that
//! turn it off.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{SystemTime, UNIX_EPOCH},
};

use nflog_exporter::mirror::{
    Target,
    row::Row,
    store::{Batch, Sqlite, Store as _, Writer},
};
use serde_json::Value;

use crate::{
    log_files::{Exporter, Logs},
    support::{
        program::{PATIENCE, samples, sum, wait_for},
        sample_rows::tcp,
    },
};

/// Number of rows: three pages.
const ROWS: u64 = 250;

const SOURCES: u64 = 120;

/// A text that a spreadsheet would run.
const FORMULA: &str = "=HYPERLINK(\"http://x\",\"y\")";

/// A response: status, head and body.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line.eq_ignore_ascii_case(header))
    }
}

/// Sends a request; `lines` are further headers, each with its end.
fn send(address: SocketAddr, method: &str, path: &str, lines: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n").unwrap();
    stream
}

fn receive(mut stream: TcpStream) -> Reply {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

fn ask(address: SocketAddr, path: &str, lines: &str) -> Reply {
    receive(send(address, "GET", path, lines))
}

fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, path, "Host: 127.0.0.1\r\n")
}

fn row(n: u64, now: u64) -> Row {
    let low = u8::try_from(n % SOURCES).unwrap();
    Row {
        source: Some([203, 0, 113, low].into()),
        destination_port: Some(if n == 7 { 4999 } else { 22 }),
        prefix: if n.is_multiple_of(2) { "drop".into() } else { FORMULA.into() },
        country: "NL".into(),
        asn: Some(if low == 0 { 64_496 } else { 3 }),
        ..tcp(now - 1_000_000 * (n + 1))
    }
}

/// Writes rows of the last minutes; returns the URL of the file.
fn fill(logs: &Logs) -> String {
    let url = format!("sqlite:{}", logs.path("rows.db").display());
    let target: Target = url.parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let rows: Vec<_> = (0..ROWS).map(|n| row(n, now.try_into().unwrap())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut store = Sqlite::connect(&target).await.unwrap();
        store.prepare().await.unwrap();
        let writer = Writer { id: [7; 16], host: "gate".to_owned() };
        store.position(&writer, 0).await.unwrap();
        store.write(&writer, Batch { from: 0, to: ROWS, rows: &rows }).await.unwrap();
    });
    crate::support::program::open_to_all(&logs.path("rows.db"));
    url
}

/// A configuration with a mirror.
fn config(logs: &Logs, url: &str, mirror: &str) -> String {
    let spool = logs.path("state/spool");
    logs.config(
        "*.log",
        &format!(
            "[geoip]\ndatabases = ['{}/tests/data/geoip/GeoLite2-ASN-Test.mmdb']\n\
             [mirror]\nurl = '{url}'\nhost = 'gate'\n{mirror}\nspool.directory = '{}'\n",
            env!("CARGO_MANIFEST_DIR"),
            spool.display()
        ),
    )
}

fn start(logs: &Logs, web: &str, mirror: &str) -> Exporter {
    let config = config(logs, &fill(logs), mirror);
    Exporter::start(logs, &config.replacen("[web]\n", &format!("[web]\n{web}\n"), 1))
}

fn texts(rows: &Value, column: &str) -> Vec<String> {
    let text = |row: &Value| row[column].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn pages_and_csv_have_every_row_once() {
    let logs = Logs::new();
    let exporter = start(&logs, "", "");
    let address = exporter.address;
    let first = get(address, "/sources.json?range=1h&port=22").json();
    let row = &first["sources"][0];
    assert_eq!((&first["host"], &row["packets"]), (&"gate".into(), &3.into()), "{row}");
    assert_eq!((&row["ports"], &row["country"]), (&1.into(), &"NL".into()));
    // 64496 has no name in the database.
    assert_eq!((&row["asn"], &row["as_name"]), (&64_496.into(), &Value::Null));
    assert_eq!(first["sources"][1]["as_name"], "Massachusetts Institute of Technology");
    let second =
        format!("/sources.json?range=1h&port=22&after={}", first["next"].as_str().unwrap());
    let second = get(address, &second).json();
    assert_eq!(second["next"], Value::Null);
    let mut addresses = texts(&first["sources"], "address");
    addresses.extend(texts(&second["sources"], "address"));
    let distinct: BTreeSet<_> = addresses.iter().collect();
    assert_eq!((addresses.len(), distinct.len()), (120, 120));

    let (mut times, mut after) = (Vec::new(), String::new());
    for page in [100, 100, 50] {
        let answer = get(address, &format!("/packets.json?range=1h{after}")).json();
        assert_eq!(answer["packets"].as_array().unwrap().len(), page);
        times.extend(texts(&answer["packets"], "time"));
        after = answer["next"].as_str().map_or(String::new(), |next| format!("&after={next}"));
    }
    assert_eq!(after, "");
    assert!(times.is_sorted_by(|a, b| a > b));

    let csv = get(address, "/packets.csv?range=1h");
    assert!(csv.has("content-disposition: attachment; filename=\"packets.csv\""), "{}", csv.head);
    assert!(csv.has("content-type: text/csv; charset=utf-8; header=present"));
    let lines: Vec<_> = csv.body.split_terminator("\r\n").collect();
    assert_eq!(lines.len() as u64, ROWS + 1);
    assert!(lines[0].starts_with("time,host,prefix,"), "{}", lines[0]);
    assert!(
        lines[2].contains(",gate,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",in,"),
        "{}",
        lines[2]
    );
    let one = get(address, "/packets.json?port=4999&range=1h").json();
    assert_eq!(texts(&one["packets"], "source"), ["203.0.113.7"]);
    assert_eq!(one["packets"][0]["protocol"], "tcp");
    let none = get(address, "/packets.json?port=4999&range=1h&host=other").json();
    assert_eq!(none["packets"], Value::Array(Vec::new()));
    let sources = get(address, "/sources.csv?range=1h").body;
    assert_eq!(sources.lines().count(), 121);
}

#[test]
fn requests_are_checked_and_queries_counted() {
    let logs = Logs::new();
    let exporter = start(&logs, "", "");
    let address = exporter.address;
    for (path, reason) in [
        ("/packets.json?x=1", "unknown parameter \"x\": expected country, port,"),
        ("/sources.json?port=other", "invalid value \"other\" for port: expected a port or none"),
        ("/packets.csv?after=1-1-1-", "unknown parameter \"after\""),
    ] {
        let reply = get(address, path);
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.body.starts_with(reason), "{}", reply.body);
    }
    let head = receive(send(address, "HEAD", "/packets.json", "Host: [::1]:1\r\n"));
    assert_eq!((head.status, &*head.body), (200, ""));
    assert!(head.has("cache-control: no-store") && head.has("x-content-type-options: nosniff"));
    let post = receive(send(address, "POST", "/packets.json", "Host: localhost\r\n"));
    assert_eq!(post.status, 405);
    fs::write(logs.path("rows.db"), vec![b'x'; 1 << 20]).unwrap();
    let failed = get(address, "/packets.json");
    assert_eq!(failed.status, 502, "{}", failed.body);
    assert!(
        failed.body.starts_with("the mirror's database cannot be read: SQLite "),
        "{}",
        failed.body
    );
    let counts = samples(&exporter.scrape(), "nflog_exporter_drilldown_queries_total");
    assert_eq!(counts.len(), 4);
    let count = |result: &str| {
        let of_result = |(labels, _): &&(BTreeMap<String, String>, f64)| labels["result"] == result;
        counts.iter().find(of_result).unwrap().1
    };
    assert!(count("answered") >= 1.0 && count("failed") >= 1.0);
}

#[test]
fn without_a_password_only_local_clients_read_rows() {
    let logs = Logs::new();
    let exporter = start(&logs, "", "");
    let address = exporter.address;
    let check = |lines: &str, reason: &str| {
        for path in ["/sources.json", "/packets.json", "/sources.csv", "/packets.csv"] {
            let reply = ask(address, path, lines);
            assert_eq!(reply.status, if reason.is_empty() { 200 } else { 403 }, "{lines}");
            assert!(reason.is_empty() || reply.body.contains(reason), "{lines}: {}", reply.body);
        }
        let state = &ask(address, "/overview.json", lines).json()["drilldown"];
        assert_eq!(state["available"], reason.is_empty(), "{lines}");
        assert!(reason.is_empty() || state["reason"].as_str().unwrap().contains(reason));
    };
    check("Host: 127.0.0.1:10239\r\n", "");
    check("Host: localhost\r\nSec-Fetch-Site: same-origin\r\n", "");
    check("Host: rebound.example:10239\r\n", "DNS rebinding");
    check("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", "another site");
    check("Host: localhost\r\nOrigin: http://evil.example\r\n", "another site");
    check("Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n", "a proxy forwarded");
    check("Host: localhost\r\nForwarded: for=192.0.2.1\r\n", "a proxy forwarded");
}

#[test]
fn other_listeners_need_a_password() {
    let any = |config: &str| config.replace("'127.0.0.1:0'", "'0.0.0.0:0'");
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &any(&config(&logs, &fill(&logs), "")));
    let local = SocketAddr::from(([127, 0, 0, 1], exporter.address.port()));
    let reply = get(local, "/packets.json");
    assert_eq!(reply.status, 403, "{}", reply.body);
    assert!(reply.body.contains("not on loopback") && reply.body.contains("basic_auth_users"));
    drop(exporter);

    let logs = Logs::new();
    // The password is `secret`.
    let hash = bcrypt::hash("secret", 4).unwrap();
    fs::write(logs.path("web.yml"), format!("basic_auth_users:\n  alice: {hash}\n")).unwrap();
    let web = format!("[web]\nconfig_file = '{}'\n", logs.path("web.yml").display());
    let config = any(&config(&logs, &fill(&logs), "")).replacen("[web]\n", &web, 1);
    let exporter = Exporter::start(&logs, &config);
    let local = SocketAddr::from(([127, 0, 0, 1], exporter.address.port()));
    let login = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    assert_eq!(get(local, "/packets.json").status, 401);
    for (lines, status) in [
        ("Host: gate.example\r\n", 200),
        ("Host: gate.example\r\nX-Forwarded-For: 192.0.2.1\r\n", 200),
        ("Host: gate.example\r\nSec-Fetch-Site: cross-site\r\n", 403),
    ] {
        let reply = ask(local, "/packets.json", &format!("{lines}{login}"));
        assert_eq!(reply.status, status, "{lines}{}", reply.body);
    }
}

#[test]
fn the_configuration_turns_it_off() {
    let logs = Logs::new();
    let exporter = start(&logs, "drilldown = false", "");
    let reply = get(exporter.address, "/packets.json");
    assert_eq!((reply.status, &*reply.body), (403, "web.drilldown is false\n"));
    let overview = get(exporter.address, "/overview.json").json();
    assert_eq!(overview["drilldown"]["enabled"], false);
    assert_eq!(overview["drilldown"]["reason"], "web.drilldown is false");
    drop(exporter);
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &logs.config("*.log", ""));
    let reply = get(exporter.address, "/sources.csv");
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("mirror.url is not set"), "{}", reply.body);
    assert!(samples(&exporter.scrape(), "nflog_exporter_drilldown_queries_total").is_empty());
}

/// The page shows true networks, so a filter by one of them would tell which encrypted network it is.
#[test]
fn a_network_is_not_compared_with_encrypted_addresses() {
    let logs = Logs::new();
    fs::write(logs.path("key"), "0f".repeat(32)).unwrap();
    let key = logs.path("key");
    let mirror = format!("anonymize = 'cryptopan'\nanonymize_key_file = '{}'", key.display());
    let exporter = start(&logs, "", &mirror);
    let reply = get(exporter.address, "/sources.json?network=203.0.113.0/24");
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("mirror.anonymize encrypts"), "{}", reply.body);
    assert_eq!(get(exporter.address, "/sources.json?address=203.0.113.7").status, 200);
    let overview = get(exporter.address, "/overview.json").json();
    assert_eq!(overview["drilldown"]["anonymize"], "cryptopan");
}

fn has_response(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let has_response = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    has_response
}

/// A database that accepts connections and does not answer: two queries run, others are rejected, the end of a client ends its
/// query, and the time limit ends the others.
#[test]
fn queries_are_limited_in_number_and_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u@{}/d", silent.local_addr().unwrap());
    let logs = Logs::new();
    let exporter = Exporter::start(&logs, &config(&logs, &url, ""));
    let address = exporter.address;
    let host = "Host: 127.0.0.1\r\n";
    let query = || send(address, "GET", "/packets.json", host);
    let mut waiting: Vec<_> = (0..4).map(|_| query()).collect();
    for _ in 0..2 {
        let at = wait_for("a rejection", || waiting.iter().position(has_response));
        let rejected = receive(waiting.remove(at));
        assert_eq!((rejected.status, rejected.has("retry-after: 2")), (503, true));
    }
    // The other two run.
    assert!(!waiting.iter().any(has_response));
    drop(waiting);
    let cancelled = || {
        let all = samples(&exporter.scrape(), "nflog_exporter_drilldown_queries_total");
        let cancelled = all.into_iter().filter(|(labels, _)| labels["result"] == "cancelled");
        cancelled.map(|(_, count)| count).sum::<f64>()
    };
    wait_for("the end of both queries", || (cancelled() >= 2.0).then_some(()));
    let limited = receive(query());
    assert_eq!(limited.status, 504, "{}", limited.body);
    assert!(limited.body.contains("did not answer within 10 s"), "{}", limited.body);
    assert!(sum(&exporter.scrape(), "nflog_exporter_drilldown_queries_total") >= 3);
    drop(silent);
}
