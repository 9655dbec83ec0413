//! Converts examples of `ulogd.conf`, and checks that every result is a valid configuration.

mod database;
mod differences;
mod properties;

use super::{MigrateError, ulogd as migrated};
use crate::config;

/// The configuration of a file, whose last line needs no newline here.
fn ulogd(text: &str) -> Result<String, MigrateError> {
    migrated(format!("{text}\n").as_bytes()).map(|migrated| migrated.toml)
}

/// The example of ulogd, with the stack to MySQL enabled.
const EXAMPLE: &str = r#"
# Example configuration for ulogd
[global]
logfile="syslog"
loglevel=3
#plugin="/usr/lib/ulogd/ulogd_inppkt_NFLOG.so"
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2bin1:IP2BIN,mac2str1:HWHDR,mysql1:MYSQL
stack=log2:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
#stack=ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU

[log1]
# netlink multicast group
group=0
netlink_socket_buffer_size=217088
bufsize=150000
nlbufsiz=150000
bind=1

[log2]
group=7 # the second
netlink_qthreshold=50
netlink_qtimeout=100
numeric_label=1

[mysql1]
db="nulog"
host="db.example.net"
user="nu:pacct"
table="ulog"
pass="ch@nge me"
procedure="INSERT_PACKET_FULL"
"#;

fn config_of(text: &str) -> config::Config {
    let toml = ulogd(text).unwrap();
    config::parse(&toml, "ulogd.conf").unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

#[test]
fn settings_with_an_equivalent_are_migrated() {
    let config = config_of(EXAMPLE);
    assert_eq!(config.nflog.groups, [0, 7]);
    assert_eq!(config.nflog.receive_buffer, 217_088);
    assert_eq!(config.nflog.queue_threshold, 50);
    assert_eq!(config.nflog.queue_timeout.as_secs(), 1);
    assert!(config.mirror.retention.is_zero());
    let target = config.mirror_servers().unwrap().unwrap().single().unwrap();
    assert_eq!((&*target.user, &*target.password), ("nu:pacct", "ch@nge me"));
    assert_eq!(target.database, "nulog");
    assert_eq!(target.to_string(), "mysql://nu:pacct@db.example.net:3306/nulog");
}

#[test]
fn settings_without_an_equivalent_are_reported() {
    let toml = ulogd(EXAMPLE).unwrap();
    for expected in [
        "# Not migrated: logfile=syslog: ",
        "# Not migrated: [log2] numeric_label: ",
        "# Not migrated: [log1] bufsize: ",
        "# Note: [log1] nlbufsiz (line 16): ulogd does not have this key",
        "# Not migrated: [mysql1] table=ulog: ",
        "# Not migrated: [mysql1] procedure=INSERT_PACKET_FULL: ",
    ] {
        assert!(toml.contains(expected), "{expected}: {toml}");
    }
    assert!(!toml.contains("NFCT"), "{toml}");
}

/// A `ulogd.conf` with one output.
fn with_output(plugin: &str, section: &str) -> String {
    format!("[global]\nloglevel=7\nstack=l:NFLOG,b:BASE,o:{plugin}\n[l]\ngroup=3\n[o]\n{section}")
}

/// The database that rows are written to, as messages show it.
#[track_caller]
fn target_of(plugin: &str, section: &str) -> String {
    config_of(&with_output(plugin, section)).mirror_servers().unwrap().unwrap().to_string()
}

#[test]
fn other_files_are_rejected() {
    assert_eq!(ulogd(""), Err(MigrateError::NoGlobal));
    assert_eq!(ulogd("hello\nstack=a:NFLOG,b:GPRINT"), Err(MigrateError::NoGlobal));
    assert_eq!(ulogd("[global]"), Err(MigrateError::NoStack));
    let stacks =
        "stack=a:ULOG,b:MYSQL\nstack=c:NFCT,d:XML\nstack=e:UNIXSOCK,d:XML\nstack=f:NFACCT,d:XML";
    let error = ulogd(&format!("[global]\n{stacks}")).unwrap_err().to_string();
    for reason in [
        "Linux has no ULOG since 3.17",
        "NFCT reports connections of conntrack, not packets",
        "UNIXSOCK receives packets from another program",
        "NFACCT reads the kernel's accounting counters",
    ] {
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

/// The group of a section of the plugin NFLOG, or the error.
fn group_of(section: &str) -> Result<u16, String> {
    let text = format!("[global]\nstack=l:NFLOG,g:GPRINT\n[l]\n{section}\n");
    let migrated = migrated(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(config::parse(&migrated.toml, "ulogd.conf").unwrap().nflog.groups[0])
}

#[test]
fn an_invalid_value_is_an_error() {
    for (line, reason) in [
        ("group=", "line 4: [l] group has no value"),
        ("group", "has no value"),
        ("group=x", "is \"x\", which is not a number"),
        ("group=\"5", "closing quote is missing"),
        ("group=-1", "outside of 0 to 65535"),
        ("group=65536", "outside of 0 to 65535"),
        ("group=4294967301", "outside of 0 to 65535"),
        ("netlink_qthreshold=many", "not a number"),
        ("netlink_qtimeout=-1", "outside of"),
        ("netlink_socket_buffer_size=1e", ""),
        ("netlink_socket_buffer_maxsize=e1", "not a number"),
    ] {
        match group_of(line) {
            Err(error) => assert!(!reason.is_empty() && error.contains(reason), "{line}: {error}"),
            Ok(_) => assert_eq!(reason, "", "{line}"),
        }
    }
    for plugin in ["MYSQL", "PGSQL", "DBI"] {
        for line in ["pass=", "pass=\"x", "port=x", "port=65536", "user", "db=\"", "host"] {
            let text = with_output(plugin, &format!("dbtype=pgsql\n{line}"));
            let error = ulogd(&text).unwrap_err().to_string();
            assert!(error.starts_with("line 8: [o] "), "{plugin} {line}: {error}");
        }
        let long = format!("dbtype=pgsql\npass={}", "x".repeat(225));
        let error = ulogd(&with_output(plugin, &long)).unwrap_err().to_string();
        assert!(error.contains("longer than 224 bytes") && !error.contains("xx"), "{error}");
    }
    let error =
        migrated(b"[global]\nstack=l:NFLOG,o:SQLITE3\n[l]\n[o]\ndb=\"\xff\"\n").unwrap_err();
    assert!(error.to_string().contains("is not UTF-8"), "{error}");
    let error = migrated(b"[global]\nstack=l:NFLOG,g:GPRINT\n[l]\ngroup=5").unwrap_err();
    assert_eq!(error, MigrateError::Line { line: 4 });
}

#[test]
fn misleading_numbers_are_reported() {
    for (line, group, note) in [
        ("group=5", 5, None),
        ("group=010", 8, Some("# Note: [l] group=010: parsed as 8, as by ulogd\n")),
        ("group=5# x", 5, Some("# Note: [l] group=5#: parsed as 5, as by ulogd\n")),
        ("group=5\ngroup=6", 5, Some("# Note: [l] group (line 6): it is duplicated, and")),
    ] {
        let text = with_output("GPRINT", "").replace("group=3", line);
        let toml = ulogd(&text).unwrap();
        assert!(toml.contains(&format!("groups = [{group}]")), "{toml}");
        assert_eq!(toml.contains("[l] group"), note.is_some(), "{toml}");
        assert!(toml.contains(note.unwrap_or_default()), "{toml}");
    }
}

#[test]
fn stacks_that_ulogd_does_not_start_are_not_migrated() {
    let text = |stacks: &str| {
        format!("[global]\nstack=l:NFLOG,g:GPRINT\n{stacks}\n[l]\ngroup=7\n[m]\ngroup=8")
    };
    for (stacks, why) in [
        ("stack=m:NFLOG, g:GPRINT", "it has no output"),
        ("stack=m:NFLOG,GPRINT", "\"GPRINT\" is not NAME:PLUGIN"),
        ("stack=m:NFLOG,g:GPRINT\nplugin=/x/ulogd_inppkt_ULOG.so", "no line plugin= loads NFLOG"),
    ] {
        match ulogd(&text(stacks)) {
            Ok(toml) => assert!(toml.contains(why) && toml.contains("groups = [7]"), "{toml}"),
            Err(error) => assert!(error.to_string().contains(why), "{error}"),
        }
    }
}
