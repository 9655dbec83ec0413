//! Encryption of connections to databases, and the trusted authorities.

use std::path::Path;

use rustls::{ClientConfig, pki_types::CertificateDer};

use super::StoreError;
use crate::{
    mirror::target::Tls,
    system::{accepting_client, trusted_roots, verifying_client},
};

/// The configuration of rustls for a target; `None` without encryption.
///
/// Reads the file of authorities, or the system's. An error is [`StoreError::Denied`]: an administrator has to
/// fix the file or the setting.
pub fn client_config(tls: &Tls) -> Result<Option<ClientConfig>, StoreError> {
    let config = match tls {
        Tls::Off => return Ok(None),
        Tls::Unverified => accepting_client()
            .map_err(|error| StoreError::Denied(format!("TLS cannot be set up: {error}")))?,
        Tls::Verified { roots } => verifying_client(roots.as_deref())
            .map_err(|error| StoreError::Denied(error.to_string()))?,
    };
    Ok(Some(config))
}

/// The trusted authorities: see [`trusted_roots`].
///
/// # Errors
/// [`StoreError::Denied`] when there are none.
pub(super) fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    trusted_roots(file).map_err(|error| StoreError::Denied(error.to_string()))
}
