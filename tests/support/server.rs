//! Shared code of the database servers: programs that must succeed, and temporary certificates.

use std::{
    path::Path,
    process::{Command, Output},
};

/// Runs a program to its end. Panics if it fails.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a program; returns its error output if it fails.
pub fn attempt(command: &mut Command) -> Result<Output, String> {
    let output = command.output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
    if output.status.success() {
        Ok(output)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Writes `ca.pem`, a certificate of it for localhost and `addresses` (`server.pem` and its key), and
/// `other-ca.pem`, which is unrelated.
pub fn certificates(directory: &Path, addresses: &str) {
    for name in ["ca", "other-ca"] {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        run(openssl(directory, "/CN=throw-away").args(["-keyout", &key, "-out", &certificate]));
    }
    run(openssl(directory, "/CN=server")
        .args(["-keyout", "server.key", "-out", "server.pem", "-CA", "ca.pem", "-CAkey", "ca.key"])
        .args(["-addext", &format!("subjectAltName=DNS:localhost{addresses}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"]));
}

fn openssl(directory: &Path, subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command
        .current_dir(directory)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", subject]);
    command
}
