//! Parses command lines, and compares the help with the defaults.

use clap::CommandFactory as _;

use super::*;
use crate::{
    config::Config,
    firewall::{Tool, Wanted},
    mirror::config::Anonymize,
    report::Format,
};

/// Parses the arguments after the program's name.
fn cli(line: &str) -> Result<Cli, clap::Error> {
    let words = std::iter::once("nflog_exporter").chain(line.split_whitespace());
    <Cli as Parser>::try_parse_from(words)
}

#[track_caller]
fn check(line: &str, expect: &Command) -> Cli {
    let cli = cli(line).unwrap();
    assert_eq!(cli.chosen(), *expect);
    cli
}

#[test]
fn the_definition_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn commands() {
    check("", &Command::Run);
    check("run", &Command::Run);
    check("config check", &Command::Config(ConfigCommand::Check));
    check("config show", &Command::Config(ConfigCommand::Show));
    let files = vec!["a.pcap".into(), "-".into()];
    let replay = Replay { files, serve: true, prefix: "web".into() };
    check("replay a.pcap - --serve --prefix web", &Command::Replay(replay));
}

#[test]
fn migrate_has_three_forms() {
    let none = Migrate { file: None, output: None, rules: None, group: 1, command: None };
    let file = Some("ulogd.conf".into());
    let expect = Migrate { file, output: Some("new.toml".into()), ..none.clone() };
    check("migrate ulogd.conf -o new.toml", &Command::Migrate(expect));
    check(
        "migrate ./rows",
        &Command::Migrate(Migrate { file: Some("./rows".into()), ..none.clone() }),
    );
    let expect = Migrate { rules: Some("-".into()), group: 7, ..none.clone() };
    check("migrate --rules - --group 7", &Command::Migrate(expect));
    let expect = Migrate { rules: Some("-".into()), output: Some("new".into()), ..none.clone() };
    check("migrate --rules - -o new", &Command::Migrate(expect));
    let rows = MigrateRows { from: "sqlite:a".into(), table: Some("logs".into()) };
    let expect = Migrate { command: Some(MigrateCommand::Rows(rows)), ..none };
    check("migrate rows sqlite:a --table logs --mirror.url sqlite:b", &Command::Migrate(expect));
    for line in [
        "migrate",
        "migrate rows",
        "migrate --group 7",
        "migrate ulogd.conf --group 7",
        "migrate ulogd.conf --rules -",
        "migrate --rules - --group 65536",
        "migrate --rules - rows sqlite:a",
    ] {
        assert_eq!(cli(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn rules_accept_only_values_that_every_tool_accepts() {
    let expect = Rules {
        tool: Tool::Ufw,
        log: Wanted::New,
        limit: 10_000,
        spread: 1,
        prefix: None,
        apply: false,
        verify: false,
        remove: false,
    };
    check("rules --for ufw", &Command::Rules(expect.clone()));
    let prefix = Some("a:b".into());
    let expect = Rules {
        tool: Tool::Nft,
        log: Wanted::All,
        limit: 0,
        spread: 64,
        prefix,
        apply: true,
        ..expect
    };
    check(
        "rules --for nft --log all --limit 0 --spread 64 --prefix a:b --apply",
        &Command::Rules(expect),
    );
    let long = format!("rules --for nft --prefix {}", "x".repeat(64));
    let two = "rules --for nft --apply --remove";
    for line in [
        "rules",
        two,
        "rules --for nft --limit 10001",
        "rules --for nft --prefix '",
        "rules --for nft --spread 0",
        "rules --for nft --spread 65",
        &long,
    ] {
        assert_eq!(cli(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_report_reads_files_or_rows() {
    let report = Report {
        files: vec!["a.pcap".into()],
        mirror: false,
        format: Format::Terminal,
        output: None,
        top: 10,
        since: None,
        until: None,
        host: Vec::new(),
        anonymize: Anonymize::None,
        prefix: String::new(),
    };
    check("report a.pcap", &Command::Report(report.clone()));
    // The method needs an equals sign, so that a file can follow.
    let anonymize = Anonymize::Truncate;
    check("report --anonymize a.pcap", &Command::Report(Report { anonymize, ..report.clone() }));
    let rows = Report { files: vec![], mirror: true, since: Some(0), until: Some(1_000), ..report };
    let line = "report --mirror --since 1970-01-01 --until 1970-01-01T00:00:00.001Z";
    check(line, &Command::Report(rows));
    for line in [
        "report",
        "report --mirror a.pcap",
        "report a --top 0",
        "report a --top 1001",
        "report a --since x",
    ] {
        assert_eq!(cli(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn flags_may_appear_before_or_after_the_command() {
    for line in ["--nflog.group 5 run", "run --nflog.group 5", "--nflog.group=5"] {
        assert_eq!(check(line, &Command::Run).flags.groups, [5], "{line}");
    }
    // Clap cannot join the values of both places; the help says so.
    assert_eq!(check("--nflog.group 1 run --nflog.group 2", &Command::Run).flags.groups, [2]);
    let line = "--log.level debug config show --web.listen-address :1 --web.listen-address [::1]:2";
    let config = cli(line).unwrap().flags.load().unwrap();
    assert_eq!(config.log.level.name(), "debug");
    let addresses: Vec<_> = config.web.listen_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, [":1", "[::1]:2"]);
}

#[test]
fn switches_can_be_turned_off() {
    for (line, expect) in [
        ("--rules.install", Some(true)),
        ("--rules.install=false", Some(false)),
        ("--rules.install run", Some(true)),
        ("run", None),
    ] {
        assert_eq!(cli(line).unwrap().flags.rules_install, expect, "{line}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
    for line in [
        "replay",
        "config",
        "--nflog.group 65536",
        "--nflog.group x",
        "--log.level loud",
        "--web.listen-address 10239",
        "--no.such.flag",
        "no-such-command",
    ] {
        assert_eq!(cli(line).unwrap_err().exit_code(), 2, "{line}");
    }
    assert_eq!(cli("--help").unwrap_err().exit_code(), 0);
    assert_eq!(cli("--version").unwrap_err().exit_code(), 0);
}

#[test]
fn version_names_the_program() {
    let text = cli("--version").unwrap_err().to_string();
    assert!(text.starts_with(&format!("nflog_exporter {VERSION}")), "{text}");
}

/// The defaults in the help are text, so they are compared with the real ones.
#[test]
fn help_shows_the_defaults() {
    let Config { nflog, web, log, rules, .. } = Config::default();
    let command = Cli::command();
    for (flag, default) in [
        ("nflog.group", nflog.groups[0].to_string()),
        ("rules.install", rules.install.to_string()),
        ("web.listen-address", web.listen_addresses[0].to_string()),
        ("web.telemetry-path", web.telemetry_path),
        ("web.enable-reload", web.enable_reload.to_string()),
        ("web.drilldown", web.drilldown.to_string()),
        ("log.level", log.level.name().to_owned()),
        ("log.format", "logfmt".to_owned()),
    ] {
        let argument = command.get_arguments().find(|it| it.get_long() == Some(flag)).unwrap();
        let help = argument.get_help().unwrap().to_string();
        assert!(help.contains(&format!("[default: {default}]")), "{flag}: {help}");
    }
}
