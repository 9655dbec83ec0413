//! Instructions per packet of each stage of a packet's route, counted by valgrind's callgrind and compared with the table
//! `expected.txt`, so that a regression shows without a clock and on a busy machine.
//!
//! `tests/run instructions` builds it with the profile `instructions` and runs it. The counts are those of this profile.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a failure here fails the benchmark"
)]

mod callgrind;
#[path = "../datagrams/mod.rs"]
mod datagrams;
mod stages;
mod table;

use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode},
    sync::Mutex,
    thread,
};

use datagrams::PACKETS;
use stages::STAGES;
use table::{TOLERANCE, Table, compare, replace};

/// The table, from the root of the repository.
const EXPECTED: &str = "benches/instructions/expected.txt";

/// The document that shows the table.
const DOCUMENT: &str = "ARCHITECTURE.md";

/// As for golden files: if this variable is 1, the table is rewritten. Review the difference before you commit it.
const REWRITE: &str = "NFLOG_EXPORTER_REWRITE_GOLDEN";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [command, name, batches] = &arguments[..]
        && command == "stage"
    {
        run(name, batches.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    match check() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted: a stage with this many batches.
fn run(name: &str, batches: u32) {
    let stage = STAGES.iter().find(|stage| stage.name == name).unwrap();
    let mut batch = (stage.prepare)();
    (0..batches).for_each(|_| batch());
}

fn check() -> Result<(), String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(EXPECTED);
    if env::var_os(REWRITE).is_some_and(|value| value == "1") {
        return rewrite(&file, &measure()?);
    }
    let text = fs::read_to_string(&file).map_err(|error| format!("{EXPECTED}: {error}"))?;
    let expected = Table::parse(&text).map_err(|error| format!("{EXPECTED}: {error}"))?;
    if expected.architecture != env::consts::ARCH {
        println!(
            "nothing was compared: {EXPECTED} has the counts of {}, this machine is {}",
            expected.architecture,
            env::consts::ARCH
        );
        return Ok(());
    }
    let measured = measure()?;
    let differences = compare(&expected, &measured);
    println!("instructions per packet:");
    for difference in &differences {
        println!("{} {}", if difference.is_expected { " " } else { "!" }, difference.text);
    }
    let wrong: Vec<_> = differences
        .into_iter()
        .filter_map(|difference| (!difference.is_expected).then_some(difference.text))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let wrong = wrong.join("\n  ");
    let compiler = if expected.compiler == measured.compiler {
        String::new()
    } else {
        format!("\nThe table is of {}, this is {}.", expected.compiler, measured.compiler)
    };
    Err(format!(
        "instructions per packet differ from {EXPECTED} by more than {TOLERANCE} %:\n  {wrong}{compiler}\nIf the change is \
         intended, rewrite the table with `{REWRITE}=1 tests/run instructions` and review the difference. \
         `callgrind_annotate target/tmp/callgrind.*` shows the functions of each stage."
    ))
}

/// Measures all stages, as many at a time as there are cores: counts do not depend on the load.
fn measure() -> Result<Table, String> {
    let next = Mutex::new(0..STAGES.len());
    let counts = Mutex::new(vec![Err("not measured".to_owned()); STAGES.len()]);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(index) = next.lock().unwrap().next() else { return };
                    let count = callgrind::instructions_per_packet(&STAGES[index], PACKETS);
                    counts.lock().unwrap()[index] = count;
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    let stages =
        STAGES.iter().zip(counts).map(|(stage, count)| Ok((stage.name.to_owned(), count?)));
    Ok(Table {
        architecture: env::consts::ARCH.to_owned(),
        compiler: compiler()?,
        stages: stages.collect::<Result<_, String>>()?,
    })
}

fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split(" (").next().unwrap_or_default().trim().to_owned())
}

fn rewrite(file: &Path, measured: &Table) -> Result<(), String> {
    let comment = format!(
        "Instructions per packet. `{REWRITE}=1 tests/run instructions` rewrites this file."
    );
    let write = |file: &Path, text: String| {
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    };
    let kept = measured.text(&comment);
    // As a reader of the file rounds them: the same counts can be rounded in another way before.
    let rounded = Table::parse(&kept)?;
    write(file, kept)?;
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = fs::read_to_string(&document).map_err(|error| format!("{DOCUMENT}: {error}"))?;
    let text = replace(&text, &rounded.markdown())
        .ok_or_else(|| format!("{DOCUMENT}: no markers of the table of instructions"))?;
    write(&document, text)
}
