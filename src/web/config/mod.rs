//! The configuration section `[web]`: the addresses and paths of the HTTP server.

mod listen_address;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::listen_address::ListenAddress;
use super::paths;
use crate::settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject};

const MAX_LISTEN_ADDRESSES: usize = 16;

/// `[web]`: the addresses and paths of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebServerConfig {
    /// Addresses to listen on, at least one; default `127.0.0.1:10239`.
    pub listen_addresses: Vec<ListenAddress>,
    /// Whether to use the listening sockets of a systemd socket unit instead; default false.
    pub systemd_socket: bool,
    /// Path of the metrics; default `/metrics`.
    pub telemetry_path: String,
    /// TLS and basic authentication: a file in the format of Prometheus's exporter-toolkit; default empty: HTTP
    /// without authentication.
    pub config_file: PathBuf,
    /// Whether to serve `POST /-/reload`; default false.
    pub enable_reload: bool,
    /// Whether the page shows rows of the mirror's database: sources and packets; default true.
    pub drilldown: bool,
}

impl Default for WebServerConfig {
    fn default() -> Self {
        Self {
            listen_addresses: vec![ListenAddress { host: "127.0.0.1".into(), port: 10239 }],
            systemd_socket: false,
            telemetry_path: "/metrics".into(),
            config_file: PathBuf::new(),
            enable_reload: false,
            drilldown: true,
        }
    }
}

impl ConfigSection for WebServerConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        broken([
            validate_listen_addresses(&self.listen_addresses),
            validate_telemetry_path(&self.telemetry_path),
        ])
    }
}

fn validate_listen_addresses(addresses: &[ListenAddress]) -> RuleResult {
    let key = "web.listen_addresses";
    if addresses.is_empty() {
        return reject(
            key,
            "is empty; use at least one address, such as listen_addresses = [\"127.0.0.1:10239\"]",
        );
    }
    // Port 0 lets the system choose another port each time, so it is not a duplicate.
    let fixed: Vec<_> = addresses.iter().filter(|address| address.port != 0).collect();
    check_list(key, fixed.into_iter(), MAX_LISTEN_ADDRESSES)
}

fn validate_telemetry_path(path: &str) -> RuleResult {
    let key = "web.telemetry_path";
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if !path.starts_with('/') || !path.chars().all(is_plain) {
        return reject(
            key,
            format!("is {path:?}; begin with / and use letters, digits and - _ . ~ only"),
        );
    }
    if paths::is_reserved(path) {
        return reject(
            key,
            format!(
                "is {path:?}, a path that the exporter uses itself; use another path, such as /metrics"
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::check_section;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        check_section::<WebServerConfig>(&format!("[web]\n{text}"), expect);
    }

    #[test]
    fn listen_addresses_are_a_list_without_duplicates() {
        check("", "");
        check(
            "listen_addresses = []",
            "web.listen_addresses: is empty; use at least one address, such as listen_addresses = \
             [\"127.0.0.1:10239\"]",
        );
        check(
            "listen_addresses = [':1', ':1']",
            "web.listen_addresses: has :1 twice; remove the duplicate",
        );
        check("listen_addresses = [':0', ':0']", "");
        let many: Vec<_> = (1..=17).map(|port| format!(":{port}")).collect();
        check(
            &format!("listen_addresses = {many:?}"),
            "web.listen_addresses: has 17 entries; use 16 at most",
        );
        check(
            "listen_addresses = ['localhost']",
            "\"localhost\" is not a listen address; write HOST:PORT, [IPv6]:PORT, or :PORT for all addresses",
        );
    }

    #[test]
    fn the_telemetry_path_is_a_plain_path_that_the_server_does_not_use() {
        for path in ["metrics", "", "/a b", "/a?b", "/ä"] {
            check(
                &format!("telemetry_path = '{path}'"),
                &format!(
                    "web.telemetry_path: is {path:?}; begin with / and use letters, digits and - _ . ~ only"
                ),
            );
        }
        for path in paths::FIXED.into_iter().chain(["/-/", "/-/x", "/page/", "/page/x.js"]) {
            check(
                &format!("telemetry_path = '{path}'"),
                &format!(
                    "web.telemetry_path: is {path:?}, a path that the exporter uses itself; use another path, such \
                     as /metrics"
                ),
            );
        }
        check("telemetry_path = '/a/b-c_d.e~f/'", "");
    }
}
