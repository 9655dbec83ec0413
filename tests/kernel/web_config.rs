//! TLS and basic authentication with real certificates, curl and a real Prometheus, against an exporter
//! without privileges.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::support::{
    Wire,
    program::{Exporter, Program, Prometheus, samples, sum, wait_for, whole},
    server::run,
};

const ADDRESS: &str = "https://127.0.0.1:10239";

/// One user, with a placeholder for the hash.
const USERS: &str = "basic_auth_users:\n  alice: HASH\n";

/// Certificates and a web configuration, readable by all users: the exporter reloads them without privileges.
struct Files {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        crate::support::program::open_to_all(directory.path());
        let (issuer, authority) = authority();
        let files = Self { directory, issuer };
        files.write("ca.pem", &authority);
        files.certificate("server", &["127.0.0.1"], 2100);
        files.certificate("client", &["scraper.test", "10.0.0.7"], 2100);
        files.certificate("nameless", &["else.test"], 2100);
        files.certificate("expired", &["scraper.test"], 2021);
        let (foreign, _) = self::authority();
        let until = date_time_ymd(2100, 1, 1).into();
        sign(&foreign, &["scraper.test"], until, |name, text| {
            files.write(&format!("foreign.{name}"), text);
        });
        files
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.directory.path().join(name), content).unwrap();
    }

    /// Writes `NAME.pem` and `NAME.key`, valid until the start of a year.
    fn certificate(&self, name: &str, names: &[&str], until: i32) {
        self.certificate_until(name, names, date_time_ymd(until, 1, 1).into());
    }

    fn certificate_until(&self, name: &str, names: &[&str], until: SystemTime) {
        sign(&self.issuer, names, until, |kind, text| self.write(&format!("{name}.{kind}"), text));
    }

    fn configure(&self, rest: &str) {
        let content =
            format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{rest}");
        self.write("web.yml", &content);
        run(Command::new("promtool").args(["check", "web-config", &self.path("web.yml")]));
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), certificate)
}

fn sign(
    issuer: &Issuer<'static, KeyPair>,
    names: &[&str],
    until: SystemTime,
    mut write: impl FnMut(&str, &str),
) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = until.into();
    let key = KeyPair::generate().unwrap();
    write("pem", &params.signed_by(&key, issuer).unwrap().pem());
    write("key", &key.serialize_pem());
}

/// The response that curl received.
struct Response {
    status: u32,
    /// Head and body.
    text: String,
}

/// Sends a request with curl; status 0 means no response.
fn ask(wire: &Wire, files: &Files, path: &str, arguments: &[&str]) -> Response {
    let mut command = wire.host.command("curl");
    command
        .args([
            "--noproxy",
            "*",
            "--silent",
            "--show-error",
            "--include",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
        ])
        .args(["--cacert", &files.path("ca.pem")])
        .args(arguments)
        .arg(format!("{ADDRESS}{path}"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, status) = text.rsplit_once('\n').unwrap();
    eprintln!("{path} {arguments:?}: {status} {}", String::from_utf8_lossy(&output.stderr));
    Response { status: status.parse().unwrap(), text: text.to_owned() }
}

fn start<'w>(wire: &'w Wire, files: &Files, arguments: &[&str]) -> Exporter<'w> {
    let config = format!("[web]\nconfig_file = '{}'\n", files.path("web.yml"));
    Exporter::spawn(&wire.host, &config, arguments)
}

/// Number of rejections for a reason.
fn rejected(metrics: &str, reason: &str) -> u64 {
    let all = samples(metrics, "nflog_exporter_http_rejected_total");
    whole(all.iter().find(|(labels, _)| labels["reason"] == reason).unwrap().1)
}

#[test]
fn without_a_password_there_is_no_content() {
    let (wire, files) = (Wire::new(), Files::new());
    let hash = bcrypt::hash("right", 10).unwrap();
    files.configure(&USERS.replace("HASH", &hash));
    let exporter = start(&wire, &files, &[]);
    let alice = ["--user", "alice:right"];
    wait_for("a response", || (ask(&wire, &files, "/-/ready", &alice).status == 200).then_some(()));

    let invalid: [&[&str]; 5] = [
        &[],
        &["--user", "alice:wrong"],
        &["--user", "alice:"],
        &["--user", "bob:right"],
        &["--header", "Authorization: Basic %%%"],
    ];
    for path in ["/metrics", "/", "/-/healthy", "/nowhere", "/overview.json"] {
        for arguments in invalid {
            let response = ask(&wire, &files, path, arguments);
            assert_eq!(response.status, 401, "{path} {arguments:?}");
            let (head, body) = response.text.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, "Unauthorized\n", "{path} {arguments:?}");
            assert!(head.to_lowercase().contains("\r\nwww-authenticate: basic\r\n"), "{head}");
        }
    }
    let metrics = ask(&wire, &files, "/metrics", &alice);
    assert_eq!(metrics.status, 200);
    assert_eq!(rejected(&metrics.text, "password"), 25);
    assert!(!exporter.program.log().contains("alice"), "{}", exporter.program.log());

    let basic = "scheme: https\n  tls_config: {ca_file: 'CA'}\n  basic_auth: {username: alice, password: right}";
    Prometheus::start_with(&wire.host, &[], &basic.replace("CA", &files.path("ca.pem")));
}

/// A file that is being written, or whose writer failed, does not disable authentication.
#[test]
fn an_incomplete_file_does_not_disable_authentication() {
    let (wire, files) = (Wire::new(), Files::new());
    let with_users = USERS.replace("HASH", &bcrypt::hash("right", 4).unwrap());
    files.write("web.yml", &with_users);
    let config = format!("[web]\nconfig_file = '{}'\n", files.path("web.yml"));
    let exporter = Exporter::spawn(&wire.host, &config, &[]);
    let status = || exporter.get("/metrics").map(|(status, _)| status);
    wait_for("the server", || status().filter(|status| *status == 401));

    // The file changes between all checks.
    for _ in 0..30 {
        files.write("web.yml", "");
        assert_eq!(status(), Some(401));
        files.write("web.yml", "http_server_config: {}\n");
        thread::sleep(Duration::from_millis(100));
        assert_eq!(status(), Some(401));
    }
    // The file stays empty.
    files.write("web.yml", "");
    wait_for("the log message", || exporter.program.log().contains("is empty").then_some(()));
    assert_eq!(status(), Some(401));
    // An explicit configuration without users is used.
    files.write("web.yml", "{}\n");
    wait_for("the new configuration", || status().filter(|status| *status == 200));
}

/// A self-signed certificate, as `openssl req -x509` makes it, which is its own authority.
#[test]
fn a_client_certificate_may_be_self_signed() {
    let (wire, files) = (Wire::new(), Files::new());
    for name in ["own", "other"] {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        run(Command::new("openssl")
            .current_dir(files.directory.path())
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-subj", "/CN=scraper", "-keyout", &key, "-out", &certificate]));
    }
    let own = fs::read_to_string(files.path("own.pem")).unwrap();
    files.write("clients.pem", &own);
    files.configure(
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n",
    );
    let _exporter = start(&wire, &files, &[]);
    let with = |name: &str| {
        let [certificate, key] = ["pem", "key"].map(|kind| files.path(&format!("{name}.{kind}")));
        ask(&wire, &files, "/metrics", &["--cert", &certificate, "--key", &key]).status
    };
    wait_for("a response", || (with("own") == 200).then_some(()));
    for name in ["other", "client"] {
        assert_eq!(with(name), 0, "{name}");
    }
}

#[test]
fn only_certificates_of_the_authority_and_name_are_accepted() {
    let (wire, files) = (Wire::new(), Files::new());
    files.configure("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n");
    let _exporter = start(&wire, &files, &[]);
    let paths = ["client", "nameless", "expired", "foreign"]
        .map(|name| [files.path(&format!("{name}.pem")), files.path(&format!("{name}.key"))]);
    let with = |[certificate, key]: &[String; 2]| {
        ask(&wire, &files, "/metrics", &["--cert", certificate, "--key", key])
    };
    let [client, nameless, expired, foreign] = &paths;
    wait_for("a response", || (with(client).status == 200).then_some(()));
    assert_eq!(with(nameless).status, 200);
    let before = rejected(&with(client).text, "certificate");
    for response in [with(expired), with(foreign), ask(&wire, &files, "/metrics", &[])] {
        assert_eq!((response.status, &*response.text), (0, ""));
    }
    // Another thread counts them, possibly after the client sees its connection closed.
    wait_for("the rejections", || {
        (rejected(&with(client).text, "certificate") >= before + 3).then_some(())
    });
    assert_eq!(rejected(&with(client).text, "certificate"), before + 3);

    // Names are checked as well. The exporter reloads the file without a signal.
    let verified = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    for name in ["scraper.test", "10.0.0.7"] {
        files.configure(verified);
        wait_for("any name to be accepted", || (with(nameless).status == 200).then_some(()));
        // Debian's promtool does not support this key.
        let known = fs::read_to_string(files.path("web.yml")).unwrap();
        files.write("web.yml", &format!("{known}  client_allowed_sans: [nobody.test, {name}]\n"));
        wait_for(name, || (with(nameless).status == 0).then_some(()));
        assert_eq!(with(client).status, 200, "{name}");
    }

    files.configure(verified);
    let [certificate, key] = client;
    let ca = files.path("ca.pem");
    let scrape = format!(
        "scheme: https\n  tls_config: {{ca_file: '{ca}', cert_file: '{certificate}', key_file: '{key}'}}"
    );
    Prometheus::start_with(&wire.host, &[], &scrape);
}

/// Sends a request with openssl, which can save a TLS session to a file and resume it.
fn ask_in_session(wire: &Wire, files: &Files, arguments: &[&str]) -> String {
    let request = files.path("request");
    fs::write(&request, "GET /-/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut command = wire.host.command("openssl");
    command
        .args(["s_client", "-connect", "127.0.0.1:10239", "-ign_eof"])
        .args(["-cert", &files.path("short.pem"), "-key", &files.path("short.key")])
        .args(arguments)
        .stdin(Stdio::from(fs::File::open(request).unwrap()));
    String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
}

#[test]
fn an_expired_certificate_is_rejected_in_a_resumed_session() {
    let (wire, files) = (Wire::new(), Files::new());
    files.configure("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n");
    let _exporter = start(&wire, &files, &[]);
    let [certificate, key] = ["client.pem", "client.key"].map(|name| files.path(name));
    let client = ["--cert", certificate.as_str(), "--key", &key];
    wait_for("a response", || {
        (ask(&wire, &files, "/-/ready", &client).status == 200).then_some(())
    });

    files.certificate_until("short", &["a.test"], SystemTime::now() + Duration::from_secs(15));
    let sessions = ["-tls1_2", "-tls1_3"].map(|version| (version, files.path(version)));
    let is_accepted = |response: &str| response.contains("HTTP/1.1 200");
    for (version, session) in &sessions {
        let response = ask_in_session(&wire, &files, &[version, "-sess_out", session]);
        assert!(is_accepted(&response), "{version}: {response}");
    }
    wait_for("the certificate to expire", || {
        (!is_accepted(&ask_in_session(&wire, &files, &[]))).then_some(())
    });
    for (version, session) in &sessions {
        let response = ask_in_session(&wire, &files, &[version, "-sess_in", session]);
        assert!(!is_accepted(&response), "{version}: {response}");
    }
}

#[test]
fn a_new_certificate_is_used_and_an_invalid_one_is_not() {
    let (wire, files) = (Wire::new(), Files::new());
    files.configure("");
    let exporter = start(&wire, &files, &[]);
    let responds = || (ask(&wire, &files, "/-/ready", &[]).status == 200).then_some(());
    wait_for("a response", responds);
    assert_eq!(backlog(&wire), "1024");
    let shown = || served_certificate(&wire);
    let first = shown();

    // The new certificate does not match the previous key, so the previous pair stays in use.
    let old_key = fs::read_to_string(files.path("server.key")).unwrap();
    files.certificate("next", &["127.0.0.1"], 2100);
    fs::rename(files.path("next.pem"), files.path("server.pem")).unwrap();
    wait_for("the log message", || exporter.program.log().contains("do not match").then_some(()));
    responds().unwrap();
    assert_eq!(shown(), first);
    assert!(!exporter.program.log().contains(old_key.lines().nth(1).unwrap()));
    // Now the key is there.
    fs::rename(files.path("next.key"), files.path("server.key")).unwrap();
    wait_for("the new certificate", || (shown() != first).then_some(()));
    responds().unwrap();

    // Headers and TLS version are reloaded too. An invalid file changes nothing.
    files.configure(
        "  min_version: TLS13\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n",
    );
    wait_for("the header", || {
        ask(&wire, &files, "/metrics", &[]).text.contains("x-frame-options: deny").then_some(())
    });
    assert_eq!(ask(&wire, &files, "/-/ready", &["--tls-max", "1.2"]).status, 0);
    files.write("web.yml", "tls_server_config: {cert_fil: x}");
    wait_for("the log message", || exporter.program.log().contains("cert_fil").then_some(()));
    responds().unwrap();

    // Plain HTTP gets no response.
    let mut plain = wire.host.command("curl");
    plain.args(["--silent", "--max-time", "20", "http://127.0.0.1:10239/"]);
    assert!(!plain.status().unwrap().success());
    wait_for("the rejections", || {
        (rejected(&ask(&wire, &files, "/metrics", &[]).text, "tls") >= 2).then_some(())
    });
}

/// A metric shows an invalid file. The certificates of the configuration in use are still reloaded, and the
/// file is used as soon as it can be read.
#[test]
fn an_invalid_file_is_shown_and_retried() {
    let (wire, files) = (Wire::new(), Files::new());
    files.configure("");
    let exporter = start(&wire, &files, &[]);
    wait_for("a response", || (ask(&wire, &files, "/-/ready", &[]).status == 200).then_some(()));
    let is_current = || {
        let metrics = ask(&wire, &files, "/metrics", &[]).text;
        sum(&metrics, "nflog_exporter_web_config_last_reload_successful")
    };
    assert_eq!(is_current(), 1);
    let first = served_certificate(&wire);

    files.write("web.yml", "tls_server_config: {cert_fil: x}");
    wait_for("the metric", || (is_current() == 0).then_some(()));
    files.certificate("server", &["127.0.0.1"], 2100);
    let second = wait_for("the new certificate of the configuration in use", || {
        Some(served_certificate(&wire)).filter(|second| *second != first)
    });
    assert_eq!(is_current(), 0);

    // Only root can read it, and the exporter is not root.
    let key = files.directory.path().join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    files.configure("");
    wait_for("the log message", || exporter.program.log().contains("cannot read").then_some(()));
    assert_eq!((is_current(), served_certificate(&wire)), (0, second));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    wait_for("the metric", || (is_current() == 1).then_some(()));
    let messages = exporter.program.log().matches("the previous one stays in use").count();
    assert_eq!(messages, 2, "{}", exporter.program.log());
}

/// The certificate of the exporter.
fn served_certificate(wire: &Wire) -> String {
    let mut command = wire.host.command("openssl");
    let output = command.args(["s_client", "-connect", "127.0.0.1:10239"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let start = text.find("-----BEGIN").unwrap_or_else(|| panic!("{text}"));
    text[start..text.find("-----END").unwrap()].to_owned()
}

#[test]
fn an_invalid_web_configuration_prevents_the_start() {
    let (wire, files) = (Wire::new(), Files::new());
    files.write("web.yml", "basic_auth_users: {alice: right}");
    let mut exporter = start(&wire, &files, &[]);
    assert_eq!(exporter.program.wait().code(), Some(2));
    let log = exporter.program.log();
    assert!(log.contains("web.yml: basic_auth_users.alice: expected a bcrypt hash"), "{log}");
    for (check, code) in [("basic_auth_users: {alice: right}", 2), ("", 0)] {
        files.write("web.yml", check);
        let mut command = Command::new(crate::support::program::EXPORTER);
        command.args(["config", "check", "--web.config.file", &files.path("web.yml")]);
        assert_eq!(command.output().unwrap().status.code(), Some(code), "{check}");
    }
}

/// The backlog of the listener.
fn backlog(wire: &Wire) -> String {
    let listening = wire.host.exec("ss", &["-Hltn", "sport = :10239"]);
    // The column Send-Q.
    listening.split_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn a_systemd_socket_that_is_a_connection_is_rejected() {
    let wire = Wire::new();
    let directory = tempfile::tempdir().unwrap();
    let mut command = wire.host.command("systemd-socket-activate");
    command
        .args(["--accept", "--listen", "127.0.0.1:10239", crate::support::program::EXPORTER])
        .arg("--web.systemd-socket");
    let program = Program::start(&mut command, directory.path().join("activated.log"));
    wait_for("the log message", || {
        // One program for each connection.
        let _ = wire.host.run(|| TcpStream::connect("127.0.0.1:10239"));
        program.log().contains("set Accept=no in the socket unit").then_some(())
    });
}

#[test]
fn a_systemd_socket_is_used() {
    let (wire, files) = (Wire::new(), Files::new());
    files.configure("");
    // As systemd does: it listens, and passes the socket as descriptor 3.
    let mut command = wire.host.command("systemd-socket-activate");
    command.args(["--listen", "127.0.0.1:10239", crate::support::program::EXPORTER]).args([
        "--web.systemd-socket",
        "--web.config.file",
        &files.path("web.yml"),
    ]);
    let log = files.directory.path().join("activated.log");
    let program = Program::start(&mut command, log);
    wait_for("a response", || (ask(&wire, &files, "/-/ready", &[]).status == 200).then_some(()));
    assert_eq!(backlog(&wire), "1024");
    program.signal(Signal::SIGTERM);

    let mut alone = Exporter::spawn(&wire.peer, "[web]\nsystemd_socket = true\n", &[]);
    assert_eq!(alone.program.wait().code(), Some(1));
    assert!(alone.program.log().contains("systemd passed no socket"));
}
