//! The configuration section `[[family]]`: the labels and budgets of each metric family.

use std::{ops::Deref, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Dimension;
use crate::settings::{
    ConfigSection, InvalidSetting, RuleResult, broken, check_list, deserialize_text, duplicate,
    reject, suggestion, units,
};

/// Maximum number of families, the default ones included.
pub const MAX_FAMILIES: usize = 32;
/// Maximum number of labels of a family.
pub const MAX_LABELS: usize = 8;

/// The family in which countries are never folded.
const COUNTRY: &str = "country";

/// The families that always exist, in their order, with their default labels and `max_series`.
const DEFAULT_FAMILIES: [(&str, &[Dimension], usize); 3] = [
    (
        "traffic",
        &[Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port],
        DEFAULT_MAX_SERIES,
    ),
    ("network", &[Dimension::Prefix, Dimension::Network], DEFAULT_MAX_SERIES),
    (COUNTRY, &[Dimension::Country, Dimension::Prefix], 1000),
];
const DEFAULT_MAX_SERIES: usize = 2000;
/// Stands for the default `max_series`, which depends on the family's name. TOML has no number as large as this.
const UNSET: usize = usize::MAX;
/// The exporter's own metrics are `nflog_exporter_…`, so no family has this name.
const RESERVED_NAME: &str = "exporter";
/// Maximum length of a family's name, bytes.
const MAX_NAME: usize = 64;
const MAX_SERIES: usize = 1_000_000;
/// Prometheus treats a series as stale five minutes after its last sample, so a longer hold has no use.
const MAX_NEWBORN_HOLD: Duration = Duration::from_secs(3600);

/// All families: the default ones first, then the others in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<FamilyConfig>")]
pub struct FamilyConfigs(Vec<FamilyConfig>);

/// `[[family]]`: the labels and budgets of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyConfig {
    /// `[a-z][a-z0-9_]*`; the metrics are `nflog_<name>_packets_total` and `nflog_<name>_bytes_total`, without the
    /// infix for `traffic`.
    pub name: String,
    /// Most important first, 1 to [`MAX_LABELS`], no duplicates; the default families have default labels.
    #[serde(default)]
    pub labels: Vec<Dimension>,
    /// Maximum number of label sets exposed at once, 1 to 1,000,000; default 2000, of `country` 1000.
    #[serde(default = "default_max_series")]
    pub max_series: usize,
    /// Maximum number of label sets created in any hour, at least 1; default 500.
    #[serde(default = "default_max_new_series_per_hour")]
    pub max_new_series_per_hour: usize,
    /// How long a new series shows zero after its first delivered scrape, at most 1h; default 0s.
    #[serde(default, with = "units::duration")]
    pub newborn_hold: Duration,
}

fn default_max_series() -> usize {
    UNSET
}

fn default_max_new_series_per_hour() -> usize {
    500
}

impl FamilyConfig {
    /// A family with default budgets.
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            labels: Vec::new(),
            max_series: default_max_series(),
            max_new_series_per_hour: default_max_new_series_per_hour(),
            newborn_hold: Duration::ZERO,
        }
    }

    fn validate(&self) -> Vec<InvalidSetting> {
        let key = |last: &str| format!("family.{}.{last}", self.name);
        broken([
            validate_name(&self.name),
            validate_max_series(key("max_series"), self),
            validate_new_series(key("max_new_series_per_hour"), self.max_new_series_per_hour),
            validate_newborn_hold(key("newborn_hold"), self.newborn_hold),
            validate_labels(&key("labels"), &self.labels),
            validate_first_label(key("labels"), self),
        ])
    }
}

impl From<Vec<FamilyConfig>> for FamilyConfigs {
    /// Moves the default families to the front, adds missing ones, and sets their default labels if they have none.
    fn from(mut configured: Vec<FamilyConfig>) -> Self {
        let mut families = Vec::with_capacity(configured.len() + DEFAULT_FAMILIES.len());
        for (name, labels, max_series) in DEFAULT_FAMILIES {
            let mut family = match configured.iter().position(|family| family.name == name) {
                Some(index) => configured.remove(index),
                None => FamilyConfig::new(name),
            };
            if family.labels.is_empty() {
                family.labels = labels.to_vec();
            }
            if family.max_series == UNSET {
                family.max_series = max_series;
            }
            families.push(family);
        }
        for mut family in configured {
            if family.max_series == UNSET {
                family.max_series = DEFAULT_MAX_SERIES;
            }
            families.push(family);
        }
        Self(families)
    }
}

impl Default for FamilyConfigs {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl Deref for FamilyConfigs {
    type Target = [FamilyConfig];

    fn deref(&self) -> &[FamilyConfig] {
        &self.0
    }
}

impl ConfigSection for FamilyConfigs {
    fn validate(&self) -> Vec<InvalidSetting> {
        let mut errors = broken([validate_names(self)]);
        errors.extend(self.iter().flat_map(FamilyConfig::validate));
        errors
    }
}

fn validate_names(families: &[FamilyConfig]) -> RuleResult {
    if families.len() > MAX_FAMILIES {
        let defaults = DEFAULT_FAMILIES.map(|(name, ..)| name).join(", ");
        return reject(
            "family",
            format!(
                "has {} families, {defaults} included; use {MAX_FAMILIES} at most",
                families.len()
            ),
        );
    }
    match duplicate(families.iter().map(|family| family.name.as_str())) {
        Some(name) => reject(format!("family.{name}"), "has two sections; put their keys into one"),
        None => Ok(()),
    }
}

fn validate_name(name: &str) -> RuleResult {
    let key = format!("family.{name}.name");
    let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(is_valid)
        || name.len() > MAX_NAME
    {
        return reject(
            key,
            format!(
                "is {name:?}; use at most {MAX_NAME} characters a-z, 0-9 and _, the first one a letter: the name \
                 is part of metric names"
            ),
        );
    }
    let rest = name.strip_prefix(RESERVED_NAME);
    if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
        return reject(
            key,
            "is reserved, because nflog_exporter_… are the exporter's own metrics; use another name",
        );
    }
    Ok(())
}

fn validate_max_series(key: String, family: &FamilyConfig) -> RuleResult {
    let series = family.max_series;
    if !(1..=MAX_SERIES).contains(&series) {
        return reject(key, format!("is {series}; use 1 to {MAX_SERIES}"));
    }
    // One place for packets without a country, and one for a full key.
    let countries = Dimension::Country.usual_values() + 2;
    if family.name == COUNTRY && series < countries {
        return reject(
            key,
            format!("is {series}; use {countries} or more, so that every country has a series"),
        );
    }
    Ok(())
}

/// The first label is the last one to fold.
fn validate_first_label(key: String, family: &FamilyConfig) -> RuleResult {
    match family.labels.first() {
        Some(first) if family.name == COUNTRY && *first != Dimension::Country => {
            let reason = "begin with country, so that countries are never folded";
            reject(key, format!("begins with {first}; {reason}"))
        }
        _ => Ok(()),
    }
}

fn validate_new_series(key: String, series: usize) -> RuleResult {
    match series {
        0 => reject(key, "is 0, so that only `other` could be counted; use 1 or more"),
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

fn validate_labels(key: &str, labels: &[Dimension]) -> RuleResult {
    if labels.is_empty() {
        let known = Dimension::ALL.map(Dimension::name).join(", ");
        return reject(key, format!("is missing; use 1 to {MAX_LABELS} of: {known}"));
    }
    check_list(key, labels.iter(), MAX_LABELS)
}

impl Serialize for Dimension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, |name| {
            Self::from_name(name).ok_or_else(|| {
                let suggestion = suggestion(name, &Self::ALL.map(Self::name));
                format!("has {name:?}, which is not a label; {suggestion}")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::settings::testing::{check_section, section_errors};

    #[track_caller]
    fn check(text: &str, expect: &str) {
        check_section::<FamilyConfigs>(text, expect);
    }

    /// Checks the beginning and the end of a long message.
    #[track_caller]
    fn check_ends(text: &str, begin: &str, end: &str) {
        let message = section_errors::<FamilyConfigs>(text);
        assert!(message.starts_with(begin) && message.ends_with(end), "{message}");
    }

    #[test]
    fn default_families_come_first_and_keep_default_labels() {
        let text = "[[family]]\nname = 'ports'\nlabels = ['port']\n\
                    [[family]]\nname = 'network'\nmax_series = 7\n\
                    [[family]]\nname = 'country'\nnewborn_hold = '1m'\n\
                    [[family]]\nname = 'traffic'\nlabels = ['country']\n";
        let table: toml::Table = text.parse().unwrap();
        let families: FamilyConfigs = table["family"].clone().try_into().unwrap();
        let found: Vec<_> =
            families.iter().map(|family| (family.name.as_str(), family.max_series)).collect();
        assert_eq!(found, [("traffic", 2000), ("network", 7), ("country", 1000), ("ports", 2000)]);
        assert_eq!(families[0].labels, [Dimension::Country]);
        assert_eq!(families[1].labels, [Dimension::Prefix, Dimension::Network]);
        assert_eq!(families[2].labels, [Dimension::Country, Dimension::Prefix]);
        assert_eq!(families[3].labels, [Dimension::Port]);
        assert!(families.iter().all(|family| family.max_new_series_per_hour == 500));
        assert!(families.validate().is_empty());
        assert!(FamilyConfigs::default().validate().is_empty());
    }

    #[test]
    fn names_are_parts_of_metric_names() {
        let long = "a".repeat(65);
        for name in ["", "Asn", "1a", "a-b", "ä", "_a", &long] {
            check_ends(
                &format!("[[family]]\nname = '{name}'\nlabels = ['asn']"),
                &format!("family.{name}.name: is {name:?}; use at most 64 characters a-z"),
                "the name is part of metric names",
            );
        }
        for name in ["exporter", "exporter_received"] {
            check_ends(
                &format!("[[family]]\nname = '{name}'\nlabels = ['asn']"),
                &format!("family.{name}.name: is reserved"),
                "use another name",
            );
        }
        check("[[family]]\nname = 'exporters'\nlabels = ['asn']", "");
        check(&format!("[[family]]\nname = '{}'\nlabels = ['asn']", "a".repeat(64)), "");
    }

    #[test]
    fn each_family_has_one_section() {
        for name in ["a", "traffic"] {
            check(
                &format!("[[family]]\nname = '{name}'\nlabels = ['asn']\n").repeat(2),
                &format!("family.{name}: has two sections; put their keys into one"),
            );
        }
        check_ends("[[family]]\nlabels = ['asn']", "missing field `name`", "");
    }

    #[test]
    fn families_have_a_maximum() {
        let mut many = String::new();
        let extra = MAX_FAMILIES - DEFAULT_FAMILIES.len();
        for number in 0..extra {
            write!(many, "[[family]]\nname = 'f{number}'\nlabels = ['asn']\n").unwrap();
        }
        check(&many, "");
        many.push_str("[[family]]\nname = 'last'\nlabels = ['asn']\n");
        check(&many, "family: has 33 families, traffic, network, country included; use 32 at most");
    }

    #[test]
    fn the_family_country_has_a_place_for_every_country() {
        check(
            "[[family]]\nname = 'country'\nmax_series = 253",
            "family.country.max_series: is 253; use 254 or more, so that every country has a series",
        );
        check("[[family]]\nname = 'country'\nmax_series = 254", "");
        check(
            "[[family]]\nname = 'country'\nlabels = ['prefix', 'country']",
            "family.country.labels: begins with prefix; begin with country, so that countries are never folded",
        );
    }

    #[test]
    fn labels_are_dimensions_without_duplicates() {
        check_ends(
            "[[family]]\nname = 'a'",
            "family.a.labels: is missing; use 1 to 8 of: prefix,",
            "tcp_flags, host",
        );
        check(
            "[[family]]\nname = 'a'\nlabels = ['prefix', 'contry']",
            "has \"contry\", which is not a label; did you mean country?",
        );
        check(
            "[[family]]\nname = 'a'\nlabels = ['port', 'port']",
            "family.a.labels: has port twice; remove the duplicate",
        );
        let labels = Dimension::ALL.map(Dimension::name);
        check(
            &format!("[[family]]\nname = 'a'\nlabels = {:?}", &labels[..9]),
            "family.a.labels: has 9 entries; use 8 at most",
        );
        check(&format!("[[family]]\nname = 'a'\nlabels = {:?}", &labels[..8]), "");
        for label in labels {
            check(&format!("[[family]]\nname = 'a'\nlabels = ['{label}']"), "");
        }
    }

    #[test]
    fn budgets_have_limits() {
        for series in [0, 1_000_001] {
            check(
                &format!("[[family]]\nname = 'traffic'\nmax_series = {series}"),
                &format!("family.traffic.max_series: is {series}; use 1 to 1000000"),
            );
        }
        check_ends(
            "[[family]]\nname = 'traffic'\nmax_new_series_per_hour = 0",
            "family.traffic.max_new_series_per_hour: is 0",
            "use 1 or more",
        );
        check(
            "[[family]]\nname = 'traffic'\nnewborn_hold = '2h'",
            "family.traffic.newborn_hold: is 2h; use 0s to 1h, a few scrape intervals are enough",
        );
    }
}
