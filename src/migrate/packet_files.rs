//! Converts ulogd's plugins that write packets to files or to syslog into outputs.

use super::{MigrateError, grammar::ConfSection};

/// An output of `[[output]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MigratedOutput {
    /// Its name: that of the section, as far as a name allows.
    pub(super) name: String,
    pub(super) format: &'static str,
    pub(super) target: String,
    /// Whether the target is a file, which logrotate rotates.
    is_file: bool,
    /// Whether the capture has no log prefixes, as that of ulogd.
    is_raw: bool,
    /// Settings of the section without an equivalent.
    pub(super) notes: Vec<String>,
}

/// A plugin that writes packets: its format, its keys, and its default file.
struct PacketPlugin {
    format: &'static str,
    keys: &'static [&'static str],
    /// The defaults of Debian's package; `None` without a file.
    file: Option<&'static str>,
}

/// The plugin of a name; `None` for any other.
fn plugin_of(name: &str) -> Option<PacketPlugin> {
    let (format, keys, file): (_, &[_], _) = match name {
        "LOGEMU" => ("logemu", &["file", "sync"], Some("/var/log/ulogd_syslogemu.log")),
        "GPRINT" => ("gprint", &["file", "sync", "timestamp"], Some("/var/log/ulogd_gprint.log")),
        "JSON" => (
            "ulogd_json",
            &["file", "sync", "timestamp", "device", "boolean_label", "mode", "host", "port"],
            Some("/var/log/ulogd.json"),
        ),
        "PCAP" => ("pcap", &["file", "sync"], Some("/var/log/ulogd.pcap")),
        "SYSLOG" => ("syslog", &["facility", "level"], None),
        _ => return None,
    };
    Some(PacketPlugin { format, keys, file })
}

/// The keys of a plugin that writes packets; `None` for any other.
pub(super) fn keys(plugin: &str) -> Option<&'static [&'static str]> {
    plugin_of(plugin).map(|plugin| plugin.keys)
}

impl MigratedOutput {
    /// Converts a section of such a plugin. The inner error is the reason why there is no equivalent.
    ///
    /// # Errors
    /// A value of the section is invalid.
    pub(super) fn new(
        section: &ConfSection,
        name: &str,
        plugin: &str,
    ) -> Result<Result<Self, String>, MigrateError> {
        let Some(PacketPlugin { format, file, .. }) = plugin_of(plugin) else {
            return Ok(Err("it writes no packets".into()));
        };
        let text = |key: &str| section.text(key);
        let mut notes = Vec::new();
        let target = match (file, text("mode")?.as_deref()) {
            (None, _) => {
                notes.push("ulogd wrote to syslog(3), here the journal has the lines; for another syslog daemon, use \
                            the target udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT".into());
                "journal:".to_owned()
            }
            (Some(_), Some(mode @ ("tcp" | "udp"))) => {
                let host = text("host")?.unwrap_or_default();
                let port = text("port")?.unwrap_or_default();
                format!("{mode}://{host}:{port}")
            }
            (Some(_), Some("unix")) => format!("unix://{}", text("file")?.unwrap_or_default()),
            (Some(default), _) => {
                let file = text("file")?.filter(|file| !file.is_empty());
                format!("file://{}", file.as_deref().unwrap_or(default))
            }
        };
        if let Err(error) = target.parse::<crate::output::OutputTarget>() {
            return Ok(Err(error.to_string()));
        }
        for key in section.keys() {
            let value = text(key)?.unwrap_or_default();
            notes.extend(no_equivalent(format, key, &value));
        }
        let valid =
            |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
        let name: String = name.chars().filter(|it| valid(*it)).take(64).collect();
        Ok(Ok(Self {
            name: if name.is_empty() { format.to_owned() } else { name },
            format,
            is_file: target.starts_with("file:"),
            is_raw: format == "pcap",
            target,
            notes,
        }))
    }

    /// The section as TOML.
    pub(super) fn toml(&self) -> String {
        let value = |text: &str| toml::Value::from(text).to_string();
        let mut text = format!(
            "\n[[output]]\nname = {}\nformat = {}\ntarget = {}\n",
            value(&self.name),
            value(self.format),
            value(&self.target)
        );
        if self.is_raw {
            text.push_str(
                "# As ulogd; \"nflog\" also keeps the log prefix.\nlink_layer = \"raw\"\n",
            );
        }
        if self.is_file {
            text.push_str(
                "# logrotate rotates ulogd's files; its script has to send SIGHUP to this program instead. Without \
                 logrotate,\n# set a size.\nrotate_size = 0\n",
            );
        }
        text
    }
}

/// Why a key has no equivalent; `None` if nothing is missing.
fn no_equivalent(format: &str, key: &str, value: &str) -> Option<String> {
    let is_off = value == "0";
    Some(match (format, key) {
        ("gprint", "timestamp") if !is_off => {
            format!("timestamp={value}: the lines have the time of the packet only")
        }
        ("ulogd_json", "timestamp") if is_off => {
            "timestamp=0: each line has the key `timestamp`".to_owned()
        }
        (_, "boolean_label") if !is_off => {
            format!("boolean_label={value}: packets have no label")
        }
        (_, "device") => format!("device={value}: the key `dvc` is always \"Netfilter\""),
        (_, "facility" | "level") => {
            format!("{key}={value}: messages have the facility local0 and the severity info")
        }
        _ => return None,
    })
}
