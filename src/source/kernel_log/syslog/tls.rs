//! TLS of the syslog listener. Certificates are read again when their files are replaced.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde::{Deserialize, Serialize};

use crate::system::{
    files::{Fingerprint, read_small},
    lock::lock,
    logging::ConditionLog,
};

/// Maximum size of a file, bytes.
const MAX_FILE: u64 = 4 << 20;

/// `[kernel_log.tls]`: the certificates of `tls://` listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyslogTlsConfig {
    /// Certificate with its chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Certificates of authorities; senders then need a certificate of one of them.
    pub client_ca_file: PathBuf,
}

impl SyslogTlsConfig {
    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.cert_file, &self.key_file, &self.client_ca_file];
        files.into_iter().map(PathBuf::as_path).filter(|file| !file.as_os_str().is_empty())
    }
}

/// Reads the files and checks that they fit together.
///
/// # Errors
/// The key, and the file with the reason.
pub fn check_tls(config: &SyslogTlsConfig) -> Result<(), (String, String)> {
    load(config).map(drop).map_err(|error| match error.split_once(": ") {
        Some((key, reason)) => (key.to_owned(), reason.to_owned()),
        None => ("kernel_log.tls".to_owned(), error),
    })
}

/// The configuration in use.
#[derive(Debug)]
pub(super) struct ServerTls {
    config: SyslogTlsConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    server: Arc<ServerConfig>,
    read: Vec<Option<Fingerprint>>,
    log: ConditionLog,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The key, the file and the reason.
    pub fn open(config: SyslogTlsConfig) -> Result<Self, String> {
        let read = fingerprints(&config);
        let server = Arc::new(load(&config)?);
        let log = ConditionLog::new("kernel log, TLS");
        Ok(Self { config, state: Mutex::new(State { server, read, log }) })
    }

    /// Whether a sender needs a certificate.
    pub fn verifies_clients(&self) -> bool {
        !self.config.client_ca_file.as_os_str().is_empty()
    }

    /// The configuration for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        let mut state = lock(&self.state);
        let now = fingerprints(&self.config);
        if now != state.read {
            match load(&self.config) {
                Ok(server) => {
                    (state.server, state.read) = (Arc::new(server), now);
                    state.log.resolve("the certificates of the syslog listener were read again");
                }
                // A file can be half written: it is tried again for the next connection.
                Err(error) => state.log.report(&format!("{error}; the previous one stays in use")),
            }
        }
        Arc::clone(&state.server)
    }
}

fn fingerprints(config: &SyslogTlsConfig) -> Vec<Option<Fingerprint>> {
    config.files().map(Fingerprint::of).collect()
}

fn load(config: &SyslogTlsConfig) -> Result<ServerConfig, String> {
    let chain = certificates("cert_file", &config.cert_file)?;
    let invalid = |key: &str, file: &Path, reason: &dyn std::fmt::Display| {
        format!("kernel_log.tls.{key}: {}: {reason}", file.display())
    };
    let key = read_small(&config.key_file, MAX_FILE)
        .map_err(|error| invalid("key_file", &config.key_file, &error))?;
    // The parser's error could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| invalid("key_file", &config.key_file, &"no private key in PEM"))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if config.client_ca_file.as_os_str().is_empty() {
        builder.with_no_client_auth()
    } else {
        let file = &config.client_ca_file;
        let mut roots = RootCertStore::empty();
        for certificate in certificates("client_ca_file", file)? {
            roots.add(certificate).map_err(|error| invalid("client_ca_file", file, &error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|error| invalid("client_ca_file", file, &error))?;
        builder.with_client_cert_verifier(verifier)
    };
    builder
        .with_single_cert(chain, key)
        .map_err(|error| invalid("cert_file", &config.cert_file, &error))
}

fn certificates(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = || {
        let pem = read_small(file, MAX_FILE).map_err(|error| error.to_string())?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err("no certificate in PEM".to_owned()),
        }
    };
    read().map_err(|reason| format!("kernel_log.tls.{key}: {}: {reason}", file.display()))
}
