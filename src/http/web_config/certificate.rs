//! Verification of client certificates: their issuer, validity, purpose and names.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
    time::ASN1Time,
};

/// The requirements for client certificates.
#[derive(Debug)]
pub(super) struct ClientCertPolicy {
    /// Verifies the chain; `None` accepts any certificate whose private key the client has.
    pub(super) authorities: Option<Arc<dyn ClientCertVerifier>>,
    /// The certificates of the authorities. A client with a self-signed certificate is its own authority.
    pub(super) authority_certificates: Vec<CertificateDer<'static>>,
    /// Whether a client must present a certificate.
    pub(super) mandatory: bool,
    /// The names of which a certificate must have one; `None` accepts any name.
    pub(super) allowed_names: Option<Vec<String>>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for ClientCertPolicy {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.as_ref().map_or(&[], |authorities| authorities.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            // webpki rejects an authority's certificate as a client certificate; Go accepts it.
            if self.authority_certificates.iter().any(|authority| authority == certificate) {
                verify_authority(certificate, now)?;
            } else {
                authorities.verify_client_cert(certificate, intermediates, now)?;
            }
        }
        let Some(allowed) = &self.allowed_names else { return Ok(ClientCertVerified::assertion()) };
        let names = names(certificate)?;
        if names.iter().any(|name| allowed.contains(name)) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
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

/// Verifies an authority's own certificate as a client certificate: its validity (RFC 5280, 4.1.2.5) and its
/// extended key usage, if it has one (4.2.1.12).
fn verify_authority(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = parse(certificate)?;
    let now = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
    let validity = certificate.validity();
    if now.is_none_or(|now| now > validity.not_after) {
        return Err(CertificateError::Expired.into());
    }
    if now.is_none_or(|now| now < validity.not_before) {
        return Err(CertificateError::NotValidYet.into());
    }
    let purpose = certificate.extended_key_usage().map_err(|_| bad_encoding())?;
    match purpose {
        Some(purpose) if !purpose.value.client_auth && !purpose.value.any => {
            Err(CertificateError::InvalidPurpose.into())
        }
        _ => Ok(()),
    }
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, Error> {
    X509Certificate::from_der(certificate).map(|(_, parsed)| parsed).map_err(|_| bad_encoding())
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}

/// The subject alternative names (RFC 5280, 4.2.1.6): DNS, e-mail, URI and IP.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let certificate = parse(certificate)?;
    let extension = certificate.subject_alternative_name().map_err(|_| bad_encoding())?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    Ok(names.filter_map(text).collect())
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let any = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            any.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
    };

    use super::*;

    #[test]
    fn an_authority_as_client_needs_validity_and_purpose() {
        let made = |purposes: &[ExtendedKeyUsagePurpose]| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.extended_key_usages = purposes.to_vec();
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
        };
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        // The middle of 2019, 2020 and 2021.
        let [before, within, after] = [1_561_939_200, 1_593_561_600, 1_625_097_600].map(at);
        let certificate = made(&[]);
        assert_eq!(verify_authority(&certificate, within), Ok(()));
        assert_eq!(
            verify_authority(&certificate, before),
            Err(CertificateError::NotValidYet.into())
        );
        assert_eq!(verify_authority(&certificate, after), Err(CertificateError::Expired.into()));
        assert_eq!(verify_authority(&made(&[ExtendedKeyUsagePurpose::ClientAuth]), within), Ok(()));
        let other = made(&[ExtendedKeyUsagePurpose::ServerAuth]);
        assert_eq!(verify_authority(&other, within), Err(CertificateError::InvalidPurpose.into()));
    }
}
