//! Compares the table in ARCHITECTURE.md with the `crate::` paths in the code.
mod circles;
mod sections;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The table's `module` and `may use` columns.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split_once("| module | owns | may use |").expect("the table of modules").1;
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let columns: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            (names(columns[0]).pop_first().unwrap(), names_or_all(columns[2]))
        })
        .collect()
}

fn names_or_all(column: &str) -> BTreeSet<String> {
    if matches!(column, "everything" | "the library's interface") {
        return ["*".to_owned()].into();
    }
    names(column)
}

fn names(column: &str) -> BTreeSet<String> {
    column.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The top-level module that a file under `src` belongs to.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that a text names after `crate::`, in `use` trees with braces as well.
fn used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => used.extend(first_name(rest)),
            Some(tree) => {
                let mut depth = 0;
                let mut start = true;
                for (place, character) in tree.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ if start && character.is_alphabetic() => {
                            used.extend(first_name(&tree[place..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

fn first_name(text: &str) -> Option<String> {
    let name: String =
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

#[test]
fn dependencies_are_those_of_the_table() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let module = module(&file);
        if module == "lib" {
            continue;
        }
        let Some(may) = allowed.get(&module) else {
            wrong.push(format!("{module} is not in the table"));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for target in used(&text) {
            if target != module && !may.contains(&target) && !may.contains("*") {
                wrong.push(format!("{} uses crate::{target}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_of_the_table_exists() {
    for module in allowed().keys() {
        let source = root().join("src");
        let exists = source.join(format!("{module}.rs")).exists()
            || source.join(module).join("mod.rs").exists();
        assert!(exists, "ARCHITECTURE.md lists {module}, which does not exist");
    }
}

#[test]
fn uses_are_found_in_every_form() {
    let text = "use crate::event::Event;\nuse crate::{\n    geoip::{Country, Place},\n    \
                packet,\n};\n// crate::http\nfn f() { crate::source::x() }";
    let expect = ["event", "geoip", "packet", "source"].map(str::to_owned).into();
    assert_eq!(used(text), expect);
}
