//! The table of instructions per packet: its text, and the comparison of two tables.

use std::fmt::Write as _;

/// Maximum difference between the table and a measurement, percent of the table's count.
pub const TOLERANCE: f64 = 5.0;

const ARCHITECTURE: &str = "architecture";
const COMPILER: &str = "compiler";

/// Instructions per packet of each stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// As `std::env::consts::ARCH`.
    pub architecture: String,
    /// As `rustc --version`.
    pub compiler: String,
    /// The name of each stage and its count.
    pub stages: Vec<(String, f64)>,
}

impl Table {
    /// Reads the text of a table. Lines that start with `#` are comments.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut table =
            Self { architecture: String::new(), compiler: String::new(), stages: Vec::new() };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) =
                line.split_once(": ").ok_or_else(|| format!("no `NAME: VALUE`: {line}"))?;
            match name {
                ARCHITECTURE => value.clone_into(&mut table.architecture),
                COMPILER => value.clone_into(&mut table.compiler),
                stage => {
                    let count = value.parse().map_err(|error| format!("{line}: {error}"))?;
                    table.stages.push((stage.to_owned(), count));
                }
            }
        }
        Ok(table)
    }

    /// The text that [`Self::parse`] reads, after this comment.
    pub fn text(&self, comment: &str) -> String {
        let mut text = format!(
            "# {comment}\n{ARCHITECTURE}: {}\n{COMPILER}: {}\n",
            self.architecture, self.compiler
        );
        for (name, count) in &self.stages {
            writeln!(text, "{name}: {count:.1}").unwrap();
        }
        text
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "| stage | instructions per packet ({}, {}) |\n|---|---|\n",
            self.architecture, self.compiler
        );
        for (name, count) in &self.stages {
            writeln!(text, "| {name} | {count:.0} |").unwrap();
        }
        text
    }

    fn count(&self, stage: &str) -> Option<f64> {
        self.stages.iter().find(|(name, _)| name == stage).map(|(_, count)| *count)
    }
}

/// One row of a comparison.
#[derive(Debug)]
pub struct Difference {
    /// The stage with both counts and their difference.
    pub text: String,
    /// Whether the measurement is as expected.
    pub is_expected: bool,
}

/// Compares each stage of two tables: the one that is kept, and a measurement.
///
/// A count that is lower than expected fails too, because a table that is too high would hide the next regression.
pub fn compare(expected: &Table, measured: &Table) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut add = |text: String, is_expected| differences.push(Difference { text, is_expected });
    for (name, count) in &measured.stages {
        let Some(expect) = expected.count(name) else {
            add(format!("{name}: expected no such stage, measured {count:.1}"), false);
            continue;
        };
        let percent = (count - expect) / expect * 100.0;
        let text = format!("{name}: expected {expect:.1}, measured {count:.1}, {percent:+.1} %");
        // False also for a number that is not finite.
        add(text, percent.abs() <= TOLERANCE);
    }
    for (name, expect) in &expected.stages {
        if measured.count(name).is_none() {
            add(format!("{name}: expected {expect:.1}, not measured"), false);
        }
    }
    differences
}

/// Replaces what is between the two markers of a table.
pub fn replace(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

const BEGIN: &str = "<!-- instructions: begin -->\n";
const END: &str = "<!-- instructions: end -->\n";
