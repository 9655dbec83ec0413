//! What can be wrong with a configuration: each message says where, what, and how to fix it.

use std::{fmt, io, path::PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{path}: cannot read the configuration file: {cause}; check --config.file and that this user may read it", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {problem}")]
    Syntax {
        /// Where it stops to be TOML.
        place: Place,
        /// What the parser said.
        problem: String,
    },
    /// A key that does not exist.
    #[error("{place}: {key}: unknown key; {suggestion}")]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// The key, with dots.
        key: String,
        /// The nearest valid name, if there is one.
        suggestion: String,
    },
    /// A value of the wrong type, or one that a rule refuses.
    #[error("{place}: {key}: {problem}")]
    Invalid {
        /// Where it stands.
        place: Place,
        /// The key, with dots.
        key: String,
        /// What is wrong with its value and what would be right.
        problem: String,
    },
    /// A value that TOML cannot carry.
    #[error("cannot print the configuration as TOML: {reason}; use paths that are valid UTF-8")]
    Unprintable {
        /// What the printer said.
        reason: String,
    },
}

impl ConfigError {
    /// The line of the file, where it is in one.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Syntax { place: Place::File { line, .. }, .. }
            | Self::UnknownKey { place: Place::File { line, .. }, .. }
            | Self::Invalid { place: Place::File { line, .. }, .. } => *line,
            _ => None,
        }
    }
}

/// Everything that is wrong with a configuration, in one line each.
#[derive(Debug)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, those of the file first, in the order of its lines.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// In the order in which somebody goes through a file.
    pub(super) fn sorted(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| match error {
            ConfigError::Read { .. } | ConfigError::Unprintable { .. } => (0, None),
            ConfigError::Syntax { place, .. }
            | ConfigError::UnknownKey { place, .. }
            | ConfigError::Invalid { place, .. } => match place {
                Place::File { line, .. } => (1, *line),
                Place::Flag(_) => (2, None),
                Place::Default => (3, None),
            },
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

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// Its name.
        name: String,
        /// The line, counted from 1; `None` when the value is not in the file itself.
        line: Option<usize>,
    },
    /// By this flag.
    Flag(&'static str),
    /// Nowhere: it is a default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line: Some(line) } => write!(formatter, "{name}:{line}"),
            Self::File { name, line: None } => formatter.write_str(name),
            Self::Flag(flag) => formatter.write_str(flag),
            Self::Default => formatter.write_str("defaults"),
        }
    }
}
