//! Loads the configuration: flags override the file, which overrides the defaults.

use std::{io, path::Path};

use super::{Config, ConfigError, ConfigErrors, Flags, ValueOrigin, file::ConfigFile};
use crate::{settings::InvalidSetting, system::files::read_small};

/// Maximum size of a configuration file, bytes. Bounds the memory if the path is wrong, such as that of a log file.
const MAX_FILE: u64 = 1024 * 1024;

/// Parses and validates a configuration. `name` is the name of the file in messages.
///
/// # Errors
/// All errors of the text.
pub fn parse(text: &str, name: &str) -> Result<Config, ConfigErrors> {
    combine(Some(ConfigFile::parse(text, name)), &Flags::default(), |_| Vec::new())
}

impl Flags {
    /// Loads and validates the configuration. Each call reads the file.
    ///
    /// # Errors
    /// All errors of the file and the flags.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        self.load_checked(|_| Vec::new())
    }

    /// Loads and validates the configuration by additional rules, which return pairs of a key and the reason why its
    /// value is invalid.
    ///
    /// # Errors
    /// All errors of the file and the flags, those of the additional rules included.
    pub fn load_checked(
        &self,
        rules: impl FnOnce(&Config) -> Vec<(String, String)>,
    ) -> Result<Config, ConfigErrors> {
        let rules = |config: &Config| {
            let invalid = rules(config).into_iter();
            invalid.map(|(key, reason)| InvalidSetting { key, reason }).collect()
        };
        let Some(path) = &self.config_file else { return combine(None, self, rules) };
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => combine(Some(ConfigFile::parse(&text, &name)), self, rules),
            Err(error) => combine(Some(Err(vec![error])), self, rules),
        }
    }

    /// The configuration file if it is empty, for example after a failed write.
    #[must_use]
    pub fn empty_file(&self) -> Option<&Path> {
        let path = self.config_file.as_deref()?;
        read(path).is_ok_and(|text| text.trim().is_empty()).then_some(path)
    }
}

/// Applies the file and the flags to the defaults, and validates the result by the rules of all sections and the
/// additional ones.
///
/// An unusable file counts as empty, so that errors of the flags are reported too.
fn combine(
    file: Option<Result<ConfigFile<'_>, Vec<ConfigError>>>,
    flags: &Flags,
    rules: impl FnOnce(&Config) -> Vec<InvalidSetting>,
) -> Result<Config, ConfigErrors> {
    let (file, mut config, mut errors) = match file {
        None => (None, Config::default(), Vec::new()),
        Some(Err(errors)) => (None, Config::default(), errors),
        Some(Ok(file)) => {
            let (config, errors) = file.config();
            (Some(file), config, errors)
        }
    };
    let set_by_flag = flags.apply(&mut config);
    let has_groups = set_by_flag.iter().any(|(key, _)| *key == "nflog.groups")
        || file.as_ref().is_some_and(|file| file.has("nflog", "groups"));
    if config.kernel_log.has_source() && !has_groups {
        // Who reads the kernel's log need not have the privilege that a group needs, and it may have another reader.
        config.nflog.groups.clear();
    }
    let mut invalid = config.validate();
    invalid.extend(rules(&config));
    let mut broken = Vec::new();
    for InvalidSetting { key, reason } in invalid {
        let flag = set_by_flag.iter().find(|(set, _)| *set == key);
        let origin = match (flag, &file) {
            (Some((_, flag)), _) => ValueOrigin::Flag(flag),
            (None, Some(file)) => file.origin(&key),
            (None, None) => ValueOrigin::Default,
        };
        broken.push(ConfigError::Invalid { origin, key, reason });
    }
    // A value of the wrong type was removed, which can break a rule. Only the wrong type is reported.
    broken.retain(|error| !errors.iter().any(|cause| error.is_consequence_of(cause)));
    errors.append(&mut broken);
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors::sorted(errors)) }
}

/// Reads a configuration file of at most [`MAX_FILE`] bytes.
fn read(path: &Path) -> Result<String, ConfigError> {
    read_small(path, MAX_FILE)
        .and_then(|content| String::from_utf8(content).map_err(io::Error::other))
        .map_err(|cause| ConfigError::Read { path: path.into(), cause })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::{super::tests::check_all, *};

    #[test]
    fn flags_are_checked_when_the_file_is_unusable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "[nflog\n").unwrap();
        let mut flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
        flags.telemetry_path = Some("m".into());
        flags.groups = vec![1, 1];
        let name = file.path().display();
        let errors = [
            "--nflog.group: nflog.groups: has 1 twice",
            "--web.telemetry-path: web.telemetry_path: is",
        ];
        let syntax = format!("{name}:1: not valid TOML: ");
        check_all(&flags.load().unwrap_err().to_string(), &[&syntax, errors[0], errors[1]]);
        flags.config_file = Some("/no/such".into());
        let missing = "/no/such: cannot read the configuration file: ";
        check_all(&flags.load().unwrap_err().to_string(), &[missing, errors[0], errors[1]]);
    }

    #[test]
    fn a_flag_replaces_a_value_of_the_wrong_type_and_is_checked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "[nflog]\ngroups = 'x'\n").unwrap();
        let flags =
            Flags { config_file: Some(file.path().into()), groups: vec![1, 1], ..Flags::default() };
        let in_file = format!("{}:2: nflog.groups: invalid type: string", file.path().display());
        check_all(
            &flags.load().unwrap_err().to_string(),
            &[&in_file, "--nflog.group: nflog.groups: has 1 twice"],
        );
    }

    #[test]
    fn flags_override_the_file_and_are_in_their_errors() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"[nflog]\ngroups = [3]\n[web]\ntelemetry_path = '/m'\n").unwrap();
        let mut flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
        assert_eq!(flags.load().unwrap().nflog.groups, [3]);
        flags.groups = vec![4, 5];
        let config = flags.load().unwrap();
        assert_eq!((config.nflog.groups, config.web.telemetry_path.as_str()), (vec![4, 5], "/m"));
        flags.groups = vec![4, 4];
        let message = flags.load().unwrap_err().to_string();
        assert_eq!(message, "--nflog.group: nflog.groups: has 4 twice; remove the duplicate");
    }

    #[test]
    fn an_empty_file_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
        for (text, is_empty) in
            [("", true), (" \n\t\n", true), ("# nothing\n", false), ("[nflog]", false)]
        {
            fs::write(file.path(), text).unwrap();
            assert_eq!(flags.empty_file(), is_empty.then(|| file.path()), "{text:?}");
        }
        assert_eq!(Flags::default().empty_file(), None);
    }

    #[test]
    fn each_load_reads_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let flags = Flags { config_file: Some(file.path().into()), ..Flags::default() };
        assert_eq!(flags.load().unwrap().nflog.groups, [1]);
        file.write_all(b"[nflog]\ngroups = [2]\n").unwrap();
        assert_eq!(flags.load().unwrap().nflog.groups, [2]);
    }

    #[test]
    fn an_unreadable_file_is_an_error() {
        let load = |path: &str| {
            let flags = Flags { config_file: Some(path.into()), ..Flags::default() };
            flags.load().unwrap_err().to_string()
        };
        assert!(
            load("/no/such/file")
                .starts_with("/no/such/file: cannot read the configuration file: ")
        );
        assert!(load("/dev/zero").contains("it is a character device, not a regular file"));
        let long = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(long.path(), "#".repeat(1024 * 1024 + 1)).unwrap();
        assert!(load(long.path().to_str().unwrap()).contains("longer than 1024 KiB"));
    }
}
