//! Verification of client certificates: their issuer, validity, purpose and names.

use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_cert::{
    certificate::{CertificateInner, Raw},
    der::{
        Decode as _,
        oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_CLIENT_AUTH},
    },
    ext::pkix::{ExtendedKeyUsage, SubjectAltName, name::GeneralName},
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
    let certificate = parse(certificate)?.tbs_certificate;
    let now = Duration::from_secs(now.as_secs());
    if now > certificate.validity.not_after.to_unix_duration() {
        return Err(CertificateError::Expired.into());
    }
    if now < certificate.validity.not_before.to_unix_duration() {
        return Err(CertificateError::NotValidYet.into());
    }
    match certificate.get::<ExtendedKeyUsage>().map_err(|_| bad_encoding())? {
        Some((_, ExtendedKeyUsage(purposes)))
            if !purposes.contains(&ID_KP_CLIENT_AUTH)
                && !purposes.contains(&ANY_EXTENDED_KEY_USAGE) =>
        {
            Err(CertificateError::InvalidPurpose.into())
        }
        _ => Ok(()),
    }
}

/// Parses a certificate. `Raw` accepts serial numbers that RFC 5280 does not allow, as Go does.
fn parse(certificate: &CertificateDer<'_>) -> Result<CertificateInner<Raw>, Error> {
    CertificateInner::from_der(certificate).map_err(|_| bad_encoding())
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}

/// The subject alternative names (RFC 5280, 4.2.1.6): DNS, e-mail, URI and IP.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let certificate = parse(certificate)?.tbs_certificate;
    let extension = certificate.get::<SubjectAltName>().map_err(|_| bad_encoding())?;
    let names = extension.iter().flat_map(|(_, SubjectAltName(names))| names);
    Ok(names.filter_map(text).collect())
}

fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(text)
        | GeneralName::Rfc822Name(text)
        | GeneralName::UniformResourceIdentifier(text) => Some(text.to_string()),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let any = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            any.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
        date_time_ymd,
    };

    use super::*;

    #[test]
    fn names_of_every_kind_are_read() {
        let mut params = CertificateParams::new(vec!["a.test".into(), "10.0.0.7".into()]).unwrap();
        let uri = SanType::URI("spiffe://a/b".try_into().unwrap());
        let email = SanType::Rfc822Name("a@b.test".try_into().unwrap());
        let six = SanType::IpAddress("2001:db8::1".parse().unwrap());
        params.subject_alt_names.extend([uri, email, six]);
        // Longer than RFC 5280 allows; OpenSSL and Go accept it.
        params.serial_number = Some(vec![1; 24].into());
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let expect = ["a.test", "10.0.0.7", "spiffe://a/b", "a@b.test", "2001:db8::1"];
        assert_eq!(names(certificate.der()).unwrap(), expect);
        assert!(names(&CertificateDer::from_slice(b"0")).is_err());
    }

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
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
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
