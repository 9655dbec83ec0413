//! The documents of the repository, and the blocks in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository's directory.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a document.
pub fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Every document for users, as paths from the repository's directory.
pub fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for directory in ["", "docs", "dashboards", "alerts"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = Path::new(directory).join(path.file_name().unwrap());
                pages.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    pages.sort();
    assert!(pages.len() >= 15, "{pages:?}");
    pages
}

/// The documents for users: the README and those in directories. The others are for developers.
pub fn for_users() -> Vec<String> {
    let for_users = |page: &String| page == "README.md" || page.contains('/');
    pages().into_iter().filter(for_users).collect()
}

/// The fenced blocks of the documents for users in a language, each with its page.
pub fn blocks(language: &str) -> Vec<(String, String)> {
    let fence = format!("```{language}\n");
    let mut blocks = Vec::new();
    for page in for_users() {
        let text = read(&page);
        // A block inside a list is indented.
        for rest in text.split(&*fence).skip(1) {
            blocks.push((page.clone(), rest.split("```").next().unwrap().to_owned()));
        }
    }
    blocks
}

/// The text outside of fenced blocks.
pub fn outside_of_blocks(text: &str) -> String {
    format!("\n{text}").split("\n```").step_by(2).flat_map(|part| [part, "\n"]).collect()
}

/// The text outside of fenced blocks and code spans.
fn prose(text: &str) -> String {
    outside_of_blocks(text).split('`').step_by(2).collect::<Vec<_>>().join("code")
}

/// The targets of the links in a page.
pub fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    targets.map(str::to_owned).collect()
}

/// The rows of every table whose header begins with this, as cells without surrounding spaces. A `\|` in a
/// cell is a `|`.
pub fn rows(page: &str, header: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let mut rows = Vec::new();
    for table in text.split(header).skip(1) {
        let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        rows.extend(lines.map(|line| {
            let line = line.replace("\\|", "\u{0}");
            let cells = line.trim().trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('\u{0}', "|")).collect()
        }));
    }
    assert!(!rows.is_empty(), "{page} has no table {header}");
    rows
}

/// The code spans of a cell.
pub fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
