//! The rules that `[mirror]` must keep: one function a rule.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    Mirror,
    problem::Problem,
    validate::{Verdict, broken, refuse, validate_list},
};
use crate::geoip::Country;

/// The column `host`.
const MAX_HOST: usize = 255;
/// Partitions are days: less than this would drop nothing sooner.
const MIN_RETENTION: Duration = Duration::from_secs(60 * 60);
const SAMPLE: RangeInclusive<u32> = 1..=1_000_000;
/// As many as there can be (`event::MAX_PREFIXES`).
const MAX_PREFIXES: usize = 4096;
/// More than there are.
const MAX_COUNTRIES: usize = 512;
/// Less would not hold a second of a busy firewall.
const MIN_SPOOL: u64 = 1024 * 1024;

/// Checks the section against every rule; returns the broken ones.
pub(super) fn validate(mirror: &Mirror) -> Vec<Problem> {
    let single = [
        mirror.read_target().map(drop),
        mirror.read_anonymizer().map(drop),
        validate_host(&mirror.host),
        validate_retention(mirror.retention),
        validate_sample(mirror.sample),
        validate_list("mirror.prefixes", mirror.prefixes.iter(), MAX_PREFIXES),
        validate_spool(mirror),
    ];
    let mut problems = broken(single);
    problems.extend(validate_countries(&mirror.countries));
    problems
}

fn validate_host(host: &str) -> Verdict {
    if host.len() > MAX_HOST || host.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse(
            "mirror.host",
            format!("is {host:?}; use a name of {MAX_HOST} bytes at most, without blanks"),
        );
    }
    Ok(())
}

fn validate_retention(retention: Duration) -> Verdict {
    if retention.is_zero() || retention >= MIN_RETENTION {
        return Ok(());
    }
    refuse(
        "mirror.retention",
        format!(
            "is {}; use 1h or more, as \"14d\", or \"0s\" to keep rows for ever",
            humantime::format_duration(retention)
        ),
    )
}

fn validate_sample(sample: u32) -> Verdict {
    if SAMPLE.contains(&sample) {
        return Ok(());
    }
    refuse(
        "mirror.sample",
        format!("is {sample}; use 1 for every packet, N for one in N, {} at most", SAMPLE.end()),
    )
}

fn validate_countries(countries: &[String]) -> Vec<Problem> {
    let key = "mirror.countries";
    let unknown = countries.iter().filter(|code| Country::from_code(code).is_none()).map(|code| {
        let what = "which is no country; use two letters (ISO 3166-1 alpha-2), as \"DE\", or \
                    \"private\" or \"unknown\"";
        refuse(key, format!("has {code:?}, {what}"))
    });
    broken(unknown.chain([validate_list(key, countries.iter(), MAX_COUNTRIES)]))
}

fn validate_spool(mirror: &Mirror) -> Verdict {
    let spool = &mirror.spool;
    if spool.max_size == 0 {
        return Ok(());
    }
    if spool.max_size < MIN_SPOOL {
        return refuse(
            "mirror.spool.max_size",
            format!("is {} bytes; use 1MiB or more, or 0 for no spool on disk", spool.max_size),
        );
    }
    if spool.directory.as_os_str().is_empty() {
        return refuse("mirror.spool.directory", "is empty; name a directory");
    }
    Ok(())
}
