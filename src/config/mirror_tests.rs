//! The section `[mirror]` in a file: passwords, files, rules.

use std::{fs, path::Path};

use super::{Flags, parse};
use crate::mirror::config::MirrorUrl;

#[track_caller]
fn check(text: &str, expect: &str) {
    let message = parse(text, "f.toml").err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(message, expect, "\n{text}");
}

/// Checks the beginning of the message, where a library or the system writes the rest.
#[track_caller]
fn check_begin(text: &str, begin: &str) {
    let message = parse(text, "f.toml").err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.starts_with(begin), "{message}\n{text}");
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn no_password_is_shown() {
    let check = |url: &str, expect: &str| {
        assert_eq!(MirrorUrl::from(url).to_string(), expect);
        assert!(!format!("{:?}", MirrorUrl::from(url)).contains("secret"));
        assert_eq!(MirrorUrl::from(url).has_password(), url.contains("secret"));
    };
    check("mysql://ann:secret@db/log", "mysql://ann:***@db/log");
    check("mysql://ann:secret@secret@db/log", "mysql://ann:***@db/log");
    check("mysql://ann:secret/secret@db/log", "mysql://ann:***@db/log");
    check("mysql:/ann:secret@db/log", "mysql:/ann:***@db/log");
    check("mysql:ann:secret@db/log", "mysql:ann:***@db/log");
    check("postgres://ann@db/log?sslmode=require", "postgres://ann@db/log?sslmode=require");
    check("postgres://db:5432/log", "postgres://db:5432/log");
    check("sqlite:/var/lib/a@b:c.db", "sqlite:/var/lib/a@b:c.db");
    check(" mysql://ann:secret@db/log\n", "mysql://ann:***@db/log");
    check("", "");

    let config = parse("mirror.url = 'mysql://ann:secret@db/log'", "f.toml").unwrap();
    assert!(!config.to_toml().unwrap().contains("secret"));
    assert!(config.to_toml().unwrap().contains("url = \"mysql://ann:***@db/log\""));
    assert!(!format!("{config:?}").contains("secret"));
    let bad = parse("mirror.url = 'mysql://ann:secret@db:x/log'", "f.toml").unwrap_err();
    assert!(!format!("{bad} {bad:?}").contains("secret"), "{bad}");
}

#[test]
fn the_url_comes_from_a_file_a_key_or_a_flag() {
    let directory = tempfile::tempdir().unwrap();
    let url = write(directory.path(), "url", "  mysql://ann:secret@db/log\n");
    let config = parse(&format!("mirror.url_file = '{url}'"), "f.toml").unwrap();
    let target = config.mirror_target().unwrap().unwrap();
    assert_eq!(target.to_string(), "mysql://ann@db:3306/log");
    assert_eq!(target.password, "secret");

    let file = write(directory.path(), "c.toml", &format!("mirror.url_file = '{url}'"));
    let flags = Flags {
        config_file: Some(file.into()),
        mirror_url: Some("sqlite:rows.db".into()),
        ..Flags::default()
    };
    let target = flags.load().unwrap().mirror_target().unwrap().unwrap();
    assert_eq!(target.to_string(), "sqlite:rows.db");

    assert!(parse("", "f.toml").unwrap().mirror_target().unwrap().is_none());
    // An empty environment variable counts as not set.
    let flags = Flags { mirror_url: Some("".into()), ..Flags::default() };
    assert!(flags.load().unwrap().mirror_target().unwrap().is_none());
}

#[test]
fn invalid_urls() {
    check_begin("[mirror]\nurl = 'oracle://db/log'", "f.toml:2: mirror.url: ");
    check_begin(
        "[mirror]\nurl_file = '/nonexistent/url'",
        "f.toml:2: mirror.url_file: names /nonexistent/url, which cannot be read: No such file",
    );
    check(
        "mirror.url = 'sqlite:a.db'\nmirror.url_file = 'b'",
        "f.toml:2: mirror.url_file: is given together with mirror.url; give one of them",
    );
    let directory = tempfile::tempdir().unwrap();
    let empty = write(directory.path(), "url", " \n");
    check(
        &format!("mirror.url_file = '{empty}'"),
        &format!("f.toml:1: mirror.url_file: names {empty}, which is empty; write the URL into it"),
    );
}

#[test]
fn keys_for_cryptopan() {
    check_begin(
        "mirror.anonymize = 'cryptopan'",
        "f.toml:1: mirror.anonymize_key_file: is missing, and mirror.anonymize = \"cryptopan\" requires",
    );
    let directory = tempfile::tempdir().unwrap();
    let with = |key: &str| {
        let file = write(directory.path(), "key", key);
        format!("[mirror]\nanonymize = 'cryptopan'\nanonymize_key_file = '{file}'")
    };
    check_begin(&with("0123"), "f.toml:3: mirror.anonymize_key_file: names ");
    check(&with(&"0123456789abcdef".repeat(4)), "");
    check("mirror.anonymize = 'truncate'", "");
}

#[test]
fn rules() {
    check(
        "mirror.sample = 0",
        "f.toml:1: mirror.sample: is 0; use 1 for every packet, N for one in N, 1000000 at most",
    );
    check(
        "mirror.retention = '59m'",
        "f.toml:1: mirror.retention: is 59m; use 1h or more, as \"14d\", or \"0s\" to keep all rows",
    );
    check("mirror.retention = '0s'", "");
    check(
        "mirror.countries = ['DE', 'XX']",
        "f.toml:1: mirror.countries: has \"XX\", which is not a country; use two letters (ISO 3166-1 \
         alpha-2), as \"DE\", or \"private\" or \"unknown\"",
    );
    check("mirror.countries = ['DE', 'private', 'unknown']", "");
    check("mirror.prefixes = ['a', 'a']", "f.toml:1: mirror.prefixes: has a twice; name it once");
    check(
        "mirror.host = 'a b'",
        "f.toml:1: mirror.host: is \"a b\"; use a name of 255 bytes at most, without blanks",
    );
    check(
        "mirror.spool.max_size = '1KiB'",
        "f.toml:1: mirror.spool.max_size: is 1024 bytes; use 1MiB or more, or 0 for no spool on disk",
    );
    check("mirror.spool.max_size = 0\nmirror.spool.directory = ''", "");
    check(
        "mirror.spool.directory = ''",
        "f.toml:1: mirror.spool.directory: is empty; name a directory",
    );
    check("mirror.max_size = '10GiB'", "");
}
