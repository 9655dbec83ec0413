//! The configuration section `[[output]]`: one output.

use std::{
    ops::Deref,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    format::{LinkLayer, OutputFormat},
    target::OutputTarget,
};
use crate::{
    mirror::{
        config::{Anonymize, validate_selection},
        select::Selection,
    },
    settings::{ConfigSection, InvalidSetting, RuleResult, broken, check_list, reject, units},
};

/// Maximum number of outputs.
const MAX_OUTPUTS: usize = 16;
/// Maximum length of an output's name, bytes.
const MAX_NAME: usize = 64;
/// A smaller queue would not hold a batch.
const MIN_QUEUE: usize = 1024 * 1024;
/// A smaller file would be rotated for a few rows.
const MIN_FILE: u64 = 64 * 1024;
/// Periods are multiples of whole seconds.
const MIN_INTERVAL: Duration = Duration::from_secs(60);
const MAX_KEPT: u32 = 1_000;

/// `[[output]]`: one output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputConfig {
    /// Name of the output, in metrics and messages.
    pub name: String,
    /// Format of the rows; default `json`.
    pub format: OutputFormat,
    /// URL of the file, socket or host that the rows are written to.
    pub target: OutputTarget,
    /// Link layer of a capture; default `nflog`.
    pub link_layer: LinkLayer,
    /// Size at which a file is rotated, bytes; 0: never; default 100 MiB.
    #[serde(with = "units::size")]
    pub rotate_size: u64,
    /// Length of the periods in UTC after which a file is rotated; `0s`: never; default `0s`.
    #[serde(with = "units::duration")]
    pub rotate_interval: Duration,
    /// Number of rotated files to keep; default 4.
    pub keep: u32,
    /// Maximum memory of packets that are not written yet, bytes; default 16 MiB.
    #[serde(with = "units::size")]
    pub queue_size: usize,
    /// N: one packet in N gives a row, with the weight N; default 1.
    pub sample: u32,
    /// Only packets with these log prefixes give rows; default empty: all.
    pub prefixes: Vec<String>,
    /// Only packets of these countries give rows, as the label `country` shows them; default empty: all.
    pub countries: Vec<String>,
    /// Anonymization of addresses in the rows of the formats `json` and `ecs`; default `none`.
    pub anonymize: Anonymize,
    /// Root certificates of a `tls://` target; default empty: those of the system.
    pub ca_file: PathBuf,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            format: OutputFormat::default(),
            target: OutputTarget::default(),
            link_layer: LinkLayer::default(),
            rotate_size: 100 << 20,
            rotate_interval: Duration::ZERO,
            keep: 4,
            queue_size: 16 << 20,
            sample: 1,
            prefixes: Vec::new(),
            countries: Vec::new(),
            anonymize: Anonymize::default(),
            ca_file: PathBuf::new(),
        }
    }
}

impl OutputConfig {
    /// Whether its file is rotated.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.rotate_size > 0 || !self.rotate_interval.is_zero()
    }

    /// Whether this is the name of a rotated file of `own`, the output's file.
    fn rotates_to(&self, own: &Path, file: &Path) -> bool {
        let (own, file) = (own.as_os_str().as_bytes(), file.as_os_str().as_bytes());
        let number = file.strip_prefix(own).and_then(|rest| rest.strip_prefix(b"."));
        let number = number.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
        self.rotates() && number.is_some_and(|number: u32| (1..=self.keep).contains(&number))
    }

    /// The packets that give rows.
    pub(super) fn selection(&self) -> Selection {
        Selection {
            prefixes: self.prefixes.clone(),
            countries: self.countries.clone(),
            sample: self.sample,
        }
    }
}

/// The outputs, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputConfigs(Vec<OutputConfig>);

impl Deref for OutputConfigs {
    type Target = [OutputConfig];

    fn deref(&self) -> &[OutputConfig] {
        &self.0
    }
}

impl OutputConfigs {
    /// The files that the outputs write.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.iter().filter_map(|output| output.target.file())
    }
}

impl ConfigSection for OutputConfigs {
    fn validate(&self) -> Vec<InvalidSetting> {
        let names = check_list("output", self.iter().map(|output| &output.name), MAX_OUTPUTS);
        let files: Vec<_> =
            self.iter().filter_map(|it| Some((it, unique(it.target.file()?)))).collect();
        let rotated = files.iter().find_map(|(output, own)| {
            let (_, other) = files.iter().find(|(_, other)| output.rotates_to(own, other))?;
            Some((own, other))
        });
        let rotated = match rotated {
            None => Ok(()),
            Some((own, other)) => reject(
                "output",
                format!(
                    "has {} beside {}, which is rotated to that name; rename one of them",
                    other.display(),
                    own.display()
                ),
            ),
        };
        let files: Vec<_> = files.iter().map(|(_, file)| file.display().to_string()).collect();
        let files = check_list("output", files.iter(), MAX_OUTPUTS);
        let stdout = self.iter().filter(|output| output.target == OutputTarget::Stdout).count();
        let stdout = match stdout {
            0 | 1 => Ok(()),
            _ => reject("output", "has two outputs with the target stdout:; keep one of them"),
        };
        let mut errors = broken([names, files, rotated, stdout]);
        errors.extend(self.iter().flat_map(validate_output));
        errors
    }
}

/// A path that is the same for all paths of one file.
fn unique(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let directory = path.parent().and_then(|directory| directory.canonicalize().ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        // Without `.` and repeated slashes.
        _ => path.components().collect(),
    }
}

fn validate_output(output: &OutputConfig) -> Vec<InvalidSetting> {
    let section = format!("output.{}", output.name);
    let selection = output.selection();
    let mut errors = validate_selection(&section, &selection);
    let key = |key: &str| format!("{section}.{key}");
    errors.extend(broken([
        validate_name(&output.name),
        validate_target(output, key("target")),
        validate_rotation(output, &key),
        validate_anonymize(output, key("anonymize")),
        validate_queue(output.queue_size, key("queue_size")),
    ]));
    errors
}

fn validate_name(name: &str) -> RuleResult {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(valid) {
        return Ok(());
    }
    reject(
        format!("output.{name}.name"),
        format!("is {name:?}; use letters, digits, _, - and ., at most {MAX_NAME}"),
    )
}

fn validate_target(output: &OutputConfig, key: String) -> RuleResult {
    let is_file = matches!(output.target, OutputTarget::File(_) | OutputTarget::Stdout);
    match &output.target {
        OutputTarget::None => reject(
            key,
            "is missing; name where rows are written, such as \"file:///var/log/nflog_exporter/packets.json\"",
        ),
        target if output.format.is_capture() && !is_file => reject(
            key,
            format!(
                "is {target}, and a capture is a file; use file:///PATH or stdout:, or another format"
            ),
        ),
        _ => Ok(()),
    }
}

fn validate_queue(bytes: usize, key: String) -> RuleResult {
    if bytes >= MIN_QUEUE {
        return Ok(());
    }
    reject(key, format!("is {bytes} bytes; use 1MiB or more"))
}

fn validate_rotation(output: &OutputConfig, key: &impl Fn(&str) -> String) -> RuleResult {
    if !(output.rotate_size == 0 || output.rotate_size >= MIN_FILE) {
        let reason =
            format!("is {} bytes; use 64KiB or more, or 0 for no limit", output.rotate_size);
        return reject(key("rotate_size"), reason);
    }
    if !(output.rotate_interval.is_zero() || output.rotate_interval >= MIN_INTERVAL) {
        let interval = humantime::format_duration(output.rotate_interval);
        return reject(
            key("rotate_interval"),
            format!(
                "is {interval}; use 1m or more, such as \"1d\", or \"0s\" for no rotation by time"
            ),
        );
    }
    if !(1..=MAX_KEPT).contains(&output.keep) {
        return reject(key("keep"), format!("is {}; use 1 to {MAX_KEPT}", output.keep));
    }
    Ok(())
}

fn validate_anonymize(output: &OutputConfig, key: String) -> RuleResult {
    if output.anonymize == Anonymize::None || output.format.can_anonymize() {
        return Ok(());
    }
    reject(
        key,
        "is set, and rows of this format have the bytes of the packet; use the format \"json\" or \"ecs\", or \"none\"",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::{check_section, section_errors};

    fn output(lines: &str) -> String {
        format!("[[output]]\nname = 'a'\n{lines}\n")
    }

    fn with_target(lines: &str) -> String {
        output(&format!("target = 'file:///var/log/a'\n{lines}"))
    }

    #[test]
    fn an_output_has_a_name_and_a_target() {
        let check = check_section::<OutputConfigs>;
        check(&with_target(""), "");
        check(
            &output(""),
            "output.a.target: is missing; name where rows are written, such as \"file:///var/log/nflog_exporter/packets.json\"",
        );
        let twice = [with_target(""), with_target("")].concat();
        check(
            &twice,
            "output: has a twice; remove the duplicate\noutput: has /var/log/a twice; remove the duplicate",
        );
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("p"), directory.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let pair = |other: &str, lines: &str| {
            let one = output(&format!("target = 'file://{}'\n{lines}", file.display()));
            let two = output(&format!("target = 'file://{other}'")).replace("'a'", "'b'");
            section_errors::<OutputConfigs>(&[one, two].concat())
        };
        let path = file.display();
        let twice = format!("output: has {path} twice; remove the duplicate");
        assert_eq!(pair(&format!("{}/./p", directory.path().display()), ""), twice);
        assert_eq!(pair(&format!("{}//p", directory.path().display()), ""), twice);
        std::fs::write(&file, "").unwrap();
        assert_eq!(pair(&link.display().to_string(), ""), twice);
        let rotated = format!(
            "output: has {path}.4 beside {path}, which is rotated to that name; rename one of them"
        );
        assert_eq!(pair(&format!("{path}.4"), ""), rotated);
        for (other, lines) in
            [(".5", ""), (".4", "keep = 3"), (".4", "rotate_size = 0"), (".x", "")]
        {
            assert_eq!(pair(&format!("{path}{other}"), lines), "");
        }
        let unnamed = with_target("").replace("'a'\n", "''\n");
        check(&unnamed, "output..name: is \"\"; use letters, digits, _, - and ., at most 64");
        let errors = section_errors::<OutputConfigs>(&output("target = '/var/log/a'"));
        assert!(errors.contains("\"/var/log/a\" is not a target"), "{errors}");
        let stdout = ["a", "b"]
            .map(|name| output("target = 'stdout:'").replace("'a'", &format!("'{name}'")));
        check(
            &stdout.concat(),
            "output: has two outputs with the target stdout:; keep one of them",
        );
    }

    #[test]
    fn a_capture_is_a_file() {
        let check = check_section::<OutputConfigs>;
        check(&output("format = 'pcapng'\ntarget = 'stdout:'"), "");
        check(
            &output("format = 'pcap'\ntarget = 'tcp://192.0.2.1:1'"),
            "output.a.target: is tcp://192.0.2.1:1, and a capture is a file; use file:///PATH or stdout:, or another format",
        );
    }

    #[test]
    fn keys_have_ranges() {
        let check =
            |lines: &str, expect: &str| check_section::<OutputConfigs>(&with_target(lines), expect);
        check("rotate_size = 0\nrotate_interval = '1d'\nkeep = 1000\nqueue_size = '1MiB'", "");
        check(
            "rotate_size = 10",
            "output.a.rotate_size: is 10 bytes; use 64KiB or more, or 0 for no limit",
        );
        check(
            "rotate_interval = '1s'",
            "output.a.rotate_interval: is 1s; use 1m or more, such as \"1d\", or \"0s\" for no rotation by time",
        );
        check("keep = 0", "output.a.keep: is 0; use 1 to 1000");
        check("queue_size = 1", "output.a.queue_size: is 1 bytes; use 1MiB or more");
        check(
            "sample = 0",
            "output.a.sample: is 0; use 1 for every packet, N for one in N, 1000000 at most",
        );
        check(
            "countries = ['XX']",
            "output.a.countries: has \"XX\", which is not a country; use two letters (ISO 3166-1 alpha-2), such as \"DE\", or \"private\" or \"unknown\"",
        );
        check(
            "format = 'pcap'\nanonymize = 'truncate'",
            "output.a.anonymize: is set, and rows of this format have the bytes of the packet; use the format \"json\" or \"ecs\", or \"none\"",
        );
        let errors = section_errors::<OutputConfigs>(&with_target("rotate = 1"));
        assert!(errors.contains("unknown field `rotate`"), "{errors}");
    }
}
