//! `man`: the manual page, in roff.

mod text;

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use self::text::{DESCRIPTION, EXAMPLES, SECTIONS, SEE_ALSO};
use crate::cli::Cli;

/// The page `nflog_exporter(8)`.
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

fn section(name: &str, paragraphs: &[&str]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [name]);
    for paragraph in paragraphs {
        roff.control("PP", []);
        roff.text([roman(*paragraph)]);
    }
    roff
}

/// The section of the commands, with their descriptions and own arguments.
fn commands(program: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        let nested: Vec<_> =
            command.get_subcommands().filter(|nested| nested.get_name() != "help").collect();
        if nested.is_empty() || own_arguments(command).next().is_some() {
            describe(&mut roff, command.get_name(), command);
        }
        for nested in &nested {
            describe(&mut roff, &format!("{} {}", command.get_name(), nested.get_name()), nested);
        }
    }
    roff
}

/// Adds the description and the arguments of a command.
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
        roff.text([roman(help_with_default(argument))]);
        possible_values(roff, argument);
    }
}

/// The arguments of a command, without the global flags.
fn own_arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| {
        !argument.is_global_set() && !matches!(argument.get_id().as_str(), "help" | "version")
    })
}

/// The help of an argument, with its default.
fn help_with_default(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    let defaults = argument.get_default_values();
    // The default of a switch, false, is not shown.
    let takes_value = argument.get_action().takes_values();
    if !takes_value || defaults.is_empty() || argument.is_hide_default_value_set() {
        return help;
    }
    let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
    format!("{help} [default: {}]", defaults.join(" "))
}

/// Adds the possible values of an argument, with their help.
fn possible_values(roff: &mut Roff, argument: &Arg) {
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
    for (purpose, line) in EXAMPLES {
        roff.control("PP", []);
        roff.text([roman(purpose)]);
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

    use super::*;

    /// Checks that the page has every command, its own options, their values and help.
    fn check_arguments(command: &clap::Command, name: &str, page: &str) {
        let mut command = command.clone();
        command.build();
        for argument in own_arguments(&command) {
            let shown = argument.to_string();
            assert!(page.contains(&shown), "{name}: {shown}");
            let help = help_with_default(argument).replace('\'', "\\*(Aq");
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
    fn the_manual_has_every_flag_and_command_and_groff_accepts_it() {
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
