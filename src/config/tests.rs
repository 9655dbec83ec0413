//! One line a rule: the text and the message it earns.

use std::{fmt::Write as _, fs, io::Write as _};

use proptest::prelude::*;

use super::*;
use crate::metrics::Dimension;

/// Parses, and compares the error; an empty expectation is a text that is fine.
#[track_caller]
fn check(text: &str, expect: &str) {
    let message = parse(text, "f.toml").err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(message, expect, "\n{text}");
}

/// As [`check`], for long messages: how the message begins and how it ends.
#[track_caller]
fn check_ends(text: &str, begin: &str, end: &str) {
    let message = parse(text, "f.toml").unwrap_err().to_string();
    assert!(message.starts_with(begin) && message.ends_with(end), "{message}");
}

#[test]
fn nothing_is_the_default() {
    assert_eq!(parse("", "f.toml").unwrap(), Config::default());
    assert_eq!(parse("[nflog]\n[web]\n", "f.toml").unwrap(), Config::default());
}

#[test]
fn defaults_are_the_promised_ones() {
    let promised = r#"
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
        [log]
        level = "info"
        format = "logfmt"
    "#;
    assert_eq!(parse(promised, "f.toml").unwrap(), Config::default());
}

#[test]
fn what_is_printed_reads_back() {
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

#[test]
fn a_section_changes_just_the_keys_it_gives() {
    let text = "[[family]]\nname = 'ports'\nlabels = ['port']\n\
        [[family]]\nname = 'network'\nmax_series = 7\n\
        [[family]]\nname = 'country'\nnewborn_hold = '1m'\n\
        [[family]]\nname = 'traffic'\nlabels = ['country']\n";
    let plans = parse(text, "f.toml").unwrap().families();
    let told: Vec<_> = plans.iter().map(|plan| (plan.name.as_str(), plan.max_series)).collect();
    assert_eq!(told, [("traffic", 2000), ("network", 7), ("country", 1000), ("ports", 2000)]);
    assert_eq!(plans[0].labels, [Dimension::Country]);
    assert_eq!(plans[1].labels, [Dimension::Prefix, Dimension::Network]);
    assert_eq!(plans[2].labels, [Dimension::Country, Dimension::Prefix]);
    assert_eq!(plans[3].labels, [Dimension::Port]);
    assert!(plans.iter().all(|plan| plan.max_new_series_per_hour == 500));
}

#[test]
fn syntax() {
    check("[web\n", "f.toml:1: not valid TOML: unclosed table, expected `]`");
    check("\n[web]\n[web]\n", "f.toml:3: not valid TOML: duplicate key");
}

#[test]
fn unknown_keys() {
    check(
        "x = 1",
        "f.toml:1: x: unknown key; known here: family, geoip, log, mirror, nflog, privileges, rules, web",
    );
    check(
        "[mirror]\n[mirror.spool]\nmax_sise = 1",
        "f.toml:3: mirror.spool.max_sise: unknown key; did you mean max_size?",
    );
    check("[nflgo]", "f.toml:1: nflgo: unknown key; did you mean nflog?");
    check("[nflog]\n\ngroup = [1]", "f.toml:3: nflog.group: unknown key; did you mean groups?");
    check_ends(
        "[[family]]\nname='a'\nlabls=['asn']",
        "f.toml:1: family.a.labels: is missing; ",
        "\nf.toml:3: family.labls: unknown key; did you mean labels?",
    );
    check(
        "nflog.groups = [1]\nnflog.X = 1",
        "f.toml:2: nflog.X: unknown key; known here: copy_range, groups, kernel_buffer, queue_threshold, queue_timeout, receive_buffer",
    );
}

#[test]
fn types() {
    check("nflog = 5", "f.toml:1: nflog: invalid type: integer `5`, expected a table");
    check(
        "[nflog]\ngroups = 5",
        "f.toml:2: nflog.groups: invalid type: integer `5`, expected a list in [ ]",
    );
    check(
        "[nflog]\ngroups = [1,\n 70000]",
        "f.toml:3: nflog.groups: invalid value: integer `70000`, expected a whole number from 0 to 65535",
    );
    check(
        "[nflog]\nqueue_timeout = 5",
        "f.toml:2: nflog.queue_timeout: invalid type: integer `5`, expected a duration with its unit, as \"100ms\", \"5s\" or \"14d\"",
    );
    check(
        "[nflog]\nqueue_timeout = '5'",
        "f.toml:2: nflog.queue_timeout: invalid value: string \"5\", expected a duration with its unit, as \"100ms\", \"5s\" or \"14d\"",
    );
    check(
        "[nflog]\nkernel_buffer = -5",
        "f.toml:2: nflog.kernel_buffer: invalid value: integer `-5`, expected a size in bytes or with its unit, as 131072 or \"16MiB\"",
    );
    check(
        "[nflog]\nkernel_buffer = '5x'",
        "f.toml:2: nflog.kernel_buffer: invalid value: string \"5x\", expected a size in bytes or with its unit, as 131072 or \"16MiB\"",
    );
    check(
        "[nflog]\nreceive_buffer = '9TiB'",
        "f.toml:2: nflog.receive_buffer: the size is above 4 GiB",
    );
    check(
        "[log]\nlevel = 'loud'",
        "f.toml:2: log.level: unknown value `loud`, expected one of `error`, `warn`, `info`, `debug`, `trace`",
    );
    check(
        "[family]\nname = 'a'",
        "f.toml:1: [family]: is one table; write [[family]] for each family",
    );
    check("\n[[family]]\nlabels = ['asn']", "f.toml:2: family: each [[family]] needs a name");
}

#[test]
fn nflog_rules() {
    check(
        "[nflog]\ngroups = []",
        "f.toml:2: nflog.groups: is empty; name the group of the rules, as in groups = [1]",
    );
    check("[nflog]\ngroups = [2, 1, 2]", "f.toml:2: nflog.groups: has 2 twice; name it once");
    let groups: Vec<_> = (0..65).collect();
    check(
        &format!("[nflog]\ngroups = {groups:?}"),
        "f.toml:2: nflog.groups: has 65 entries; name 64 at most",
    );
    for copy_range in [59, 65532] {
        check(
            &format!("[nflog]\ncopy_range = {copy_range}"),
            &format!(
                "f.toml:2: nflog.copy_range: is {copy_range}; use 60 to 65531 bytes: fewer lose the ports of IPv6 packets, more do not fit a message"
            ),
        );
    }
    check(
        "[nflog]\nqueue_threshold = 0",
        "f.toml:2: nflog.queue_threshold: is 0; use 1 packet or more, 100 is good",
    );
    for timeout in ["0s", "15ms", "60s 10ms"] {
        let told = humantime::format_duration(humantime::parse_duration(timeout).unwrap());
        check(
            &format!("[nflog]\nqueue_timeout = '{timeout}'"),
            &format!(
                "f.toml:2: nflog.queue_timeout: is {told}; use 10ms to 60s in steps of 10ms, the kernel's unit"
            ),
        );
    }
    for bytes in [4095, 131_073] {
        check(
            &format!("[nflog]\nkernel_buffer = {bytes}"),
            &format!(
                "f.toml:2: nflog.kernel_buffer: is {bytes}; use 4096 to 131072 bytes, the kernel refuses more"
            ),
        );
    }
    check(
        "[nflog]\nreceive_buffer = '2KiB'",
        "f.toml:2: nflog.receive_buffer: is 2048; use 4096 to 1073741824 bytes",
    );
    check(
        "[nflog]\ncopy_range = 60\nqueue_timeout = '60s'\nkernel_buffer = 4096\nreceive_buffer = '4KiB'",
        "",
    );
    check("[nflog]\ncopy_range = 65531\nqueue_timeout = '10ms'\nreceive_buffer = '1GiB'", "");
}

#[test]
fn geoip_rules() {
    check(
        "[geoip]\ndatabases = ['']",
        "f.toml:2: geoip.databases: has an empty path; leave the list empty for the embedded database",
    );
    check(
        "[geoip]\ndatabases = ['a', 'a']",
        "f.toml:2: geoip.databases: has a twice; name it once",
    );
}

#[test]
fn interface_rules() {
    for name in ["", "..", "a b", "a/b", "sixteen-letters-", "a\\\"b"] {
        let told = name.replace('\\', "");
        check(
            &format!("[rules]\ninterfaces = [\"eth0\", \"{name}\"]"),
            &format!(
                "f.toml:2: rules.interfaces: has {told:?}, which no interface can be called; use names as `ip link` shows them"
            ),
        );
    }
    check(
        "[rules]\ninterfaces = ['a', 'a']",
        "f.toml:2: rules.interfaces: has a twice; name it once",
    );
}

#[test]
fn web_rules() {
    check(
        "[web]\nlisten_addresses = []",
        "f.toml:2: web.listen_addresses: is empty; name an address, as in listen_addresses = [\"127.0.0.1:10239\"]",
    );
    check(
        "[web]\nlisten_addresses = [':1', ':1']",
        "f.toml:2: web.listen_addresses: has :1 twice; name it once",
    );
    for text in
        ["10239", "localhost", "1.2.3.4:", ":65536", ":+1", "::1:1", "[::1]", "[x]:1", "a b:1"]
    {
        check(
            &format!("[web]\nlisten_addresses = ['{text}']"),
            &format!(
                "f.toml:2: web.listen_addresses: {text:?} is no address to listen on; write HOST:PORT, [IPv6]:PORT, or :PORT for all addresses"
            ),
        );
    }
    for path in ["metrics", "", "/a b", "/a?b"] {
        check(
            &format!("[web]\ntelemetry_path = '{path}'"),
            &format!(
                "f.toml:2: web.telemetry_path: is {path:?}; begin with / and use letters, digits and - _ . ~ only"
            ),
        );
    }
    for path in crate::web::paths::ALL.into_iter().chain(["/-/", "/-/x"]) {
        check(
            &format!("[web]\ntelemetry_path = '{path}'"),
            &format!(
                "f.toml:2: web.telemetry_path: is {path:?}, which the exporter uses for its page or its state; use another path, such as /metrics"
            ),
        );
    }
}

#[test]
fn family_rules() {
    for name in ["", "Asn", "1a", "a-b", "ä", "_a"] {
        check_ends(
            &format!("[[family]]\nname = '{name}'\nlabels = ['asn']"),
            &format!("f.toml:2: family.{name}.name: is {name:?}; begin with a letter"),
            "it becomes part of a metric name",
        );
    }
    for name in ["exporter", "exporter_received"] {
        check_ends(
            &format!("[[family]]\nname = '{name}'\nlabels = ['asn']"),
            &format!("f.toml:2: family.{name}.name: would name its metrics nflog_exporter_"),
            "use another name",
        );
    }
    check("[[family]]\nname = 'exporters'\nlabels = ['asn']", "");
    check(
        "[[family]]\nname = 'a'\nlabels = ['asn']\n[[family]]\nname = 'a'\nlabels = ['asn']",
        "f.toml:1: family.a: has two sections; put their keys into one",
    );
    check_ends(
        "[[family]]\nname = 'a'",
        "f.toml:1: family.a.labels: is missing; name 1 to 8 of: prefix,",
        "tcp_flags",
    );
    check(
        "[[family]]\nname = 'a'\nlabels = ['prefix', 'contry']",
        "f.toml:3: family.a.labels: has \"contry\", which is not known; did you mean country?",
    );
    check(
        "[[family]]\nname = 'a'\nlabels = ['port', 'port']",
        "f.toml:3: family.a.labels: has port twice; name it once",
    );
    let labels = Dimension::ALL.map(Dimension::name);
    check(
        &format!("[[family]]\nname = 'a'\nlabels = {:?}", &labels[..9]),
        "f.toml:3: family.a.labels: has 9 entries; name 8 at most",
    );
    check(&format!("[[family]]\nname = 'a'\nlabels = {:?}", &labels[..8]), "");
    for series in [0, 1_000_001] {
        check(
            &format!("[[family]]\nname = 'traffic'\nmax_series = {series}"),
            &format!("f.toml:3: family.traffic.max_series: is {series}; use 1 to 1000000"),
        );
    }
    check(
        "[[family]]\nname = 'country'\nmax_series = 253",
        "f.toml:3: family.country.max_series: is 253; use 254 or more, so that every country has a place",
    );
    check("[[family]]\nname = 'country'\nmax_series = 254", "");
    check(
        "[[family]]\nname = 'country'\nlabels = ['prefix', 'country']",
        "f.toml:3: family.country.labels: begins with \"prefix\"; begin with \"country\", so that countries never fold",
    );
    check_ends(
        "[[family]]\nname = 'traffic'\nmax_new_series_per_hour = 0",
        "f.toml:3: family.traffic.max_new_series_per_hour: is 0",
        "use 1 or more",
    );
    check(
        "[[family]]\nname = 'traffic'\nnewborn_hold = '2h'",
        "f.toml:3: family.traffic.newborn_hold: is 2h; use 0s to 1h, a few scrape intervals are enough",
    );
    let mut many = String::new();
    for number in 0..31 {
        write!(many, "[[family]]\nname = 'f{number}'\nlabels = ['asn']\n").unwrap();
    }
    check(
        &many,
        "f.toml:1: family: makes 34 families with traffic, network and country; use 32 at most",
    );
}

/// The beginnings of all messages, in their order.
#[track_caller]
fn check_all(message: &str, begins: &[&str]) {
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), begins.len(), "{message}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line} does not begin with {begin}\n{message}");
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = "nope = 1\n[nflog]\ngroup = [1]\ngroups = [1, 70000, 'x', 1]\ncopy_range = 7\n\
        queue_timeout = 5\n[[family]]\nname = 5\nlabels = ['port']\n[[family]]\nlabels = ['port']\n\
        [[family]]\nname = 'x'\nlabels = ['prot', 'cuntry']\nmax_series = 0\n[rules]\n\
        interfaces = ['a b', 'c d']\n[mirror]\nsample = 0\ncountries = ['XX', 'YY']\nhost = 'a b'\n\
        [log]\nlevel = 'loud'\nformat = 'xml'\n";
    check_all(
        &parse(text, "f").unwrap_err().to_string(),
        &[
            "f:1: nope: unknown key; known here: ",
            "f:3: nflog.group: unknown key; did you mean groups?",
            "f:4: nflog.groups: invalid value: integer `70000`",
            "f:4: nflog.groups: invalid type: string \"x\"",
            "f:5: nflog.copy_range: is 7; ",
            "f:6: nflog.queue_timeout: invalid type: integer `5`",
            "f:8: family.name: invalid type: integer `5`",
            "f:10: family: each [[family]] needs a name",
            "f:14: family.x.labels: has \"prot\", which is not known; ",
            "f:14: family.x.labels: has \"cuntry\", which is not known; ",
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

#[test]
fn flags_are_looked_at_when_the_file_cannot_be_used() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "[nflog\n").unwrap();
    let mut flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
    flags.telemetry_path = Some("m".into());
    flags.groups = vec![1, 1];
    let name = file.path().display();
    let wrong = [
        "--nflog.group: nflog.groups: has 1 twice",
        "--web.telemetry-path: web.telemetry_path: is",
    ];
    let syntax = format!("{name}:1: not valid TOML: ");
    check_all(&flags.load().unwrap_err().to_string(), &[&syntax, wrong[0], wrong[1]]);
    flags.config_file = Some("/no/such".into());
    let missing = "/no/such: cannot read the configuration file: ";
    check_all(&flags.load().unwrap_err().to_string(), &[missing, wrong[0], wrong[1]]);
}

#[test]
fn an_empty_file_is_found() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
    for (text, is_empty) in
        [("", true), (" \n\t\n", true), ("# nothing\n", false), ("[nflog]", false)]
    {
        fs::write(file.path(), text).unwrap();
        assert_eq!(flags.empty_file(), is_empty.then(|| file.path()), "{text:?}");
    }
    assert_eq!(Flags::default().empty_file(), None);
}

#[test]
fn flags_win_and_are_named() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[nflog]\ngroups = [3]\n[web]\ntelemetry_path = '/m'\n").unwrap();
    let mut flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
    assert_eq!(flags.load().unwrap().nflog.groups, [3]);
    flags.groups = vec![4, 5];
    let config = flags.load().unwrap();
    assert_eq!((config.nflog.groups, config.web.telemetry_path.as_str()), (vec![4, 5], "/m"));
    flags.groups = vec![4, 4];
    let message = flags.load().unwrap_err().to_string();
    assert_eq!(message, "--nflog.group: nflog.groups: has 4 twice; name it once");
}

#[test]
fn loading_again_reads_the_file_again() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
    assert_eq!(flags.load().unwrap().nflog.groups, [1]);
    file.write_all(b"[nflog]\ngroups = [2]\n").unwrap();
    assert_eq!(flags.load().unwrap().nflog.groups, [2]);
}

#[test]
fn a_file_that_cannot_be_read() {
    let load = |path: &str| {
        let flags = Flags { config_file: Some(path.into()), ..Flags::default() };
        flags.load().unwrap_err().to_string()
    };
    assert!(
        load("/no/such/file").starts_with("/no/such/file: cannot read the configuration file: ")
    );
    assert!(load("/dev/zero").contains("it is a character device, not a regular file"));
    let long = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(long.path(), "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(load(long.path().to_str().unwrap()).contains("longer than 1024 KiB"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = parse(&text, "f.toml");
    }

    #[test]
    fn no_mutation_makes_it_panic(
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
