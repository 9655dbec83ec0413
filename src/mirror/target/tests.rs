//! Valid URLs and their meaning, one a line; invalid ones; and that no message holds a password.

use super::*;

fn parse(url: &str) -> Target {
    url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Checks how the URL is shown, and its user, password and database.
fn shown(url: &str, expect: &str, user: &str, password: &str, database: &str) {
    let target = parse(url);
    assert_eq!(target.to_string(), expect, "{url}");
    assert_eq!((&*target.user, &*target.password, &*target.database), (user, password, database));
}

#[test]
fn servers() {
    shown("mysql://u:p@db.example/d", "mysql://u@db.example:3306/d", "u", "p", "d");
    shown("mariadb://u:p@db.example/d", "mysql://u@db.example:3306/d", "u", "p", "d");
    shown("postgres://u:p@h/d", "postgres://u@h:5432/d", "u", "p", "d");
    shown("postgresql://u@h:6432/d", "postgres://u@h:6432/d", "u", "", "d");
    shown("clickhouse://u:p@h/d", "clickhouse://u@h:8123/d", "u", "p", "d");
    shown("clickhouses://h/d", "clickhouse://h:8443/d", "", "", "d");
    shown("MySQL://h/d", "mysql://h:3306/d", "", "", "d");
    shown("  mysql://h/d\n", "mysql://h:3306/d", "", "", "d");
    shown("mysql://:p@h/d", "mysql://h:3306/d", "", "p", "d");
    shown("mysql://[2001:db8::1]:3307/d", "mysql://[2001:db8::1]:3307/d", "", "", "d");
    shown("postgres://[::1]/d", "postgres://[::1]:5432/d", "", "", "d");
    shown("mysql://192.0.2.1/d", "mysql://192.0.2.1:3306/d", "", "", "d");
    shown(
        "mysql://u%40x:p%40%2F%3A%3f%23%25@h/my%20db",
        "mysql://u@x@h:3306/my db",
        "u@x",
        "p@/:?#%",
        "my db",
    );
    // Characters that need no encoding.
    shown(
        "mysql://u:p:a!$&'()*+,;=-._~@h/d!",
        "mysql://u@h:3306/d!",
        "u",
        "p:a!$&'()*+,;=-._~",
        "d!",
    );
    shown("mysql://%C3%BC:p%5E@h/d%C3%A4", "mysql://ü@h:3306/dä", "ü", "p^", "dä");
    shown("mysql://u:a+b@h/a+b", "mysql://u@h:3306/a+b", "u", "a+b", "a+b");
    shown("mysql://u:a%0Ab@h/d", "mysql://u@h:3306/d", "u", "a\nb", "d");
}

/// Checks the endpoint.
fn endpoint(url: &str, expect: &Endpoint) {
    assert_eq!(&parse(url).endpoint, expect, "{url}");
    assert_eq!(parse(url).tls, Tls::Off, "{url}");
}

#[test]
fn sockets() {
    let socket = |path: &str, port| Endpoint::Socket { path: path.into(), port };
    let my = socket("/run/mysqld/mysqld.sock", 3306);
    endpoint("mysql://u:p@localhost/d?socket=/run/mysqld/mysqld.sock", &my);
    endpoint("mysql://u@/d?socket=%2Frun%2Fmysqld/mysqld.sock", &my);
    endpoint("mysql:///d?socket=/run/mysqld/mysqld.sock&ssl-mode=DISABLED", &my);
    endpoint("mysql:///d?socket=/a+b%20c", &socket("/a+b c", 3306));
    endpoint("postgres:///d?host=/run/postgresql", &socket("/run/postgresql", 5432));
    endpoint("postgres://u@/d?host=/run/postgresql", &socket("/run/postgresql", 5432));
    endpoint("postgres://u@h:5433/d?host=/run/postgresql", &socket("/run/postgresql", 5433));
    endpoint("postgres://u@%2Frun%2Fpostgresql/d", &socket("/run/postgresql", 5432));
    endpoint("postgres://%2Frun%2Fpostgresql:5433/d", &socket("/run/postgresql", 5433));
}

#[test]
fn files() {
    let file = |path: &str| Endpoint::File(path.into());
    endpoint("sqlite:/var/lib/x.db", &file("/var/lib/x.db"));
    endpoint("sqlite:///var/lib/x.db", &file("/var/lib/x.db"));
    endpoint("sqlite:x.db", &file("x.db"));
    endpoint("sqlite://x.db", &file("x.db"));
    endpoint("sqlite:./a/../x.db", &file("./a/../x.db"));
    endpoint("SQLite:x.db", &file("x.db"));
    endpoint("sqlite:/a b/ü#1.db", &file("/a b/ü#1.db"));
    endpoint("sqlite:/100%/50%x.db", &file("/100%/50%x.db"));
    endpoint("sqlite:/a%20b%3F%25.db", &file("/a b?%.db"));
    endpoint("sqlite:/a@b:c.db?", &file("/a@b:c.db"));
    endpoint("sqlite:C:x.db", &file("C:x.db"));
    assert_eq!(parse("sqlite:/x.db").to_string(), "sqlite:/x.db");
}

fn tls(url: &str, expect: &Tls) {
    assert_eq!(&parse(url).tls, expect, "{url}");
}

#[test]
fn certificates_are_verified_except_on_loopback() {
    let verified = Tls::Verified { roots: None };
    let own = Tls::Verified { roots: Some("/etc/ca.pem".into()) };
    tls("mysql://h/d", &verified);
    tls("postgres://h/d", &verified);
    tls("mysql://192.0.2.1/d", &verified);
    tls("mysql://localhost.example/d", &verified);
    tls("mysql://128.0.0.1/d", &verified);
    tls("mysql://localhost/d", &Tls::Off);
    tls("mysql://LOCALHOST/d", &Tls::Off);
    tls("postgres://127.0.0.1/d", &Tls::Off);
    tls("postgres://127.9.9.9/d", &Tls::Off);
    tls("postgres://[::1]/d", &Tls::Off);
    tls("postgres://[::ffff:127.0.0.1]/d", &Tls::Off);
    tls("mysql://h/d?sslmode=disable", &Tls::Off);
    tls("mysql://h/d?ssl-mode=DISABLED", &Tls::Off);
    tls("mysql://h/d?ssl_mode=REQUIRED", &Tls::Unverified);
    tls("postgres://h/d?sslmode=require", &Tls::Unverified);
    tls("postgres://localhost/d?sslmode=require", &Tls::Unverified);
    tls("postgres://localhost/d?sslmode=verify-full", &verified);
    tls("mysql://localhost/d?ssl-mode=VERIFY_IDENTITY", &verified);
    tls("mysql://localhost/d?ssl-mode=verify%5Fidentity", &verified);
    tls("mysql://h/d?ssl-ca=/etc/ca.pem", &own);
    tls("mysql://localhost/d?ssl_ca=/etc/ca.pem", &own);
    tls("postgres://localhost/d?sslrootcert=/etc/ca.pem", &own);
    tls("postgres://h/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem", &own);
    tls("postgres://h/d?SSLMODE=Verify-Full&&sslrootcert=/etc/ca.pem&", &own);
}

/// Checks the error. All these URLs have `secret` where a password or a part of it is.
fn rejected(url: &str, expect: &str) {
    let error = url.parse::<Target>().expect_err(url);
    for message in [error.to_string(), format!("{error:?}")] {
        assert!(!message.contains("secret"), "{url}: {message}");
    }
    assert!(error.to_string().contains(expect), "{url}: {error}");
}

#[test]
fn invalid_urls_are_explained() {
    rejected("", "must begin with mysql://");
    rejected("secret", "must begin with mysql://");
    rejected("/var/lib/secret.db", "must begin with mysql://");
    rejected("secret://u:secret@h/d", "must begin with mysql://");
    rejected("http://u:secret@h/d", "must begin with mysql://");
    rejected("mysql:secret", "// is missing");
    rejected("mysql:/u:secret@h/d", "// is missing");
    rejected("mysql://u:secret@h", "names no database; add its name");
    rejected("mysql://u:secret@h/", "names no database");
    rejected("postgres://u:secret@h?sslmode=require", "names no database");
    rejected("mysql://u:secret@/d", "names no host and no socket");
    rejected("postgres:///d", "names no host and no socket");
    rejected("mysql://", "names no database");
    rejected("mysql://u:secret@h:port/d", "the port is not a number");
    rejected("mysql://u:secret@h:65536/d", "the port is not a number");
    rejected("mysql://u:secret@h:0/d", "the port is 0");
    rejected("mysql://u:secret@[::g]/d", "is not an IPv6 address");
    rejected("mysql://u:secret@a b/d", "a space in it");
    rejected("mysql://u:secret@h/d/e", "more than one /");
    rejected("mysql://u:secret@h/d%0Ae", "control character");
    rejected("mysql://u%0A:secret@h/d", "control character");
    rejected("mysql://u:sec\nret@h/d", "control character");
    rejected("mysql://u:secret%00@h/d", "%00");
    rejected("mysql://u:secret%ff@h/d", "are not valid UTF-8");
}

#[test]
fn unencoded_characters_are_rejected() {
    for scheme in ["mysql", "mariadb", "postgres", "postgresql"] {
        for (rest, what) in [
            ("u:sec@ret@h/d", "an @ in user or password"),
            ("u@x:secret@h/d", "an @ in user or password"),
            ("u:@secret@h/d", "an @ in user or password"),
            ("u:sec ret@h/d", "a space in it"),
            ("u:secret@h/my db", "a space in it"),
            ("u:secret@h/d?socket=/a b", "a space in it"),
            ("ü:secret@h/d", "not ASCII"),
            ("u:secret\"@h/d", "has to be encoded, one of"),
            ("u:secret<>@h/d", "has to be encoded, one of"),
            ("u:secret\\@h/d", "has to be encoded, one of"),
            ("u:secret[1]@h/d", "has to be encoded, one of"),
            ("u:secret^`{|}@h/d", "has to be encoded, one of"),
            ("u:secret%@h/d", "a % without two"),
            ("u:secret%4@h/d", "a % without two"),
            ("u:secret%zz@h/d", "a % without two"),
            ("u:100%secret@h/d", "a % without two"),
        ] {
            rejected(&format!("{scheme}://{rest}"), what);
            rejected(&format!("{scheme}://{rest}"), "@ as %40");
        }
    }
}

#[test]
fn an_unencoded_password_is_not_repeated() {
    rejected("mysql://u:secret/x@h/d", "/ as %2F");
    rejected("mysql://u:12/secret@h", "an @ after the host");
    rejected("mysql://u:12/secret@h/d", "an @ after the host");
    rejected("mysql://u:12?secret@h/d", "an @ after the host");
    rejected("mysql://u:12?secret=secret@h/d", "an @ after the host");
    rejected("mysql://u:12#secret@h/d", "a # in it");
    rejected("mysql://u:se#secret@h/d", "the port is not a number");
    rejected("mysql://u:se?secret@h/d", "the port is not a number");
    rejected("mysql://h/d?password%3Dsecret", "unknown parameter; valid names");
}

#[test]
fn invalid_parameters_are_explained() {
    rejected("mysql://u:secret@h/d?sslmod=x", "unknown parameter sslmod; did you mean sslmode?");
    rejected("mysql://u:secret@h/d?sokcet=/x", "did you mean socket?");
    rejected("postgres://h/d?sslrotcert=/x", "did you mean sslrootcert?");
    rejected("mysql://h/d?host=/x", "unknown parameter host");
    rejected("postgres://h/d?password=secret", "unknown parameter password; valid names: sslmode,");
    rejected("sqlite:x.db?mode=rwc", "unknown parameter mode; there are none for SQLite");
    rejected("mysql://h/d?sslmode=on", "sslmode is not one of disable, require, verify-full");
    rejected("mysql://h/d?sslmode", "sslmode is not one of");
    rejected("postgres://h/d?sslmode=verify-ca", "write verify-full");
    rejected("mysql://h/d?ssl-mode=VERIFY_CA", "write verify-full");
    rejected("postgres://h/d?sslmode=prefer", "falls back to no encryption");
    rejected("mysql://h/d?ssl-mode=PREFERRED", "falls back to no encryption");
    rejected("postgres://h/d?sslmode=require&ssl-mode=require", "ssl-mode is given twice");
    rejected("postgres://h/d?sslrootcert=", "sslrootcert names no file");
    rejected(
        "postgres://h/d?sslmode=require&sslrootcert=/x",
        "sslrootcert names trusted authorities",
    );
    rejected(
        "postgres://h/d?sslmode=disable&sslrootcert=/x",
        "sslrootcert names trusted authorities",
    );
    rejected("mysql://h/d?socket=", "socket is not an absolute path");
    rejected("mysql://h/d?socket=mysqld.sock", "socket is not an absolute path");
    rejected("postgres://h/d?host=other", "a host name belongs after ://");
    rejected("mysql://h/d?socket=/x&ssl-mode=REQUIRED", "ssl-mode requests TLS, which a socket");
    rejected("postgres:///d?host=/x&sslrootcert=/x", "sslrootcert requests TLS, which a socket");
}

#[test]
fn files_that_do_not_persist() {
    rejected("sqlite:", "names no persistent file");
    rejected("sqlite://", "names no persistent file");
    rejected("sqlite::memory:", "names no persistent file");
    rejected("sqlite:file:x.db", "names no persistent file");
    rejected("sqlite:a%00b", "names no persistent file");
}

#[test]
fn no_display_shows_a_password() {
    for url in ["mysql://u:secret@h/d", "postgres:///d?host=/x", "postgres://u:secret@/d?host=/x"] {
        let target = parse(url);
        assert!(!format!("{target} {target:?}").contains("secret"), "{url}");
    }
}

proptest::proptest! {
    #[test]
    fn any_password_can_be_encoded(password in "[^\0]{0,40}", user in "[^\\p{Cc}]{0,20}") {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let url = format!("postgres://{}:{}@h/d", encode(&user), encode(&password));
        let target = parse(&url);
        assert_eq!((target.user, target.password), (user, password));
    }

    #[test]
    fn any_text_is_parsed_or_rejected(
        scheme in "(mysql|postgres|sqlite):/{0,3}",
        rest in "[ -~é/?#@:%\\[\\]&=]{0,60}",
    ) {
        let _ = format!("{scheme}{rest}").parse::<Target>();
    }
}

#[test]
fn the_identity_is_the_database_alone() {
    let identity = |url: &str| url.parse::<Target>().unwrap().identity();
    let same = |one: &str, other: &str| assert_eq!(identity(one), identity(other));
    let other = |one: &str, other: &str| assert_ne!(identity(one), identity(other));
    assert_eq!(
        identity("mysql://ann:s3cret@db.example.net/log"),
        "mysql://db.example.net:3306/log"
    );
    same("mysql://ann:1@db/log", "mariadb://bob:2@DB.:3306/log?ssl-mode=DISABLED");
    same("postgres://ann@db/log?sslmode=require", "postgresql://bob:2@db:5432/log");
    same("sqlite:/a/rows.db", "sqlite:///a/rows.db");
    same("mysql://a@[::1]/log", "mysql://b@[::1]:3306/log");
    other("mysql://db/log", "mysql://db/log2");
    other("mysql://db/log", "mysql://db:3307/log");
    other("mysql://db/log", "mysql://db2/log");
    other("mysql://db:5432/log", "postgres://db:5432/log");
    other("sqlite:/a/rows.db", "sqlite:/b/rows.db");
    other("mysql://a@localhost/log", "mysql://a@localhost/log?socket=/run/mysqld.sock");
    other("postgres://a@localhost/log?host=/run/a", "postgres://a@localhost/log?host=/run/b");
}

#[test]
fn several_hosts() {
    let check = |url: &str, expect: &str| {
        let servers: Servers = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(servers.to_string(), expect, "{url}");
        assert!(!format!("{servers:?}").contains("secret"), "{url}");
        servers
    };
    let servers = check(
        "mysql://u:a,secret@db1:3306,db2,[2001:db8::1]:3307,192.0.2.1/nflog",
        "mysql://u@db1:3306,db2:3306,[2001:db8::1]:3307,192.0.2.1:3306/nflog",
    );
    assert!(servers.iter().all(|target| (&*target.user, &*target.password) == ("u", "a,secret")));
    assert_eq!(servers.count(), 4);
    assert_eq!(servers.at(5).to_string(), "mysql://u@db2:3306/nflog");
    check("postgres://a,b/d?target_session_attrs=read-write", "postgres://a:5432,b:5432/d");
    check("mysql://u@db/d", "mysql://u@db:3306/d");
    check("postgres://u@/d?host=/run/x", "postgres://u@localhost/d by /run/x");
    // A host on loopback is not encrypted; the certificates of the others are verified.
    let tls = |url: &str| -> Vec<Tls> {
        url.parse::<Servers>().unwrap().iter().map(|target| target.tls.clone()).collect()
    };
    let verified = Tls::Verified { roots: None };
    assert_eq!(tls("mysql://localhost,db/d"), [Tls::Off, verified.clone()]);
    assert_eq!(tls("mysql://localhost,db/d?sslmode=verify-full"), [verified.clone(), verified]);
}

#[test]
fn hosts_that_cannot_be_used_together() {
    for (url, expect) in [
        ("mysql://u:secret@a,/d", "one of them is empty"),
        ("mysql://u:secret@,a/d", "one of them is empty"),
        ("mysql://u:secret@a,,b/d", "one of them is empty"),
        ("mysql://u:secret@a:3306,A./d", "listed twice"),
        ("mysql://u:secret@a,b/d?socket=/run/x", "a socket cannot be one of several"),
        ("postgres://u:secret@%2Frun,b/d", "a socket cannot be one of several"),
        ("mysql://u:secret@a,b:x/d", "the port is not a number"),
        ("mysql://u:secret@a,b", "names no database"),
        ("mysql://u:secret@a,[::g]/d", "is not an IPv6 address"),
        ("clickhouse://u:secret@a,b/d", "ClickHouse takes one"),
        ("postgres://a,b/d?target_session_attrs=standby", "is not read-write or primary"),
        ("postgres://a,b/d?load_balance_hosts=random", "set mirror.server_order"),
    ] {
        let error = url.parse::<Servers>().unwrap_err().to_string();
        assert!(error.contains(expect) && !error.contains("secret"), "{url}: {error}");
    }
    let many = |count: usize| {
        let hosts: Vec<_> = (0..count).map(|number| format!("db{number}")).collect();
        format!("mysql://{}/d", hosts.join(",")).parse::<Servers>()
    };
    assert!(many(MAX_SERVERS).is_ok() && many(MAX_SERVERS + 1).is_err());
    assert!("mysql://a,b/d".parse::<Target>().unwrap_err().to_string().contains("name one"));
}

#[test]
fn a_database_is_the_same_as_long_as_it_shares_a_server() {
    let identity = |url: &str| url.parse::<Servers>().unwrap().identity();
    assert_eq!(identity("mysql://u@A,b:3307/d"), "mysql://a:3306,b:3307/d");
    let check = |one: &str, other: &str, expect: bool| {
        let (one, other) = (identity(one), identity(other));
        assert_eq!(is_same_database(&one, &other), expect, "{one} {other}");
        assert_eq!(is_same_database(&other, &one), expect, "{one} {other}");
    };
    check("mysql://a/d", "mysql://a,b/d", true);
    check("mysql://a,b/d", "mysql://b:3306,c/d", true);
    check("mysql://a,b/d", "mysql://b:3307,c/d", false);
    check("mysql://a,b/d", "mysql://a,b/e", false);
    check("mysql://a:1,b:1/d", "postgres://a:1,b:1/d", false);
    check("sqlite:/a", "sqlite:/a", true);
    check("sqlite:/x://a/b", "sqlite:/y://a/b", false);
    check("mysql://localhost/d?socket=/a", "mysql://localhost/d?socket=/b", false);
}

#[test]
fn the_scheme_of_clickhouse_decides_about_encryption() {
    for url in ["clickhouse://h/d", "clickhouse://127.0.0.1/d?sslmode=disable"] {
        assert_eq!(parse(url).tls, Tls::Off, "{url}");
    }
    for url in ["clickhouses://localhost/d", "clickhouses://h/d?sslmode=verify-full"] {
        assert_eq!(parse(url).tls, Tls::Verified { roots: None }, "{url}");
    }
    assert_eq!(parse("clickhouses://h/d?sslmode=require").tls, Tls::Unverified);
    for (url, expect) in [
        ("clickhouse://h/d?sslmode=require", "sslmode requests TLS: write clickhouses://"),
        ("clickhouse://h/d?sslrootcert=/ca.pem", "sslrootcert requests TLS: write clickhouses://"),
        ("clickhouses://h/d?sslmode=disable", "sslmode turns TLS off: write clickhouse://"),
        ("clickhouse://h/d?socket=/run/x", "unknown parameter socket"),
    ] {
        let error = url.parse::<Target>().unwrap_err().to_string();
        assert!(error.contains(expect), "{url}: {error}");
    }
}
