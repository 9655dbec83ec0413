//! Every result is a valid configuration, and paths stay the same.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

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
        prop_assert!(config.unwrap().mirror_servers().is_ok(), "{toml}");
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
