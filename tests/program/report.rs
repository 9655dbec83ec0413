//! `report` on generated captures and rows: golden files of each format, periods, hostile text, files that cannot be read,
//! anonymization, and memory.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use nflog_exporter::mirror::{
    row::Row,
    store::{Batch, Kind, Sqlite, Store as _, Writer},
    target::{Endpoint, Target, Tls},
};
use serde_json::Value;

use crate::support::{
    golden::check_golden,
    program::{EXPORTER, run_with_input},
    report_traffic::{DAY, END, INPUT, NflogCapture, rows, syn, week},
};

/// Runs a program in a UTF-8 locale, with this input.
fn run(mut command: Command, input: &[u8]) -> Output {
    command.env("LC_ALL", "C.UTF-8").env_remove("NFLOG_EXPORTER_MIRROR_URL");
    run_with_input(&mut command, input)
}

fn report(arguments: &[&str], capture: &[u8]) -> Output {
    let mut command = Command::new(EXPORTER);
    command.arg("report").args(arguments);
    run(command, capture)
}

/// The report of a run that succeeds, and writes nothing else.
#[track_caller]
fn text(arguments: &[&str], capture: &[u8]) -> String {
    let output = report(arguments, capture);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(arguments: &[&str], capture: &[u8]) -> Value {
    serde_json::from_str(&text(&[arguments, &["--format", "json"]].concat(), capture)).unwrap()
}

/// HTML without its style, and with only the coloured countries of the map, in short.
fn short(html: &str) -> String {
    let (head, rest) = html.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    let mut lines = String::new();
    for line in head.lines().chain(rest.lines()) {
        let is_shape = line.starts_with("<path ") || line.starts_with("<g data-code");
        if is_shape && !line.contains("data-level") {
            continue;
        }
        let line = match line.split_once(" d=\"") {
            Some((tag, tail)) => format!("{tag} d=\"…\"{}", tail.split_once('"').unwrap().1),
            None => line.to_owned(),
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

#[test]
fn the_reports_match_the_golden_files() {
    let capture = week();
    let capture = capture.bytes();
    for (arguments, file) in [
        (&["-"][..], "week.txt"),
        (&["-", "--format=markdown", "--top=5"], "week.md"),
        (&["-", "--format=json", "--top=3"], "week.json"),
        (&["-", "--since", "2026-11-22T12:00:00Z", "--until=2026-11-23T12:00:00Z"], "day.txt"),
    ] {
        check_golden(&format!("tests/data/reports/{file}"), &text(arguments, capture));
    }
    let html = text(&["-", "--format", "html"], capture);
    check_golden("tests/data/reports/week.html", &short(&html));
}

/// Without a UTF-8 locale, as under cron, the report is ASCII. It never has colours in a pipe.
#[test]
fn a_report_is_ascii_in_an_ascii_locale() {
    let mut command = Command::new("env");
    command.args(["LC_ALL=", "LC_CTYPE=", "LANG=C", EXPORTER, "report", "-"]);
    let output = run(command, week().bytes());
    assert!(output.status.success() && output.stdout.is_ascii());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b') && text.lines().all(|line| line.len() <= 80), "{text}");
    check_golden("tests/data/reports/week.ascii.txt", &text);
}

#[test]
fn a_capture_without_packets_gives_an_empty_report() {
    let empty = NflogCapture::new();
    for (format, expect) in [
        ("terminal", "Period       no packets\nPackets      0, 0 B\nSources      0\n"),
        ("markdown", "- **Packets:** 0, 0 B\n"),
        ("html", "<dt>Packets</dt><dd>0, 0 B</dd>"),
        ("json", "\"packets\": 0,"),
    ] {
        let text = text(&["-", "--format", format], empty.bytes());
        assert!(text.contains(expect), "{text}");
        assert!(!text.contains("NaN") && !text.contains("Countries"), "{text}");
    }
}

/// The start is included, the end is not, to the microsecond.
#[test]
fn a_period_includes_its_start_and_not_its_end() {
    let mut capture = NflogCapture::new();
    let start = END * 1_000_000;
    for time in [start - 1, start, start + 1, start + 3_599_999_999, start + 3_600_000_000] {
        capture.packet(time, b"drop", INPUT, &syn("203.0.113.9".parse().unwrap(), 22));
    }
    let packets = |arguments: &[&str]| {
        let report = json(&[&["-"], arguments].concat(), capture.bytes());
        (report["packets"].as_u64().unwrap(), report["notes"].to_string())
    };
    assert_eq!(packets(&[]), (5, "[]".into()));
    let since = "--since=2026-11-23T12:00:00Z";
    let outside = |count| format!("[\"{count} packets are outside the period and not counted.\"]");
    assert_eq!(packets(&[since]), (4, outside(1)));
    assert_eq!(packets(&[since, "--until=2026-11-23T14:00:00+01:00"]), (3, outside(2)));
    assert_eq!(packets(&["--until", "2026-11-23T12:00:00.000001Z"]), (2, outside(3)));
    assert_eq!(packets(&["--since", "2026-11-24"]).0, 0);
    // The packets are of the past or the future, but not of the last hour.
    assert_eq!(packets(&["--since", "1h", "--until", "1s"]).0, 0);
    for arguments in [
        &["--since=2026-11-24", "--until=2026-11-23"][..],
        &["--since=2026-11-24", "--until=2026-11-24"],
        &["--since=yesterday"],
        &["--top=0"],
        &["--mirror"],
    ] {
        let output = report(&[&["-"], arguments].concat(), capture.bytes());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
}

/// What was not seen before the last 24 hours of the period.
#[test]
fn new_values_are_those_of_the_last_day() {
    let capture = week();
    let new = &json(&["-", "--top", "100"], capture.bytes())["new"];
    let list = |name: &str, field: &str| -> Vec<String> {
        let rows = new[name]["rows"].as_array().unwrap();
        rows.iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list("countries", "country"), ["ZA"]);
    assert!(list("sources", "source").contains(&"196.216.2.4".into()));
    // The scanned ports that were in use before are not new.
    let ports: Vec<_> =
        new["ports"]["rows"].as_array().unwrap().iter().map(|row| row["port"].as_u64()).collect();
    let known = [22, 23, 53, 80, 123].map(Some);
    assert!(ports.contains(&Some(25)) && !known[..2].iter().any(|port| ports.contains(port)));
    let day = json(&["-", "--since", "2026-11-22T12:00:00Z"], capture.bytes());
    assert_eq!(day["new"], Value::Null);
}

/// No format shows an address of the packets. Truncated sources of a network are one source.
#[test]
fn an_anonymized_report_has_no_address_of_a_packet() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    fs::write(&key, "00112233445566778899aabbccddeeff".repeat(2)).unwrap();
    let config = directory.path().join("config.toml");
    fs::write(&config, format!("[mirror]\nanonymize_key_file = {key:?}\n")).unwrap();
    let config = config.to_str().unwrap();
    let capture = week();
    let plain = text(&["-", "--top=50"], capture.bytes());
    assert!(plain.contains("133.11.0.9") && plain.contains("196.216.2.4"));
    for method in ["--anonymize", "--anonymize=truncate", "--anonymize=cryptopan"] {
        for format in ["terminal", "markdown", "html", "json"] {
            let arguments =
                ["-", "--top=1000", method, "--format", format, "--config.file", config];
            let text = text(&arguments, capture.bytes());
            for address in ["133.11.0.9", "196.216.2.4", "200.160.0.3", "::1"] {
                assert!(!text.contains(address), "{method} {format} {address}");
            }
            assert_eq!(text.contains("133.11.0.0"), method != "--anonymize=cryptopan", "{text}");
        }
    }
    let sources = |method: &str| {
        json(&["-", method, "--config.file", config], capture.bytes())["sources_seen"].clone()
    };
    assert_eq!(sources("--anonymize=cryptopan"), sources("--anonymize=none"));
    assert!(sources("--anonymize").as_u64() < sources("--anonymize=none").as_u64());
    let output = report(&["-", "--anonymize=cryptopan"], capture.bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("openssl rand"), "{said}");
}

/// Hosts of one network that try one port each are no port scan, and a host that scans is one under any method.
#[test]
fn port_scans_are_those_of_hosts_before_addresses_are_truncated() {
    let mut capture = NflogCapture::new();
    for host in 1..=20_u16 {
        let time = END * 1_000_000 + u64::from(host);
        let address = |network: [u8; 3]| {
            let [a, b, c] = network;
            std::net::Ipv4Addr::new(a, b, c, u8::try_from(host).unwrap())
        };
        capture.packet(time, b"drop", INPUT, &syn(address([198, 51, 100]).into(), host));
        for port in [2 * host, 2 * host + 1] {
            capture.packet(
                time,
                b"drop",
                INPUT,
                &syn(std::net::Ipv4Addr::new(203, 0, 113, 9).into(), port),
            );
        }
        capture.packet(
            time,
            b"drop",
            INPUT,
            &syn(std::net::Ipv4Addr::new(203, 0, 113, 10).into(), 22),
        );
    }
    for (method, expect) in [
        ("--anonymize=none", "[[203.0.113.9,40,40]]"),
        ("--anonymize=truncate", "[[203.0.113.0,40,40]]"),
    ] {
        let report = json(&["-", method], capture.bytes());
        let rows = report["port_scans"]["rows"].as_array().unwrap();
        let scans: Vec<_> = rows
            .iter()
            .map(|row| format!("[{},{},{}]", row["source"], row["ports"], row["packets"]))
            .collect();
        assert_eq!(format!("[{}]", scans.join(",")).replace('"', ""), expect, "{method}");
    }
    let text = text(&["-", "--anonymize"], capture.bytes());
    assert!(!text.contains("203.0.113.9") && !text.contains("198.51.100.1 "), "{text}");
}

/// `--host` counts the packets of the named hosts, in lines of syslog and in rows.
#[test]
fn a_report_on_some_hosts() {
    let line = |host: &str, port: u16| {
        format!(
            "Nov 28 10:00:00 {host} kernel: DROP IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=40 TOS=0x00 PREC=0x00 \
             TTL=64 ID=1 PROTO=UDP SPT=7 DPT={port} LEN=20 \n"
        )
    };
    let lines = [line("gw1", 1), line("gw2", 2), line("gw3", 3), line("gw1", 4)].concat();
    let directory = tempfile::tempdir().unwrap();
    let rows: Vec<_> = ["gw1", "gw2", "", "gw1"]
        .into_iter()
        .zip(rows(&week()))
        .map(|(host, mut row)| {
            row.context.host = host.into();
            row
        })
        .collect();
    let url = database(&directory.path().join("packets.db"), &rows);
    for (hosts, of_lines, of_rows) in [
        (&[][..], 4, 4),
        (&["--host=gw1"], 2, 2),
        (&["--host=gw1", "--host", "gw2"], 3, 3),
        (&["--host=gate"], 0, 1),
        (&["--host=gw"], 0, 0),
    ] {
        let packets = |report: Value| report["packets"].as_u64().unwrap();
        assert_eq!(
            packets(json(&[&["-"], hosts].concat(), lines.as_bytes())),
            of_lines,
            "{hosts:?}"
        );
        assert_eq!(
            packets(json(&[&["--mirror", &url], hosts].concat(), &[])),
            of_rows,
            "{hosts:?}"
        );
    }
}

/// A prefix with markup and control characters stays text in every format.
#[test]
fn hostile_text_is_escaped() {
    let capture = week();
    let plain = text(&["-"], capture.bytes());
    assert!(
        plain.contains("<script>alert(1)</script> a|b`c`") && !plain.contains('\x1b'),
        "{plain}"
    );
    let markdown = text(&["-", "--format=markdown"], capture.bytes());
    let row = r"| \<script\>alert(1)\</script\> a\|b\`c\` \[x\](http\://evil.example)";
    assert!(markdown.contains(row), "{markdown}");
    let html = text(&["-", "--format=html"], capture.bytes());
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; a|b`c`"));
    assert!(!html.contains("<script") && !html.contains('\x1b') && !html.contains("src="));
    let json = json(&["-"], capture.bytes());
    let names = json["prefixes"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap());
    assert!(
        names.clone().any(|name| name.starts_with("<script>"))
            && !json.to_string().contains("\\u001b")
    );
}

/// Files are read in turn. One that cannot be read to its end fails the command, after the report on the others.
#[test]
fn a_broken_file_does_not_prevent_the_report_on_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let capture = week();
    let whole = file("week.pcap", capture.bytes());
    let cut = file("cut.pcap", &capture.bytes()[..capture.bytes().len() - 7]);
    assert_eq!(json(&[&whole, "-", &whole], capture.bytes())["packets"], 9_600);
    let output = report(&[&cut, &whole, "--format=json"], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with(&format!("nflog_exporter: report: {cut} ")), "{said}");
    let report_on_both: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report_on_both["packets"], 6_399);
    // If no file is a capture, there is no report, and an earlier one stays.
    let page = file("report.html", b"before");
    let output = report(&[&file("text", b"no capture"), "--output", &page], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&page).unwrap(), "before");
}

/// The output file is replaced at once, keeps its mode, and can be the target of a link.
#[test]
fn the_output_file_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("target")).unwrap();
    fs::write(path("target/report.html"), "before").unwrap();
    fs::set_permissions(path("target/report.html"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("target/report.html", path("link.html")).unwrap();
    let before = fs::File::open(path("target/report.html")).unwrap();
    let link = path("link.html");
    let printed = text(&["-", "--format=html", "--output", link.to_str().unwrap()], week().bytes());
    assert_eq!(printed, "");
    let written = fs::read_to_string(path("target/report.html")).unwrap();
    assert_eq!(written, text(&["-", "--format=html"], week().bytes()));
    assert_eq!(std::io::read_to_string(before).unwrap(), "before");
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("target/report.html"), 0o640);
    let new = path("new.txt");
    text(&["-", "-o", new.to_str().unwrap()], week().bytes());
    assert!(fs::read_to_string(&new).unwrap().starts_with("Firewall log report\n"));
    assert_eq!(fs::read_dir(path("target")).unwrap().count(), 1);
    let output = report(&["-", "-o", "/proc/no/such/file"], week().bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("report: cannot write /proc/no/such/file, which must belong to this user"),
        "{said}"
    );
}

/// The SQLite file of these rows.
fn database(path: &Path, rows: &[Row]) -> String {
    let target = Target {
        kind: Kind::Sqlite,
        endpoint: Endpoint::File(path.to_owned()),
        user: String::new(),
        password: String::new(),
        database: String::new(),
        tls: Tls::Off,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut store = Sqlite::connect(&target).await.unwrap();
        store.prepare().await.unwrap();
        let writer = Writer { id: [7; 16], host: "gate".to_owned() };
        store.position(&writer, 0).await.unwrap();
        let to = rows.len() as u64;
        store.write(&writer, Batch { from: 0, to, rows }).await.unwrap();
    });
    format!("--mirror.url=sqlite:{}", path.display())
}

#[test]
fn a_report_on_rows_is_that_on_their_packets() {
    let directory = tempfile::tempdir().unwrap();
    let capture = week();
    let path = directory.path().join("packets.db");
    let url = database(&path, &rows(&capture));
    let since = format!("--since={}", "2026-11-20");
    for period in [&[][..], &[&*since, "--until=2026-11-22T01:02:03.5Z"]] {
        for format in ["terminal", "json"] {
            let arguments = [&["--format", format, "--top=500"], period].concat();
            let of_packets = text(&[&["-"], &*arguments].concat(), capture.bytes());
            let of_rows = text(&[&["--mirror", &url], &*arguments].concat(), &[]);
            // Packets outside the period are not read from the database, so there is no note about them.
            let without_notes = |text: &str| {
                text.lines()
                    .filter(|line| !line.contains("outside the period") && !line.contains("notes"))
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            let (of_rows, of_packets) = (without_notes(&of_rows), without_notes(&of_packets));
            assert_eq!(
                of_rows.trim_end().trim_end_matches(['}', ']', '\n', ' ']),
                of_packets.trim_end().trim_end_matches(['}', ']', '\n', ' '])
            );
        }
    }
}

/// A row that represents several packets counts as many, and the report says so. The database is only read.
#[test]
fn sampled_rows_count_with_their_weights() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packets.db");
    let mut rows = rows(&week());
    let bytes: u64 = rows.iter().map(|row| u64::from(row.length)).sum();
    let count = rows.len() as u64;
    for row in &mut rows {
        row.weight = 5;
    }
    let url = database(&path, &rows);
    let before = fs::read(&path).unwrap();
    let report_on_rows = json(&["--mirror", &url], &[]);
    assert_eq!(report_on_rows["packets"], 5 * count);
    assert_eq!(report_on_rows["bytes"], 5 * bytes);
    let note = report_on_rows["notes"][0].as_str().unwrap();
    assert!(note.starts_with("3200 rows represent more than one packet each"), "{note}");
    assert_eq!(fs::read(&path).unwrap(), before);
    let missing = directory.path().join("none/missing.db");
    let output =
        report(&["--mirror", "--mirror.url", &format!("sqlite:{}", missing.display())], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("there is no such file"), "{said}");
    assert!(!missing.parent().unwrap().exists());
    let other = directory.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let output = report(&["--mirror", "--mirror.url", &format!("sqlite:{}", other.display())], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("no such table: packets"), "{said}");
    let output = report(&["--mirror"], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("no database is configured"),
        "{said}"
    );
}

/// Titles are bold in a terminal, unless the user does not want colours.
#[test]
fn a_terminal_shows_colours() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("week.pcap");
    fs::write(&file, week().bytes()).unwrap();
    let shown = |variables: &[&str]| {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut command = Command::new("env");
        command.args(["LC_ALL=C.UTF-8", "TERM=xterm"]).args(variables);
        command.args([EXPORTER, "report"]).arg(&file).stdin(Stdio::null()).stdout(pty.slave);
        let mut child = command.spawn().unwrap();
        // The terminal is closed here, so that its end is the end of the program.
        drop(command);
        let (mut text, mut terminal) = (Vec::new(), fs::File::from(pty.master));
        // A closed terminal is an error, EIO.
        let _ = std::io::Read::read_to_end(&mut terminal, &mut text);
        assert!(child.wait().unwrap().success());
        String::from_utf8(text).unwrap()
    };
    assert!(shown(&[]).starts_with("\x1b[1mFirewall log report\x1b[0m\r\n"));
    for variable in ["NO_COLOR=1", "TERM=dumb"] {
        let text = shown(&[variable]);
        assert!(text.starts_with("Firewall log report\r\n") && !text.contains('\x1b'), "{text}");
    }
}

/// Packets of different sources to different ports, and a scanner among them.
fn flood(packets: u32) -> Vec<u8> {
    let mut capture: Vec<u8> = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    // Time zone and accuracy, snapshot length 65535, link type raw IP.
    capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0]);
    for number in 0..packets {
        let mixed = number.wrapping_mul(0x9e37_79b1);
        let (source, port) = match number % 1_000 {
            0 => ([203, 0, 113, 9], number / 1_000),
            _ => (mixed.to_be_bytes(), mixed),
        };
        let [_, _, high, low] = port.to_be_bytes();
        capture.extend((u32::try_from(END - DAY).unwrap() + number / 100).to_le_bytes());
        capture.extend([0, 0, 0, 0, 40, 0, 0, 0, 40, 0, 0, 0]);
        capture.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        capture.extend(source);
        capture.extend([
            192, 0, 2, 1, 40, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0,
        ]);
    }
    capture
}

/// A flood of five million sources: totals are exact, the scanner is found, and memory has a limit.
#[test]
fn memory_is_limited_in_a_flood_of_sources() {
    const SOURCES: u64 = 5_000_000;
    let capture = flood(5_000_000);
    // More data than this fails an allocation, which ends the program.
    let limit = 256 << 20;
    let mut command = Command::new("prlimit");
    command.args([&format!("--data={limit}"), EXPORTER, "report", "-", "--format=json"]);
    let output = run(command, &capture);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["packets"], SOURCES);
    assert_eq!(report["bytes"], 40 * SOURCES);
    assert_eq!(report["sources_estimated"], true);
    let sources = report["sources_seen"].as_f64().unwrap();
    // 2.3 % is the standard error.
    assert!((4_995_001.0 * 0.9..4_995_001.0 * 1.1).contains(&sources), "{sources}");
    let scan = &report["port_scans"]["rows"][0];
    assert_eq!((&scan["source"], &scan["ports"]), (&"203.0.113.9".into(), &5_000.into()), "{scan}");
    assert_eq!((&scan["packets"], &scan["missing"]), (&5_000.into(), &0.into()), "{scan}");
    assert_eq!(report["sources"]["exact"], false);
    assert!(
        report["notes"]
            .to_string()
            .contains("more than 200000 different source addresses: light ones can be missing")
    );
}
