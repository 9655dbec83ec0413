//! Converts examples of `ulogd.conf`, and checks that every result is a valid configuration.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{ulogd as migrated, *};

/// The configuration of a file, whose last line needs no newline here.
fn ulogd(text: &str) -> Result<String, MigrateError> {
    migrated(format!("{text}\n").as_bytes()).map(|migrated| migrated.toml)
}

/// What the stack to MySQL of the example that comes with ulogd looks like when it is in use.
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
    let target = config.mirror_target().unwrap().unwrap();
    assert_eq!((&*target.user, &*target.password), ("nu:pacct", "ch@nge me"));
    assert_eq!(target.database, "nulog");
    assert_eq!(target.to_string(), "mysql://nu:pacct@db.example.net:3306/nulog");
}

#[test]
fn settings_without_an_equivalent_are_reported() {
    let toml = ulogd(EXAMPLE).unwrap();
    for told in [
        "# Not migrated: logfile=syslog: ",
        "# Not migrated: emu1:LOGEMU: ",
        "# Not migrated: [log2] numeric_label: ",
        "# Not migrated: [log1] bufsize: ",
        "# Note: [log1] nlbufsiz (line 16): ulogd does not have this key",
        "# Not migrated: [mysql1] table=ulog: ",
        "# Not migrated: [mysql1] procedure=INSERT_PACKET_FULL: ",
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
fn a_socket_directory_is_not_a_host() {
    for port in ["", "port=5433\n"] {
        let section = format!("db=x\nuser=u\n{port}host=/var/run/postgresql");
        let shown = target_of("PGSQL", &section);
        assert_eq!(shown, "postgres://u@localhost/x by /var/run/postgresql");
        let toml = ulogd(&with_output("PGSQL", &section)).unwrap();
        assert!(toml.contains("/x?host=/var/run/postgresql\""), "{toml}");
    }
}

#[test]
fn ulogds_default_socket_is_reported() {
    for (plugin, host, advice) in [
        ("MYSQL", "host=localhost", Some("?socket=/run/mysqld/mysqld.sock")),
        ("MYSQL", "", Some("?socket=/run/mysqld/mysqld.sock")),
        ("MYSQL", "host=127.0.0.1", None),
        ("PGSQL", "", Some("?host=/var/run/postgresql")),
        ("PGSQL", "host=localhost", None),
    ] {
        let toml = ulogd(&with_output(plugin, &format!("db=x\nuser=u\n{host}"))).unwrap();
        assert_eq!(toml.contains("for the socket, append"), advice.is_some(), "{toml}");
        assert!(toml.contains(advice.unwrap_or_default()), "{toml}");
    }
}

#[test]
fn ulogds_view_and_the_password_are_mentioned() {
    let toml = ulogd(EXAMPLE).unwrap();
    for told in [
        "readable only by root",
        "#   mysql nulog -e 'RENAME TABLE ulog TO ulogd_ulog'",
        "replace \"nulog\" in the URL by its name",
    ] {
        assert!(toml.contains(told), "{told}: {toml}");
    }
    let toml = ulogd(&with_output("PGSQL", "db=x")).unwrap();
    assert!(toml.contains("#   psql x -c 'ALTER TABLE ulog RENAME TO ulogd_ulog'"), "{toml}");
    let toml = ulogd(&with_output("LOGEMU", "")).unwrap();
    assert!(!toml.contains("password") && !toml.contains("\n[mirror]"), "{toml}");
}

#[test]
fn an_invalid_database_is_reported_without_its_password() {
    for (plugin, section) in
        [("MYSQL", "host=h\nuser=u\npass=hidden"), ("SQLITE3", "db=:memory:"), ("SQLITE3", "")]
    {
        let toml = ulogd(&with_output(plugin, section)).unwrap();
        assert!(toml.contains("# Not migrated: [o]: no rows are written: "), "{toml}");
        assert!(!toml.contains("hidden") && !toml.contains("[mirror]"), "{toml}");
        config::parse(&toml, "ulogd.conf").unwrap();
    }
}

proptest! {
    /// The result is valid for every file.
    #[test]
    fn every_result_is_a_valid_configuration(
        plugin in prop::sample::select(vec!["MYSQL", "PGSQL", "DBI", "SQLITE3", "LOGEMU", "x"]),
        pairs in prop::collection::vec((
            prop::sample::select(vec!["db", "host", "user", "pass", "port", "table", "connstring", "dbtype", "z"]),
            prop_oneof![any::<String>(), Just("pgsql".to_owned()), Just("mysql".to_owned()), "[/a-z0-9%?#@:.\\[\\]=&\"' -]{0,12}"],
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
            format!("{text}[m{number}]\ngroup={number}\n")
        });
        let stacks = (0..groups).fold(String::new(), |text, number| {
            format!("{text}stack=m{number}:NFLOG,b:BASE\n")
        });
        let text = format!(
            "[global]\nstack=l:NFLOG,b:BASE,o:{plugin}\n{stacks}[l]\n{}\n[o]\n{}\n{more}",
            lines(&source),
            lines(&pairs)
        );
        // A value that cannot be read is an error.
        let Ok(toml) = ulogd(&text) else { return Ok(()) };
        let config = config::parse(&toml, "ulogd.conf");
        prop_assert!(config.is_ok(), "{:?}\n{toml}", config.err());
        prop_assert!(config.unwrap().mirror_target().is_ok(), "{toml}");
    }

    /// A path names the same file for both programs.
    #[test]
    fn paths_are_preserved(path in "/?[ -!#-~ä]{1,20}") {
        prop_assume!(path.trim() == path && path != ":memory:");
        let shown = target_of("SQLITE3", &format!("db=\"{path}\" x"));
        let found: PathBuf = Path::new(shown.strip_prefix("sqlite:").unwrap()).components().collect();
        let wanted: PathBuf = Path::new(&path).components().collect();
        prop_assert_eq!(found.strip_prefix(".").unwrap_or(&found), wanted.strip_prefix(".").unwrap_or(&wanted));
    }
}

#[test]
fn other_files_are_rejected() {
    assert_eq!(ulogd(""), Err(MigrateError::NoGlobal));
    assert_eq!(ulogd("hello\nstack=a:NFLOG,b:GPRINT"), Err(MigrateError::NoGlobal));
    assert_eq!(ulogd("[global]"), Err(MigrateError::NoStack));
    let stacks =
        "stack=a:ULOG,b:MYSQL\nstack=c:NFCT,d:XML\nstack=e:UNIXSOCK,d:XML\nstack=f:NFACCT,d:XML";
    let error = ulogd(&format!("[global]\n{stacks}")).unwrap_err().to_string();
    for said in [
        "Linux has no ULOG since 3.17",
        "NFCT reports connections of conntrack, not packets",
        "UNIXSOCK receives packets from another program",
        "NFACCT reads the kernel's accounting counters",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
}

/// What `[nflog]` of a section of NFLOG is, or why it is none.
fn group_of(section: &str) -> Result<u16, String> {
    let text = format!("[global]\nstack=l:NFLOG,g:GPRINT\n[l]\n{section}\n");
    let migrated = migrated(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(config::parse(&migrated.toml, "ulogd.conf").unwrap().nflog.groups[0])
}

#[test]
fn an_invalid_value_is_an_error() {
    for (line, says) in [
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
            Err(error) => assert!(!says.is_empty() && error.contains(says), "{line}: {error}"),
            Ok(_) => assert_eq!(says, "", "{line}"),
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
        ("group=010", 8, Some("# Note: [l] group=010: parsed as 8, as in ulogd\n")),
        ("group=5# x", 5, Some("# Note: [l] group=5#: parsed as 5, as in ulogd\n")),
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
fn settings_of_dbi() {
    let section =
        "dbtype=\"pgsql\"\ndb=d\nhost=h.example\nuser=u\npass=\"a b\"\nport=5433\ntable=ulog";
    let config = config_of(&with_output("DBI", section));
    let target = config.mirror_target().unwrap().unwrap();
    assert_eq!((&*target.user, &*target.password), ("u", "a b"));
    assert_eq!(target.to_string(), "postgres://u@h.example:5432/d");
    let toml = ulogd(&with_output("DBI", section)).unwrap();
    assert!(toml.contains("port=5433: ulogd's DBI ignores it"), "{toml}");
    assert_eq!(target_of("DBI", "dbtype=mysql\ndb=d\nuser=u"), "mysql://u@localhost:3306/d");
    for (section, says) in
        [("dbtype=oracle\ndb=d", "dbtype=oracle is not supported"), ("db=d", "dbtype is missing")]
    {
        let toml = ulogd(&with_output("DBI", section)).unwrap();
        assert!(toml.contains(says) && !toml.contains("[mirror]"), "{toml}");
    }
}

#[test]
fn a_connection_string_goes_before_the_other_keys() {
    let of = |text: &str| format!("db=other\nhost=other\nuser=other\nconnstring=\"{text}\"");
    let string = "host=h.example port=4321 dbname=nulog user=u password='a b' application_name=x";
    let config = config_of(&with_output("PGSQL", &of(string)));
    let target = config.mirror_target().unwrap().unwrap();
    assert_eq!(target.to_string(), "postgres://u@h.example:4321/nulog");
    assert_eq!(target.password, "a b");
    let toml = ulogd(&with_output("PGSQL", &of(string))).unwrap();
    assert!(toml.contains("connstring: application_name has no equivalent"), "{toml}");
    assert_eq!(target_of("PGSQL", &of("postgresql://u:p@h:5/d")), "postgres://u@h:5/d");
    assert_eq!(
        target_of("PGSQL", &of("host=/run/postgresql dbname=d user=u")),
        "postgres://u@localhost/d by /run/postgresql"
    );
    let toml = ulogd(&with_output("PGSQL", &of("nonsense"))).unwrap();
    assert!(toml.contains("connstring is not KEY=VALUE") && !toml.contains("[mirror]"), "{toml}");
}

#[test]
fn a_file_that_the_packaged_service_cannot_write_has_advice() {
    for (path, advice) in [
        ("/var/log/ulog/ulogd.sqlite3db", Some("# ReadWritePaths=/var/log/ulog\n")),
        ("rows.db", Some("# The path is relative to the directory")),
        ("/var/lib/nflog_exporter/rows.db", None),
    ] {
        let toml = ulogd(&with_output("SQLITE3", &format!("db=\"{path}\""))).unwrap();
        assert_eq!(toml.contains("ReadWritePaths="), advice.is_some(), "{toml}");
        assert!(toml.contains(advice.unwrap_or_default()), "{toml}");
    }
}

#[test]
fn the_certificate_that_the_server_needs_is_mentioned() {
    for (plugin, host, told) in [
        ("MYSQL", "db.example", Some("?ssl-mode=REQUIRED to the URL")),
        ("PGSQL", "192.0.2.1", Some("?sslmode=require to the URL")),
        ("MYSQL", "127.0.0.1", None),
        ("PGSQL", "/run/postgresql", None),
    ] {
        let toml = ulogd(&with_output(plugin, &format!("db=d\nuser=u\nhost={host}"))).unwrap();
        assert_eq!(toml.contains("certificate"), told.is_some(), "{toml}");
        assert!(toml.contains(told.unwrap_or_default()), "{toml}");
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

#[test]
fn no_note_shows_a_password() {
    let section = "host=h\nuser=u\npass=hidden\npassword=hidden\npass=hidden\ndbtype=pgsql\ndb=d\n\
                   connstring=\"password=hidden x='\"";
    for plugin in ["MYSQL", "PGSQL", "DBI", "SQLITE3"] {
        let migrated = migrated(with_output(plugin, &format!("{section}\n")).as_bytes()).unwrap();
        assert!(!migrated.notes.join("\n").contains("hidden"), "{:?}", migrated.notes);
    }
}
