//! Why a database was not updated.

use std::{io, path::PathBuf, time::Duration};

use crate::system::TrustedRootsError;

/// An update cannot start: the configuration or the command line is invalid.
#[derive(Debug, thiserror::Error)]
pub enum UpdateSetupError {
    /// There is no valid license key.
    #[error("{0}")]
    LicenseKey(String),
    /// There are no certificate authorities to trust.
    #[error("geoip.update.ca_file: {0}")]
    TrustedRoots(#[from] TrustedRootsError),
    /// A path in `geoip.databases` does not tell which edition it has.
    #[error(
        "geoip.databases: neither the content nor the name of {path} tells which database to download; \
         use a path such as /var/lib/GeoIP/country.mmdb, with country, city or asn in the name of the file"
    )]
    UnknownEdition {
        /// The path.
        path: PathBuf,
    },
    /// No path in `geoip.databases` has the requested edition.
    #[error(
        "no file in geoip.databases is a database of the edition {edition}; add its path there"
    )]
    NotConfigured {
        /// The edition.
        edition: &'static str,
    },
    /// The address of a file is invalid.
    #[error("geoip.update.server: {0}")]
    Server(#[from] url::ParseError),
    /// A variable of the environment names no usable proxy.
    #[error(
        "the environment variable {variable} is not the address of a proxy, such as http://HOST:PORT; fix it, or unset it"
    )]
    Proxy {
        /// The variable. Its value can hold a password.
        variable: &'static str,
    },
    /// The runtime cannot start.
    #[error("cannot start a runtime: {0}")]
    Runtime(#[from] io::Error),
}

/// One database was not updated. Its file is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The request failed.
    #[error("cannot download {url}: {cause}")]
    Request {
        /// The file.
        url: String,
        /// The error.
        cause: RequestError,
    },
    /// The download took too long.
    #[error(
        "cannot download {url}: it did not end within geoip.update.timeout ({}); check the network and the proxy, \
         or raise it",
        humantime::format_duration(*timeout)
    )]
    Timeout {
        /// The file.
        url: String,
        /// The limit.
        timeout: Duration,
    },
    /// The server responded with an error.
    #[error("cannot download {url}: the server responded with the status {status}; {advice}")]
    Status {
        /// The file.
        url: String,
        /// The status and its name.
        status: String,
        /// What to do.
        advice: &'static str,
    },
    /// The server has no file of this or of the previous month.
    #[error(
        "the server has neither {current} nor {previous}; check geoip.update.server and the clock of this host, \
         or try again tomorrow"
    )]
    NotPublished {
        /// The file of this month.
        current: String,
        /// The file of the previous month.
        previous: String,
    },
    /// The file or the database in it is too large.
    #[error(
        "{url} has more than {max} bytes, which geoip.update.max_size allows; raise it if that is the database"
    )]
    TooLarge {
        /// The file.
        url: String,
        /// The limit.
        max: u64,
    },
    /// The file cannot be unpacked.
    #[error(
        "{url} is not a complete {format} file: {cause}; try again later, or check geoip.update.server"
    )]
    Unpack {
        /// The file.
        url: String,
        /// Its format.
        format: &'static str,
        /// The error.
        cause: io::Error,
    },
    /// The archive has no database.
    #[error("{url} has no .mmdb file; check geoip.update.server")]
    EmptyArchive {
        /// The archive.
        url: String,
    },
    /// The checksum is not one.
    #[error("{url} is not a SHA-256 checksum; check geoip.update.server")]
    InvalidChecksum {
        /// The file with the checksum.
        url: String,
    },
    /// The file does not have the published checksum.
    #[error(
        "{url} has the SHA-256 checksum {found}, and the publisher names {expected}; try again later"
    )]
    Checksum {
        /// The file.
        url: String,
        /// The published checksum.
        expected: String,
        /// That of the file.
        found: String,
    },
    /// The content is not a database.
    #[error(
        "{url} is not a usable MaxMind DB file (.mmdb): {cause}; try again later, or check geoip.update.server"
    )]
    Format {
        /// The file.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The content is a database of another kind.
    #[error(
        "{url} has the database {found}, and the edition {wanted} was requested; check geoip.update.server"
    )]
    WrongEdition {
        /// The file.
        url: String,
        /// The type in its metadata.
        found: String,
        /// The requested edition.
        wanted: &'static str,
    },
    /// Well-known addresses are missing.
    #[error(
        "{url} has the database {database}, which has only {found} of {of} well-known addresses; try again later"
    )]
    MissingAddresses {
        /// The file.
        url: String,
        /// The type in its metadata.
        database: String,
        /// How many it has.
        found: usize,
        /// How many were looked up.
        of: usize,
    },
    /// The database is older than the one in use.
    #[error(
        "{url} was built on {found}, and the database in use on {current}; use --force to replace it by the older one"
    )]
    Older {
        /// The file.
        url: String,
        /// The date of the downloaded database.
        found: String,
        /// The date of the database in use.
        current: String,
    },
    /// The file in `geoip.databases` is of another publisher.
    #[error(
        "it is {database}, and {publisher} does not publish that; set geoip.update.publisher, or use --force to \
         replace it by a database of {publisher}"
    )]
    OtherPublisher {
        /// The type in its metadata, or its name.
        database: String,
        /// The configured publisher.
        publisher: &'static str,
    },
    /// A file cannot be written.
    #[error("cannot write to {path}: {cause}; check its owner, or run the command as root")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

/// Maximum number of redirects. MaxMind's server redirects once.
pub(super) const MAX_REDIRECTS: usize = 5;

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no connection to the server or the proxy.
    #[error(
        "cannot connect to {peer}: {cause}; check the network, or set HTTPS_PROXY if this host needs a proxy"
    )]
    Connect {
        /// Host and port.
        peer: String,
        /// The system's error.
        cause: io::Error,
    },
    /// The server or the proxy has no valid certificate, or does not use TLS.
    #[error(
        "TLS with {host} failed: {cause}; if its certificate is of your own authority, set geoip.update.ca_file"
    )]
    Tls {
        /// The host.
        host: String,
        /// The error of TLS.
        cause: io::Error,
    },
    /// The proxy did not connect to the server.
    #[error(
        "the proxy {proxy} did not connect to {peer}: {reason}; check HTTPS_PROXY, ALL_PROXY and NO_PROXY"
    )]
    Proxy {
        /// The proxy without its password.
        proxy: String,
        /// Host and port of the server.
        peer: String,
        /// Its response.
        reason: String,
    },
    /// The response is invalid or incomplete.
    #[error("{}", with_sources(.0))]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("invalid request: {0}")]
    Invalid(#[from] hyper::http::Error),
    /// The server redirects to an invalid address, or to one without TLS.
    #[error("the server redirects to an address that is not https; check geoip.update.server")]
    Insecure,
    /// The server redirects without an address.
    #[error(
        "the server redirects and does not name an address; check geoip.update.server and the proxy"
    )]
    NoLocation,
    /// The server redirects in a circle.
    #[error("the server redirects more than {MAX_REDIRECTS} times; check geoip.update.server")]
    Redirects,
}

/// The message of an error and of its causes, which have the reason.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
