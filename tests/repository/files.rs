//! Files of the published crate, maintainers, paths in documents for developers, and the list of test binaries.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Documents for developers, whose paths and links are checked. `tests/repository/documents.rs` checks those for users.
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

/// All files in these directories, without tests, without the passwords that `packaging/compose/passwords` writes, and
/// without patches of dependencies, which Cargo uses only in this repository.
fn files(directories: &[&str]) -> BTreeSet<String> {
    let mut arguments = directories.to_vec();
    arguments.extend(["-type", "f", "!", "-path", "alerts/tests/*", "!", "-name", ".env"]);
    arguments.extend(["!", "-path", "packaging/patches/*"]);
    lines("find", &arguments)
}

#[test]
fn the_published_crate_has_the_files_that_build_and_package_the_program() {
    let arguments = ["package", "--list", "--allow-dirty", "--locked", "--offline"];
    let published = lines(env!("CARGO"), &arguments);
    let mut needed = files(&["src", "packaging", "dashboards", "alerts"]);
    for file in ["build.rs", "README.md", "CHANGELOG.md", "NOTICE", "LICENSE-APACHE", "LICENSE-MIT"]
    {
        needed.insert(file.to_owned());
    }
    needed.insert("assets/dbip-country-lite.packed".to_owned());
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

/// The first two cells of each row of a table in `tests/README.md`.
fn rows(header: &str) -> BTreeSet<(String, String)> {
    let page = read("tests/README.md");
    let lines = page.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let row = |line: &str| {
        let mut cells =
            line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
        (cells.next().unwrap(), cells.next().unwrap())
    };
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// The test binaries: the directories of `tests` with a `main.rs`.
fn test_binaries() -> Vec<String> {
    let entries = fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let (binaries, files): (Vec<_>, Vec<_>) = entries
        .filter(|path| path.join("main.rs").exists() || path.extension() == Some("rs".as_ref()))
        .partition(|path| path.is_dir());
    assert!(files.is_empty(), "each is a binary of its own: {files:?}");
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    binaries.iter().map(name).collect()
}

#[test]
fn the_page_about_tests_lists_each_binary() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let tests = manifest["test"].as_array().unwrap();
    let is_left_out = |name: &str| {
        let test = tests.iter().find(|test| test["name"].as_str() == Some(name));
        test.is_some_and(|test| test["test"].as_bool() == Some(false))
    };
    let runs = |name: &str| if is_left_out(name) { "no" } else { "yes" };
    let binaries = test_binaries().into_iter();
    let binaries: BTreeSet<_> =
        binaries.map(|name| (name.clone(), runs(&name).to_owned())).collect();
    assert_eq!(rows("| binary"), binaries);
}

#[test]
fn the_page_about_tests_lists_each_module() {
    let mut modules = BTreeSet::new();
    for binary in test_binaries() {
        let main = read(&format!("tests/{binary}/main.rs"));
        if main.contains("#[test]") {
            modules.insert(binary.clone());
        }
        for path in fs::read_dir(root().join("tests").join(&binary)).unwrap() {
            let path = path.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let file = if path.is_dir() { path.join("mod.rs") } else { path.clone() };
            let text = fs::read_to_string(&file).unwrap();
            let has_tests = text.contains("#[test]") || text.contains("#[tokio::test]");
            if name != "main" && has_tests {
                modules.insert(format!("{binary}::{name}"));
            }
            let is_compiled = main.contains(&format!("mod {name};\n"));
            assert!(name == "main" || is_compiled, "{} is in no binary", file.display());
        }
    }
    let listed: BTreeSet<_> = rows("| module").into_iter().map(|(module, _)| module).collect();
    assert_eq!(listed, modules);
}

/// Cargo features are for users of the crate; tests are selected by their binary.
#[test]
fn no_feature_is_for_tests() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert!(manifest.get("features").is_none(), "{:?}", manifest["features"]);
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

/// Then a check of the fuzz targets uses the dependencies that were compiled for the crate.
#[test]
fn the_fuzz_targets_have_the_dependencies_of_the_crate() {
    let packages = |file: &str| -> BTreeSet<(String, String)> {
        let lock: toml::Table = read(file).parse().unwrap();
        let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
        let packages = lock["package"].as_array().unwrap().iter();
        packages.map(|package| (text(package, "name"), text(package, "version"))).collect()
    };
    let crates = packages("Cargo.lock");
    let names: BTreeSet<_> = crates.iter().map(|(name, _)| name.clone()).collect();
    let mut fuzz = packages("fuzz/Cargo.lock");
    fuzz.retain(|(name, _)| names.contains(name));
    let others: Vec<_> = fuzz.difference(&crates).collect();
    assert!(fuzz.len() > 100);
    assert!(others.is_empty(), "copy Cargo.lock to fuzz/Cargo.lock: {others:?}");
}
