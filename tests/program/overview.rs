//! The figures of the page: they are equal to the metrics, and filters add up.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::program::get_from;

/// See `tests/replay.rs`.
const MIXED: &str = "tests/data/captures/mixed.pcap";
const MIXED_PACKETS: u64 = 189;

const DEADLINE: Duration = Duration::from_secs(30);

/// A served capture, on a free port.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"))
            .args(["replay", "--serve", "--web.listen-address", "127.0.0.1:0", MIXED])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        // The first log line with an address is the one it listens on.
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the exporter ended");
            let address = line
                .split(|character: char| !(character.is_ascii_digit() || ".:".contains(character)))
                .find_map(|word| word.parse::<SocketAddr>().ok());
            if let Some(address) = address {
                break address;
            }
        };
        // Keeps reading the log, so that the pipe does not fill.
        std::thread::spawn(move || log.read_to_string(&mut String::new()));
        let served = Self { child, address };
        let start = Instant::now();
        while served.overview("")["received"] != MIXED_PACKETS {
            assert!(start.elapsed() < DEADLINE, "timeout while the capture is read");
            std::thread::sleep(Duration::from_millis(20));
        }
        served
    }

    fn get(&self, path: &str) -> (u16, String) {
        get_from(self.address, path).unwrap()
    }

    fn overview(&self, query: &str) -> Value {
        let (status, body) = self.get(&format!("/overview.json{query}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Packets of the traffic family by one of its labels.
    fn metrics_by(&self, label: &str) -> BTreeMap<String, u64> {
        // The first scrape shows zeros.
        self.get("/metrics");
        let start = Instant::now();
        loop {
            let (_, text) = self.get("/metrics");
            let pending = text
                .lines()
                .filter(|line| line.starts_with("nflog_exporter_pending_packets{"))
                .all(|line| line.ends_with(" 0"));
            if pending {
                return sums(&text, label);
            }
            assert!(start.elapsed() < DEADLINE, "packets stay pending");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sums(text: &str, label: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("nflog_packets_total{")) {
        let (labels, packets) = line.rsplit_once("} ").unwrap();
        let marker = format!("{label}=\"");
        let value = labels.split_once(&marker).map_or("none", |(_, rest)| {
            let end = rest.find("\",").unwrap_or(rest.len() - 1);
            &rest[..end]
        });
        *sums.entry(value.to_owned()).or_default() += packets.parse::<u64>().unwrap();
    }
    sums.retain(|_, packets| *packets > 0);
    sums
}

fn rows(list: &Value) -> BTreeMap<String, u64> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|row| (row["value"].as_str().unwrap().to_owned(), row["packets"].as_u64().unwrap()))
        .collect()
}

/// Packets of a list, with those of the rows it leaves out.
fn whole(list: &Value) -> u64 {
    rows(&list["rows"]).values().sum::<u64>() + list["more"]["packets"].as_u64().unwrap()
}

#[test]
fn the_figures_are_those_of_the_metrics() {
    let served = Served::start();
    let overview = served.overview("");
    assert_eq!(overview["total"]["packets"], MIXED_PACKETS);
    let timeline = overview["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 60);
    assert_eq!(timeline.iter().map(|it| it.as_u64().unwrap()).sum::<u64>(), MIXED_PACKETS);
    assert_eq!(overview["window"]["capture"], true);
    assert_eq!(rows(&overview["countries"]), served.metrics_by("country"));
    for list in ["ports", "prefixes", "protocols", "networks"] {
        assert_eq!(whole(&overview[list]), MIXED_PACKETS, "{list}");
    }
    for (list, label) in [("ports", "port"), ("protocols", "proto")] {
        let metrics = served.metrics_by(label);
        for (value, packets) in rows(&overview[list]["rows"]) {
            assert_eq!(metrics[&value], packets, "{label} {value}");
        }
    }
    assert_eq!(overview["databases"][0]["name"], "embedded");
    assert_eq!(overview["mirror"], Value::Null);
    assert_eq!(overview["health"], Value::Null);
}

#[test]
fn filters_on_all_values_add_up_to_all_packets() {
    let served = Served::start();
    let everything = served.overview("");
    for (parameter, list) in [("proto", "protocols"), ("prefix", "prefixes")] {
        let mut sum = 0;
        for (value, packets) in rows(&everything[list]["rows"]) {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let filtered = served.overview(&format!("?{parameter}={value}"));
            assert_eq!(filtered["total"]["packets"], packets, "{parameter}={value}");
            assert_eq!(
                whole(&filtered[list]),
                MIXED_PACKETS,
                "the filter does not apply to its own list"
            );
            assert_eq!(whole(&filtered["ports"]), packets);
            sum += packets;
        }
        let rest = everything[list]["more"]["packets"].as_u64().unwrap();
        assert_eq!(sum + rest, MIXED_PACKETS, "{parameter}");
    }
    let nothing = served.overview("?country=XX&port=22");
    assert_eq!(nothing["total"]["packets"], 0);
    assert_eq!(nothing["timeline"].as_array().unwrap().len(), 60);
    let (status, reason) = served.get("/overview.json?port=22&port=80");
    assert_eq!((status, reason.as_str()), (400, "duplicate parameter \"port\": give it once\n"));
}

/// A user without Prometheus fetches the metrics for the first time.
#[test]
fn the_first_fetch_of_the_metrics_explains_the_zeros() {
    let served = Served::start();
    let comment =
        format!("Not shown yet: {MIXED_PACKETS} packets (nflog_exporter_pending_packets)");
    let (_, first) = served.get("/metrics");
    let line = first.lines().next().unwrap();
    assert!(line.starts_with("# A new series of nflog_packets_total "), "{line}");
    assert!(
        line.contains(&comment) && line.ends_with("fetch this page again to see them."),
        "{line}"
    );
    assert!(sums(&first, "proto").is_empty(), "{first}");
    promtool_accepts(&first);
    let shown = served.metrics_by("proto");
    assert_eq!(shown.values().sum::<u64>(), MIXED_PACKETS);
    let (_, second) = served.get("/metrics");
    assert!(second.starts_with("# HELP "), "{second}");
}

fn promtool_accepts(text: &str) {
    let mut command = Command::new("promtool");
    let mut child = command.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
