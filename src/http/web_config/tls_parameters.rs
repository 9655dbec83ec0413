//! The versions, cipher suites and curves of TLS, whose names are those of Go.

use rustls::{
    SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, ring},
    version::{TLS12, TLS13},
};

use super::{InvalidWebConfig, settings::TlsServer};

/// Go's names of the versions; `None` for versions that are not secure.
const VERSIONS: [(&str, Option<&SupportedProtocolVersion>); 4] =
    [("TLS10", None), ("TLS11", None), ("TLS12", Some(&TLS12)), ("TLS13", Some(&TLS13))];

/// Go's names of the curves; `None` for curves that are not supported.
const CURVES: [(&str, Option<&dyn SupportedKxGroup>); 4] = [
    ("X25519", Some(ring::kx_group::X25519)),
    ("CurveP256", Some(ring::kx_group::SECP256R1)),
    ("CurveP384", Some(ring::kx_group::SECP384R1)),
    ("CurveP521", None),
];

/// Suites of Go that are not supported, because they lack authenticated encryption or forward secrecy.
const WEAK_SUITES: [&str; 9] = [
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

/// The cipher suites and curves of the settings. Suites and curves that are not supported are added to the warnings.
pub(super) fn provider(
    tls: &TlsServer,
    warnings: &mut Vec<String>,
) -> Result<CryptoProvider, InvalidWebConfig> {
    let mut provider = ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        provider.cipher_suites = suites(&tls.cipher_suites, &provider.cipher_suites, warnings)?;
    }
    if !tls.curve_preferences.is_empty() {
        provider.kx_groups = curves(&tls.curve_preferences, warnings)?;
    }
    Ok(provider)
}

/// All suites of TLS 1.3, as in Go, and those of TLS 1.2 that are named, in this order.
fn suites(
    names: &[String],
    supported: &[SupportedCipherSuite],
    warnings: &mut Vec<String>,
) -> Result<Vec<SupportedCipherSuite>, InvalidWebConfig> {
    // RFC 7905 and Go have different names for the ChaCha20 suites.
    let short = |name: &str| name.trim_end_matches("_SHA256").to_owned();
    // In Go, as in RFC 8446, names of TLS 1.3 suites begin with TLS.
    let go_name = |suite: &SupportedCipherSuite| {
        short(&format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"))
    };
    let is_tls13 = |suite: &&SupportedCipherSuite| suite.tls13().is_some();
    let mut chosen: Vec<_> = supported.iter().filter(is_tls13).copied().collect();
    for name in names.iter().map(|name| short(name)) {
        match supported.iter().find(|suite| go_name(suite) == name) {
            Some(suite) if chosen.contains(suite) => {}
            Some(suite) => chosen.push(*suite),
            None if WEAK_SUITES.iter().any(|weak| short(weak) == name) => {
                warnings.push(format!("cipher_suites: {name} is not secure and is not offered"));
            }
            None => {
                let expected = "the secure suites of Go";
                return Err(InvalidWebConfig::value(
                    "tls_server_config.cipher_suites",
                    &name,
                    expected,
                ));
            }
        }
    }
    Ok(chosen)
}

fn curves(
    names: &[String],
    warnings: &mut Vec<String>,
) -> Result<Vec<&'static dyn SupportedKxGroup>, InvalidWebConfig> {
    let mut chosen = Vec::new();
    for name in names {
        match CURVES.iter().find(|(known, _)| known == name) {
            Some((_, Some(curve))) => chosen.push(*curve),
            Some((_, None)) => {
                warnings
                    .push(format!("curve_preferences: {name} is not supported and is not offered"));
            }
            None => {
                let expected = CURVES.map(|(known, _)| known).join(", ");
                return Err(InvalidWebConfig::value(
                    "tls_server_config.curve_preferences",
                    name,
                    &expected,
                ));
            }
        }
    }
    if chosen.is_empty() {
        return Err(InvalidWebConfig::tls("curve_preferences", "no supported curve; add X25519"));
    }
    Ok(chosen)
}

/// The versions from the minimum to the maximum.
pub(super) fn versions(
    tls: &TlsServer,
    warnings: &mut Vec<String>,
) -> Result<Vec<&'static SupportedProtocolVersion>, InvalidWebConfig> {
    let index = |key: &str, name: &str| {
        VERSIONS
            .iter()
            .position(|(known, _)| *known == name)
            .ok_or_else(|| InvalidWebConfig::value(key, name, "TLS12 and TLS13"))
    };
    let minimum = index("tls_server_config.min_version", tls.min_version())?;
    let maximum = index("tls_server_config.max_version", tls.max_version())?;
    if VERSIONS[minimum].1.is_none() {
        let name = tls.min_version();
        warnings.push(format!("min_version: {name} is not secure; the minimum is TLS12"));
    }
    let between = VERSIONS.iter().enumerate().filter(|(at, _)| (minimum..=maximum).contains(at));
    let versions: Vec<_> = between.filter_map(|(_, (_, version))| *version).collect();
    if versions.is_empty() {
        return Err(InvalidWebConfig::tls(
            "min_version and max_version",
            format!(
                "{} to {} leaves no version; use TLS12 and TLS13",
                tls.min_version(),
                tls.max_version()
            ),
        ));
    }
    Ok(versions)
}
