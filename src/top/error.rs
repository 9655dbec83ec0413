//! Why there are no figures.

use std::time::Duration;

use crate::system::TrustedRootsError;

/// Maximum size of a response, bytes: many times that of an overview with all countries.
pub(super) const MAX_RESPONSE: usize = 8 * 1024 * 1024;

/// Time limit of a request, with its connection and its response.
pub(super) const TIMEOUT: Duration = Duration::from_secs(8);

/// The address or the password of an exporter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// The address is not that of an exporter.
    #[error("invalid URL {url:?}: {reason}; write http://HOST:PORT or https://HOST:PORT")]
    Url {
        /// The address without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The password cannot be used.
    #[error("{0}")]
    Password(String),
    /// There are no certificate authorities to trust.
    #[error("--ca-file: {0}")]
    TrustedRoots(#[from] TrustedRootsError),
    /// The library of TLS cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A request has no figures as its response.
#[derive(Debug, thiserror::Error)]
pub enum FiguresError {
    /// There is no connection.
    #[error("cannot connect to {peer}: {cause}")]
    Connect {
        /// Host and port.
        peer: String,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The server has no valid certificate, or does not use TLS.
    #[error(
        "TLS with {peer} failed: {}",
        tls_advice(&cause.to_string())
    )]
    Tls {
        /// Host and port.
        peer: String,
        /// The error of TLS.
        cause: std::io::Error,
    },
    /// The response does not come in time.
    #[error("{url} did not respond within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// The requested address.
        url: String,
    },
    /// The response is not HTTP, or not complete.
    #[error("{peer} did not respond as an HTTP server: {cause}{advice}")]
    Http {
        /// Host and port.
        peer: String,
        /// The error and its causes.
        cause: String,
        /// What to do.
        advice: &'static str,
    },
    /// The user or the password is missing or wrong.
    #[error(
        "{url} rejects requests without a user and a password (status 401): write https://USER@HOST:PORT, and use --password-file"
    )]
    NoPassword {
        /// The requested address.
        url: String,
    },
    /// The user or the password is wrong.
    #[error("{url} rejected the user or the password (status 401)")]
    WrongPassword {
        /// The requested address.
        url: String,
    },
    /// The server redirects, which is not followed, because the password is for one server.
    #[error(
        "{url} redirects to {location:?} (status {status}): use the URL of the exporter itself"
    )]
    Redirect {
        /// The requested address.
        url: String,
        /// The status.
        status: u16,
        /// The other address.
        location: String,
    },
    /// The server has no overview.
    #[error(
        "{url} does not exist (status 404): the server is not nflog_exporter, or its page has another path"
    )]
    NotFound {
        /// The requested address.
        url: String,
    },
    /// The server responds with another error.
    #[error("{url} responded with status {status}{reason}")]
    Status {
        /// The requested address.
        url: String,
        /// The status.
        status: u16,
        /// The first line of the response, after a colon.
        reason: String,
    },
    /// The response is too large.
    #[error("the response of {url} has more than {} MiB", MAX_RESPONSE / 1024 / 1024)]
    TooLarge {
        /// The requested address.
        url: String,
    },
    /// The response is not an overview.
    #[error("the response of {url} is not an overview of nflog_exporter: {cause}")]
    Invalid {
        /// The requested address.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// The reason of a failed connection by TLS, and what to do.
fn tls_advice(cause: &str) -> String {
    if cause.contains("CaUsedAsEndEntity") {
        // The library has no text for it.
        return "its certificate is one of an authority (CA:TRUE), which a server cannot use: create it with `openssl \
                req -x509 -addext basicConstraints=critical,CA:FALSE`, or use --insecure to accept any certificate"
            .to_owned();
    }
    format!(
        "{cause}; use --ca-file for an authority of your own, --insecure to accept any certificate, or http:// for an \
         exporter without TLS"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl req -x509` makes such a certificate by default.
    #[test]
    fn a_certificate_of_an_authority_is_named() {
        let kind = rustls::CertificateError::Other(rustls::OtherError(std::sync::Arc::new(
            std::io::Error::other("CaUsedAsEndEntity"),
        )));
        let error = rustls::Error::InvalidCertificate(kind);
        let text = tls_advice(&error.to_string());
        assert!(text.contains("CA:TRUE") && text.contains("-addext"), "{text}");
        let text = tls_advice("connection reset");
        assert!(text.starts_with("connection reset; use --ca-file"), "{text}");
    }
}
