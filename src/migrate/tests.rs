//! What becomes of a `ulogd.conf`, and that it is a configuration.

use super::*;
use crate::config;

/// What the stack to MySQL of the example that comes with ulogd looks like when it is in use.
const EXAMPLE: &str = r#"
# Example configuration for ulogd
[global]
logfile="syslog"
loglevel=3
plugin="/usr/lib/ulogd/ulogd_inppkt_NFLOG.so"
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2bin1:IP2BIN,mac2str1:HWHDR,mysql1:MYSQL
stack=log2:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
#stack=ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU

[log1]
# netlink multicast group
group=0
netlink_socket_buffer_size=217088
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
fn what_there_is_a_counterpart_of_is_carried_over() {
    let config = config_of(EXAMPLE);
    assert_eq!(config.nflog.groups, [0, 7]);
    assert_eq!(config.nflog.receive_buffer, 217_088);
    assert_eq!(config.nflog.kernel_buffer, 131_072);
    assert_eq!(config.nflog.queue_threshold, 50);
    assert_eq!(config.nflog.queue_timeout.as_secs(), 1);
    assert!(config.mirror.retention.is_zero());
    let target = config.mirror_target().unwrap().unwrap();
    assert_eq!((&*target.user, &*target.password), ("nu:pacct", "ch@nge me"));
    assert_eq!(target.database, "nulog");
    assert_eq!(target.to_string(), "mysql://nu:pacct@db.example.net:3306/nulog");
}

#[test]
fn what_there_is_none_of_is_told() {
    let toml = ulogd(EXAMPLE).unwrap();
    for told in [
        "# Not carried over: logfile=syslog: ",
        "# Not carried over: emu1:LOGEMU: ",
        "# Not carried over: [log2] numeric_label=1: ",
        "# Not carried over: [mysql1] table=ulog: ",
        "# Not carried over: [mysql1] procedure=INSERT_PACKET_FULL: ",
    ] {
        assert!(toml.contains(told), "{told}: {toml}");
    }
    assert!(!toml.contains("NFCT"), "{toml}");
}

#[test]
fn other_databases() {
    let stack = |plugin: &str, rest: &str| {
        format!("[global]\nloglevel=7\nstack=l:NFLOG,b:BASE,o:{plugin}\n[l]\ngroup=3\n[o]\n{rest}")
    };
    let config = config_of(&stack(
        "PGSQL",
        "db=\"n\"\nhost=\"::1\"\nport=5433\nuser=\"u\"\npass=\"\"\nschema=\"public\"",
    ));
    let target = config.mirror_target().unwrap().unwrap();
    assert_eq!(target.to_string(), "postgres://u@[::1]:5433/n");
    assert_eq!(config.log.level.name(), "error");
    let config = config_of(&stack("SQLITE3", "db=\"/var/log/ulogd.db\"\nbuffer=200"));
    assert_eq!(config.mirror_target().unwrap().unwrap().to_string(), "sqlite:/var/log/ulogd.db");
    // Nothing but a file of text is nothing to mirror to.
    assert!(config_of(&stack("LOGEMU", "file=/x")).mirror_target().unwrap().is_none());
}

#[test]
fn what_is_no_ulogd_conf_is_refused() {
    assert_eq!(ulogd(""), Err(MigrateError::NoStack));
    assert!(matches!(ulogd("hello"), Err(MigrateError::Syntax { line: 1, .. })));
    assert!(matches!(ulogd("[global"), Err(MigrateError::Syntax { line: 1, .. })));
    let error = ulogd("stack=a:ULOG,b:MYSQL\nstack=c:NFCT,d:XML").unwrap_err().to_string();
    assert!(error.contains("ULOG") && error.contains("NFCT is no packet log"), "{error}");
}
