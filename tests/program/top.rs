//! `top --once`: with a served capture, over TLS with a password, and with files.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::support::{
    golden::check_golden,
    program::{EXPORTER, wait_for},
    served::Served,
};

const MIXED: &str = "tests/data/captures/mixed.pcap";

/// Runs `top --once` with words, in UTF-8 and with variables of the environment.
fn top(words: &[&str], variables: &[(&str, &str)]) -> Output {
    top_with(words, variables, b"")
}

fn top_with(words: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Output {
    let mut child = Command::new(EXPORTER)
        .args(["top", "--once"])
        .args(words)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NFLOG_EXPORTER_TOP_URL")
        .envs(variables.iter().copied())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It can end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Serves the capture; returns when it was read.
fn served(arguments: &[&str]) -> Served {
    let served = Served::start(arguments.iter().copied().chain([MIXED]));
    let is_read = |text: &str| text.contains("\"received\":189,");
    if !arguments.contains(&"--web.config.file") {
        wait_for("the end of the capture", || {
            is_read(&served.get("/overview.json").1).then_some(())
        });
    }
    served
}

#[test]
fn files_are_counted_and_shown_as_an_exporter_shows_them() {
    let frame = printed(&top(&[MIXED], &[]));
    check_golden("tests/data/top/files.txt", &frame);
    let served = served(&[]);
    let url = format!("http://{}", served.address);
    let same = |words: &[&str]| {
        let of_files = printed(&top(&[&[MIXED][..], words].concat(), &[]));
        let of_exporter = printed(&top(&[&[&*url][..], words].concat(), &[]));
        // The title has the name of the source.
        let rest = |frame: &str| frame.split_once('\n').unwrap().1.to_owned();
        assert_eq!(rest(&of_files), rest(&of_exporter), "{words:?}");
        of_files
    };
    same(&[]);
    let filtered = same(&[
        "--filter",
        "proto=udp",
        "--filter",
        "port=53",
        "--list",
        "ports",
        "--sort",
        "name",
    ]);
    check_golden("tests/data/top/filtered.txt", &filtered);
    let wide = same(&["--width", "132", "--height", "50"]);
    assert_eq!(wide.lines().count(), 50);
    // The address in the environment.
    let frame = printed(&top(&[], &[("NFLOG_EXPORTER_TOP_URL", &url)]));
    assert!(frame.contains("189 packets"), "{frame}");
}

#[test]
fn standard_input_and_ascii() {
    let capture = fs::read(MIXED).unwrap();
    let frame = printed(&top_with(&["-"], &[("LC_ALL", "C")], &capture));
    assert!(frame.is_ascii() && frame.contains("189 packets"), "{frame}");
    assert!(frame.starts_with("nflog_exporter top  stdin"), "{frame}");
}

#[test]
fn files_that_cannot_be_read_are_errors() {
    let error = failed(&top(&["/nowhere.pcap"], &[]), 1);
    assert!(error.contains("top: /nowhere.pcap: cannot open"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let cut = directory.path().join("cut.pcap");
    let capture = fs::read(MIXED).unwrap();
    fs::write(&cut, &capture[..capture.len() - 7]).unwrap();
    // The packets before the end are shown.
    let output = top(&[cut.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("188 packets"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cut.pcap"), "{output:?}");
}

#[test]
fn wrong_usage_and_unreachable_exporters_are_errors() {
    let error = failed(&top(&["http://127.0.0.1:1"], &[]), 1);
    assert_eq!(
        error,
        "nflog_exporter: top: cannot connect to 127.0.0.1:1: Connection refused (os error 111)\n"
    );
    for (words, expect) in [
        (&["ftp://host"][..], "its scheme is not http or https; write http://HOST:PORT"),
        (&["http://a", MIXED], "expected one URL, or files, and not both"),
        (&["--filter", "port=1", "--filter", "port=2"], "--filter has two values of one label"),
        (&["--filter", "host=a"], "write LABEL=VALUE with the label country"),
        (&["http://u@127.0.0.1:1"], "there is no password for the user \"u\": use --password-file"),
        (&["--ca-file", "/nowhere", "https://127.0.0.1:1"], "/nowhere"),
    ] {
        let error = failed(&top(words, &[]), 2);
        assert!(error.contains(expect), "{words:?}: {error}");
    }
    let output = Command::new(EXPORTER).arg("top").stdin(Stdio::null()).output().unwrap();
    assert!(failed(&output, 2).contains("standard output is not a terminal; use --once"));
}

/// A web configuration with TLS and a user, and the authority.
fn web_config() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("ca.pem", &authority.pem());
    write("server.pem", &certificate.pem());
    write("server.key", &key.serialize_pem());
    write("password", "right\n");
    let hash = bcrypt::hash("right", 4).unwrap();
    write(
        "web.yml",
        &format!(
            "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{alice: '{hash}'}}\n"
        ),
    );
    directory
}

fn path(directory: &TempDir, name: &str) -> String {
    Path::new(directory.path()).join(name).display().to_string()
}

#[test]
fn tls_and_passwords() {
    let files = web_config();
    let (web, authority, password) =
        (path(&files, "web.yml"), path(&files, "ca.pem"), path(&files, "password"));
    let served = served(&["--web.config.file", &web]);
    let host = served.address;
    let url = format!("https://alice@{host}");
    let trust = ["--ca-file", &authority];
    let show = |words: &[&str], variables: &[(&str, &str)]| {
        wait_for("all packets", || {
            let frame = printed(&top(words, variables));
            assert!(!frame.contains("alice") && !frame.contains("right"), "{frame}");
            frame.contains("189 packets").then_some(())
        });
    };
    show(&[&url, "--password-file", &password, trust[0], trust[1]], &[]);
    show(&[&url, trust[0], trust[1]], &[("NFLOG_EXPORTER_TOP_PASSWORD", "right")]);
    let with_password = format!("https://alice:right@{host}/");
    show(&[&with_password, "--insecure"], &[]);
    show(&trust, &[("NFLOG_EXPORTER_TOP_URL", &with_password)]);

    let error = failed(&top(&[&url, "--password-file", &password], &[]), 1);
    assert!(error.contains("TLS with") && error.contains("--ca-file"), "{error}");
    let wrong = format!("https://alice:wrong@{host}/");
    let error = failed(&top(&[&wrong, "--insecure"], &[]), 1);
    assert!(
        error.contains("rejected the user or the password") && !error.contains("wrong"),
        "{error}"
    );
    let error = failed(&top(&[&format!("https://{host}"), "--insecure"], &[]), 1);
    assert!(error.contains("rejects requests without a user and a password"), "{error}");
    let error = failed(&top(&[&format!("http://{host}")], &[]), 1);
    assert!(error.contains("for an exporter with TLS, use https://"), "{error}");
}

/// `openssl req -x509` makes such a certificate by default.
#[test]
fn the_certificate_of_an_authority_is_no_servers_certificate() {
    let files = web_config();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(files.path().join("server.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(files.path().join("server.key"), key.serialize_pem()).unwrap();
    let served = served(&["--web.config.file", &path(&files, "web.yml")]);
    let url = format!("https://{}", served.address);
    let error = failed(&top(&[&url, "--ca-file", &path(&files, "server.pem")], &[]), 1);
    assert!(error.contains("(CA:TRUE), which a server cannot use: create it with"), "{error}");
}

/// Every user can read the command line of a process, and not its environment.
#[test]
fn a_password_does_not_stay_on_the_command_line() {
    // It accepts connections and does not respond.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://alice:secret@{}/", listener.local_addr().unwrap());
    let mut child = Command::new(EXPORTER)
        .args(["top", "--once", "--sort", "rate", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (_connection, _) = listener.accept().unwrap();
    let line = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    let line = String::from_utf8(line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.ends_with("top\0--once\0--sort\0rate\0"), "{line:?}");
}
