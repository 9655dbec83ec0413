//! The certificate authorities that clients of TLS trust.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::files::read_small;

/// Maximum size of a file of authorities, bytes: four times the largest bundle.
const MAX_FILE: u64 = 1024 * 1024;

/// There are no certificate authorities to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustedRootsError {
    /// The system has none.
    #[error(
        "this system has no certificate authorities{reason}: install ca-certificates, or name a file of your own"
    )]
    NoneInstalled {
        /// The first error, in parentheses; empty without one.
        reason: String,
    },
    /// The file cannot be read.
    #[error("cannot use the certificate authorities in {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The file has none, or an invalid one.
    #[error("cannot use the certificate authorities in {path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The library of TLS cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// A client of TLS that verifies its server by the trusted authorities: see [`trusted_roots`].
///
/// # Errors
/// There are none, or the file cannot be used.
pub fn verifying_client(file: Option<&Path>) -> Result<ClientConfig, TrustedRootsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted_roots(file)?);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The trusted authorities: those of a PEM file, which must all be valid, or the valid ones of the system.
///
/// # Errors
/// There are none, or the file cannot be used.
pub fn trusted_roots(
    file: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>, TrustedRootsError> {
    let usable = |root: &CertificateDer<'static>| RootCertStore::empty().add(root.clone());
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        let roots: Vec<_> = found.certs.into_iter().filter(|root| usable(root).is_ok()).collect();
        if roots.is_empty() {
            let reason = found.errors.first().map_or(String::new(), |error| format!(" ({error})"));
            return Err(TrustedRootsError::NoneInstalled { reason });
        }
        return Ok(roots);
    };
    let pem = read_small(file, MAX_FILE)
        .map_err(|cause| TrustedRootsError::Read { path: file.to_owned(), cause })?;
    let invalid = |reason| TrustedRootsError::Invalid { path: file.to_owned(), reason };
    let roots = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    roots.iter().try_for_each(usable).map_err(|error| invalid(error.to_string()))?;
    if roots.is_empty() {
        return Err(invalid("no certificate in PEM form".to_owned()));
    }
    Ok(roots)
}
