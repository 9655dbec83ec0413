//! An output to the journal, read by journalctl.

use serde_json::Value;

use crate::{
    CONFIG, RULES, UNIT, assert_confined, configure, flow, install, packages,
    support::{program::wait_for, system::System},
};

/// Packets to the service.
const PACKETS: u64 = 20;

/// The service writes within the sandbox of its unit, and journalctl shows the rows with their fields, apart from the log
/// of the service.
#[test]
fn journalctl_shows_the_rows() {
    let system = System::new();
    let booted = system.boot();
    booted.run("nft", &[RULES]);
    install(&booted, &packages()[1]);
    assert!(system.has(CONFIG));
    let output = |name: &str, format: &str| {
        format!("[[output]]\nname = '{name}'\nformat = '{format}'\ntarget = 'journal:'\n")
    };
    configure(&booted, &(output("rows", "json") + &output("lines", "logemu")));
    booted.run("systemctl", &["restart", UNIT]);
    booted.wait_until(UNIT, "active");
    flow(&booted, PACKETS);
    assert_confined(&booted);

    let arguments = ["--output=json", "--no-pager", "--identifier=nflog_exporter"];
    let entries = wait_for("the entries", || {
        let text = booted.run("journalctl", &arguments);
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        // The log of the service has the same identifier, and comes through its standard error.
        let rows: Vec<Value> = entries.filter(|entry| entry["_TRANSPORT"] == "journal").collect();
        (rows.len() as u64 >= 2 * PACKETS).then_some(rows)
    });
    assert_eq!(entries.len() as u64, 2 * PACKETS);
    let mut rows = 0;
    for entry in &entries {
        assert_eq!(entry["_SYSTEMD_UNIT"], UNIT, "{entry}");
        assert_eq!(entry["PRIORITY"], "6", "{entry}");
        let message = entry["MESSAGE"].as_str().unwrap();
        if let Ok(row) = serde_json::from_str::<Value>(message) {
            rows += 1;
            assert_eq!((&row["prefix"], &row["destination_port"]), (&"x".into(), &9.into()));
        } else {
            assert!(message.starts_with("x IN=lo OUT= "), "{message}");
            assert!(message.contains(" SRC=127.0.0.1 DST=127.0.0.1 "), "{message}");
        }
    }
    assert_eq!(rows, PACKETS);
}
