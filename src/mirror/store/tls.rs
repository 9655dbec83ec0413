//! Encryption of connections to databases, and the trusted authorities.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::StoreError;
use crate::{
    mirror::target::Tls,
    system::{trusted_roots, verifying_client},
};

/// The configuration of rustls for a target; `None` without encryption.
///
/// Reads the file of authorities, or the system's. An error is [`StoreError::Denied`]: an administrator has to
/// fix the file or the setting.
pub fn client_config(tls: &Tls) -> Result<Option<ClientConfig>, StoreError> {
    let config = match tls {
        Tls::Off => return Ok(None),
        Tls::Unverified => accepting_any()
            .map_err(|error| StoreError::Denied(format!("TLS cannot be set up: {error}")))?,
        Tls::Verified { roots } => verifying_client(roots.as_deref())
            .map_err(|error| StoreError::Denied(error.to_string()))?,
    };
    Ok(Some(config))
}

/// A client that encrypts, and accepts any certificate.
fn accepting_any() -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny { provider }));
    Ok(builder.with_no_client_auth())
}

/// The trusted authorities: see [`trusted_roots`].
///
/// # Errors
/// [`StoreError::Denied`] when there are none.
pub(super) fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    trusted_roots(file).map_err(|error| StoreError::Denied(error.to_string()))
}

/// Accepts any certificate. Signatures are checked nevertheless: the server holds its key.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
