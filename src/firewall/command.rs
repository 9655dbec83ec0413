//! Runs the programs that list and load rules.

use std::{
    io::{ErrorKind, Write as _},
    process::{Command, Stdio},
};

/// A program could not be run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not installed.
    #[error("{program} was not found in PATH: install the Debian package {package}")]
    Missing {
        /// Its name.
        program: String,
        /// The Debian package of the program.
        package: &'static str,
    },
    /// It exited with an error, or could not be run.
    #[error("{command}: {why}")]
    Failed {
        /// The command line.
        command: String,
        /// Its error message, or its exit status.
        why: String,
    },
}

/// The Debian package of a program.
fn package(program: &str) -> &'static str {
    match program {
        "nft" => "nftables",
        "ufw" => "ufw",
        "firewall-cmd" => "firewalld",
        _ => "iptables",
    }
}

/// Runs a program; returns its standard output.
///
/// # Errors
/// The program is missing or failed.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<String, CommandError> {
    output_with_input(program, arguments, "")
}

/// Runs a program with `input` as its standard input; returns its standard output.
///
/// # Errors
/// The program is missing or failed.
pub(super) fn output_with_input(
    program: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, CommandError> {
    let failed = |why: String| CommandError::Failed {
        command: [&[program], arguments].concat().join(" "),
        why,
    };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|why| match why.kind() {
        ErrorKind::NotFound => {
            CommandError::Missing { program: program.to_owned(), package: package(program) }
        }
        _ => failed(why.to_string()),
    })?;
    // A program that does not read its input reports the reason by its exit status.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|why| failed(why.to_string()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        let error = error.lines().map(str::trim).find(|line| !line.is_empty());
        return Err(failed(error.map_or_else(|| output.status.to_string(), ToOwned::to_owned)));
    }
    match written {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => Err(failed(why.to_string())),
        _ => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}
