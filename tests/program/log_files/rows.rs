//! Rows of lines of the kernel log.

use rusqlite::Connection;

use super::{Exporter, Logs, append};
use crate::support::program::wait_for;

/// The view `ulog` has the length of the packet, and what a line does not say is NULL.
#[test]
fn a_row_of_a_line_has_the_length_and_no_invented_zero() {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    append(&file, "");
    let rows = logs.path("state/packets.db");
    let (url, spool) = (rows.display(), logs.path("state/spool"));
    let config = logs.config(
        "kern.log",
        &format!(
            "[mirror]\nurl = 'sqlite:{url}'\nretention = '0s'\nspool.directory = '{}'\n",
            spool.display()
        ),
    );
    let exporter = Exporter::start(&logs, &config);
    exporter.wait_for_log("following a log file");
    let prefix = "Nov 28 10:00:00 web1 kernel: [UFW BLOCK] IN=eth0 OUT= ";
    for rest in [
        "SRC=192.0.2.1 DST=198.51.100.1 LEN=84 TOS=0x00 PREC=0x00 TTL=63 ID=1 PROTO=UDP SPT=7 DPT=53 LEN=64 ",
        "SRC=2001:db8::1 DST=2001:db8::2 LEN=104 TC=0 HOPLIMIT=62 FLOWLBL=0 PROTO=ICMPv6 TYPE=128 CODE=0 ID=1 SEQ=1 ",
        // Cut after the length.
        "SRC=192.0.2.3 DST=198.51.100.1 LEN=40 TO",
    ] {
        append(&file, &format!("{prefix}{rest}\n"));
    }
    exporter.wait_for_packets(3);
    let read = || {
        let connection = Connection::open(&rows).ok()?;
        let query = "SELECT raw_pktlen || ' ' || coalesce(ip_ttl, ip6_hoplimit, 'NULL') || ' ' || \
                     coalesce(oob_hook, 'NULL') || ' ' || coalesce(tcp_syn, 'NULL') || ' ' || \
                     coalesce(udp_sport, 'NULL') FROM ulog ORDER BY id";
        let mut statement = connection.prepare(query).ok()?;
        let read = statement.query_map([], |row| row.get::<_, String>(0)).ok()?;
        let read: Vec<_> = read.collect::<Result<_, _>>().ok()?;
        (read.len() == 3).then_some(read)
    };
    let found = wait_for("the rows", read);
    assert_eq!(found, ["84 63 NULL NULL 7", "104 62 NULL NULL NULL", "40 NULL NULL NULL NULL"]);
    exporter.stop();
}
