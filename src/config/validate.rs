//! The rules that a configuration must follow: one function per rule.

use std::time::Duration;

use super::{Config, Family, MAX_FAMILIES, family};
use crate::{
    metrics::{Dimension, MAX_LABELS},
    settings::{InvalidSetting, RuleResult, broken, check_list, duplicate, reject, suggestion},
    source::nflog::limits::{
        COPY_RANGE, KERNEL_BUFFER, MAX_GROUPS, MAX_TIMEOUT, RECEIVE_BUFFER, TIMEOUT_STEP,
    },
    web::paths,
};

/// Most database files: country, city, ASN, and room for one's own.
const MAX_DATABASES: usize = 16;
/// `IFNAMSIZ` without its NUL.
const MAX_INTERFACE_NAME: usize = 15;
const MAX_INTERFACES: usize = 256;
const MAX_LISTEN_ADDRESSES: usize = 16;
const MAX_FAMILY_NAME: usize = 64;
const MAX_SERIES: usize = 1_000_000;
/// Prometheus forgets a sample after 5 minutes; a series held longer than this is of no use.
const MAX_NEWBORN_HOLD: Duration = Duration::from_secs(3600);
/// Names that the exporter's own metrics (`nflog_exporter_…`) would clash with.
const RESERVED_FAMILY: &str = "exporter";

/// Checks the configuration against every rule; returns the broken ones.
pub(super) fn validate(config: &Config) -> Vec<InvalidSetting> {
    let nflog = &config.nflog;
    let single = [
        validate_groups(&nflog.groups),
        validate_copy_range(nflog.copy_range),
        validate_queue_threshold(nflog.queue_threshold),
        validate_queue_timeout(nflog.queue_timeout),
        validate_kernel_buffer(nflog.kernel_buffer),
        validate_receive_buffer(nflog.receive_buffer),
        validate_databases(config),
        validate_listen_addresses(config),
        validate_telemetry_path(&config.web.telemetry_path),
        validate_family_names(&config.family),
    ];
    let mut problems = broken(single);
    problems.extend(validate_interfaces(&config.rules.interfaces));
    problems.extend(config.mirror.validate());
    problems.extend(config.family.iter().flat_map(validate_family));
    problems
}

fn validate_groups(groups: &[u16]) -> RuleResult {
    let key = "nflog.groups";
    if groups.is_empty() {
        return reject(key, "is empty; name the group of the rules, as in groups = [1]");
    }
    check_list(key, groups.iter(), MAX_GROUPS)
}

fn validate_copy_range(copy_range: u32) -> RuleResult {
    if COPY_RANGE.contains(&copy_range) {
        return Ok(());
    }
    reject(
        "nflog.copy_range",
        format!(
            "is {copy_range}; use {} to {} bytes: fewer lose the ports of IPv6 packets, more do not fit a message",
            COPY_RANGE.start(),
            COPY_RANGE.end()
        ),
    )
}

fn validate_queue_threshold(threshold: u32) -> RuleResult {
    match threshold {
        0 => reject("nflog.queue_threshold", "is 0; use 1 packet or more, 100 is good"),
        _ => Ok(()),
    }
}

fn validate_queue_timeout(timeout: Duration) -> RuleResult {
    let steps = timeout.as_nanos().is_multiple_of(TIMEOUT_STEP.as_nanos());
    if steps && (TIMEOUT_STEP..=MAX_TIMEOUT).contains(&timeout) {
        return Ok(());
    }
    reject(
        "nflog.queue_timeout",
        format!(
            "is {}; use 10ms to 60s in steps of 10ms, the kernel's unit",
            humantime::format_duration(timeout)
        ),
    )
}

fn validate_kernel_buffer(bytes: u32) -> RuleResult {
    if KERNEL_BUFFER.contains(&bytes) {
        return Ok(());
    }
    reject(
        "nflog.kernel_buffer",
        format!(
            "is {bytes}; use {} to {} bytes, the kernel refuses more",
            KERNEL_BUFFER.start(),
            KERNEL_BUFFER.end()
        ),
    )
}

fn validate_receive_buffer(bytes: u32) -> RuleResult {
    if RECEIVE_BUFFER.contains(&bytes) {
        return Ok(());
    }
    reject(
        "nflog.receive_buffer",
        format!("is {bytes}; use {} to {} bytes", RECEIVE_BUFFER.start(), RECEIVE_BUFFER.end()),
    )
}

fn validate_databases(config: &Config) -> RuleResult {
    let key = "geoip.databases";
    let files = &config.geoip.databases;
    if files.iter().any(|file| file.as_os_str().is_empty()) {
        return reject(key, "has an empty path; leave the list empty for the embedded database");
    }
    check_list(key, files.iter().map(|file| file.display().to_string()), MAX_DATABASES)
}

/// As the kernel's `dev_valid_name`; and no quote, for the name is written into a rule.
fn validate_interfaces(names: &[String]) -> Vec<InvalidSetting> {
    let key = "rules.interfaces";
    let bad = |name: &&String| {
        name.is_empty()
            || name.len() > MAX_INTERFACE_NAME
            || matches!(name.as_str(), "." | "..")
            || name.contains(|c: char| {
                c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '"' | '\\')
            })
    };
    let impossible = names.iter().filter(bad).map(|name| {
        let what = "which no interface can be called; use names as `ip link` shows them";
        reject(key, format!("has {name:?}, {what}"))
    });
    broken(impossible.chain([check_list(key, names.iter(), MAX_INTERFACES)]))
}

fn validate_listen_addresses(config: &Config) -> RuleResult {
    let key = "web.listen_addresses";
    let addresses = &config.web.listen_addresses;
    if addresses.is_empty() {
        return reject(
            key,
            "is empty; name an address, as in listen_addresses = [\"127.0.0.1:10239\"]",
        );
    }
    // Port 0 is another port each time.
    let fixed: Vec<_> = addresses.iter().filter(|address| address.port != 0).collect();
    check_list(key, fixed.into_iter(), MAX_LISTEN_ADDRESSES)
}

fn validate_telemetry_path(path: &str) -> RuleResult {
    let key = "web.telemetry_path";
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if !path.starts_with('/') || !path.chars().all(plain) {
        return reject(
            key,
            format!("is {path:?}; begin with / and use letters, digits and - _ . ~ only"),
        );
    }
    if paths::is_reserved(path) {
        return reject(
            key,
            format!(
                "is {path:?}, which the exporter uses for its page or its state; use another path, such as /metrics"
            ),
        );
    }
    Ok(())
}

fn validate_family_names(families: &[Family]) -> RuleResult {
    if families.len() > MAX_FAMILIES {
        return reject(
            "family",
            format!(
                "makes {} families with traffic, network and country; use {MAX_FAMILIES} at most",
                families.len()
            ),
        );
    }
    match duplicate(families.iter().map(|family| family.name.as_str())) {
        Some(name) => reject(format!("family.{name}"), "has two sections; put their keys into one"),
        None => Ok(()),
    }
}

fn validate_family(family: &Family) -> Vec<InvalidSetting> {
    let key = |last: &str| format!("family.{}.{last}", family.name);
    let single = [
        validate_family_name(&family.name),
        validate_max_series(key("max_series"), family),
        validate_new_series(key("max_new_series_per_hour"), family.max_new_series_per_hour),
        validate_newborn_hold(key("newborn_hold"), family.newborn_hold),
        validate_first_label(key("labels"), family),
    ];
    let mut problems = broken(single);
    problems.extend(validate_labels(&key("labels"), &family.labels));
    problems
}

fn validate_max_series(key: String, family: &Family) -> RuleResult {
    let series = family.max_series();
    if !(1..=MAX_SERIES).contains(&series) {
        return reject(key, format!("is {series}; use 1 to {MAX_SERIES}"));
    }
    // One place for packets without a country, and one for a full key.
    let countries = Dimension::Country.usual_values() + 2;
    if family.name == family::COUNTRY && series < countries {
        return reject(
            key,
            format!("is {series}; use {countries} or more, so that every country has a place"),
        );
    }
    Ok(())
}

/// The first label is the last one to fold.
fn validate_first_label(key: String, family: &Family) -> RuleResult {
    let country = Dimension::Country.name();
    match family.labels.first() {
        Some(first) if family.name == family::COUNTRY && first != country => reject(
            key,
            format!("begins with {first:?}; begin with {country:?}, so that countries never fold"),
        ),
        _ => Ok(()),
    }
}

fn validate_new_series(key: String, series: usize) -> RuleResult {
    match series {
        0 => reject(key, "is 0, so that nothing but `other` could ever be counted; use 1 or more"),
        _ => Ok(()),
    }
}

fn validate_newborn_hold(key: String, hold: Duration) -> RuleResult {
    if hold <= MAX_NEWBORN_HOLD {
        return Ok(());
    }
    let hold = humantime::format_duration(hold);
    reject(key, format!("is {hold}; use 0s to 1h, a few scrape intervals are enough"))
}

fn validate_family_name(name: &str) -> RuleResult {
    let key = format!("family.{name}.name");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(plain)
        || name.len() > MAX_FAMILY_NAME
    {
        return reject(
            key,
            format!(
                "is {name:?}; begin with a letter a-z, then a-z, 0-9 and _, {MAX_FAMILY_NAME} at most: it becomes part of a metric name"
            ),
        );
    }
    let reserved = name.strip_prefix(RESERVED_FAMILY);
    if reserved.is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
        return reject(
            key,
            "would name its metrics nflog_exporter_…, as the exporter names its own; use another name",
        );
    }
    Ok(())
}

fn validate_labels(key: &str, labels: &[String]) -> Vec<InvalidSetting> {
    let known = Dimension::ALL.map(Dimension::name);
    if labels.is_empty() {
        let what = format!("is missing; name 1 to {MAX_LABELS} of: {}", known.join(", "));
        return broken([reject(key, what)]);
    }
    let unknown =
        labels.iter().filter(|label| Dimension::from_name(label).is_none()).map(|label| {
            reject(key, format!("has {label:?}, which is not known; {}", suggestion(label, &known)))
        });
    broken(unknown.chain([check_list(key, labels.iter(), MAX_LABELS)]))
}
