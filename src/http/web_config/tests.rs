//! Valid and invalid web configurations.

use std::{fs, process::Command};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A directory with two certificates, their keys and a web configuration.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        for name in ["server", "other"] {
            let (certificate, key) = pair();
            directory.write(&format!("{name}.pem"), &certificate);
            directory.write(&format!("{name}.key"), &key);
        }
        directory
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("web.yml")
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    fn open(&self, content: &str) -> Result<WebConfigWatcher, String> {
        self.write("web.yml", content);
        WebConfigWatcher::open(&self.path()).map_err(|error| error.to_string())
    }
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap();
    (certificate.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A web configuration with certificate and key, and further lines.
fn tls(rest: &str) -> String {
    let lines = ["cert_file: server.pem", "key_file: server.key"].into_iter().chain(rest.lines());
    format!("tls_server_config:\n  {}\n", lines.collect::<Vec<_>>().join("\n  "))
}

#[test]
fn valid_configurations_are_accepted() {
    let directory = Directory::new();
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
        ("http_server_config: {http2: , headers: }\nrate_limit: {interval: , burst: }", false),
        (&tls("min_version:\nmax_version:\nclient_ca_file:\nclient_auth_type:\ncert:"), true),
        (&tls("client_allowed_sans:\ncipher_suites:\nprefer_server_cipher_suites:"), true),
        (&tls("curve_preferences:"), true),
        (&tls("client_auth_type: RequireAnyClientCert"), true),
        (&tls("client_auth_type: RequestClientCert\nclient_allowed_sans: [a]"), true),
        (&tls("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: other.pem"), true),
    ] {
        match directory.open(content) {
            Ok(watcher) => assert_eq!(watcher.is_tls(), is_tls, "{content}"),
            Err(error) => panic!("{content}: {error}"),
        }
    }
}

#[test]
fn invalid_configurations_have_a_reason() {
    let directory = Directory::new();
    for (content, text) in [
        ("tls_server_confg: {}", "tls_server_confg"),
        ("tls_server_config: {cert_file: server.pem}", "key_file"),
        ("tls_server_config: {key_file: server.key}", "cert_file"),
        ("tls_server_config: {cert_file: server.pem, key_file: gone.key}", "gone.key"),
        ("tls_server_config: {cert_file: server.pem, key_file: other.key}", "do not match"),
        ("tls_server_config: {cert_file: server.key, key_file: server.key}", "no certificate"),
        ("tls_server_config: {cert_file: server.pem, key_file: server.pem}", "no private key"),
        (&tls("cert: x"), "both are set"),
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
        ("http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}", "allowed in a header"),
        ("basic_auth_users: {alice: secret}", "htpasswd"),
        (
            "basic_auth_users: {alice: $2y$03$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}",
            "4",
        ),
        ("rate_limit: {interval: 1s}", "burst"),
        ("rate_limit: {interval: soon, burst: 1}", "soon"),
    ] {
        let error = directory.open(content).expect_err(content);
        assert!(error.contains(text), "{content}: {error}");
        assert!(!error.contains("PRIVATE KEY"), "{error}");
    }
    let error = directory.open(&"#".repeat(1024 * 1024 + 1)).unwrap_err();
    assert!(error.contains("1024 KiB"), "{error}");
    let error = WebConfigWatcher::open(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("it is a character device"), "{error}");
}

#[test]
fn responses_have_the_headers() {
    let directory = Directory::new();
    let headers =
        "{X-Frame-Options: deny, X-XSS-Protection: '', Strict-Transport-Security: max-age=9}";
    let watcher = directory.open(&format!("http_server_config: {{headers: {headers}}}")).unwrap();
    let mut found: Vec<_> =
        watcher.current().headers("/").map(|(name, value)| (name.to_string(), value)).collect();
    found.sort();
    let expected = [("strict-transport-security", "max-age=9"), ("x-frame-options", "deny")];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.parse().unwrap())));
}

/// Files with an error next to a secret. No message contains the text `secret`.
#[test]
fn no_error_quotes_a_secret() {
    let directory = Directory::new();
    let hash = "$2y$10$secret1DsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
    let text = |indent: &str, kind: &str| {
        format!(
            "-----BEGIN {kind}-----\n    MIGHsecretBk\n{indent}secretAB+/\n    -----END {kind}-----"
        )
    };
    let inline = |indent: &str, rest: &str| {
        let [certificate, key] = ["CERTIFICATE", "PRIVATE KEY"].map(|kind| text(indent, kind));
        format!("tls_server_config:\n  cert: |\n    {certificate}\n  key: |\n    {key}\n{rest}")
    };
    let mut contents = vec![
        inline("", ""),
        inline("  ", ""),
        inline("      ", ""),
        inline("    ", ""),
        inline("    ", "  cert_fil: x\n"),
        inline("    ", "  min_version: [\n"),
        inline("    ", "\tmin_version: TLS13\n"),
        inline("    ", " secret+/: x\n"),
        tls("key: secret"),
        tls("cert: [secret]"),
        format!("tls_server_config: {{cert: '{}', key: x}}", text("    ", "CERTIFICATE")),
        format!("tls_server_config: {{cert_file: x, key_file: '{}'}}", text("    ", "PRIVATE KEY")),
        format!("tls_server_config: secret{hash}"),
        format!("basic_auth_users:\n  alice: {hash}\n  alice: {hash}\n"),
        format!("basic_auth_users:\n  alice: {hash}\n  bob: [a\n"),
        format!("basic_auth_users:\n  alice: {hash}\nhttp_server_confg: 7\n"),
        format!("basic_auth_users:\n- alice: {hash}\n"),
        format!("basic_auth_users: {{alice: {hash}x}}"),
        format!("basic_auth_users: {{alice: {hash}}}\n{hash}: alice\n"),
    ];
    let passwords = ["secret", "'secret", "[secret]", "{a: secret}", "!!int secret", "*secret"];
    contents.extend(passwords.map(|password| format!("basic_auth_users:\n  alice: {password}\n")));
    contents.extend(passwords.map(|password| format!("basic_auth_users: {password}\n")));
    for content in contents {
        let error = directory.open(&content).expect_err(&content);
        assert!(!error.contains("secret"), "{content}\n{error}");
    }
}

#[test]
fn the_error_for_a_certificate_of_version_1_says_so() {
    let directory = Directory::new();
    directory.write("server.pem", include_str!("testdata/version1.pem"));
    directory.write("server.key", include_str!("testdata/version1.key"));
    let error = directory.open(&tls("")).unwrap_err();
    assert!(error.contains("X.509 version 1"), "{error}");
}

#[test]
fn the_error_for_a_key_on_p_521_says_so() {
    let directory = Directory::new();
    let make = |curve: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-nodes", "-subj", "/CN=x", "-pkeyopt"]);
        openssl.arg(format!("ec_paramgen_curve:{curve}")).current_dir(directory.0.path());
        openssl.args([
            "-addext",
            "subjectAltName=DNS:x",
            "-keyout",
            "server.key",
            "-out",
            "server.pem",
        ]);
        let output = openssl.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    make("P-521");
    fs::rename(directory.0.path().join("server.pem"), directory.0.path().join("ca.pem")).unwrap();
    make("P-521");
    let error = directory.open(&tls("")).unwrap_err();
    assert!(error.contains("key and key_file: the key uses the curve P-521"), "{error}");
    make("secp256k1");
    let error = directory.open(&tls("")).unwrap_err();
    assert!(error.contains("the key has a type that is not supported"), "{error}");
    make("P-384");
    directory.open(&tls("")).unwrap();
    let clients = tls("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem");
    let error = directory.open(&clients).unwrap_err();
    assert!(error.contains("the key of an authority uses the curve P-521"), "{error}");
}

#[test]
fn only_markers_are_readable_from_other_origins() {
    let directory = Directory::new();
    let open = |value: &str| {
        let header = format!("{{Access-Control-Allow-Origin: '{value}'}}");
        directory.open(&format!("http_server_config: {{headers: {header}}}"))
    };
    for value in ["*", "https://map.example", "http://map.example:8080", "null"] {
        let watcher = open(value).unwrap();
        let of = |path| watcher.current().headers(path).count();
        let counts =
            ["/markers.xml", "/markers.geojson", "/metrics", "/", "/overview.json"].map(of);
        assert_eq!(counts, [1, 1, 0, 0, 0], "{value}");
    }
    for value in
        ["map.example", "https://map.example/", "https://a.example https://b.example", "ftp://x"]
    {
        let error = open(value).unwrap_err();
        assert!(error.contains("expected * or one origin"), "{value}: {error}");
    }
}
