//! Markers of a capture, with a city database.
use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::program::{EXPORTER, get_from, wait_for};

const CITIES: &str = "tests/data/geoip/GeoIP2-City-Test.mmdb";
const LONDON: [u8; 4] = [81, 2, 69, 142];
const LINKOEPING: [u8; 4] = [89, 160, 20, 112];
const PRIVATE: [u8; 4] = [10, 0, 0, 1];

/// A prefix with characters that XML, JSON and queries escape.
const PREFIX: &str = "<script>\"&'\n=+%";
/// The displayed prefix, escaped for a query.
const SHOWN_PREFIX: &str = "%3Cscript%3E%22%26%27%EF%BF%BD%3D%2B%25";

/// An exporter that serves a capture.
struct Replay {
    child: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Replay {
    /// Each packet is a minute after the previous one. Returns when all packets are read.
    fn start(packets: &[([u8; 4], u16)], database: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("packets.pcap");
        fs::write(&file, capture(packets)).unwrap();
        let log = directory.path().join("log");
        let mut command = Command::new(EXPORTER);
        command.args(["--web.listen-address", "127.0.0.1:0", "--log.format", "json"]);
        if let Some(database) = database {
            command.arg("--geoip.database").arg(database);
        }
        let child = command
            .args(["replay", "--serve", "--prefix", PREFIX])
            .arg(&file)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut replay = Self { child, address: String::new(), _directory: directory };
        replay.address = wait_for("the address that is served", || {
            let log = fs::read_to_string(&log).unwrap();
            let (_, rest) = log.split_once("http://")?;
            Some(rest.split_once('/')?.0.to_owned())
        });
        wait_for("all packets", || {
            let page: Value = serde_json::from_str(&replay.get("/markers.geojson").1).unwrap();
            (page["held"] == packets.len()).then_some(())
        });
        replay
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, String) {
        get_from(self.address.parse().unwrap(), path).unwrap()
    }

    /// The content of both formats, which must be the same: country, degrees east, degrees north and city of
    /// each marker, and the number of packets left out.
    fn markers(&self, query: &str) -> (Vec<(String, f64, f64, String)>, u64) {
        let (status, xml) = self.get(&format!("/markers.xml{query}"));
        assert_eq!(status, 200, "{xml}");
        for address in [LONDON, LINKOEPING, PRIVATE] {
            assert!(!xml.contains(&std::net::Ipv4Addr::from(address).to_string()), "{xml}");
        }
        let document = roxmltree::Document::parse(&xml).unwrap();
        let root = document.root_element();
        let markers: Vec<_> = root
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|node| {
                assert!(node.children().next().is_none(), "{xml}");
                let text = |name| node.attribute(name).unwrap_or_default();
                let degrees = |name| text(name).parse().unwrap();
                (text("country_code").into(), degrees("lng"), degrees("lat"), text("city").into())
            })
            .collect();
        let left_out: u64 = root.attribute("left_out").unwrap().parse().unwrap();
        assert_eq!(root.attribute("entries"), Some(&*markers.len().to_string()));

        let (status, geojson) = self.get(&format!("/markers.geojson{query}"));
        assert_eq!(status, 200, "{geojson}");
        let page: Value = serde_json::from_str(&geojson).unwrap();
        let features: Vec<_> = page["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|feature| {
                let properties = &feature["properties"];
                let text = |name: &str| properties[name].as_str().unwrap_or_default().to_owned();
                let coordinates = &feature["geometry"]["coordinates"];
                let degrees = |index: usize| coordinates[index].as_f64().unwrap();
                (text("country_code"), degrees(0), degrees(1), text("city"))
            })
            .collect();
        assert_eq!(features, markers);
        assert_eq!(
            (&page["entries"], &page["left_out"]),
            (&markers.len().into(), &left_out.into())
        );
        (markers, left_out)
    }

    #[track_caller]
    fn check(&self, query: &str, cities: &[&str], left_out: u64) {
        let (markers, left) = self.markers(query);
        let found: Vec<_> = markers.iter().map(|(.., city)| &**city).collect();
        assert_eq!((found.as_slice(), left), (cities, left_out), "{query}");
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pcap file of TCP segments without a link layer.
fn capture(packets: &[([u8; 4], u16)]) -> Vec<u8> {
    let mut capture = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    // Time zone and accuracy, snapshot length 65535, link type raw IP.
    capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0]);
    for (number, (address, port)) in (0_u32..).zip(packets) {
        capture.extend((1_700_000_000 + 60 * number).to_le_bytes());
        capture.extend([0, 0, 0, 0, 40, 0, 0, 0, 40, 0, 0, 0]);
        capture.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        capture.extend(address);
        capture.extend([192, 0, 2, 1, 200, 1]);
        capture.extend(port.to_be_bytes());
        capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    }
    capture
}

const PACKETS: &[([u8; 4], u16)] = &[(LONDON, 22), (PRIVATE, 22), (LINKOEPING, 80), (LONDON, 80)];

#[test]
fn a_capture_has_markers() {
    let replay = Replay::start(PACKETS, Some(CITIES.as_ref()));
    let (markers, left_out) = replay.markers("");
    let london = ("GB".into(), -0.0931, 51.5142, "London".into());
    let linkoeping = ("SE".into(), 15.6167, 58.4167, "Linköping".into());
    assert_eq!((markers, left_out), (vec![london.clone(), linkoeping, london], 1));
    replay.check("?port=22", &["London"], 1);
    replay.check("?port=80&last=1", &["London"], 0);
    replay.check("?country=se", &["Linköping"], 0);
    replay.check("?country=private", &[], 1);
    // Relative to the newest packet, which is years old.
    replay.check("?since=1m", &["London", "Linköping"], 0);
    replay.check("?since=2m&country=GB", &["London"], 0);
    replay.check(&format!("?prefix={SHOWN_PREFIX}"), &["London", "Linköping", "London"], 1);
    replay.check("?prefix=", &[], 0);
    let (status, reason) = replay.get("/markers.xml?port=http");
    assert_eq!(
        (status, &*reason),
        (400, "invalid value \"http\" for port: expected a port from 0 to 65535\n")
    );
}

#[test]
fn without_a_city_database_markers_are_at_the_centre_of_the_country() {
    let (markers, left_out) = Replay::start(PACKETS, None).markers("");
    assert_eq!(left_out, 1);
    let codes: Vec<_> = markers.iter().map(|(code, ..)| &**code).collect();
    assert_eq!(codes, ["GB", "SE", "GB"]);
    for (_, longitude, latitude, city) in markers {
        assert!((-8.0..25.0).contains(&longitude) && (50.0..70.0).contains(&latitude));
        assert_eq!(city, "");
    }
}

#[test]
fn html_in_a_city_name_is_escaped() {
    let hostile = "<b>&\"x</b>";
    let mut bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(CITIES)).unwrap();
    let name = "Linköping".as_bytes();
    let index = bytes.windows(name.len()).position(|it| it == name).unwrap();
    bytes[index..index + name.len()].copy_from_slice(hostile.as_bytes());
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("hostile.mmdb");
    fs::write(&database, bytes).unwrap();
    let replay = Replay::start(PACKETS, Some(&database));
    replay.check("?country=SE", &[hostile], 0);
    let (_, xml) = replay.get("/markers.xml");
    assert!(xml.contains("city=\"&lt;b&gt;&amp;&quot;x&lt;/b&gt;\""), "{xml}");
}
