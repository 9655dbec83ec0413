//! The program: arguments, the command they name, an exit code.

use std::process::ExitCode;

use nflog_exporter::{cli::Cli, commands};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", commands::message(&error));
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
