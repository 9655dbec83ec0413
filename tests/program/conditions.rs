//! The unusual conditions that the page and `top` show: a port scan, and an output that is down.

use std::{fmt::Write as _, process::Command};

use serde_json::{Value, json};

use crate::{
    log_files::{Exporter, Logs, append, lines},
    support::program::{EXPORTER, get_from, wait_for},
};

/// A line of `ufw` for a packet of one source to a port.
fn line(port: u16) -> String {
    format!(
        "Nov 29 10:00:00 gate kernel: [4711.123456] [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.1 LEN=40 \
         TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=40000 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0\n"
    )
}

fn conditions(exporter: &Exporter) -> Vec<Value> {
    let (status, body) = get_from(exporter.address, "/overview.json").unwrap();
    assert_eq!(status, 200, "{body}");
    let overview: Value = serde_json::from_str(&body).unwrap();
    overview["conditions"].as_array().unwrap().clone()
}

fn of<'a>(conditions: &'a [Value], alert: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition["alert"] == alert)
}

#[test]
fn a_scan_and_an_output_that_is_down_are_conditions() {
    let logs = Logs::new();
    let log = logs.path("a.log");
    append(&log, "");
    let missing = logs.path("missing/socket");
    let output = format!(
        "[[output]]\nname = 'siem'\nformat = 'json'\ntarget = 'unix://{}'\n",
        missing.display()
    );
    let exporter = Exporter::start(&logs, &logs.config("a.log", &output));
    append(&log, &lines(0..10));
    exporter.wait_for_packets(10);
    assert_eq!(of(&conditions(&exporter), "NflogPortSweep"), None);

    let mut scan = String::new();
    (1..=200).for_each(|port| write!(scan, "{}", line(port)).unwrap());
    append(&log, &scan);
    exporter.wait_for_packets(210);
    // An estimate, with a standard error of 3 %. It is lower if the conditions were checked in the middle of the lines.
    let whole = |condition: &Value| (175.0..=225.0).contains(&condition["value"].as_f64().unwrap());
    let found = wait_for("the conditions of the whole scan and of the output", || {
        let found = conditions(&exporter);
        let scan = of(&found, "NflogPortSweep").is_some_and(whole);
        (scan && of(&found, "NflogOutputDown").is_some()).then_some(found)
    });
    let scan = of(&found, "NflogPortSweep").unwrap();
    let expected = json!({
        "alert": "NflogPortSweep",
        "severity": "warning",
        "text": "One source sent packets with prefix {subject} to {value} ports in 10 minutes",
        "subject": "[UFW BLOCK]",
        "dimension": "prefix",
        "value": scan["value"],
        "unit": "count",
        "more": 0,
    });
    assert_eq!(scan, &expected);
    let output = of(&found, "NflogOutputDown").unwrap();
    assert_eq!((&output["subject"], &output["unit"]), (&json!("siem"), &json!("count")));
    assert_eq!(output.get("dimension"), None);
    // The most urgent alerts are first: that of the output is before that of the scan.
    assert_eq!(found[0], *output);
    // The view in the terminal has their words.
    let mut top = Command::new(EXPORTER);
    top.args(["top", "--once", "--width", "160", &format!("http://{}", exporter.address)]);
    let frame = String::from_utf8(top.output().unwrap().stdout).unwrap();
    let unusual: Vec<_> = frame.lines().skip(2).take(2).collect();
    assert!(unusual[0].starts_with("WARNING: The output siem cannot write; "), "{frame}");
    let scan = "WARNING: One source sent packets with prefix [UFW BLOCK] to ";
    assert!(unusual.join(" ").contains(scan), "{frame}");
    exporter.stop();
}
