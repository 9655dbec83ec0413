//! What packages take from the program: completions for shells, and the page of the manual.

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::cli::Cli;

/// A script that completes commands and flags in a shell.
pub(super) fn completions(shell: Shell) -> String {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The page `nflog_exporter(8)`, in roff.
pub(super) fn manual() -> std::io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone().subcommand_value_name("COMMAND")).section("8");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    page.extend(section("DESCRIPTION", &DESCRIPTION).render().into_bytes());
    page.extend(commands(&command).render().into_bytes());
    man.render_options_section(&mut page)?;
    for (name, paragraphs) in SECTIONS {
        page.extend(section(name, paragraphs).render().into_bytes());
    }
    page.extend(examples().render().into_bytes());
    page.extend(section("SEE ALSO", &[SEE_ALSO]).render().into_bytes());
    Ok(String::from_utf8_lossy(&page).into_owned())
}

const DESCRIPTION: [&str; 3] = [
    "Reads the packets that iptables or nftables log to an NFLOG group, and exports a bounded number of counters \
     by log prefix, protocol, country, port and network for Prometheus. Serves a page \
     with a world map, and optionally writes each packet as a row to MySQL, PostgreSQL or SQLite.",
    "Packets come from rules such as \"nft add rule inet filter input tcp dport 22 ct state new log \
     prefix ssh group 1\", or from the program's own table, --rules.install. A group has one reader.",
    "It needs the capability CAP_NET_ADMIN to start. After it has opened its sockets it drops its privileges: it \
     changes the user, drops all capabilities, and restricts files, ports and system calls by Landlock and seccomp.",
];

const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "FILES",
        &[
            "/etc/nflog_exporter/config.toml: the configuration of the packaged service, TOML; the program reads \
             only the file of --config.file. \"nflog_exporter config show\" prints every key with its \
             value. An empty file selects all defaults and causes a warning.",
            "/var/lib/nflog_exporter: the spool, where rows wait for the database; mirror.spool.directory names \
             another directory. Only one exporter can use it. The packaged service cannot write to other \
             directories.",
            "The configuration names other files: GeoIP databases (geoip.databases, .mmdb), TLS and basic \
             authentication (web.config_file), the URL of the database (mirror.url_file) and the key that encrypts \
             addresses (mirror.anonymize_key_file). GeoIP databases and the web configuration are re-read when \
             they are replaced.",
            "/proc/net/netfilter/nfnetlink_log: the groups that the kernel logs to, each with the port of its \
             reader.",
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            "NFLOG_EXPORTER_MIRROR_URL: the URL of the database, instead of --mirror.url, so that no password \
             is on a command line.",
            "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS: set by systemd; see sd_notify(3) and sd_listen_fds(3).",
        ],
    ),
    (
        "SIGNALS",
        &[
            "SIGHUP re-reads the configuration and the GeoIP databases. If the configuration is invalid, the previous \
             one stays active and nflog_exporter_config_last_reload_successful is 0.",
            "SIGTERM and SIGINT end the program. It reads the packets that the kernel holds back and completes \
             requests; rows that are not in the database stay in the spool.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0: success. 1: a failure at run time, a failed check of doctor, or a file of replay that could not be \
             read. 2: invalid usage or configuration.",
        ],
    ),
];

/// Tasks, each with its command.
const EXAMPLES: [(&str, &str); 6] = [
    (
        "Log all inbound packets and serve a map at http://127.0.0.1:10239/:",
        "nflog_exporter --rules.install",
    ),
    (
        "Read the group of your own rules, and write each packet to a SQLite file:",
        "nflog_exporter --nflog.group 5 --mirror.url sqlite:/var/lib/nflog_exporter/packets.db",
    ),
    ("Count the packets of a capture:", "tcpdump -i eth0 -w - -c 10000 | nflog_exporter replay -"),
    (
        "Convert the configuration of ulogd:",
        "nflog_exporter migrate /etc/ulogd.conf --output /etc/nflog_exporter/config.toml",
    ),
    ("Find out why no packet is counted:", "nflog_exporter --config.file FILE doctor"),
    ("Check a configuration before it is used:", "nflog_exporter --config.file FILE config check"),
];

const SEE_ALSO: &str = "nft(8), iptables-extensions(8), tcpdump(8), prometheus(1), ulogd(8), landlock(7), \
                        seccomp(2), capabilities(7)";

fn section(name: &str, paragraphs: &[&str]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [name]);
    for paragraph in paragraphs {
        roff.control("PP", []);
        roff.text([roman(*paragraph)]);
    }
    roff
}

/// Each command with what it does, and its own arguments.
fn commands(program: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let nested: Vec<_> =
            command.get_subcommands().filter(|nested| nested.get_name() != "help").collect();
        for nested in &nested {
            describe(&mut roff, &format!("{} {}", command.get_name(), nested.get_name()), nested);
        }
        if nested.is_empty() {
            describe(&mut roff, command.get_name(), command);
        }
    }
    roff
}

/// One command.
fn describe(roff: &mut Roff, name: &str, command: &Command) {
    let arguments: Vec<_> = own_arguments(command).collect();
    let words = arguments.iter().map(|argument| {
        if argument.is_required_set() { argument.to_string() } else { format!("[{argument}]") }
    });
    let words = std::iter::once(name.to_owned()).chain(words);
    roff.control("SS", [words.collect::<Vec<_>>().join(" ").as_str()]);
    let about = command.get_long_about().or(command.get_about());
    for paragraph in about.map(ToString::to_string).unwrap_or_default().split("\n\n") {
        roff.control("PP", []);
        let text = paragraph.trim_end_matches('.').replace('\n', " ") + ".";
        roff.text([roman(text)]);
    }
    for argument in arguments {
        roff.control("TP", []);
        let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        roff.text([bold(format!("{short}{argument}"))]);
        roff.text([roman(explained(argument))]);
        values(roff, argument);
    }
}

/// The arguments that a command has beside the flags of all.
fn own_arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| {
        !argument.is_global_set() && !matches!(argument.get_id().as_str(), "help" | "version")
    })
}

/// What an argument means, and its default.
fn explained(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    let defaults = argument.get_default_values();
    // A switch is false without being written so.
    let takes_value = argument.get_action().takes_values();
    if !takes_value || defaults.is_empty() || argument.is_hide_default_value_set() {
        return help;
    }
    let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
    format!("{help} [default: {}]", defaults.join(" "))
}

/// The values that an argument takes, where they are few, each with what it means.
fn values(roff: &mut Roff, argument: &Arg) {
    if !argument.get_action().takes_values() {
        return;
    }
    let values = argument.get_possible_values();
    let shown: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
    if shown.is_empty() {
        return;
    }
    if shown.iter().all(|value| value.get_help().is_none()) {
        let names: Vec<_> = shown.iter().map(|value| value.get_name()).collect();
        roff.text([roman(format!("[possible values: {}]", names.join(", ")))]);
        return;
    }
    roff.control("RS", []);
    for value in shown {
        roff.control("TP", []);
        roff.text([bold(value.get_name())]);
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        roff.text([roman(help.replace('\n', " "))]);
    }
    roff.control("RE", []);
}

fn examples() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (what, line) in EXAMPLES {
        roff.control("PP", []);
        roff.text([roman(what)]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.text([bold(line)]);
        roff.control("RE", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_has_a_script_that_names_commands_and_flags() {
        for shell in Shell::value_variants() {
            let script = completions(*shell);
            for word in ["replay", "schema", "rules.install", "nflog.group"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    /// Bash itself reads the script, and completes by it.
    #[test]
    fn bash_completes_by_it() {
        let script = completions(Shell::Bash);
        let ask = "\nCOMP_WORDS=(nflog_exporter rep); COMP_CWORD=1\n\
                   _nflog_exporter nflog_exporter rep nflog_exporter; echo \"${COMPREPLY[@]}\"";
        let output = Command::new("bash").arg("-c").arg(script + ask).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "replay", "{output:?}");
    }

    /// Each command, with its own options, their values, and what these mean.
    fn check_arguments(command: &clap::Command, name: &str, page: &str) {
        let mut command = command.clone();
        command.build();
        for argument in own_arguments(&command) {
            let shown = argument.to_string();
            assert!(page.contains(&shown), "{name}: {shown}");
            let help = explained(argument).replace('\'', "\\*(Aq");
            assert!(!help.is_empty() && page.contains(&help), "{name} {shown}: {help}");
            if !argument.get_action().takes_values() {
                continue;
            }
            for value in argument.get_possible_values() {
                let value_name = value.get_name();
                let has_help = value.get_help().is_some();
                let entry = if has_help {
                    format!("\\fB{value_name}\\fR\n")
                } else {
                    value_name.to_owned()
                };
                assert!(page.contains(&entry), "{name} {shown}: {value_name}");
            }
        }
        for nested in command.get_subcommands().filter(|nested| nested.get_name() != "help") {
            let full = format!("{name} {}", nested.get_name());
            let full = full.trim();
            if !nested.has_subcommands() {
                assert!(
                    page.contains(&format!(".SS \"{full}"))
                        || page.contains(&format!(".SS {full}\n")),
                    "{full}"
                );
            }
            check_arguments(nested, full, page);
        }
    }

    #[test]
    fn the_manual_has_every_flag_and_command_and_no_fault() {
        let page = manual().unwrap();
        let plain = page.replace("\\-", "-");
        for argument in Cli::command().get_arguments() {
            let flag = format!("--{}", argument.get_long().unwrap());
            assert!(plain.contains(&flag), "{flag}");
        }
        for section in ["FILES", "ENVIRONMENT", "SIGNALS", "EXIT STATUS", "EXAMPLES"] {
            assert!(plain.contains(section), "{section}");
        }
        check_arguments(&Cli::command(), "", &plain);
        let mut groff = Command::new("groff")
            .args(["-man", "-ww", "-Tutf8"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("install groff-base");
        groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = groff.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("nflog_exporter"), "{text}");
    }
}
