//! Why a database's URL is invalid. No message repeats a part of it that could hold the password.

/// An invalid database URL: the error and its fix.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// An unknown scheme.
    #[error(
        "the database URL must begin with mysql://, mariadb://, postgres://, postgresql://, sqlite:, clickhouse:// or \
         clickhouses://"
    )]
    Scheme,
    /// A syntax error.
    #[error(
        "invalid database URL: {0}; write scheme://user:password@host/database, and encode special \
         characters in user, password and database: % as %25, / as %2F, ? as %3F, # as %23, @ as %40, \
         : as %3A, a space as %20, any other byte as % and its two hexadecimal digits"
    )]
    Syntax(&'static str),
    /// Several hosts that cannot be used together.
    #[error("invalid hosts in the database URL: {0}")]
    Hosts(&'static str),
    /// No host.
    #[error("the database URL names no host and no socket; write scheme://user@host/database")]
    NoHost,
    /// No database.
    #[error("the database URL names no database; add its name after the host: …@host/NAME")]
    NoDatabase,
    /// No file.
    #[error("the database URL names no persistent file; write sqlite:/path/to/file.db")]
    NoFile,
    /// An unknown parameter.
    #[error("the database URL has an unknown parameter{name}; {suggestion}")]
    Unknown {
        /// Its name after a blank; empty where it could be a part of a password.
        name: String,
        /// A suggestion.
        suggestion: String,
    },
    /// A parameter with an invalid value.
    #[error("the database URL's parameter {name} {problem}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with its value, and what would be right.
        problem: &'static str,
    },
}
