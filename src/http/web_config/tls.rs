//! TLS from `tls_server_config`: certificates, keys and the requirements for clients.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{
    InvalidWebConfig,
    certificate::ClientCertPolicy,
    read,
    settings::TlsServer,
    tls_parameters::{provider, versions},
};

/// The TLS settings of the server. Settings without effect are added to the warnings.
pub(super) fn server(
    tls: &TlsServer,
    warnings: &mut Vec<String>,
) -> Result<ServerConfig, InvalidWebConfig> {
    let provider = Arc::new(provider(tls, warnings)?);
    let versions = versions(tls, warnings)?;
    let chain = chain(tls)?;
    let key = key(tls)?;
    ring::sign::any_supported_type(&key).map_err(|_| {
        let kind = if has_p521(key.secret_der()) {
            "uses the curve P-521, which"
        } else {
            "has a type that"
        };
        InvalidWebConfig::tls(
            "key and key_file",
            format!("the key {kind} is not supported; {SUPPORTED_KEYS}"),
        )
    })?;
    let policy = policy(tls, provider.clone())?;
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions).map_err(
            |error| InvalidWebConfig::tls("min_version, max_version and cipher_suites", error),
        )?;
    let builder = match policy {
        Some(policy) => builder.with_client_cert_verifier(Arc::new(policy)),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| {
        InvalidWebConfig::tls("certificate and key do not match", explain(&error))
    })?;
    // rustls does not verify the client certificate of a resumed session, which may have expired.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    server.ignore_client_order = tls.prefers_own_suites();
    Ok(server)
}

/// The keys of the authorities of client certificates.
const CLIENT_CA: &str = "client_ca and client_ca_file";

/// How to make a supported key.
const SUPPORTED_KEYS: &str = "make one on P-256 (openssl ecparam -name prime256v1 -genkey -noout), P-384 or \
                    Ed25519, or of RSA with 2048 bits or more, and a certificate for it";

/// The object identifier secp521r1 in DER (RFC 5480, 2.1.1.1).
const P521: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// Whether a private key, or a certificate's public key, is on the curve P-521.
fn has_p521(der: &[u8]) -> bool {
    der.windows(P521.len()).any(|window| window == P521)
}

/// The error of rustls, with an explanation for old certificates.
fn explain(error: &rustls::Error) -> String {
    let text = error.to_string();
    if text.contains("UnsupportedCertVersion") {
        return "the certificate has X.509 version 1; make one of version 3, with its names in \
                subjectAltName"
            .into();
    }
    text
}

/// The PEM text of a key of the file, or of the file that a second key names.
fn pem(text: &str, file: &Path, keys: &str) -> Result<Option<Vec<u8>>, InvalidWebConfig> {
    match (text.is_empty(), file.as_os_str().is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Ok(Some(text.as_bytes().to_vec())),
        (true, false) => read(file).map(Some),
        (false, false) => Err(InvalidWebConfig::tls(keys, "both are set; use one")),
    }
}

fn certificates(pem: &[u8], keys: &str) -> Result<Vec<CertificateDer<'static>>, InvalidWebConfig> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        // The parser's error could quote a secret.
        .map_err(|_| {
            InvalidWebConfig::tls(
                keys,
                "invalid PEM; expected all lines from -----BEGIN to -----END",
            )
        })?;
    if certificates.is_empty() {
        return Err(InvalidWebConfig::tls(
            keys,
            "no certificate; expected PEM, which begins with -----BEGIN",
        ));
    }
    Ok(certificates)
}

fn chain(tls: &TlsServer) -> Result<Vec<CertificateDer<'static>>, InvalidWebConfig> {
    let keys = "cert and cert_file";
    let pem = pem(&tls.cert, &tls.cert_file, keys)?
        .ok_or_else(|| InvalidWebConfig::tls(keys, "both are missing; set one"))?;
    certificates(&pem, keys)
}

fn key(tls: &TlsServer) -> Result<PrivateKeyDer<'static>, InvalidWebConfig> {
    let keys = "key and key_file";
    let pem = pem(&tls.key, &tls.key_file, keys)?
        .ok_or_else(|| InvalidWebConfig::tls(keys, "both are missing; set one"))?;
    // The parser's error could quote a secret.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        InvalidWebConfig::tls(keys, "no private key; expected PEM without a passphrase")
    })
}

/// The requirements for client certificates; `None` if the server does not request one.
fn policy(
    tls: &TlsServer,
    provider: Arc<CryptoProvider>,
) -> Result<Option<ClientCertPolicy>, InvalidWebConfig> {
    let pem = pem(&tls.client_ca, &tls.client_ca_file, CLIENT_CA)?;
    let Some((mandatory, is_verified)) = client_auth(tls, pem.is_some())? else { return Ok(None) };
    let (authorities, authority_certificates) = match (is_verified, pem) {
        (false, _) => (None, Vec::new()),
        (true, Some(pem)) => {
            let certificates = certificates(&pem, CLIENT_CA)?;
            (Some(verifier(&certificates, provider.clone())?), certificates)
        }
        (true, None) => {
            let reason = "missing, but client_auth_type verifies certificates; set the CA";
            return Err(InvalidWebConfig::tls(CLIENT_CA, reason));
        }
    };
    let allowed_names = tls.client_allowed_sans.clone();
    Ok(Some(ClientCertPolicy {
        authorities,
        authority_certificates,
        mandatory,
        allowed_names,
        provider,
    }))
}

/// Whether a client must present a certificate, and whether its certificate is verified; `None` if the server does
/// not request one.
fn client_auth(tls: &TlsServer, has_ca: bool) -> Result<Option<(bool, bool)>, InvalidWebConfig> {
    match tls.client_auth_type.as_str() {
        "" | "NoClientCert" if has_ca => Err(InvalidWebConfig::tls(
            "client_auth_type",
            "missing, but a CA is set; use RequireAndVerifyClientCert",
        )),
        "" | "NoClientCert" if tls.client_allowed_sans.is_some() => Err(InvalidWebConfig::tls(
            "client_allowed_sans",
            "the server requests no certificate; set client_auth_type to RequireAndVerifyClientCert",
        )),
        "" | "NoClientCert" => Ok(None),
        "RequestClientCert" => Ok(Some((false, false))),
        "RequireAnyClientCert" | "RequireClientCert" => Ok(Some((true, false))),
        "VerifyClientCertIfGiven" => Ok(Some((false, true))),
        "RequireAndVerifyClientCert" => Ok(Some((true, true))),
        other => {
            let known = "NoClientCert, RequestClientCert, RequireAnyClientCert, \
                         VerifyClientCertIfGiven and RequireAndVerifyClientCert";
            Err(InvalidWebConfig::value("tls_server_config.client_auth_type", other, known))
        }
    }
}

fn verifier(
    authorities: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, InvalidWebConfig> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        if has_p521(authority) {
            // Otherwise the handshake of the first client fails without an explanation.
            let what = "the key of an authority uses the curve P-521, which is not supported";
            return Err(InvalidWebConfig::tls(CLIENT_CA, format!("{what}; {SUPPORTED_KEYS}")));
        }
        roots
            .add(authority.clone())
            .map_err(|error| InvalidWebConfig::tls(CLIENT_CA, explain(&error)))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| InvalidWebConfig::tls(CLIENT_CA, error))
}
