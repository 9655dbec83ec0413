//! What packages take from the program: completions for shells, and the page of the manual.

use clap::{Command, CommandFactory as _};
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
    "Reads the packets that iptables or nftables log to a group (NFLOG), and keeps counters of bounded \
     number by log prefix, protocol, country, port and network, which Prometheus scrapes. Serves a page \
     with a world map, and writes each packet as a row to MySQL, PostgreSQL or SQLite if asked to.",
    "Packets come from rules such as \"nft add rule inet filter input tcp dport 22 ct state new log \
     prefix ssh group 1\", or from a table of the program's own, --rules.install. A group has one reader.",
    "It needs the capability CAP_NET_ADMIN to start. Once its sockets stand it gives up every right: user, \
     capabilities, and by Landlock and seccomp all files, ports and system calls that it does not need.",
];

const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "FILES",
        &[
            "The configuration (--config.file) is TOML; \"nflog_exporter config show\" prints every key with \
             its value. Databases of addresses (.mmdb) are read anew when they are replaced.",
            "/var/lib/nflog_exporter: the spool, where rows wait for the database; mirror.spool.directory \
             names another folder. It belongs to one exporter alone.",
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            "NFLOG_EXPORTER_MIRROR_URL: the URL of the database, instead of --mirror.url, so that no password \
             stands on a command line.",
        ],
    ),
    (
        "SIGNALS",
        &[
            "SIGHUP reads the configuration and the databases anew. What is wrong leaves the old ones in use \
             and sets nflog_exporter_config_last_reload_successful to 0.",
            "SIGTERM and SIGINT end the program: what the kernel still holds is read, requests are finished, \
             and rows that the database does not take stay in the spool.",
        ],
    ),
    ("EXIT STATUS", &["0: fine. 1: a failure at run time. 2: wrong usage or configuration."]),
];

/// What it is good for, and how.
const EXAMPLES: [(&str, &str); 4] = [
    (
        "Log all inbound packets and serve a map at http://127.0.0.1:10239/:",
        "nflog_exporter --rules.install",
    ),
    (
        "Read the group of your own rules, and keep each packet in a file:",
        "nflog_exporter --nflog.group 5 --mirror.url sqlite:/var/lib/nflog_exporter/packets.db",
    ),
    ("Count what a capture holds:", "tcpdump -i eth0 -w - -c 10000 | nflog_exporter replay -"),
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
    let mut list = |name: String, command: &Command| {
        roff.control("TP", []);
        let own = command.get_arguments().filter(|argument| {
            !argument.is_global_set() && !matches!(argument.get_id().as_str(), "help" | "version")
        });
        let words = std::iter::once(String::new()).chain(own.map(ToString::to_string));
        roff.text([bold(name), roman(words.collect::<Vec<_>>().join(" "))]);
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let paragraphs = about.split("\n\n").map(|paragraph| paragraph.trim_end_matches('.'));
        roff.text([roman(paragraphs.collect::<Vec<_>>().join(". ").replace('\n', " ") + ".")]);
    };
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let nested: Vec<_> =
            command.get_subcommands().filter(|nested| nested.get_name() != "help").collect();
        for nested in &nested {
            list(format!("{} {}", command.get_name(), nested.get_name()), nested);
        }
        if nested.is_empty() {
            list(command.get_name().to_owned(), command);
        }
    }
    roff
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

    #[test]
    fn the_manual_has_every_flag_and_command_and_no_fault() {
        let page = manual().unwrap();
        let plain = page.replace("\\-", "-");
        for argument in Cli::command().get_arguments() {
            let flag = format!("--{}", argument.get_long().unwrap());
            assert!(plain.contains(&flag), "{flag}");
        }
        for command in ["replay", "schema", "config check", "config show", "completions", "man"] {
            assert!(plain.contains(command), "{command}");
        }
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
