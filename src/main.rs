//! The program: arguments, the command they name, an exit code.

use std::process::ExitCode;

use nflog_exporter::{cli::Cli, commands, system::logging};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = commands::execute(&cli);
    let failure = outcome.as_ref().err().and_then(commands::message);
    logging::finish(failure.as_deref(), commands::log_limit(&cli));
    outcome.map_or_else(|error| commands::exit_code(&error).into(), |()| ExitCode::SUCCESS)
}
