//! The configuration section `[kernel_log]`: where lines of the kernel log are read.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    follow::{MAX_FILES, Pattern},
    syslog::{MAX_CONNECTIONS, SenderNetwork, SyslogAddress, SyslogTlsConfig, Transport},
};
use crate::{
    settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject},
    system::privileges::group_number,
};

/// Maximum number of patterns.
const MAX_PATTERNS: usize = 64;

/// Maximum number of addresses of the syslog listener, and of networks of its senders.
const MAX_ADDRESSES: usize = 16;
const MAX_NETWORKS: usize = 256;

/// `[kernel_log]`: where lines of the kernel log are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KernelLogConfig {
    /// Read `/dev/kmsg`; default false.
    pub kmsg: bool,
    /// Log files to follow: paths whose last part can contain `*`, `?` and `[…]`; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Addresses on which syslog messages are received.
    pub syslog: Vec<SyslogAddress>,
    /// Networks whose hosts can send syslog messages; empty: only this host.
    pub allow: Vec<SenderNetwork>,
    /// Where `/dev/kmsg` and files without a saved position start; default at their ends.
    pub from: StartAt,
    /// File that keeps the positions in the followed files.
    pub state_file: PathBuf,
    /// The certificates of `tls://` addresses.
    pub tls: SyslogTlsConfig,
}

/// Where a source without a saved position starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// After the last line.
    #[default]
    End,
    /// At the first line.
    Start,
}

impl Default for KernelLogConfig {
    fn default() -> Self {
        Self {
            kmsg: false,
            files: Vec::new(),
            syslog: Vec::new(),
            allow: Vec::new(),
            from: StartAt::End,
            state_file: "/var/lib/nflog_exporter/kernel_log.state".into(),
            tls: SyslogTlsConfig::default(),
        }
    }
}

impl KernelLogConfig {
    /// Whether any source is configured.
    #[must_use]
    pub fn has_source(&self) -> bool {
        self.kmsg || !self.files.is_empty() || !self.syslog.is_empty()
    }

    /// Whether syslog messages are received over TLS.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.syslog.iter().any(|it| it.transport == Transport::Tls)
    }

    /// Whether standard input is a source.
    #[must_use]
    pub fn reads_stdin(&self) -> bool {
        self.files.iter().any(|file| file.as_os_str() == "-")
    }

    /// The patterns of the files to follow.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        let files = self.files.iter().filter(|file| file.as_os_str() != "-");
        files.filter_map(|file| Pattern::new(file).ok()).collect()
    }

    /// Maximum open descriptors of the followed files and the syslog connections.
    #[must_use]
    pub fn max_descriptors(&self) -> u64 {
        let files = if self.patterns().is_empty() { 0 } else { MAX_FILES };
        let connections = if self.syslog.is_empty() { 0 } else { MAX_CONNECTIONS };
        (files + connections) as u64
    }

    /// The groups whose members can read the followed files, and others cannot. Rotation creates new files, so that
    /// opening them before privileges are dropped would not last. Root's group is not among them: it can read more than
    /// logs.
    #[must_use]
    pub fn reader_groups(&self) -> Vec<u32> {
        let groups = self.patterns().into_iter().flat_map(|pattern| {
            let files = pattern.files();
            if files.is_empty() {
                return group_of_later_logs(pattern.directory()).into_iter().collect();
            }
            // A link among the matches of a wildcard can be anyone's.
            let is_named = pattern.path().is_some();
            files.iter().filter_map(|file| group_of_log(file, is_named)).collect::<Vec<_>>()
        });
        groups.collect()
    }
}

/// The group whose members can read a log file, and others cannot.
fn group_of_log(file: &Path, follows_link: bool) -> Option<u32> {
    let metadata = if follows_link { file.metadata() } else { file.symlink_metadata() }.ok()?;
    let is_readable = metadata.is_file() && metadata.mode() & 0o044 == 0o040;
    (is_readable && metadata.gid() != 0).then(|| metadata.gid())
}

/// The group that a file gets which does not exist yet: `adm`, which reads the logs on Debian, if another file of the
/// directory has it, and for all of `/var/log`.
fn group_of_later_logs(directory: &Path) -> Option<u32> {
    let adm = group_number("adm").filter(|group| *group != 0)?;
    let has_logs = || {
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let files = entries.filter_map(|entry| entry.metadata().ok());
        files.filter(fs::Metadata::is_file).any(|metadata| metadata.gid() == adm)
    };
    (directory.starts_with("/var/log") || has_logs()).then_some(adm)
}

impl ConfigSection for KernelLogConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        let mut rules = vec![
            self.validate_list(),
            check_list("kernel_log.syslog", self.syslog.iter(), MAX_ADDRESSES),
            check_list("kernel_log.allow", self.allow.iter(), MAX_NETWORKS),
            self.validate_allow(),
            self.validate_tls(),
            self.validate_state_file(),
        ];
        let files = self.files.iter().filter(|file| file.as_os_str() != "-");
        rules.extend(files.map(|file| match Pattern::new(file) {
            Ok(_) => Ok(()),
            Err(reason) => reject("kernel_log.files", reason),
        }));
        broken(rules)
    }
}

impl KernelLogConfig {
    fn validate_list(&self) -> RuleResult {
        let paths = self.files.iter().map(|file| file.display().to_string());
        check_list("kernel_log.files", paths, MAX_PATTERNS)
    }

    /// Who can send to the listener can invent packets.
    fn validate_allow(&self) -> RuleResult {
        let is_open = |address: &&SyslogAddress| {
            let needs_certificate = address.transport == Transport::Tls
                && !self.tls.client_ca_file.as_os_str().is_empty();
            !address.address.ip().is_loopback() && !needs_certificate
        };
        match self.syslog.iter().find(is_open) {
            Some(address) if self.allow.is_empty() => reject(
                "kernel_log.allow",
                format!(
                    "is empty, and {address} receives from other hosts; list the networks of the senders, such as \
                     allow = [\"192.0.2.0/24\"], or [\"0.0.0.0/0\", \"::/0\"] for every host"
                ),
            ),
            _ => Ok(()),
        }
    }

    fn validate_tls(&self) -> RuleResult {
        let Some(address) = self.syslog.iter().find(|it| it.transport == Transport::Tls) else {
            return Ok(());
        };
        for (key, file) in [("cert_file", &self.tls.cert_file), ("key_file", &self.tls.key_file)] {
            if file.as_os_str().is_empty() {
                let reason =
                    format!("is empty, and {address} needs it; set the path of a PEM file");
                return reject(format!("kernel_log.tls.{key}"), reason);
            }
        }
        Ok(())
    }

    fn validate_state_file(&self) -> RuleResult {
        if self.state_file.file_name().is_none() {
            let path = self.state_file.display();
            return reject(
                "kernel_log.state_file",
                format!("is \"{path}\"; use the path of a file"),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::check_section;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        check_section::<KernelLogConfig>(&format!("[kernel_log]\n{text}"), expect);
    }

    #[test]
    fn a_listener_for_other_hosts_needs_a_list_of_senders() {
        check("syslog = ['udp://127.0.0.1:514', 'tcp://[::1]:514']", "");
        let reason = "and udp://0.0.0.0:514 receives from other hosts; list the networks of the senders, such as \
                      allow = [\"192.0.2.0/24\"], or [\"0.0.0.0/0\", \"::/0\"] for every host";
        check("syslog = ['udp://0.0.0.0:514']", &format!("kernel_log.allow: is empty, {reason}"));
        check("syslog = ['udp://0.0.0.0:514']\nallow = ['192.0.2.0/24']", "");
        check(
            "syslog = ['tls://127.0.0.1:6514']\ntls.cert_file = 'a'",
            "kernel_log.tls.key_file: is empty, and tls://127.0.0.1:6514 needs it; set the path of a PEM file",
        );
        check(
            "syslog = ['tls://0.0.0.0:6514']\ntls = { cert_file = 'a', key_file = 'b', client_ca_file = 'c' }",
            "",
        );
    }

    #[test]
    fn files_are_patterns_without_duplicates() {
        check("", "");
        check("files = ['/var/log/kern.log', '/var/log/fw-*.log', '-']", "");
        check("files = ['a', 'a']", "kernel_log.files: has a twice; remove the duplicate");
        check(
            "files = ['/var/*/kern.log']",
            "kernel_log.files: has /var/*/kern.log; use * ? and [ only in the last part of a path",
        );
        check("files = ['/var/log/']", "");
        check("files = ['']", "kernel_log.files: has an empty path; remove it");
        check("files = ['/']", "kernel_log.files: has /; use the path of a file");
        check("state_file = ''", "kernel_log.state_file: is \"\"; use the path of a file");
    }
}
