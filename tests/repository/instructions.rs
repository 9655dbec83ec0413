//! The table of instructions per packet: its comparison with a measurement, and the copy in `ARCHITECTURE.md`.

use std::{fs, path::Path};

#[path = "../../benches/instructions/table.rs"]
mod table;

use table::{Table, compare, replace};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn kept() -> Table {
    Table::parse(&read("benches/instructions/expected.txt")).unwrap()
}

/// The stages that a comparison rejects, with the reason.
fn rejected(expected: &Table, measured: &Table) -> Vec<String> {
    let differences = compare(expected, measured).into_iter();
    differences.filter_map(|one| (!one.is_expected).then_some(one.text)).collect()
}

#[test]
fn a_stage_with_more_or_fewer_instructions_is_rejected() {
    let table = |decode, walk| Table {
        architecture: "x86_64".to_owned(),
        compiler: "rustc 1.95.0".to_owned(),
        stages: vec![("decode".to_owned(), decode), ("walk".to_owned(), walk)],
    };
    let expected = table(200.0, 1000.0);
    assert_eq!(rejected(&expected, &table(209.9, 950.1)), <[String; 0]>::default());
    assert_eq!(
        rejected(&expected, &table(210.1, 1000.0)),
        ["decode: expected 200.0, measured 210.1, +5.0 %"]
    );
    assert_eq!(
        rejected(&expected, &table(200.0, 500.0)),
        ["walk: expected 1000.0, measured 500.0, -50.0 %"]
    );
    assert_eq!(rejected(&expected, &table(f64::NAN, 1000.0)).len(), 1);
    assert_eq!(rejected(&table(0.0, 1000.0), &table(0.0, 1000.0)).len(), 1);
}

#[test]
fn a_stage_that_only_one_table_has_is_rejected() {
    let expected = kept();
    let mut measured = expected.clone();
    assert_eq!(rejected(&expected, &measured), <[String; 0]>::default());
    let (removed, _) = measured.stages.pop().unwrap();
    measured.stages.push(("another".to_owned(), 10.0));
    let rejected = rejected(&expected, &measured);
    assert_eq!(rejected.len(), 2, "{rejected:?}");
    assert!(rejected[0].starts_with("another: expected no such stage"), "{rejected:?}");
    assert!(rejected[1].starts_with(&removed) && rejected[1].ends_with("not measured"));
}

#[test]
fn a_table_that_cannot_be_read_is_an_error() {
    assert!(Table::parse("decode 100\n").unwrap_err().contains("decode 100"));
    assert!(Table::parse("decode: many\n").unwrap_err().contains("decode: many"));
}

#[test]
fn the_kept_table_is_that_of_the_architecture_document() {
    let kept = kept();
    assert!(!kept.architecture.is_empty() && !kept.compiler.is_empty() && !kept.stages.is_empty());
    let text = read("benches/instructions/expected.txt");
    let comment = text.lines().next().unwrap().strip_prefix("# ").unwrap();
    assert_eq!(kept.text(comment), text);
    let page = read("ARCHITECTURE.md");
    assert!(
        replace(&page, &kept.markdown()).unwrap() == page,
        "ARCHITECTURE.md has other counts than the table: NFLOG_EXPORTER_REWRITE_GOLDEN=1 tests/run instructions"
    );
}
