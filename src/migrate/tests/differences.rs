//! Differences from ulogd that are named: groups in one table, ulogd's own table, lines that nothing uses, ulogd 1.

use super::{config, config_of, ulogd};

const TWO_GROUPS: &str = "[global]\nstack=a:NFLOG,m:MYSQL\nstack=b:NFLOG,e:LOGEMU\n[a]\ngroup=1\n[b]\ngroup=2\n\
                          attach_conntrack=1\n[m]\ndb=d\nhost=h\nuser=u\npass=secret\nreconnect=5\n[e]\nfile=/x\n";

#[track_caller]
fn has(toml: &str, lines: &[&str]) {
    for line in lines {
        assert!(toml.contains(line), "{line}\n{toml}");
    }
}

#[test]
fn groups_in_one_table_are_named() {
    let toml = ulogd(TWO_GROUPS).unwrap();
    has(
        &toml,
        &[
            "# Note: the packets of all groups (1, 2) become rows of one table, and the column nflog_group has the group; \
             ulogd wrote none of group 2: to leave them out, ",
            "# Not migrated: [m] reconnect: the connection is retried",
            "# Not migrated: [e] file (line 16): a setting of LOGEMU",
            "nflog_exporter --config.file THIS_FILE migrate rows FROM-URL",
        ],
    );
    assert!(config_of(TWO_GROUPS).nflog.conntrack);
    let both = TWO_GROUPS.replace("e:LOGEMU", "m:MYSQL");
    has(
        &ulogd(&both).unwrap(),
        &["(1, 2) become rows of one table, and the column nflog_group has the group\n"],
    );
}

#[test]
fn the_own_table_of_ulogd_in_sqlite_has_advice() {
    let text = "[global]\nstack=a:NFLOG,o:SQLITE3\n[a]\n[o]\ndb=/var/lib/x.db\nbuffer=7";
    has(
        &ulogd(text).unwrap(),
        &[
            "#   sqlite3 /var/lib/x.db 'ALTER TABLE ulog RENAME TO ulogd_ulog'",
            "migrate rows FROM-URL",
            "[o] buffer: rows wait in the spool",
        ],
    );
}

#[test]
fn every_unused_line_is_named_without_its_value() {
    let text = "include /etc/secret\n[global]\nplugin=/usr/lib/mips/ulogd_inppkt_NFLOG.so\n\
                plugin=/usr/lib/mips/ulogd_output_GPRINT.so\nstack=a:NFLOG,g:GPRINT\n[a]\nbind=1\n[other]\n\
                pass=secret\n[g]\n[a]\ngroup=9\n";
    let toml = ulogd(text).unwrap();
    has(
        &toml,
        &[
            "# Note: include (line 1): before the first section",
            "# Note: plugin (2 lines): this program loads no plugins",
            "# Not migrated: [a] bind: kernels since",
            "# Note: [other] (line 8): nothing that is migrated uses this section",
            "# Note: [a] (line 11): ulogd reads only the first section of a name",
            "groups = [0]",
        ],
    );
    assert!(!toml.contains("secret"), "{toml}");
}

#[test]
fn the_configuration_of_ulogd_1_is_converted() {
    let text = "# Example configuration for ulogd\n[global]\nnlgroup 5\nlogfile /var/log/ulogd.log\nloglevel 5\n\
                rmem 131071\nbufsize 150000\nplugin /usr/lib/ulogd/ulogd_BASE.so\n\
                plugin /usr/lib/ulogd/ulogd_LOGEMU.so\nplugin /usr/lib/ulogd/ulogd_MYSQL.so\n[LOGEMU]\n\
                file /var/log/ulogd.syslogemu\nsync 1\n[MYSQL]\ntable ulog\npass changeme\nuser laforge\ndb ulogd\n\
                host db.example.net\n[PGSQL]\ndb x\n";
    let toml = ulogd(text).unwrap();
    has(
        &toml,
        &[
            "# Note: this is a configuration of ulogd 1, ",
            "they keep the group 5",
            "# Not migrated: bufsize: ",
            "# Not migrated: logfile=/var/log/ulogd.log: ",
            "# Not migrated: LOGEMU:LOGEMU: packets are not written as text",
            "# Not migrated: [LOGEMU] file (line 12): a setting of LOGEMU",
            "# Not migrated: [MYSQL] table=ulog: ",
            "# Note: [PGSQL] (line 20): nothing that is migrated uses this section",
        ],
    );
    let config = config::parse(&toml, "ulogd.conf").unwrap();
    assert_eq!(config.nflog.groups, [5]);
    assert_eq!(config.nflog.receive_buffer, 131_071);
    let target = config.mirror_target().unwrap().unwrap();
    assert_eq!(target.to_string(), "mysql://laforge@db.example.net:3306/ulogd");
    assert_eq!(&*target.password, "changeme");
}

/// Before version 1.20, there are no sections.
#[test]
fn the_oldest_configuration_of_ulogd_is_converted() {
    let text = "nlgroup 1\nlogfile /var/log/ulogd.log\nplugin /usr/local/lib/ulogd/ulogd_BASE.so\n\
                plugin /usr/local/lib/ulogd/ulogd_MYSQL.so\nmysqltable ulog\nmysqlpass changeme\nmysqluser laforge\n\
                mysqldb ulogd\nmysqlhost localhost\nsyslogfile /var/log/x\nfoo bar\n";
    let toml = ulogd(text).unwrap();
    has(
        &toml,
        &[
            "# Not migrated: syslogfile: packets are not written to files",
            "# Not migrated: [MYSQL] table=ulog: ",
            "foo (line 11): ulogd does not have this key",
            "groups = [1]",
            "url = \"mysql://laforge:changeme@localhost/ulogd\"",
        ],
    );
    assert_eq!(
        ulogd("plugin /usr/lib/ulogd/ulogd_BASE.so\n").map(|toml| toml.contains("groups = [32]")),
        Ok(true)
    );
}
