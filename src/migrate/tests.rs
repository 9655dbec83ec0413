//! What becomes of a `ulogd.conf`, and that it is a configuration.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

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

/// A `ulogd.conf` with one output.
fn with_output(plugin: &str, section: &str) -> String {
    format!("[global]\nloglevel=7\nstack=l:NFLOG,b:BASE,o:{plugin}\n[l]\ngroup=3\n[o]\n{section}")
}

/// Where the rows go, as messages show it.
#[track_caller]
fn target_of(plugin: &str, section: &str) -> String {
    config_of(&with_output(plugin, section)).mirror_target().unwrap().unwrap().to_string()
}

#[test]
fn other_databases() {
    let section = "db=\"n\"\nhost=\"::1\"\nport=5433\nuser=\"u\"\npass=\"\"\nschema=\"public\"";
    assert_eq!(target_of("PGSQL", section), "postgres://u@[::1]:5433/n");
    let config = config_of(&with_output("SQLITE3", "db=\"/var/log/ulogd.db\"\nbuffer=200"));
    assert_eq!(config.log.level.name(), "error");
    assert_eq!(config.mirror_target().unwrap().unwrap().to_string(), "sqlite:/var/log/ulogd.db");
    // Nothing but a file of text is nothing to mirror to.
    let text = config_of(&with_output("LOGEMU", "file=/x"));
    assert!(text.mirror_target().unwrap().is_none());
}

#[test]
fn a_folder_with_a_socket_is_no_host() {
    for port in ["", "port=5433\n"] {
        let section = format!("db=x\nuser=u\n{port}host=/var/run/postgresql");
        let shown = target_of("PGSQL", &section);
        assert_eq!(shown, "postgres://u@localhost/x by /var/run/postgresql");
        let toml = ulogd(&with_output("PGSQL", &section)).unwrap();
        assert!(toml.contains("/x?host=/var/run/postgresql\""), "{toml}");
    }
}

#[test]
fn a_socket_that_ulogd_used_unasked_is_told_of() {
    for (plugin, host, advice) in [
        ("MYSQL", "host=localhost", Some("?socket=/run/mysqld/mysqld.sock")),
        ("MYSQL", "", Some("?socket=/run/mysqld/mysqld.sock")),
        ("MYSQL", "host=127.0.0.1", None),
        ("PGSQL", "", Some("?host=/var/run/postgresql")),
        ("PGSQL", "host=localhost", None),
    ] {
        let toml = ulogd(&with_output(plugin, &format!("db=x\nuser=u\n{host}"))).unwrap();
        assert_eq!(toml.contains("for the socket, put"), advice.is_some(), "{toml}");
        assert!(toml.contains(advice.unwrap_or_default()), "{toml}");
    }
}

#[test]
fn the_view_of_ulogd_and_the_password_are_told_of() {
    let toml = ulogd(EXAMPLE).unwrap();
    for told in [
        "alone read this file",
        "#   mysql nulog -e 'RENAME TABLE ulog TO ulogd_ulog'",
        "put its name in the place of \"nulog\"",
    ] {
        assert!(toml.contains(told), "{told}: {toml}");
    }
    let toml = ulogd(&with_output("PGSQL", "db=x")).unwrap();
    assert!(toml.contains("#   psql x -c 'ALTER TABLE ulog RENAME TO ulogd_ulog'"), "{toml}");
    let toml = ulogd(&with_output("LOGEMU", "")).unwrap();
    assert!(!toml.contains("password") && !toml.contains("\n[mirror]"), "{toml}");
}

#[test]
fn a_database_that_cannot_be_is_told_of_without_its_password() {
    for (plugin, section) in [
        ("MYSQL", "host=h\nuser=u\npass=hidden"),
        ("MYSQL", "host=h\nuser=u\npass=hidden\ndb=d\nport=99999"),
        ("SQLITE3", "db=:memory:"),
        ("SQLITE3", ""),
    ] {
        let toml = ulogd(&with_output(plugin, section)).unwrap();
        assert!(toml.contains("# Not carried over: [o]: no rows are kept: "), "{toml}");
        assert!(!toml.contains("hidden") && !toml.contains("[mirror]"), "{toml}");
        config::parse(&toml, "ulogd.conf").unwrap();
    }
}

proptest! {
    /// Whatever stands in the file, what is printed is a configuration.
    #[test]
    fn what_is_printed_is_a_configuration(
        plugin in prop::sample::select(vec!["MYSQL", "PGSQL", "SQLITE3", "LOGEMU", "x"]),
        pairs in prop::collection::vec((
            prop::sample::select(vec!["db", "host", "user", "pass", "port", "table", "connstring", "z"]),
            prop_oneof![any::<String>(), "[/a-z0-9%?#@:.\\[\\]=&\"' -]{0,12}"],
        ), 0..8),
        source in prop::collection::vec((
            prop::sample::select(vec![
                "group", "netlink_qthreshold", "netlink_qtimeout", "netlink_socket_buffer_size", "nlbufsiz", "z",
            ]),
            prop_oneof![any::<u64>().prop_map(|it| it.to_string()), any::<String>()],
        ), 0..6),
        groups in 0_usize..80,
    ) {
        let lines = |pairs: &[(&str, String)]| {
            let line = |(key, value): &(&str, String)| format!("{key}={}", value.replace('\n', " "));
            pairs.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let more = (0..groups).fold(String::new(), |text, number| {
            format!("{text}\n[global]\nstack=m{number}:NFLOG,b:BASE\n[m{number}]\ngroup={number}\n")
        });
        let text = format!(
            "stack=l:NFLOG,b:BASE,o:{plugin}\n[l]\n{}\n[o]\n{}\n{more}",
            lines(&source),
            lines(&pairs)
        );
        let toml = ulogd(&text).unwrap();
        let config = config::parse(&toml, "ulogd.conf");
        prop_assert!(config.is_ok(), "{:?}\n{toml}", config.err());
        prop_assert!(config.unwrap().mirror_target().is_ok(), "{toml}");
    }

    /// A path is the same file for both.
    #[test]
    fn a_path_stays_what_it_is(path in "/?[ -!#-~ä]{1,20}") {
        prop_assume!(path.trim() == path && path != ":memory:");
        let shown = target_of("SQLITE3", &format!("db=\"{path}\""));
        let found: PathBuf = Path::new(shown.strip_prefix("sqlite:").unwrap()).components().collect();
        let wanted: PathBuf = Path::new(&path).components().collect();
        prop_assert_eq!(found.strip_prefix(".").unwrap_or(&found), wanted.strip_prefix(".").unwrap_or(&wanted));
    }
}

#[test]
fn what_is_no_ulogd_conf_is_refused() {
    assert_eq!(ulogd(""), Err(MigrateError::NoStack));
    assert!(matches!(ulogd("hello"), Err(MigrateError::Syntax { line: 1, .. })));
    assert!(matches!(ulogd("[global"), Err(MigrateError::Syntax { line: 1, .. })));
    let error = ulogd("stack=a:ULOG,b:MYSQL\nstack=c:NFCT,d:XML").unwrap_err().to_string();
    assert!(error.contains("ULOG") && error.contains("NFCT is no packet log"), "{error}");
}
