//! Words and phrases that the style of this project replaces by plain terms must not appear in tracked text files.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

/// Phrases, and what to write instead.
const BANNED: [(&[&str], &str); 9] = [
    (&["folder", "folders"], "directory"),
    (&["mend", "mends", "mended", "mending"], "fix"),
    (&["whom"], "a sentence without inversion"),
    (&["turned away", "turns away", "turn away", "turning away"], "rejected"),
    (&["gave up", "gives up", "give up", "given up", "giving up"], "fail, drop, release or stop"),
    (&["stands there", "stand there", "stood there"], "exists, contains or is"),
    (&["looked over", "looks over", "look over"], "checked"),
    (&["is told", "are told", "was told", "were told", "be told"], "reports, logs or receives"),
    (&["for ever", "anew"], "forever, again or new"),
];

/// Paths that may contain a phrase: a file, or a directory that ends with a slash.
const EXCEPTIONS: [(&str, &str, &str); 4] = [
    ("packaging/debian/copyright", "whom", "the text of the license"),
    ("LICENSE-APACHE", "whom", "the text of the license"),
    ("LICENSE-MIT", "whom", "the text of the license"),
    ("dashboards/provisioning/", "folder", "a key of Grafana's provisioning files"),
];

/// This file, which has to contain the phrases.
const SELF: &str = "tests/repository/words.rs";

/// A word in lower case, its line, and whether the previous word is in the same phrase.
struct Word {
    text: String,
    line: usize,
    continues: bool,
}

/// Splits text into words, also within names such as `is_told` and `SpoolFolder`. Comment markers, line breaks and
/// backslashes at the end of a line do not separate the words of a phrase; punctuation does.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut line, mut continues, mut in_word, mut lower) = (1, false, false, false);
    for character in text.chars() {
        if character.is_alphanumeric() {
            if !in_word || (lower && character.is_uppercase()) {
                words.push(Word { text: String::new(), line, continues });
                continues = true;
            }
            words.last_mut().unwrap().text.extend(character.to_lowercase());
            (in_word, lower) = (true, !character.is_uppercase());
        } else {
            in_word = false;
            continues &= character.is_whitespace() || "/!#*_-\\".contains(character);
            line += usize::from(character == '\n');
        }
    }
    words
}

/// The phrases in a text, each with its line.
fn find(text: &str) -> Vec<(usize, &'static str)> {
    let words = words(text);
    let mut found = Vec::new();
    for (start, first) in words.iter().enumerate() {
        for phrase in BANNED.iter().flat_map(|(phrases, _)| phrases.iter()) {
            if !phrase.starts_with(&first.text) {
                continue;
            }
            let matches = phrase.split(' ').enumerate().all(|(offset, part)| {
                let word = words.get(start + offset);
                word.is_some_and(|word| word.text == part && (offset == 0 || word.continues))
            });
            if matches {
                found.push((first.line, *phrase));
            }
        }
    }
    found
}

#[test]
fn phrases_are_found_in_names_and_across_lines() {
    let of = |text| find(text).into_iter().map(|(line, phrase)| format!("{line} {phrase}"));
    assert_eq!(of("/// The client\n/// is\n/// told.").collect::<Vec<_>>(), ["2 is told"]);
    assert_eq!(of("fn a_client_is_told()").collect::<Vec<_>>(), ["1 is told"]);
    assert_eq!(of("SpoolFolder, FOLDER").collect::<Vec<_>>(), ["1 folder", "1 folder"]);
    assert_eq!(of("\"Hosts are \\\n  turned away\"").collect::<Vec<_>>(), ["2 turned away"]);
    assert_eq!(of("It is. Told twice, amended, subfolder; all it gave, up to 4.").count(), 0);
}

/// The tracked files. The option makes git accept a clone that belongs to another user, as in a container.
fn tracked_files(root: &Path) -> Vec<String> {
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(root);
    let output = git.output().expect("install git");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    names.split_terminator('\0').map(ToOwned::to_owned).collect()
}

/// The exception that allows a phrase in a file.
fn exception(file: &str, phrase: &str) -> Option<&'static str> {
    let matches = |path: &str| path == file || (path.ends_with('/') && file.starts_with(path));
    EXCEPTIONS
        .iter()
        .find(|(path, allowed, _)| matches(path) && *allowed == phrase)
        .map(|(path, ..)| *path)
}

#[test]
fn text_files_contain_no_banned_phrase() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut report, mut directories, mut used) = (String::new(), BTreeMap::new(), Vec::new());
    let mut checked = 0;
    for file in tracked_files(root).iter().filter(|file| *file != SELF) {
        // A symbolic link, or a file that was deleted since the last commit.
        if !fs::symlink_metadata(root.join(file)).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let Ok(text) = String::from_utf8(fs::read(root.join(file)).unwrap()) else { continue };
        checked += 1;
        for (line, phrase) in find(&text) {
            if let Some(path) = exception(file, phrase) {
                used.push(path);
                continue;
            }
            let replacement =
                BANNED.iter().find(|(phrases, _)| phrases.contains(&phrase)).unwrap().1;
            writeln!(report, "{file}:{line}: \"{phrase}\": write {replacement}").unwrap();
            let parent = Path::new(file).parent().unwrap().display().to_string();
            *directories.entry(parent).or_insert(0) += 1;
        }
    }
    assert!(checked > 300, "only {checked} text files");
    assert!(report.is_empty(), "{report}by directory: {directories:#?}");
    let unused: Vec<_> = EXCEPTIONS.iter().filter(|(path, ..)| !used.contains(path)).collect();
    assert!(unused.is_empty(), "exceptions that nothing needs: {unused:?}");
}
