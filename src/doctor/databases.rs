//! Databases: of addresses, and of rows with the spool before it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::Finding;
use crate::{
    config::Config,
    geoip::GeoIp,
    mirror::{
        Target,
        config::SpoolConfig,
        inspect::inspect,
        spool::{OtherTarget, rows_of_others},
        target::Endpoint,
    },
};

const DAY: u64 = 24 * 3600;

/// Age from which a database of one's own is old: its fetching has failed for two months or so.
const OLD: Duration = Duration::from_secs(90 * DAY);

/// Age from which the embedded one is old: countries change slowly, and it comes with the program.
const EMBEDDED_OLD: Duration = Duration::from_secs(400 * DAY);

pub(super) fn geoip(config: &Config) -> Vec<Finding> {
    let geoip = match GeoIp::open(&config.geoip.databases) {
        Ok(geoip) => geoip,
        Err(error) => {
            return vec![Finding::failed(
                "geoip",
                error.to_string(),
                "fetch it anew (geoipupdate), or leave geoip.databases empty for the embedded one",
            )];
        }
    };
    let now = SystemTime::now();
    let embedded = config.geoip.databases.is_empty();
    let old = if embedded { EMBEDDED_OLD } else { OLD };
    let look = |database: crate::geoip::DatabaseStatus| {
        let built = SystemTime::UNIX_EPOCH + Duration::from_secs(database.build_timestamp);
        let age = now.duration_since(built).unwrap_or_default();
        let days = age.as_secs() / DAY;
        let what = format!("{} ({}) is {days} days old", database.name, database.edition);
        if age < old {
            return Finding::ok("geoip", what);
        }
        let fix = if embedded {
            "install a newer version of this program, or name a database of your own with --geoip.database"
        } else {
            "fetch a new one by a timer (geoipupdate); it is read when it is replaced"
        };
        Finding::failed("geoip", what, fix)
    };
    geoip.status().into_iter().map(look).collect()
}

pub(super) fn spool(config: &Config) -> Finding {
    let target = match config.mirror_target() {
        Ok(None) => return Finding::skipped("spool", "no database to mirror to"),
        target => target.ok().flatten(),
    };
    let spool = &config.mirror.spool;
    let folder = existing(&spool.directory);
    let free = match rustix::fs::statvfs(&folder) {
        Ok(about) => about.f_bavail.saturating_mul(about.f_frsize),
        Err(error) => {
            return Finding::failed(
                "spool",
                format!("{}: {error}", folder.display()),
                "name a folder on a disk with mirror.spool.directory",
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
            "make room, name another disk with mirror.spool.directory, or lower mirror.spool.max_size",
        );
    }
    if let Some(finding) = rows_of_another_database(target.as_ref(), spool) {
        return finding;
    }
    Finding::ok("spool", format!("{what}, enough for the {} it may take", size(spool.max_size)))
}

/// Rows in the spool that no configured database gets.
fn rows_of_another_database(target: Option<&Target>, spool: &SpoolConfig) -> Option<Finding> {
    let target = target.filter(|_| spool.other_target == OtherTarget::Keep)?;
    let directory = spool.directory.display();
    match rows_of_others(&spool.directory, &target.identity()) {
        Ok(others) => others.first().map(|other| {
            Finding::failed(
                "spool",
                format!("{} rows in {directory} wait for {}", other.rows, other.target),
                "name that database in mirror.url again, or set mirror.spool.other_target to \"deliver\" or \"drop\"",
            )
        }),
        Err(error) => Some(Finding::failed(
            "spool",
            format!("{directory} cannot be read: {error}"),
            "run the doctor as root",
        )),
    }
}

/// Bytes of the files in a folder; 0 for none.
fn size_of(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

/// The folder, or the one above it that there is.
fn existing(folder: &Path) -> PathBuf {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_owned()
}

pub(super) fn mirror(config: &Config) -> Vec<Finding> {
    let target = match config.mirror_target() {
        Ok(Some(target)) => target,
        Ok(None) => return vec![Finding::skipped("mirror", "no database to mirror to")],
        Err(error) => {
            return vec![Finding::failed("mirror", error.to_string(), "see mirror.url_file")];
        }
    };
    if let Endpoint::File(file) = &target.endpoint
        && !file.exists()
    {
        // Made by root, it would not be the exporter's to write to.
        let what = format!("{} is not there yet; the exporter makes it", file.display());
        return vec![Finding::skipped("mirror", what)];
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Finding::skipped("mirror", format!("no runtime: {error}"))],
    };
    let steps = runtime.block_on(inspect(&target));
    let find = |step: crate::mirror::inspect::InspectionStep| {
        let check = match step.name {
            "connection" => "mirror",
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
        "connection" => {
            "see that the database runs, that mirror.url has its host, port, user, password \
                         and database, and that a firewall lets it pass"
        }
        "schema" => {
            "have an administrator load `nflog_exporter schema --for DATABASE`, or give the user \
                     the right to CREATE"
        }
        "rights" => "GRANT SELECT, INSERT, UPDATE, DELETE on the tables to that user",
        "partitions" => "give the user the right to ALTER and DROP, or make partitions by a job",
        _ => "let both hosts keep time by NTP",
    }
}
