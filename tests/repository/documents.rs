//! The README and the pages in `docs`: size, links, configurations and commands.

use std::{collections::BTreeSet, fs, process::Command};

use nflog_exporter::config;

use crate::support::documents::{blocks, links, outside_of_blocks, pages, read, root};

/// Maximum size of the README in bytes.
const MAX_README: usize = 12 * 1024;

#[test]
fn the_readme_is_short_and_names_every_page() {
    let readme = read("README.md");
    assert!(readme.len() <= MAX_README, "{} bytes", readme.len());
    for page in pages().iter().filter(|page| page.starts_with("docs/")) {
        assert!(readme.contains(&format!("]({page})")), "README.md has no link to {page}");
    }
}

/// The anchor that GitHub gives a heading: lower case, without punctuation, with hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The anchors of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let outside = outside_of_blocks(text);
    let headings = outside
        .lines()
        .filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()));
    headings.map(anchor).collect()
}

#[test]
fn every_link_has_an_existing_target() {
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        let directory = root().join(&page).parent().unwrap().to_owned();
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            checked += 1;
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { root().join(&page) } else { directory.join(file) };
            assert!(target.exists(), "{page}: {link}: there is no such file");
            if !heading.is_empty() {
                let headings = anchors(&fs::read_to_string(&target).unwrap());
                assert!(headings.contains(heading), "{page}: {link}: not among {headings:?}");
            }
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn every_configuration_is_valid() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 2);
    let url = tempfile::NamedTempFile::new().unwrap();
    fs::write(url.path(), "sqlite:/tmp/rows.db\n").unwrap();
    for (page, block) in blocks {
        // The example expects that the file exists.
        let block = block.replace("/etc/nflog_exporter/mirror.url", url.path().to_str().unwrap());
        config::parse(&block, &page).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

#[test]
fn prometheus_accepts_the_examples() {
    let directory = tempfile::tempdir().unwrap();
    let blocks = blocks("yaml").into_iter().filter(|(page, _)| !page.starts_with("alerts/"));
    let (scrapes, webs): (Vec<_>, Vec<_>) =
        blocks.partition(|(_, block)| block.starts_with("scrape_configs:"));
    assert!(scrapes.len() >= 3 && webs.len() >= 2);
    let check = |arguments: &[&str], page: &str, block: &str| {
        let file = directory.path().join("file.yml");
        fs::write(&file, block).unwrap();
        let output =
            Command::new("promtool").arg("check").args(arguments).arg(&file).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}: {stderr}\n{block}");
    };
    for (page, block) in &scrapes {
        check(&["config", "--syntax-only"], page, block);
    }
    // The files that it names must exist; the last key belongs to the last certificate.
    for certificate in ["ca.pem", "server.pem"] {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(directory.path()).args(["req", "-x509", "-newkey", "ec", "-nodes"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=x"]);
        openssl.args(["-keyout", "server.key", "-out", certificate]);
        assert!(openssl.output().unwrap().status.success());
    }
    for (page, block) in &webs {
        check(&["web-config"], page, block);
    }
}

/// The README has the commands of the page about the installation, which the package tests run.
#[test]
fn the_readme_has_the_install_commands_of_the_page() {
    let of = |file: &str| {
        let all = blocks("sh").into_iter().filter(|(page, _)| page == file);
        all.map(|(_, block)| block).find(|block| block.contains("dpkg -i")).unwrap()
    };
    assert_eq!(of("README.md"), of("docs/install.md"));
}

/// The options and sub-commands in the documents exist in the program.
#[test]
fn every_command_line_can_be_parsed() {
    let mut checked = 0;
    for (page, block) in blocks("sh") {
        for line in block.lines() {
            let Some((_, rest)) = line.split_once("nflog_exporter ") else { continue };
            if !line.trim_start().trim_start_matches("sudo ").starts_with("nflog_exporter")
                && !line.contains("| nflog_exporter")
                && !line.contains("release/nflog_exporter")
            {
                continue;
            }
            let words =
                rest.split_whitespace().take_while(|word| !matches!(*word, "|" | ">" | "#"));
            let words: Vec<&str> = words.collect();
            let command = <nflog_exporter::cli::Cli as clap::Parser>::try_parse_from(
                ["nflog_exporter"].iter().chain(&words),
            );
            assert!(command.is_ok(), "{page}: {line}: {}", command.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked}");
}

/// `cargo bench --bench peers -- --write` replaces the tables between these markers.
#[test]
fn the_page_about_performance_has_the_tables_of_the_benchmark() {
    let page = read("docs/performance.md");
    let tables = [
        ("peers", &["bare reader", "nflog_exporter", "uacctd", "ulogd2, text file"][..]),
        ("overload", &["2 times", "saturation"]),
    ];
    for (name, rows) in tables {
        let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"));
        let rest = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin}")).1;
        let table = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}")).0;
        assert!(table.starts_with("Measured on "), "{name}: {table}");
        for row in rows {
            let has = table.lines().any(|line| line.starts_with('|') && line.contains(row));
            assert!(has, "{name}: no row of {row}");
        }
    }
}
