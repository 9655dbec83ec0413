//! Files of the published crate, maintainers, paths in documents for developers, and the list of test binaries.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Documents for developers, whose paths and links are checked. `tests/documents.rs` checks those for users.
const DOCUMENTS: [&str; 4] =
    ["CONTRIBUTING.md", "SECURITY.md", "tests/README.md", ".github/pull_request_template.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The lines that a program prints. Panics if it fails.
fn lines(program: &str, arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// All files in these directories, without tests.
fn files(directories: &[&str]) -> BTreeSet<String> {
    let mut arguments = directories.to_vec();
    arguments.extend(["-type", "f", "!", "-path", "alerts/tests/*"]);
    lines("find", &arguments)
}

#[test]
fn the_published_crate_has_the_files_that_build_and_package_the_program() {
    let arguments = ["package", "--list", "--allow-dirty", "--locked", "--offline"];
    let published = lines(env!("CARGO"), &arguments);
    let mut needed = files(&["src", "packaging", "dashboards", "alerts"]);
    for file in ["README.md", "CHANGELOG.md", "NOTICE", "LICENSE-APACHE", "LICENSE-MIT"] {
        needed.insert(file.to_owned());
    }
    needed.insert("assets/dbip-country-lite.mmdb.zst".to_owned());
    let missing: Vec<_> = needed.difference(&published).collect();
    assert!(missing.is_empty(), "not published: {missing:?}");

    // Files that Cargo adds, and the documents.
    let own = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig"];
    let is_document = |file: &str| {
        file.starts_with("docs/")
            || (!file.contains('/') && Path::new(file).extension() == Some("md".as_ref()))
    };
    let extra: Vec<_> = published
        .difference(&needed)
        .filter(|file| !own.contains(&file.as_str()) && !is_document(file))
        .collect();
    assert!(extra.is_empty(), "published, and not needed: {extra:?}");
}

#[test]
fn maintainers_have_one_name_and_address() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let authors = manifest["package"]["authors"].as_array().unwrap();
    let maintainers = authors[0].as_str().unwrap();
    assert_eq!(authors.len(), 1, "packaging/debian/build reads one");
    let spec = read("packaging/rpm/nflog_exporter.spec");
    assert!(spec.contains(&format!("Packager:  {maintainers}\n")));
    let copyright = read("packaging/debian/copyright");
    assert!(copyright.contains(&format!("Upstream-Contact: {maintainers}\n")));
    for file in files(&["packaging"]) {
        let text = read(&file).replace(maintainers, "");
        for line in text.lines().filter(|line| line.contains('<') && line.contains('@')) {
            let address = line.split('<').skip(1).any(|rest| {
                let inside = rest.split('>').next().unwrap();
                inside.contains('@') && !inside.contains([' ', '"'])
            });
            assert!(!address, "{file}: another address: {line}");
        }
    }
}

#[test]
fn contributing_names_every_step_of_the_checks() {
    let script = read("tests/run");
    let steps = script.lines().find_map(|line| line.trim().strip_prefix("steps=(f")).unwrap();
    let mut steps: Vec<_> =
        format!("f{}", steps.trim_end_matches(')')).split(' ').map(ToOwned::to_owned).collect();
    steps.push("advisories".to_owned());
    let contributing = read("CONTRIBUTING.md");
    let named: Vec<_> = contributing
        .lines()
        .skip_while(|line| !line.starts_with("| step of"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('`').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(named, steps);
}

/// The features that a test binary of `Cargo.toml` requires.
fn required_features(manifest: &toml::Table, binary: &str) -> Vec<String> {
    let tests = manifest["test"].as_array().unwrap();
    let test = tests.iter().find(|test| test["name"].as_str() == Some(binary));
    let features = test.and_then(|test| test["required-features"].as_array());
    features.into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_page_about_tests_lists_each_binary_with_its_features() {
    let listed: BTreeSet<_> = read("tests/README.md")
        .lines()
        .skip_while(|line| !line.starts_with("| binary"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(str::trim);
            let name = cells.next().unwrap().trim_matches('`').to_owned();
            let features = cells.next().unwrap().split('`').skip(1).step_by(2);
            (name, features.map(|feature| format!("{feature}-tests")).collect())
        })
        .collect();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let mut binaries = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some("rs".as_ref()) || path.join("main.rs").exists() {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let features = required_features(&manifest, &name);
            binaries.insert((name, features));
        }
    }
    assert_eq!(listed, binaries);
}

/// Paths in backticks that begin with a directory of this repository.
#[test]
fn paths_in_documents_exist() {
    let directories = ["src", "tests", "packaging", "alerts", "dashboards", "assets"];
    let mut checked = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for code in text.split('`').skip(1).step_by(2) {
            let path = code.split(' ').next().unwrap();
            let Some((directory, _)) = path.split_once('/') else { continue };
            if directories.contains(&directory) {
                assert!(
                    root().join(path).exists(),
                    "{document} names {path}, which does not exist"
                );
                checked += 1;
            }
        }
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let local = !link.contains("://") && !link.starts_with('#');
            let directory = root().join(document).parent().unwrap().to_owned();
            let path = link.split('#').next().unwrap();
            assert!(!local || directory.join(path).exists(), "{document} links to {link}");
        }
    }
    assert!(checked > 10);
}
