//! What a web configuration may say, and how it follows its files.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A folder with a certificate, its key and a file of its own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for name in ["server", "other"] {
            let (certificate, key) = pair();
            folder.write(&format!("{name}.pem"), &certificate);
            folder.write(&format!("{name}.key"), &key);
        }
        folder
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("web.yml")
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    fn open(&self, content: &str) -> Result<Guard, String> {
        self.write("web.yml", content);
        Guard::open(&self.path()).map_err(|error| error.to_string())
    }
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap();
    (certificate.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// With certificate and key, and further lines under them.
fn tls(rest: &str) -> String {
    let lines = ["cert_file: server.pem", "key_file: server.key"].into_iter().chain(rest.lines());
    format!("tls_server_config:\n  {}\n", lines.collect::<Vec<_>>().join("\n  "))
}

#[test]
fn what_the_format_allows_is_taken() {
    let folder = Folder::new();
    let inline = {
        let (certificate, key) = pair();
        let indented = |text: &str| text.replace('\n', "\n    ");
        format!(
            "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
            indented(&certificate),
            indented(&key)
        )
    };
    for (content, is_tls) in [
        ("", false),
        ("# nothing\n", false),
        ("tls_server_config:\nbasic_auth_users:\n", false),
        ("http_server_config: {http2: false, headers: {X-Frame-Options: deny}}", false),
        ("rate_limit: {interval: 500ms, burst: 20}", false),
        ("rate_limit: {interval: 0, burst: 0}", false),
        (&inline, true),
        (&tls(""), true),
        (&tls("min_version: TLS13"), true),
        (&tls("min_version: TLS10\nmax_version: TLS12"), true),
        (&tls("cipher_suites: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305]"), true),
        (&tls("cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_CBC_SHA]"), true),
        (
            &tls("curve_preferences: [CurveP521, CurveP256]\nprefer_server_cipher_suites: false"),
            true,
        ),
        (&tls("client_auth_type: RequireAnyClientCert"), true),
        (&tls("client_auth_type: RequestClientCert\nclient_allowed_sans: [a]"), true),
        (&tls("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: other.pem"), true),
    ] {
        match folder.open(content) {
            Ok(guard) => assert_eq!(guard.is_tls(), is_tls, "{content}"),
            Err(error) => panic!("{content}: {error}"),
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    let folder = Folder::new();
    for (content, word) in [
        ("tls_server_confg: {}", "tls_server_confg"),
        ("tls_server_config: {cert_file: server.pem}", "key_file"),
        ("tls_server_config: {key_file: server.key}", "cert_file"),
        ("tls_server_config: {cert_file: server.pem, key_file: gone.key}", "gone.key"),
        ("tls_server_config: {cert_file: server.pem, key_file: other.key}", "go together"),
        ("tls_server_config: {cert_file: server.key, key_file: server.key}", "no certificate"),
        ("tls_server_config: {cert_file: server.pem, key_file: server.pem}", "no private key"),
        (&tls("cert: x"), "both"),
        (&tls("min_version: TLS14"), "TLS14"),
        (&tls("max_version: TLS11"), "leaves no version"),
        (&tls("cipher_suites: [DES]"), "DES"),
        (
            &tls(
                "min_version: TLS12\nmax_version: TLS12\ncipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]",
            ),
            "cipher_suites",
        ),
        (&tls("curve_preferences: [CurveP521]"), "X25519"),
        (&tls("client_auth_type: Please"), "RequireAndVerifyClientCert"),
        (&tls("client_ca_file: other.pem"), "client_auth_type"),
        (&tls("client_allowed_sans: [a]"), "client_auth_type"),
        (&tls("client_auth_type: VerifyClientCertIfGiven"), "CA"),
        ("http_server_config: {headers: {Server: me}}", "Server"),
        ("http_server_config: {headers: {X-Frame-Options: maybe}}", "sameorigin"),
        ("http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}", "no header can carry"),
        ("basic_auth_users: {alice: secret}", "htpasswd"),
        ("rate_limit: {interval: 1s}", "burst"),
        ("rate_limit: {interval: soon, burst: 1}", "soon"),
    ] {
        let error = folder.open(content).expect_err(content);
        assert!(error.contains(word), "{content}: {error}");
        assert!(!error.contains("PRIVATE KEY"), "{error}");
    }
    let error = Guard::open(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("1024 KiB"), "{error}");
}

#[test]
fn an_answer_carries_the_headers() {
    let folder = Folder::new();
    let headers =
        "{X-Frame-Options: deny, X-XSS-Protection: '', Strict-Transport-Security: max-age=9}";
    let guard = folder.open(&format!("http_server_config: {{headers: {headers}}}")).unwrap();
    let mut found: Vec<_> =
        guard.gate().headers().map(|(name, value)| (name.to_string(), value)).collect();
    found.sort();
    let expected = [("strict-transport-security", "max-age=9"), ("x-frame-options", "deny")];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.parse().unwrap())));
}
