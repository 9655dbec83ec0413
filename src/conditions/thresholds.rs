//! The thresholds of the alerts, as `alerts/nflog_exporter.recording.rules.yml` defines them: a test compares both.

/// Maximum share of logged packets that are lost.
pub(super) const LOST_SHARE: f64 = 0.001;
/// Maximum share of the packets of a family that have a label with the value `other`.
pub(super) const FOLDED_SHARE: f64 = 0.5;
/// Maximum age of the oldest packet that is not in the database, seconds.
pub(super) const MIRROR_LAG_SECONDS: f64 = 300.0;
/// Maximum share of the spool's size limit that is in use.
pub(super) const SPOOL_SHARE: f64 = 0.5;
/// A surge is a rate above this multiple of the average of the last day,
pub(super) const SURGE_FACTOR: f64 = 5.0;
/// above this many packets per second for one prefix,
pub(super) const SURGE_PREFIX_PACKETS_PER_SECOND: f64 = 10.0;
/// or for one country,
pub(super) const SURGE_COUNTRY_PACKETS_PER_SECOND: f64 = 5.0;
/// if the history has at least this many minutes.
pub(super) const SURGE_HISTORY_MINUTES: f64 = 360.0;
/// Minimum number of packets in 5 minutes from a country without packets in the previous day,
pub(super) const NEW_COUNTRY_PACKETS: f64 = 10.0;
/// if the history has at least this many minutes.
pub(super) const NEW_COUNTRY_HISTORY_MINUTES: f64 = 1380.0;
/// Minimum packet rate per second of the last hour before a silence.
pub(super) const SILENCE_PACKETS_PER_SECOND: f64 = 0.1;
/// Maximum number of ports that one source reaches in 10 minutes.
pub(super) const SCAN_PORTS: f64 = 100.0;
/// Maximum number of scanning sources at the same time.
pub(super) const SCANNING_SOURCES: f64 = 20.0;
/// Maximum rate of packets per second to one login port.
pub(super) const BRUTE_FORCE_PACKETS_PER_SECOND: f64 = 2.0;

/// The login ports.
pub(super) const LOGIN_PORTS: [u16; 15] =
    [21, 22, 23, 110, 143, 445, 993, 1433, 2222, 3306, 3389, 5432, 5900, 6379, 27017];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::conditions::{Alert, Severity};

    fn rules(file: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts").join(file))
            .unwrap()
    }

    /// The constant of the expression after this line.
    fn threshold(rules: &str, name: &str) -> f64 {
        let record = format!("- record: nflog:threshold:{name}\n        expr: vector(");
        let (_, rest) = rules.split_once(&record).unwrap_or_else(|| panic!("no {name}"));
        rest.split_once(')').unwrap().0.parse().unwrap()
    }

    #[test]
    fn they_are_those_of_the_recording_rules() {
        let rules = rules("nflog_exporter.recording.rules.yml");
        for (name, value) in [
            ("lost_share", LOST_SHARE),
            ("folded_share", FOLDED_SHARE),
            ("mirror_lag_seconds", MIRROR_LAG_SECONDS),
            ("spool_share", SPOOL_SHARE),
            ("surge_factor", SURGE_FACTOR),
            ("surge_prefix_packets_per_second", SURGE_PREFIX_PACKETS_PER_SECOND),
            ("surge_country_packets_per_second", SURGE_COUNTRY_PACKETS_PER_SECOND),
            ("surge_history_minutes", SURGE_HISTORY_MINUTES),
            ("new_country_packets", NEW_COUNTRY_PACKETS),
            ("new_country_history_minutes", NEW_COUNTRY_HISTORY_MINUTES),
            ("silence_packets_per_second", SILENCE_PACKETS_PER_SECOND),
            ("scan_ports", SCAN_PORTS),
            ("scanning_sources", SCANNING_SOURCES),
            ("brute_force_packets_per_second", BRUTE_FORCE_PACKETS_PER_SECOND),
        ] {
            assert!((threshold(&rules, name) - value).abs() < 1e-9, "{name}");
        }
        let ports = LOGIN_PORTS.map(|port| port.to_string()).join("|");
        assert!(rules.contains(&format!("port=~\"{ports}\"")), "{ports}");
    }

    #[test]
    fn the_alerts_have_the_severities_of_the_rules() {
        let rules = rules("nflog_exporter.rules.yml");
        for alert in Alert::ALL {
            let name = format!("- alert: {alert:?}\n");
            let (_, rule) = rules.split_once(&name).unwrap_or_else(|| panic!("no {name}"));
            let (_, severity) = rule.split_once("severity: ").unwrap();
            let severity = severity.lines().next().unwrap();
            let expected = match alert.severity() {
                Severity::Critical => "critical",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            assert_eq!(severity, expected, "{alert:?}");
            assert!(alert.text().contains("{value}"), "{alert:?}");
            let names_subject = alert.text().contains("{subject}");
            assert!(names_subject || alert.dimension().is_none(), "{alert:?}");
        }
    }
}
