//! Golden files: expected texts that are reviewed by hand.

use std::{env, fs, path::Path};

/// If this variable is 1, the tests rewrite their golden files. Review the difference before
/// you commit it.
const REWRITE: &str = "NFLOG_EXPORTER_REWRITE_GOLDEN";

/// Compares a text with a file; the path is relative to the crate's root.
#[track_caller]
pub fn check_golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os(REWRITE).is_some_and(|value| value == "1") {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    for (number, (expect, line)) in expected.lines().zip(text.lines()).enumerate() {
        assert_eq!(line, expect, "{file}:{}; {REWRITE}=1 rewrites it", number + 1);
    }
    assert_eq!(text.lines().count(), expected.lines().count(), "{file}; {REWRITE}=1 rewrites it");
}
