//! The figures of the page: they are equal to the metrics, and filters add up.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::served;

/// See `tests/replay.rs`.
const MIXED: &str = "tests/data/captures/mixed.pcap";
const MIXED_PACKETS: u64 = 189;

const DEADLINE: Duration = Duration::from_secs(30);

/// A served capture, on a free port.
struct Served(served::Served);

impl Served {
    fn start() -> Self {
        Self::start_with(MIXED.as_ref(), MIXED_PACKETS)
    }

    fn start_with(capture: &Path, packets: u64) -> Self {
        let served = Self(served::Served::start([capture]));
        let start = Instant::now();
        while served.overview("")["received"] != packets {
            assert!(start.elapsed() < DEADLINE, "timeout while the capture is read");
            std::thread::sleep(Duration::from_millis(20));
        }
        served
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.0.get(path)
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
    let slices = overview["window"]["slices"].as_u64().unwrap();
    assert_eq!((timeline.len() as u64, slices), (slices, 2));
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
    assert_eq!(nothing["timeline"].as_array().unwrap().len(), 2);
    let (status, reason) = served.get("/overview.json?port=22&port=80");
    assert_eq!((status, reason.as_str()), (400, "duplicate parameter \"port\": give it once\n"));
}

/// Seconds of the flood, and packets in each of them from 5,000 sources.
const FLOOD_SECONDS: u32 = 10;
const FLOOD_RATE: u32 = 5_000;

/// Packets of a heavy network at the end of each second, every second one to port 8443.
const HEAVY_RATE: u32 = 52;
const HEAVY: [u8; 4] = [203, 0, 113, 7];
const HEAVY_NETWORK: &str = "203.0.113.0/24";

/// A pcap file of TCP segments without a link layer.
fn flood() -> Vec<u8> {
    let mut capture = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    // Time zone and accuracy, snapshot length 65535, link type raw IP.
    capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0]);
    let mut push = |second: u32, microsecond: u32, address: [u8; 4], port: u16| {
        capture.extend((1_700_000_000 + second).to_le_bytes());
        capture.extend(microsecond.to_le_bytes());
        capture.extend([40, 0, 0, 0, 40, 0, 0, 0]);
        capture.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        capture.extend(address);
        capture.extend([192, 0, 2, 1, 200, 1]);
        capture.extend(port.to_be_bytes());
        capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    };
    for second in 0..FLOOD_SECONDS {
        for number in 0..FLOOD_RATE {
            // Each source once a second, in another order each time.
            let source = (number * 1_237 + second * 17) % 5_000;
            let [_, _, high, low] = source.to_be_bytes();
            push(second, number * 180, [70 + low % 60, high, low, 1], 23);
        }
        for number in 0..HEAVY_RATE {
            let port =
                if number % 2 == 0 { 8_443 } else { u16::try_from(1_000 + 97 * number).unwrap() };
            push(second, 900_000 + number * 1_900, HEAVY, port);
        }
    }
    capture
}

/// The networks are led by the one that came late in each second, and `other` is last, with most of the packets.
#[test]
fn a_heavy_network_is_listed_in_a_flood() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), flood()).unwrap();
    let all = u64::from(FLOOD_SECONDS * (FLOOD_RATE + HEAVY_RATE));
    let heavy = u64::from(FLOOD_SECONDS * HEAVY_RATE);
    let served = Served::start_with(file.path(), all);
    let overview = served.overview("");
    assert_eq!(overview["total"]["packets"], all);
    for list in ["ports", "prefixes", "protocols", "networks"] {
        assert_eq!(whole(&overview[list]), all, "{list}");
    }
    let networks = overview["networks"]["rows"].as_array().unwrap();
    assert_eq!(networks[0]["value"], HEAVY_NETWORK);
    assert_eq!(networks[0]["packets"], heavy);
    let other = networks.last().unwrap();
    assert_eq!(other["value"], "other");
    assert!(other["packets"].as_u64().unwrap() > all / 3, "the flood does not fold: {other}");
    assert_eq!(networks.iter().filter(|row| row["value"] == "other").count(), 1);
    let timeline = other["timeline"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap());
    assert_eq!(timeline.sum::<u64>(), other["packets"].as_u64().unwrap());

    // Its row filters the rest.
    let filtered = served.overview(&format!("?network={}", HEAVY_NETWORK.replace('/', "%2F")));
    assert_eq!(filtered["total"]["packets"], heavy);
    assert_eq!(whole(&filtered["networks"]), all);
    let countries: u64 = rows(&filtered["countries"]).values().sum();
    assert_eq!((countries, whole(&filtered["ports"])), (heavy, heavy));
    let port = filtered["ports"]["rows"][0].clone();
    assert_eq!(port["value"], "8443");
    assert!(port["packets"].as_u64().unwrap() * 20 >= heavy * 9, "{port} of {heavy}");
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
