//! The section `[mirror]`: passwords, files, and rules.

use std::{fs, path::Path};

use super::{MirrorConfig, MirrorUrl};
use crate::{
    mirror::target::Servers,
    settings::{
        ConfigSection as _,
        testing::{check_section, section_errors},
    },
};

#[track_caller]
fn check(text: &str, expect: &str) {
    check_section::<MirrorConfig>(text, expect);
}

/// Checks the beginning of a message that ends with the error of a library or the system.
#[track_caller]
fn check_begin(text: &str, begin: &str) {
    let message = section_errors::<MirrorConfig>(text);
    assert!(message.starts_with(begin), "{message}\n{text}");
}

fn servers(section: &str) -> Option<Servers> {
    let config: MirrorConfig = toml::from_str(section).unwrap();
    assert!(config.validate().is_empty());
    config.servers().unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn the_password_is_masked() {
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

    let config =
        MirrorConfig { url: "mysql://ann:secret@db/log".into(), ..MirrorConfig::default() };
    let toml = toml::to_string(&config).unwrap();
    assert!(toml.contains("url = \"mysql://ann:***@db/log\""), "{toml}");
    assert!(!format!("{toml} {config:?}").contains("secret"));
    let config = MirrorConfig { url: "mysql://ann:secret@db:x/log".into(), ..config };
    let error = config.servers().unwrap_err();
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn the_url_is_a_key_or_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let url = write(directory.path(), "url", "  mysql://ann:secret@db/log\n");
    let in_file = servers(&format!("url_file = '{url}'")).unwrap();
    assert_eq!(in_file.to_string(), "mysql://ann@db:3306/log");
    assert_eq!(in_file.at(0).password, "secret");
    assert_eq!(servers("url = 'sqlite:rows.db'").unwrap().to_string(), "sqlite:rows.db");
    assert!(servers("").is_none());
}

#[test]
fn invalid_urls_are_errors() {
    check_begin("[mirror]\nurl = 'oracle://db/log'", "mirror.url: ");
    check_begin(
        "[mirror]\nurl_file = '/nonexistent/url'",
        "mirror.url_file: names /nonexistent/url, which cannot be read: No such file",
    );
    check(
        "mirror.url = 'sqlite:a.db'\nmirror.url_file = 'b'",
        "mirror.url_file: is given together with mirror.url; use one of them",
    );
    let directory = tempfile::tempdir().unwrap();
    let empty = write(directory.path(), "url", " \n");
    check(
        &format!("mirror.url_file = '{empty}'"),
        &format!("mirror.url_file: names {empty}, which is empty; write the URL into the file"),
    );
}

#[test]
fn cryptopan_requires_a_valid_key() {
    check_begin(
        "mirror.anonymize = 'cryptopan'",
        "mirror.anonymize_key_file: is missing, and mirror.anonymize = \"cryptopan\" requires",
    );
    let directory = tempfile::tempdir().unwrap();
    let with = |key: &str| {
        let file = write(directory.path(), "key", key);
        format!("[mirror]\nanonymize = 'cryptopan'\nanonymize_key_file = '{file}'")
    };
    check_begin(&with("0123"), "mirror.anonymize_key_file: names ");
    check(&with(&"0123456789abcdef".repeat(4)), "");
    check("mirror.anonymize = 'truncate'", "");
}

#[test]
fn values_have_limits() {
    check(
        "mirror.sample = 0",
        "mirror.sample: is 0; use 1 for every packet, N for one in N, 1000000 at most",
    );
    check(
        "mirror.retention = '59m'",
        "mirror.retention: is 59m; use 1h or more, such as \"14d\", or \"0s\" to keep all rows",
    );
    check("mirror.retention = '0s'", "");
    check(
        "mirror.countries = ['DE', 'XX']",
        "mirror.countries: has \"XX\", which is not a country; use two letters (ISO 3166-1 \
         alpha-2), such as \"DE\", or \"private\" or \"unknown\"",
    );
    check("mirror.countries = ['DE', 'private', 'unknown']", "");
    check("mirror.prefixes = ['a', 'a']", "mirror.prefixes: has a twice; remove the duplicate");
    check(
        "mirror.host = 'a b'",
        "mirror.host: is \"a b\"; use a name of 255 bytes at most, without spaces",
    );
    check(
        "mirror.spool.max_size = '1KiB'",
        "mirror.spool.max_size: is 1024 bytes; use 1MiB or more, or 0 for no spool on disk",
    );
    check("mirror.spool.max_size = 0\nmirror.spool.directory = ''", "");
    check(
        "mirror.spool.directory = ''",
        "mirror.spool.directory: is empty; use a directory, such as /var/lib/nflog_exporter",
    );
    check("mirror.max_size = '10GiB'", "");
    check("mirror.server_order = 'random'", "");
}
