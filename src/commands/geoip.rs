//! `geoip update`: downloads databases, and prints what was replaced.

use anyhow::anyhow;

use super::print;
use crate::{
    cli::GeoIpUpdate,
    config::Flags,
    geoip::update::{Outcome, Target, UpdateRequest, Updater},
    system::logging,
};

/// Updates all files. A failure of one does not prevent the others.
///
/// # Errors
/// The configuration is invalid, or a file was not updated.
pub(super) fn update(update: &GeoIpUpdate, flags: &Flags) -> anyhow::Result<()> {
    // The files need not exist yet.
    let config = flags.load()?;
    let _level = logging::start(config.log.level, config.log.format);
    let request = UpdateRequest { editions: update.edition.clone(), force: update.force };
    let updater = Updater::new(&config.geoip, &request)?;
    let mut failures = Vec::new();
    let mut has_new_data = false;
    for target in updater.targets() {
        match updater.update(target) {
            Ok(outcome) => {
                has_new_data |= outcome.replaced;
                print(&line(target, &outcome))?;
            }
            Err(error) => {
                failures.push(format!("{}: not updated: {error}", target.path.display()));
            }
        }
    }
    if has_new_data {
        print(&format!("{}\n", updater.attribution()))?;
    }
    if failures.is_empty() { Ok(()) } else { Err(anyhow!(failures.join("\n"))) }
}

fn line(target: &Target, outcome: &Outcome) -> String {
    let Outcome { replaced, database, built, created_directory } = outcome;
    let what = if *replaced { "updated" } else { "up to date" };
    let path = target.path.display();
    let mut line = format!("{path}: {what}: {database}, built {built}\n");
    if *created_directory {
        line.push_str(
            "The directory is new: restart an exporter that runs, so that it can read it.\n",
        );
    }
    line
}
