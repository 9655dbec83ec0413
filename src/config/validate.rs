//! The rules a configuration must keep: one function a rule.

use std::{collections::HashSet, fmt::Display, hash::Hash, time::Duration};

use super::{
    Config, Family, MAX_FAMILIES,
    problem::{Problem, suggestion},
    validate_mirror,
};
use crate::{
    metrics::{Dimension, MAX_LABELS},
    source::nflog::limits::{
        COPY_RANGE, KERNEL_BUFFER, MAX_GROUPS, MAX_TIMEOUT, RECEIVE_BUFFER, TIMEOUT_STEP,
    },
};

/// Most database files: country, city, ASN, and room for one's own.
const MAX_DATABASES: usize = 16;
/// `IFNAMSIZ` without its NUL.
const MAX_INTERFACE_NAME: usize = 15;
const MAX_INTERFACES: usize = 256;
const MAX_LISTEN_ADDRESSES: usize = 16;
/// Paths that serve something else.
const FIXED_PATHS: [&str; 2] = ["/markers.xml", "/markers.geojson"];
const MAX_FAMILY_NAME: usize = 64;
const MAX_SERIES: usize = 1_000_000;
/// Prometheus forgets a sample after 5 minutes; a series held longer than this is of no use.
const MAX_NEWBORN_HOLD: Duration = Duration::from_secs(3600);
/// Names that the exporter's own metrics (`nflog_exporter_…`) would clash with.
const RESERVED_FAMILY: &str = "exporter";

pub(super) type Verdict = Result<(), Problem>;

/// Checks the configuration against every rule; returns the broken ones.
pub(super) fn validate(config: &Config) -> Vec<Problem> {
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
    problems.extend(validate_mirror::validate(&config.mirror));
    problems.extend(config.family.iter().flat_map(validate_family));
    problems
}

/// The rules that are broken.
pub(super) fn broken(rules: impl IntoIterator<Item = Verdict>) -> Vec<Problem> {
    rules.into_iter().filter_map(Result::err).collect()
}

/// Refuses a rule's break: `what` follows the key in the message.
pub(super) fn refuse(key: impl Into<String>, what: impl Into<String>) -> Verdict {
    Err(Problem::new(key, what))
}

/// The first value that stands twice.
fn repeated<T: Eq + Hash>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    values.into_iter().find_map(|value| seen.replace(value))
}

pub(super) fn validate_list<T: Eq + Hash + Display>(
    key: &str,
    values: impl ExactSizeIterator<Item = T>,
    most: usize,
) -> Verdict {
    if values.len() > most {
        return refuse(key, format!("has {} entries; name {most} at most", values.len()));
    }
    match repeated(values) {
        Some(value) => refuse(key, format!("has {value} twice; name it once")),
        None => Ok(()),
    }
}

fn validate_groups(groups: &[u16]) -> Verdict {
    let key = "nflog.groups";
    if groups.is_empty() {
        return refuse(key, "is empty; name the group of the rules, as in groups = [1]");
    }
    validate_list(key, groups.iter(), MAX_GROUPS)
}

fn validate_copy_range(copy_range: u32) -> Verdict {
    if COPY_RANGE.contains(&copy_range) {
        return Ok(());
    }
    refuse(
        "nflog.copy_range",
        format!(
            "is {copy_range}; use {} to {} bytes: fewer lose the ports of IPv6 packets, more do not fit a message",
            COPY_RANGE.start(),
            COPY_RANGE.end()
        ),
    )
}

fn validate_queue_threshold(threshold: u32) -> Verdict {
    match threshold {
        0 => refuse("nflog.queue_threshold", "is 0; use 1 packet or more, 100 is good"),
        _ => Ok(()),
    }
}

fn validate_queue_timeout(timeout: Duration) -> Verdict {
    let steps = timeout.as_nanos().is_multiple_of(TIMEOUT_STEP.as_nanos());
    if steps && (TIMEOUT_STEP..=MAX_TIMEOUT).contains(&timeout) {
        return Ok(());
    }
    refuse(
        "nflog.queue_timeout",
        format!(
            "is {}; use 10ms to 60s in steps of 10ms, the kernel's unit",
            humantime::format_duration(timeout)
        ),
    )
}

fn validate_kernel_buffer(bytes: u32) -> Verdict {
    if KERNEL_BUFFER.contains(&bytes) {
        return Ok(());
    }
    refuse(
        "nflog.kernel_buffer",
        format!(
            "is {bytes}; use {} to {} bytes, the kernel refuses more",
            KERNEL_BUFFER.start(),
            KERNEL_BUFFER.end()
        ),
    )
}

fn validate_receive_buffer(bytes: u32) -> Verdict {
    if RECEIVE_BUFFER.contains(&bytes) {
        return Ok(());
    }
    refuse(
        "nflog.receive_buffer",
        format!("is {bytes}; use {} to {} bytes", RECEIVE_BUFFER.start(), RECEIVE_BUFFER.end()),
    )
}

fn validate_databases(config: &Config) -> Verdict {
    let key = "geoip.databases";
    let files = &config.geoip.databases;
    if files.iter().any(|file| file.as_os_str().is_empty()) {
        return refuse(key, "has an empty path; leave the list empty for the embedded database");
    }
    validate_list(key, files.iter().map(|file| file.display().to_string()), MAX_DATABASES)
}

/// As the kernel's `dev_valid_name`; and no quote, for the name is written into a rule.
fn validate_interfaces(names: &[String]) -> Vec<Problem> {
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
        refuse(key, format!("has {name:?}, {what}"))
    });
    broken(impossible.chain([validate_list(key, names.iter(), MAX_INTERFACES)]))
}

fn validate_listen_addresses(config: &Config) -> Verdict {
    let key = "web.listen_addresses";
    let addresses = &config.web.listen_addresses;
    if addresses.is_empty() {
        return refuse(
            key,
            "is empty; name an address, as in listen_addresses = [\"127.0.0.1:10239\"]",
        );
    }
    // Port 0 is another port each time.
    let fixed: Vec<_> = addresses.iter().filter(|address| address.port != 0).collect();
    validate_list(key, fixed.into_iter(), MAX_LISTEN_ADDRESSES)
}

fn validate_telemetry_path(path: &str) -> Verdict {
    let key = "web.telemetry_path";
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if !path.starts_with('/') || !path.chars().all(plain) {
        return refuse(
            key,
            format!("is {path:?}; begin with / and use letters, digits and - _ . ~ only"),
        );
    }
    if path == "/" || path.starts_with("/-/") || FIXED_PATHS.contains(&path) {
        return refuse(key, format!("is {path:?}, which serves something else; use another path"));
    }
    Ok(())
}

fn validate_family_names(families: &[Family]) -> Verdict {
    if families.len() > MAX_FAMILIES {
        return refuse(
            "family",
            format!(
                "makes {} families with traffic and network; use {MAX_FAMILIES} at most",
                families.len()
            ),
        );
    }
    match repeated(families.iter().map(|family| family.name.as_str())) {
        Some(name) => refuse(format!("family.{name}"), "has two sections; put their keys into one"),
        None => Ok(()),
    }
}

fn validate_family(family: &Family) -> Vec<Problem> {
    let key = |last: &str| format!("family.{}.{last}", family.name);
    let single = [
        validate_family_name(&family.name),
        validate_max_series(key("max_series"), family.max_series),
        validate_new_series(key("max_new_series_per_hour"), family.max_new_series_per_hour),
        validate_newborn_hold(key("newborn_hold"), family.newborn_hold),
    ];
    let mut problems = broken(single);
    problems.extend(validate_labels(&key("labels"), &family.labels));
    problems
}

fn validate_max_series(key: String, series: usize) -> Verdict {
    if (1..=MAX_SERIES).contains(&series) {
        return Ok(());
    }
    refuse(key, format!("is {series}; use 1 to {MAX_SERIES}"))
}

fn validate_new_series(key: String, series: usize) -> Verdict {
    match series {
        0 => refuse(key, "is 0, so that nothing but `other` could ever be counted; use 1 or more"),
        _ => Ok(()),
    }
}

fn validate_newborn_hold(key: String, hold: Duration) -> Verdict {
    if hold <= MAX_NEWBORN_HOLD {
        return Ok(());
    }
    let hold = humantime::format_duration(hold);
    refuse(key, format!("is {hold}; use 0s to 1h, a few scrape intervals are enough"))
}

fn validate_family_name(name: &str) -> Verdict {
    let key = format!("family.{name}.name");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(plain)
        || name.len() > MAX_FAMILY_NAME
    {
        return refuse(
            key,
            format!(
                "is {name:?}; begin with a letter a-z, then a-z, 0-9 and _, {MAX_FAMILY_NAME} at most: it becomes part of a metric name"
            ),
        );
    }
    let reserved = name.strip_prefix(RESERVED_FAMILY);
    if reserved.is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
        return refuse(
            key,
            "would name its metrics nflog_exporter_…, as the exporter names its own; use another name",
        );
    }
    Ok(())
}

fn validate_labels(key: &str, labels: &[String]) -> Vec<Problem> {
    let known = Dimension::ALL.map(Dimension::name);
    if labels.is_empty() {
        let what = format!("is missing; name 1 to {MAX_LABELS} of: {}", known.join(", "));
        return broken([refuse(key, what)]);
    }
    let unknown =
        labels.iter().filter(|label| Dimension::from_name(label).is_none()).map(|label| {
            refuse(key, format!("has {label:?}, which is not known; {}", suggestion(label, &known)))
        });
    broken(unknown.chain([validate_list(key, labels.iter(), MAX_LABELS)]))
}
