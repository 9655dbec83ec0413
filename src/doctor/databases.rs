//! Checks the GeoIP databases, the mirror's database and its spool directory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::Finding;
use crate::{
    config::Config,
    geoip::{DatabaseStatus, GeoIp},
    mirror::{
        config::SpoolConfig,
        inspect::{InspectionStep, inspect},
        spool::{OtherTarget, rows_of_others},
        target::Servers,
    },
    system::clock,
};

/// Seconds of a day.
const DAY: u64 = 24 * 3600;

/// Age from which a configured database is outdated: providers publish weekly or monthly, so about two updates
/// were missed.
const OLD: Duration = Duration::from_secs(90 * DAY);

/// Age from which the embedded database is outdated: country allocations change slowly. The alert has the same age.
const EMBEDDED_OLD: Duration = Duration::from_secs(400 * DAY);

/// How to get a newer database.
const UPDATE: &str = "run `nflog_exporter geoip update` with the exporter's configuration, and enable \
                      nflog_exporter-geoip.timer to repeat it; the exporter loads a replaced file";

pub(super) fn geoip(config: &Config) -> Vec<Finding> {
    let geoip = match GeoIp::open_configured(&config.geoip) {
        Ok(geoip) => geoip,
        Err(error) => {
            return vec![Finding::failed(
                "geoip",
                error.to_string(),
                "download it again (`nflog_exporter geoip update` or geoipupdate), or leave geoip.databases empty to \
                 use the embedded database",
            )];
        }
    };
    let mut findings: Vec<_> = geoip.status().iter().map(age).collect();
    // Files of the directory that the exporter ignores.
    let unusable = config.geoip.files().into_iter().filter_map(|file| GeoIp::open(&[file]).err());
    findings.extend(unusable.map(|error| {
        let fix = "run `nflog_exporter geoip update --force` with the exporter's configuration, or remove the file";
        Finding::failed("geoip", error.to_string(), fix)
    }));
    findings
}

/// Checks the age of a database in use.
fn age(database: &DatabaseStatus) -> Finding {
    let built = clock::time_since_1970(Duration::from_secs(database.build_timestamp));
    let age = SystemTime::now().duration_since(built).unwrap_or_default();
    let days = age.as_secs() / DAY;
    let what = format!("{} ({}) is {days} days old", database.name, database.edition);
    let old = if database.is_embedded() { EMBEDDED_OLD } else { OLD };
    match (age < old, database.is_embedded()) {
        (true, true) => Finding::ok(
            "geoip",
            format!("{what}; `nflog_exporter geoip update` downloads a newer one"),
        ),
        (true, false) => Finding::ok("geoip", what),
        (false, _) => Finding::failed("geoip", what, UPDATE),
    }
}

pub(super) fn spool(config: &Config) -> Finding {
    let servers = match config.mirror_servers() {
        Ok(None) => return Finding::skipped("spool", "no database to mirror to"),
        servers => servers.ok().flatten(),
    };
    let spool = &config.mirror.spool;
    let directory = nearest_existing(&spool.directory);
    let free = match rustix::fs::statvfs(&directory) {
        Ok(about) => about.f_bavail.saturating_mul(about.f_frsize),
        Err(error) => {
            return Finding::failed(
                "spool",
                format!("{}: {error}", directory.display()),
                "set mirror.spool.directory to a directory on a local disk",
            );
        }
    };
    let wanted = spool.max_size.saturating_sub(size_of(&spool.directory));
    let size = |bytes: u64| bytesize::ByteSize::b(bytes).display().iec().to_string();
    let what = format!("{} has {} free", spool.directory.display(), size(free));
    if free < wanted {
        return Finding::failed(
            "spool",
            format!("{what}, and the spool may need {} more", size(wanted)),
            "free disk space, set mirror.spool.directory to another disk, or lower mirror.spool.max_size",
        );
    }
    if let Some(finding) = rows_of_another_database(servers.as_ref(), spool) {
        return finding;
    }
    Finding::ok("spool", format!("{what}, enough for its maximum of {}", size(spool.max_size)))
}

/// Reports rows in the spool that are for another database than the configured one.
fn rows_of_another_database(servers: Option<&Servers>, spool: &SpoolConfig) -> Option<Finding> {
    let servers = servers.filter(|_| spool.other_target == OtherTarget::Keep)?;
    let directory = spool.directory.display();
    match rows_of_others(&spool.directory, &servers.identity()) {
        Ok(others) => others.first().map(|other| {
            Finding::failed(
                "spool",
                format!("{} rows in {directory} wait for {}", other.rows, other.target),
                "set mirror.url to that database again, or mirror.spool.other_target to \"deliver\" or \"drop\"",
            )
        }),
        Err(error) => Some(Finding::failed(
            "spool",
            format!("{directory} cannot be read: {error}"),
            "run the doctor as root",
        )),
    }
}

/// Total size of the files in a directory, bytes; 0 if it cannot be read.
fn size_of(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

/// The directory, or its nearest ancestor that exists.
fn nearest_existing(directory: &Path) -> PathBuf {
    directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

pub(super) fn mirror(config: &Config) -> Vec<Finding> {
    let servers = match config.mirror_servers() {
        Ok(Some(servers)) => servers,
        Ok(None) => return vec![Finding::skipped("mirror", "no database to mirror to")],
        Err(error) => {
            return vec![Finding::failed(
                "mirror",
                error.to_string(),
                "check mirror.url and mirror.url_file",
            )];
        }
    };
    if let Some(file) = servers.file()
        && !file.exists()
    {
        // Not created here: the exporter's user could not write to a file of root's.
        let what = format!("{} does not exist yet; the exporter creates it", file.display());
        return vec![Finding::skipped("mirror", what)];
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![Finding::skipped("mirror", format!("cannot start a runtime: {error}"))];
        }
    };
    let steps = runtime.block_on(inspect(&servers));
    let find = |step: InspectionStep| {
        let check = match step.name {
            "connection" | "server" => "mirror",
            "schema" => "mirror_schema",
            "rights" => "mirror_rights",
            "partitions" => "mirror_days",
            _ => "mirror_clock",
        };
        match step.outcome {
            Ok(what) => Finding::ok(check, what),
            Err(what) => Finding::failed(check, what, advice(step.name)),
        }
    };
    steps.into_iter().map(find).collect()
}

fn advice(step: &str) -> &'static str {
    match step {
        "connection" | "server" => {
            "check that the database runs, that mirror.url has the right host, port, user, password and \
             database, and that no firewall blocks the connection"
        }
        "schema" => {
            "load the output of `nflog_exporter schema --for DATABASE` as an administrator, or grant the user \
             CREATE"
        }
        "rights" => "GRANT SELECT, INSERT, UPDATE, DELETE on the tables to the user",
        "partitions" => "grant the user ALTER and DROP, or create partitions by a scheduled job",
        _ => "synchronize the clocks of both hosts by NTP",
    }
}
