//! `completions`: scripts that complete commands and flags in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// The completion script for a shell.
pub(super) fn script(shell: Shell) -> String {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_script_has_commands_and_flags() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["replay", "report", "schema", "rules.install", "nflog.group"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn bash_completes_a_command() {
        let query = "\nCOMP_WORDS=(nflog_exporter repl); COMP_CWORD=1\n\
                     _nflog_exporter nflog_exporter repl nflog_exporter; echo \"${COMPREPLY[@]}\"";
        let output =
            Command::new("bash").arg("-c").arg(script(Shell::Bash) + query).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "replay", "{output:?}");
    }
}
