//! The whole configuration: defaults, all errors at once, printing, and the section `[mirror]`.

use std::fs;

use proptest::prelude::*;

use super::*;

/// Parses a text and compares the errors; empty for a valid text.
#[track_caller]
pub(super) fn check(text: &str, expect: &str) {
    let message = parse(text, "f.toml").err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(message, expect, "\n{text}");
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse("", "f.toml").unwrap(), Config::default());
    assert_eq!(parse("[nflog]\n[web]\n", "f.toml").unwrap(), Config::default());
}

#[test]
fn defaults_are_the_documented_ones() {
    let documented = r#"
        [nflog]
        groups = [1]
        copy_range = 128
        queue_threshold = 100
        queue_timeout = "100ms"
        kernel_buffer = 131072
        receive_buffer = "16MiB"
        [geoip]
        databases = []
        [[family]]
        name = "traffic"
        labels = ["prefix", "proto", "country", "port"]
        max_series = 2000
        max_new_series_per_hour = 500
        newborn_hold = "0s"
        [[family]]
        name = "network"
        labels = ["prefix", "network"]
        max_series = 2000
        max_new_series_per_hour = 500
        newborn_hold = "0s"
        [[family]]
        name = "country"
        labels = ["country", "prefix"]
        max_series = 1000
        max_new_series_per_hour = 500
        newborn_hold = "0s"
        [rules]
        install = false
        interfaces = []
        [web]
        listen_addresses = ["127.0.0.1:10239"]
        telemetry_path = "/metrics"
        enable_reload = false
        drilldown = true
        [log]
        level = "info"
        format = "logfmt"
    "#;
    assert_eq!(parse(documented, "f.toml").unwrap(), Config::default());
}

#[test]
fn the_printed_configuration_parses_again() {
    let text = r#"
        [nflog]
        groups = [0, 5, 65535]
        queue_timeout = "1s 500ms"
        kernel_buffer = "64KiB"
        [geoip]
        databases = ["/var/lib/GeoIP/a b.mmdb", "ü.mmdb"]
        [[family]]
        name = "asn"
        labels = ["asn", "tcp_flags"]
        newborn_hold = "2m"
        [[family]]
        name = "traffic"
        max_series = 10
        [rules]
        install = true
        interfaces = ["eth0", "wg-home"]
        [web]
        listen_addresses = [":10239", "[::1]:1", "host.example:2"]
        telemetry_path = "/m"
        [log]
        level = "trace"
        format = "json"
    "#;
    let config = parse(text, "f.toml").unwrap();
    assert_ne!(config, Config::default());
    for config in [config, Config::default()] {
        assert_eq!(parse(&config.to_toml().unwrap(), "f.toml").unwrap(), config);
    }
}

/// Compares the beginnings of all messages, in their order.
#[track_caller]
pub(super) fn check_all(message: &str, begins: &[&str]) {
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), begins.len(), "{message}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line} does not begin with {begin}\n{message}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let text = "nope = 1\n[nflog]\ngroup = [1]\ngroups = [1, 70000, 'x', 1]\ncopy_range = 7\n\
        queue_timeout = 5\n[[family]]\nname = 5\nlabels = ['port']\n[[family]]\nlabels = ['port']\n\
        [[family]]\nname = 'x'\nlabels = ['prot', 'cuntry']\nmax_series = 0\n[rules]\n\
        interfaces = ['a b', 'c d']\n[mirror]\nsample = 0\ncountries = ['XX', 'YY']\nhost = 'a b'\n\
        [log]\nlevel = 'loud'\nformat = 'xml'\n";
    check_all(
        &parse(text, "f").unwrap_err().to_string(),
        &[
            "f:1: nope: unknown key; valid names: ",
            "f:3: nflog.group: unknown key; did you mean groups?",
            "f:4: nflog.groups: invalid value: integer `70000`",
            "f:4: nflog.groups: invalid type: string \"x\"",
            "f:5: nflog.copy_range: is 7; ",
            "f:6: nflog.queue_timeout: invalid type: integer `5`",
            "f:8: family.name: invalid type: integer `5`",
            "f:10: family: each [[family]] needs a name",
            "f:14: family.x.labels: has \"prot\", which is not a label; ",
            "f:14: family.x.labels: has \"cuntry\", which is not a label; ",
            "f:15: family.x.max_series: is 0; ",
            "f:17: rules.interfaces: has \"a b\"",
            "f:17: rules.interfaces: has \"c d\"",
            "f:19: mirror.sample: is 0; ",
            "f:20: mirror.countries: has \"XX\"",
            "f:20: mirror.countries: has \"YY\"",
            "f:21: mirror.host: is \"a b\"; ",
            "f:23: log.level: unknown value `loud`",
            "f:24: log.format: unknown value `xml`",
        ],
    );
    let inline = "nflog = { groups = [], copy_range = 'x' }\nweb = { telemetry_path = 'm', x = 1 }";
    check_all(
        &parse(inline, "f").unwrap_err().to_string(),
        &["f:1: nflog.copy_range: invalid type", "f:2: web.x: unknown key"],
    );
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(text in ".{0,200}") {
        let _ = parse(&text, "f.toml");
    }

    #[test]
    fn no_mutation_causes_a_panic(
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        splice in r#"[\[\]{}"'=.,#0-9a-z_\n ü-]{0,12}"#,
    ) {
        let mut text = Config::default().to_toml().unwrap();
        let start = at.index(text.len());
        let end = text.len().min(start + length);
        text.replace_range(start..end, &splice);
        if let Ok(config) = parse(&text, "f.toml") {
            prop_assert_eq!(parse(&config.to_toml().unwrap(), "f.toml").unwrap(), config);
        }
    }
}

mod mirror {
    //! The section `[mirror]`, whose values can come from files, a flag and the environment.

    use super::*;

    #[test]
    fn no_output_has_the_password() {
        let config = parse("mirror.url = 'mysql://ann:secret@db/log'", "f.toml").unwrap();
        let toml = config.to_toml().unwrap();
        assert!(toml.contains("url = \"mysql://ann:***@db/log\""), "{toml}");
        assert!(!toml.contains("secret"), "{toml}");
        assert!(!format!("{config:?}").contains("secret"));
        let error = parse("mirror.url = 'mysql://ann:secret@db:x/log'", "f.toml").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }

    #[test]
    fn the_flag_overrides_the_url_and_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let url = directory.path().join("url");
        fs::write(&url, "mysql://ann:secret@db/log\n").unwrap();
        let file = directory.path().join("c.toml");
        fs::write(&file, format!("mirror.url_file = '{}'", url.display())).unwrap();
        let target = |mirror_url: &str| {
            let flags = Flags {
                config_file: Some(file.clone()),
                mirror_url: Some(mirror_url.into()),
                ..Flags::default()
            };
            flags.load().unwrap().mirror_servers().unwrap().unwrap().to_string()
        };
        assert_eq!(target("sqlite:rows.db"), "sqlite:rows.db");
        // An empty environment variable counts as not set.
        assert_eq!(target(""), "mysql://ann@db:3306/log");
    }

    #[test]
    fn errors_have_a_line() {
        check(
            "[mirror]\nsample = 0",
            "f.toml:2: mirror.sample: is 0; use 1 for every packet, N for one in N, 1000000 at most",
        );
        check(
            "[mirror.spool]\n\nmax_size = '1KiB'",
            "f.toml:3: mirror.spool.max_size: is 1024 bytes; use 1MiB or more, or 0 for no spool on disk",
        );
    }

    #[test]
    fn a_file_that_changed_after_loading_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let url = directory.path().join("url");
        fs::write(&url, "sqlite:rows.db").unwrap();
        let config = parse(&format!("mirror.url_file = '{}'", url.display()), "f.toml").unwrap();
        assert!(config.resolve_mirror().unwrap().is_some());
        fs::remove_file(&url).unwrap();
        let expect =
            format!("defaults: mirror.url_file: names {}, which cannot be read: ", url.display());
        for error in [config.mirror_servers().unwrap_err(), config.resolve_mirror().unwrap_err()] {
            assert!(error.to_string().starts_with(&expect), "{error}");
        }
    }
}
