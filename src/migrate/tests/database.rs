//! Database plugins: URLs, advice, and no passwords in notes.

use super::*;

#[test]
fn other_databases() {
    let section = "db=\"n\"\nhost=\"::1\"\nport=5433\nuser=\"u\"\npass=\"\"\nschema=\"public\"";
    assert_eq!(target_of("PGSQL", section), "postgres://u@[::1]:5433/n");
    let config = config_of(&with_output("SQLITE3", "db=\"/var/log/ulogd.db\"\nbuffer=200"));
    assert_eq!(config.log.level.name(), "error");
    assert_eq!(config.mirror_servers().unwrap().unwrap().to_string(), "sqlite:/var/log/ulogd.db");
    // Text files are not a database.
    let text = config_of(&with_output("LOGEMU", "file=/x"));
    assert!(text.mirror_servers().unwrap().is_none());
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
    for expected in [
        "readable only by root",
        "#   mysql nulog -e 'RENAME TABLE ulog TO ulogd_ulog'",
        "replace \"nulog\" in the URL by its name",
    ] {
        assert!(toml.contains(expected), "{expected}: {toml}");
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

#[test]
fn settings_of_dbi() {
    let section =
        "dbtype=\"pgsql\"\ndb=d\nhost=h.example\nuser=u\npass=\"a b\"\nport=5433\ntable=ulog";
    let config = config_of(&with_output("DBI", section));
    let target = config.mirror_servers().unwrap().unwrap().single().unwrap();
    assert_eq!((&*target.user, &*target.password), ("u", "a b"));
    assert_eq!(target.to_string(), "postgres://u@h.example:5432/d");
    let toml = ulogd(&with_output("DBI", section)).unwrap();
    assert!(toml.contains("port=5433: ulogd's DBI ignores it"), "{toml}");
    assert_eq!(target_of("DBI", "dbtype=mysql\ndb=d\nuser=u"), "mysql://u@localhost:3306/d");
    for (section, reason) in
        [("dbtype=oracle\ndb=d", "dbtype=oracle is not supported"), ("db=d", "dbtype is missing")]
    {
        let toml = ulogd(&with_output("DBI", section)).unwrap();
        assert!(toml.contains(reason) && !toml.contains("[mirror]"), "{toml}");
    }
}

#[test]
fn a_connection_string_overrides_the_other_keys() {
    let of = |text: &str| format!("db=other\nhost=other\nuser=other\nconnstring=\"{text}\"");
    let string = "host=h.example port=4321 dbname=nulog user=u password='a b' application_name=x";
    let config = config_of(&with_output("PGSQL", &of(string)));
    let target = config.mirror_servers().unwrap().unwrap().single().unwrap();
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
    for (plugin, host, expected) in [
        ("MYSQL", "db.example", Some("?ssl-mode=REQUIRED to the URL")),
        ("PGSQL", "192.0.2.1", Some("?sslmode=require to the URL")),
        ("MYSQL", "127.0.0.1", None),
        ("PGSQL", "/run/postgresql", None),
    ] {
        let toml = ulogd(&with_output(plugin, &format!("db=d\nuser=u\nhost={host}"))).unwrap();
        assert_eq!(toml.contains("certificate"), expected.is_some(), "{toml}");
        assert!(toml.contains(expected.unwrap_or_default()), "{toml}");
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
