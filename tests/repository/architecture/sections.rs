//! Each configuration section is a type of the part that it configures: `config` nests the sections, and defines none.

use std::fs;

use super::{root, rust_files};

/// The names of the types in a text that derive `Deserialize`.
fn deserialized_types(text: &str) -> Vec<&str> {
    let derives = text.split("#[derive(").skip(1);
    let items = derives.filter_map(|rest| rest.split_once(")]"));
    items
        .filter(|(traits, _)| traits.split(", ").any(|name| name == "Deserialize"))
        .filter_map(|(_, item)| {
            let code = item.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
            let mut words = code.flat_map(str::split_whitespace);
            words.find(|word| matches!(*word, "struct" | "enum"))?;
            words.next()
        })
        .collect()
}

#[test]
fn sections_are_types_of_their_parts() {
    let mut found = Vec::new();
    for file in rust_files(&root().join("src/config")) {
        let text = fs::read_to_string(&file).unwrap();
        found.extend(deserialized_types(&text).into_iter().map(str::to_owned));
    }
    assert_eq!(found, ["Config"], "define the section in its part, and nest it in Config");
}

#[test]
fn derives_are_found_with_attributes_and_comments_between() {
    let text = "#[derive(Clone, Deserialize)]\n#[serde(default)]\n/// A struct.\npub struct Section {}\n\
                #[derive(Debug)]\nstruct Other;\n#[derive(Deserialize, Debug)]\nenum Kind { A }";
    assert_eq!(deserialized_types(text), ["Section", "Kind"]);
}
