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
            "# Note: each [[output]] gets the packets of all groups",
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
            "format = \"logemu\"\ntarget = \"file:///var/log/ulogd.syslogemu\"",
            "# Not migrated: [MYSQL] table=ulog: ",
            "# Note: [PGSQL] (line 20): nothing that is migrated uses this section",
        ],
    );
    let config = config::parse(&toml, "ulogd.conf").unwrap();
    assert_eq!(config.nflog.groups, [5]);
    assert_eq!(config.nflog.receive_buffer, 131_071);
    let target = config.mirror_servers().unwrap().unwrap().single().unwrap();
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
            "# Not migrated: syslogfile: without sections, files of packets are not converted",
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

#[test]
fn files_of_packets_become_outputs() {
    let text = "[global]\nstack=a:NFLOG,b:BASE,e:LOGEMU\nstack=a:NFLOG,b:BASE,g:GPRINT\nstack=a:NFLOG,j:JSON\n\
                stack=a:NFLOG,b:BASE,p:PCAP\nstack=a:NFLOG,s:SYSLOG\nstack=a:NFLOG,x:XML\nstack=a:NFLOG,t:JSON\n\
                stack=a:NFLOG,w:JSON\n[a]\ngroup=1\n[e]\nfile=/var/log/ulog/syslogemu.log\nsync=1\n[g]\ntimestamp=1\n\
                [p]\nfile=/var/log/ulog/ulogd.pcap\n[s]\nfacility=LOG_LOCAL2\n[x]\nfile=/x\n[t]\nmode=tcp\n\
                host=192.0.2.1\nport=5000\n[w]\nfile=relative.json\n";
    let outputs: Vec<_> = config_of(text)
        .output
        .iter()
        .map(|output| {
            format!("{} {:?} {} {}", output.name, output.format, output.target, output.rotate_size)
        })
        .collect();
    assert_eq!(
        outputs,
        [
            "e Logemu file:///var/log/ulog/syslogemu.log 0",
            "g Gprint file:///var/log/ulogd_gprint.log 0",
            "j UlogdJson file:///var/log/ulogd.json 0",
            "p Pcap file:///var/log/ulog/ulogd.pcap 0",
            "s Syslog journal: 104857600",
            "t UlogdJson tcp://192.0.2.1:5000 104857600",
        ]
    );
    has(
        &ulogd(text).unwrap(),
        &[
            "# Not migrated: [g] timestamp=1: the lines have the time of the packet only",
            "# Not migrated: [s] facility=LOG_LOCAL2: ",
            "# Not migrated: x:XML: this format is not supported",
            "# Not migrated: w:JSON: \"file://relative.json\" is not a target",
            "link_layer = \"raw\"",
        ],
    );
}
