//! The rules of the section `[mirror]`: one function per rule.

use std::{ops::RangeInclusive, time::Duration};

use super::{super::select::Selection, MirrorConfig};
use crate::{
    event::MAX_PREFIXES,
    geoip::Country,
    settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject},
    system::untrusted_text::is_unsafe,
};

/// Length of the column `host`.
const MAX_HOST: usize = 255;
/// Partitions are days, so that a shorter retention would have no effect.
const MIN_RETENTION: Duration = Duration::from_secs(60 * 60);
const SAMPLE: RangeInclusive<u32> = 1..=1_000_000;
/// More than the number of countries.
const MAX_COUNTRIES: usize = 512;
/// A smaller spool would not hold the rows of one second of a busy firewall.
const MIN_SPOOL: u64 = 1024 * 1024;

impl ConfigSection for MirrorConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        let single = [
            self.servers().map(drop),
            self.anonymizer(self.anonymize).map(drop),
            validate_host(&self.host),
            validate_retention(self.retention),
            validate_spool(self),
        ];
        let mut errors = broken(single);
        errors.extend(validate_selection("mirror", &self.selection()));
        errors
    }
}

/// Checks the keys of a section that select packets.
#[must_use]
pub fn validate_selection(section: &str, selection: &Selection) -> Vec<InvalidSetting> {
    let Selection { prefixes, countries, sample } = selection;
    let mut errors = broken([
        validate_sample(format!("{section}.sample"), *sample),
        check_list(&format!("{section}.prefixes"), prefixes.iter(), MAX_PREFIXES),
    ]);
    errors.extend(validate_countries(&format!("{section}.countries"), countries));
    errors
}

fn validate_host(host: &str) -> RuleResult {
    if host.len() > MAX_HOST || host.chars().any(|c| is_unsafe(c) || c.is_whitespace()) {
        return reject(
            "mirror.host",
            format!("is {host:?}; use a name of {MAX_HOST} bytes at most, without spaces"),
        );
    }
    Ok(())
}

fn validate_retention(retention: Duration) -> RuleResult {
    if retention.is_zero() || retention >= MIN_RETENTION {
        return Ok(());
    }
    reject(
        "mirror.retention",
        format!(
            "is {}; use 1h or more, such as \"14d\", or \"0s\" to keep all rows",
            humantime::format_duration(retention)
        ),
    )
}

fn validate_sample(key: String, sample: u32) -> RuleResult {
    if SAMPLE.contains(&sample) {
        return Ok(());
    }
    reject(
        key,
        format!("is {sample}; use 1 for every packet, N for one in N, {} at most", SAMPLE.end()),
    )
}

fn validate_countries(key: &str, countries: &[String]) -> Vec<InvalidSetting> {
    let unknown = countries.iter().filter(|code| Country::from_code(code).is_none()).map(|code| {
        let reason = "which is not a country; use two letters (ISO 3166-1 alpha-2), such as \"DE\", or \
                    \"private\" or \"unknown\"";
        reject(key, format!("has {code:?}, {reason}"))
    });
    broken(unknown.chain([check_list(key, countries.iter(), MAX_COUNTRIES)]))
}

fn validate_spool(mirror: &MirrorConfig) -> RuleResult {
    let spool = &mirror.spool;
    if spool.max_size == 0 {
        return Ok(());
    }
    if spool.max_size < MIN_SPOOL {
        return reject(
            "mirror.spool.max_size",
            format!("is {} bytes; use 1MiB or more, or 0 for no spool on disk", spool.max_size),
        );
    }
    if spool.directory.as_os_str().is_empty() {
        return reject(
            "mirror.spool.directory",
            "is empty; use a directory, such as /var/lib/nflog_exporter",
        );
    }
    Ok(())
}
