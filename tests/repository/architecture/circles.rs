//! Files must not depend on each other in a circle. A file depends on each file that defines an item that it uses.
//!
//! Re-exports are followed to the definition, so a `mod.rs` that only names its parts depends on none of them.
//! A file may use what the `mod.rs` above it defines, and unit tests do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{root, rust_files};

/// A module path below the crate, outermost first.
type Path = Vec<String>;

struct Module {
    file: String,
    text: String,
    children: BTreeSet<String>,
    /// Imported and re-exported names, with their full paths.
    imports: BTreeMap<String, Path>,
}

struct Crate(BTreeMap<Path, Module>);

impl Crate {
    fn read() -> Self {
        let source = root().join("src");
        let mut modules = BTreeMap::new();
        for file in rust_files(&source) {
            let name = file.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
            let mut path: Path =
                name.trim_end_matches(".rs").split('/').map(ToOwned::to_owned).collect();
            if path.iter().any(|part| part == "tests") || name == "main.rs" {
                continue;
            }
            if path.last().is_some_and(|last| last == "mod" || last == "lib") {
                path.pop();
            }
            let text = code(&fs::read_to_string(&file).unwrap());
            let children = declared(&text);
            modules.insert(path, Module { file: name, text, children, imports: BTreeMap::new() });
        }
        let mut all = Self(modules);
        let imports: Vec<_> = all.0.keys().map(|path| (path.clone(), all.imports(path))).collect();
        for (path, imports) in imports {
            all.0.get_mut(&path).unwrap().imports = imports;
        }
        all
    }

    /// The names that the `use` items of a module bring in.
    fn imports(&self, at: &Path) -> BTreeMap<String, Path> {
        let mut imports = BTreeMap::new();
        for statement in statements(&self.0[at].text) {
            for (used, name) in flatten(&statement, &[]) {
                if let Some(used) = self.absolute(at, &used) {
                    imports.insert(name, used);
                }
            }
        }
        imports
    }

    /// A path as seen from the crate; `None` for another crate's.
    fn absolute(&self, at: &Path, used: &[String]) -> Option<Path> {
        let (first, rest) = used.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => at.clone(),
            "super" => at[..at.len().checked_sub(1)?].to_vec(),
            child if self.0[at].children.contains(child) => {
                [at.clone(), vec![child.into()]].concat()
            }
            _ => return None,
        };
        for part in rest {
            if part == "super" {
                base.pop()?;
            } else {
                base.push(part.clone());
            }
        }
        Some(base)
    }

    /// The file that defines the item of a path.
    fn definition(&self, path: &Path, depth: usize) -> Option<&str> {
        let (module, length) = (0..=path.len())
            .rev()
            .find_map(|length| Some((self.0.get(&path[..length])?, length)))?;
        match path.get(length).and_then(|name| module.imports.get(name)) {
            Some(target) if depth < 8 && target != path => {
                let target = [target.as_slice(), &path[length + 1..]].concat();
                self.definition(&target, depth + 1)
            }
            _ => Some(&module.file),
        }
    }

    fn arrows(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (at, module) in &self.0 {
            let mut paths: Vec<Path> = inline(&module.text);
            let reexports = reexported(&module.text);
            for statement in statements(&module.text) {
                for (used, name) in flatten(&statement, &[]) {
                    // An import that is only re-exported is not a use.
                    if !reexports.contains(&name) || mentions(&module.text, &name) > 1 {
                        paths.push(used);
                    }
                }
            }
            for path in paths {
                let Some(path) = self.absolute(at, &path) else { continue };
                if let Some(file) = self.definition(&path, 0)
                    && file != module.file
                    && !is_above(file, &module.file)
                {
                    arrows.entry(&module.file).or_default().insert(file);
                }
            }
        }
        arrows
    }
}

/// Whether a file is the `mod.rs` of a directory that contains the other.
fn is_above(file: &str, other: &str) -> bool {
    file.strip_suffix("mod.rs").is_some_and(|directory| other.starts_with(directory))
}

/// The code without comments and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line.split(" // ").next().unwrap(), "\n"]).collect()
}

fn declared(text: &str) -> BTreeSet<String> {
    let names = text.lines().filter_map(|line| {
        let (before, name) = line.strip_suffix(';')?.split_once("mod ")?;
        (before.is_empty() || before.starts_with("pub")).then(|| name.trim().to_owned())
    });
    names.collect()
}

/// The `use` items, without visibility and `use`, unchanged.
fn raw_statements(text: &str) -> Vec<&str> {
    let items = text.match_indices("use ").filter_map(|(at, _)| {
        let line = text[..at].rsplit('\n').next()?.trim_start();
        let is_item = line.is_empty() || line.starts_with("pub");
        is_item.then(|| text[at + 4..].split(';').next())?
    });
    items.collect()
}

/// The `use` items, each on one line.
fn statements(text: &str) -> Vec<String> {
    let one_line = |item: &str| item.split_whitespace().collect::<Vec<_>>().join(" ");
    raw_statements(text).into_iter().map(one_line).collect()
}

fn reexported(text: &str) -> BTreeSet<String> {
    let public = text.split("\npub").skip(1).filter(|rest| {
        let rest =
            rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(*rest, |it| it.1);
        rest.starts_with(" use ")
    });
    let items = public.filter_map(|rest| rest.split_once(" use ")?.1.split(';').next());
    items
        .flat_map(|item| flatten(&item.split_whitespace().collect::<Vec<_>>().join(" "), &[]))
        .map(|(_, name)| name)
        .collect()
}

/// The paths of a `use` tree, each with the name that it brings in.
fn flatten(tree: &str, before: &[String]) -> Vec<(Path, String)> {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once("::")
        && !head.contains('{')
    {
        return flatten(rest, &[before, &[head.trim().to_owned()]].concat());
    }
    if let Some(list) = tree.strip_prefix('{') {
        let list = list.strip_suffix('}').unwrap_or(list);
        return split(list).into_iter().flat_map(|item| flatten(item, before)).collect();
    }
    let (item, name) = tree.split_once(" as ").unwrap_or((tree, tree));
    let mut path = before.to_vec();
    let mut name = name.to_owned();
    if item == "self" {
        name = path.last().cloned().unwrap_or_default();
    } else if item != "*" && !item.is_empty() {
        path.push(item.to_owned());
    }
    vec![(path, name)]
}

/// Splits a list at its commas outside of braces.
fn split(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[start..]);
    items.into_iter().filter(|item| !item.trim().is_empty()).collect()
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The paths in code outside of `use`, including paths that begin with a child module.
fn inline(text: &str) -> Vec<Path> {
    let mut paths = Vec::new();
    let mut text = text.to_owned();
    for statement in raw_statements(&text.clone()) {
        text = text.replacen(statement, "", 1);
    }
    for word in text.split(|character: char| !is_word(character) && character != ':') {
        let parts: Path = word.split("::").map(|part| part.trim_matches(':').to_owned()).collect();
        if parts.len() > 1 && parts.iter().all(|part| !part.is_empty()) {
            paths.push(parts);
        }
    }
    paths
}

/// Number of occurrences of a word in a text.
fn mentions(text: &str, word: &str) -> usize {
    text.split(|character: char| !is_word(character)).filter(|it| *it == word).count()
}

/// The dependencies between files that depend on each other.
fn circles<'a>(
    arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let reached = |from: &'a str| {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(file) = waiting.pop() {
            let targets = arrows.get(file).into_iter().flatten();
            waiting.extend(targets.copied().filter(|target| reached.insert(*target)));
        }
        reached
    };
    let reached: BTreeMap<_, _> = arrows.keys().map(|file| (*file, reached(file))).collect();
    let back = |file: &str, target: &str| reached.get(target).is_some_and(|it| it.contains(file));
    let inside = arrows.iter().map(|(file, targets)| {
        (
            *file,
            targets.iter().copied().filter(|target| back(file, target)).collect::<BTreeSet<_>>(),
        )
    });
    inside.filter(|(_, targets)| !targets.is_empty()).collect()
}

#[test]
fn no_circle_between_files() {
    let all = Crate::read();
    let circles = circles(&all.arrows());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn re_exports_are_followed_and_are_not_uses() {
    let module = |file: &str, text: &str| Module {
        file: file.into(),
        text: text.into(),
        children: declared(text),
        imports: BTreeMap::new(),
    };
    let path = |text: &str| text.split("::").map(ToOwned::to_owned).collect::<Path>();
    let mut all = Crate(BTreeMap::from([
        (Vec::new(), module("lib.rs", "mod a;\n")),
        (path("a"), module("a/mod.rs", "mod b;\nmod c;\npub use b::B;\nstruct A;\n")),
        (path("a::b"), module("a/b.rs", "use super::{A, c::C};\nstruct B;\n")),
        (path("a::c"), module("a/c.rs", "fn c(_: crate::a::B) {}\nstruct C;\n")),
    ]));
    let imports: Vec<_> = all.0.keys().map(|path| (path.clone(), all.imports(path))).collect();
    for (path, imports) in imports {
        all.0.get_mut(&path).unwrap().imports = imports;
    }
    let expect = BTreeMap::from([
        ("a/b.rs", BTreeSet::from(["a/c.rs"])),
        ("a/c.rs", BTreeSet::from(["a/b.rs"])),
    ]);
    assert_eq!(all.arrows(), expect);
    assert_eq!(circles(&all.arrows()), expect);
}
