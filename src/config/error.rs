//! Errors of a configuration: each message has the origin of the value, what is wrong, and how to fix it.

use std::{fmt, io, path::PathBuf};

use crate::{settings::InvalidSetting, sort::sort_by_key};

/// One error of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot read the configuration file: {cause}; check --config.file and the permissions", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: not valid TOML: {reason}")]
    Syntax {
        /// The first line that is not TOML.
        origin: ValueOrigin,
        /// The error of the parser.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{origin}: {key}: unknown key; {suggestion}")]
    UnknownKey {
        /// The line of the key.
        origin: ValueOrigin,
        /// The key, with dots.
        key: String,
        /// The most similar valid name, or all valid names.
        suggestion: String,
    },
    /// A value of the wrong type, or one that breaks a rule.
    #[error("{origin}: {key}: {reason}")]
    Invalid {
        /// The line or the flag of the value.
        origin: ValueOrigin,
        /// The key, with dots.
        key: String,
        /// What is wrong with the value, and which values are valid.
        reason: String,
    },
    /// A value that TOML cannot represent.
    #[error("cannot print the configuration as TOML: {reason}; use paths that are valid UTF-8")]
    NotToml {
        /// The error of the serializer.
        reason: String,
    },
}

impl ConfigError {
    /// A setting that became invalid after the configuration was loaded, for example because a file changed.
    pub(super) fn without_origin(setting: InvalidSetting) -> Self {
        let InvalidSetting { key, reason } = setting;
        Self::Invalid { origin: ValueOrigin::Default, key, reason }
    }

    /// Whether this error of a value in the file follows from `cause`: both have the same line or the same key.
    pub(super) fn is_consequence_of(&self, cause: &Self) -> bool {
        let Some(ValueOrigin::File { line, .. }) = self.origin() else { return false };
        let same_line = line.is_some() && cause.line() == *line;
        same_line || (self.key().is_some() && self.key() == cause.key())
    }

    fn origin(&self) -> Option<&ValueOrigin> {
        match self {
            Self::Syntax { origin, .. }
            | Self::UnknownKey { origin, .. }
            | Self::Invalid { origin, .. } => Some(origin),
            Self::Read { .. } | Self::NotToml { .. } => None,
        }
    }

    /// The line of the file, if known.
    fn line(&self) -> Option<usize> {
        match self.origin() {
            Some(ValueOrigin::File { line, .. }) => *line,
            _ => None,
        }
    }

    fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. } | Self::Invalid { key, .. } => Some(key),
            Self::Read { .. } | Self::Syntax { .. } | Self::NotToml { .. } => None,
        }
    }
}

/// All errors of a configuration. The message has one line for each.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors: those of the file in the order of its lines, then those of flags, then those of defaults.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// Sorts the errors in the order of [`Self::iter`].
    pub(super) fn sorted(mut errors: Vec<ConfigError>) -> Self {
        sort_by_key(&mut errors, |error| match error.origin() {
            None => (0, None),
            Some(ValueOrigin::File { line, .. }) => (1, *line),
            Some(ValueOrigin::Flag(_)) => (2, None),
            Some(ValueOrigin::Default) => (3, None),
        });
        Self(errors)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The configuration file.
    File {
        /// The name of the file.
        name: String,
        /// The line, counted from 1; `None` if the error has no line, such as a missing key.
        line: Option<usize>,
    },
    /// A flag, with its dashes.
    Flag(&'static str),
    /// A default value.
    Default,
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line: Some(line) } => write!(formatter, "{name}:{line}"),
            Self::File { name, line: None } => formatter.write_str(name),
            Self::Flag(flag) => formatter.write_str(flag),
            Self::Default => formatter.write_str("defaults"),
        }
    }
}
