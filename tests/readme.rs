//! The configurations in the README: each is one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{fs, path::Path, process::Command};

use nflog_exporter::config;

/// The blocks in a language.
fn blocks(language: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(readme).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text.split(&*fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(ToOwned::to_owned).collect()
}

#[test]
fn every_configuration_can_be_used() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 2);
    let url = tempfile::NamedTempFile::new().unwrap();
    fs::write(url.path(), "sqlite:/tmp/rows.db\n").unwrap();
    for block in blocks {
        // Which is there where somebody follows it.
        let block = block.replace("/etc/nflog_exporter/mirror.url", url.path().to_str().unwrap());
        config::parse(&block, "README.md").unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

#[test]
fn prometheus_takes_what_is_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (scrapes, webs): (Vec<_>, Vec<_>) =
        blocks("yaml").into_iter().partition(|block| block.starts_with("scrape_configs:"));
    assert!(scrapes.len() >= 3 && !webs.is_empty());
    let check = |what: &[&str], block: &str| {
        let file = folder.path().join("file.yml");
        fs::write(&file, block).unwrap();
        let output = Command::new("promtool").arg("check").args(what).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{block}");
    };
    for block in &scrapes {
        check(&["config", "--syntax-only"], block);
    }
    // The files that it names have to be there; the last key is that of the last certificate.
    for certificate in ["ca.pem", "server.pem"] {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(folder.path()).args(["req", "-x509", "-newkey", "ec", "-nodes"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=x"]);
        openssl.args(["-keyout", "server.key", "-out", certificate]);
        assert!(openssl.output().unwrap().status.success());
    }
    for block in &webs {
        check(&["web-config"], block);
    }
}
