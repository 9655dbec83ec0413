//! Encryption of connections to databases, and the trusted authorities.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::StoreError;
use crate::{mirror::target::Tls, system::files::read_small};

/// The configuration of rustls for a target; `None` without encryption.
///
/// Reads the file of authorities, or the system's. An error is [`StoreError::Denied`]: an administrator has to
/// fix the file or the setting.
pub fn client_config(tls: &Tls) -> Result<Option<ClientConfig>, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Denied(format!("TLS cannot be set up: {error}")))?;
    let config = match tls {
        Tls::Off => return Ok(None),
        Tls::Unverified => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny { provider }))
            .with_no_client_auth(),
        Tls::Verified { roots } => {
            let mut trusted = RootCertStore::empty();
            trusted.add_parsable_certificates(authorities(roots.as_deref())?);
            builder.with_root_certificates(trusted).with_no_client_auth()
        }
    };
    Ok(Some(config))
}

/// Maximum size of a file of authorities, bytes: four times the largest bundle.
const MAX_FILE: u64 = 1024 * 1024;

/// The trusted authorities: those of a PEM file, which must all be valid, or the valid ones of the system.
///
/// # Errors
/// [`StoreError::Denied`] when there are none.
pub(super) fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let usable = |root: &CertificateDer<'static>| RootCertStore::empty().add(root.clone());
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        let roots: Vec<_> = found.certs.into_iter().filter(|root| usable(root).is_ok()).collect();
        if roots.is_empty() {
            let why = found.errors.first().map_or(String::new(), |error| format!(" ({error})"));
            return Err(StoreError::Denied(format!(
                "this system has no certificate authorities{why}: install ca-certificates, or name \
                 a file of your own"
            )));
        }
        return Ok(roots);
    };
    let denied = |what: String| {
        StoreError::Denied(format!(
            "cannot use the certificate authorities in {}: {what}",
            file.display()
        ))
    };
    let pem = read_small(file, MAX_FILE).map_err(|error| denied(error.to_string()))?;
    let roots = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| denied(error.to_string()))?;
    roots.iter().try_for_each(usable).map_err(|error| denied(error.to_string()))?;
    if roots.is_empty() {
        return Err(denied("no certificate in PEM form".to_owned()));
    }
    Ok(roots)
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
