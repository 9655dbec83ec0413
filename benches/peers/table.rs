//! The table: medians of the runs, as Markdown.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use clap::ValueEnum as _;

use crate::{
    cores,
    measure::Figures,
    options::Options,
    peer::{Kind, version},
    support::server::run,
    traffic::{Scenario, grouped},
};

/// All runs of one peer in one scenario.
pub struct Measured {
    pub scenario: Scenario,
    pub kind: Kind,
    pub runs: Vec<Figures>,
}

/// The median of some values.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Measured {
    fn median(&self, value: impl Fn(&Figures) -> f64) -> f64 {
        median(self.runs.iter().map(value))
    }

    /// CPU time per packet, µs.
    fn cost(&self) -> f64 {
        self.median(|run| run.user + run.system)
    }
}

/// The tables of the peers, with the machine and the versions: the cost of a packet, then all figures.
pub fn peers(measured: &[Measured], options: &Options) -> String {
    let mut text = format!("{}\n", machine(&options.peers()));
    let cores = if cores::are_pinned() {
        "The sender has one core, the peer the other one."
    } else {
        "The scheduler chooses the cores."
    };
    writeln!(text, "{} of {} s. {cores}\n", medians(options), options.seconds).unwrap();
    text += &summary(measured);
    text += "\n<details>\n<summary>All figures</summary>\n\n";
    text += &figures(measured);
    let servers: Vec<_> = measured
        .iter()
        .filter(|one| one.runs.iter().all(|run| run.server.is_some()))
        .map(|one| one.median(|run| run.server.unwrap_or_default()))
        .collect();
    if !servers.is_empty() {
        let cost = median(servers.into_iter());
        writeln!(text, "\nMariaDB itself used {cost:.0} µs per packet more.").unwrap();
    }
    text + "\n</details>\n"
}

/// How the values of a table were obtained.
pub fn medians(options: &Options) -> String {
    match options.runs {
        1 => "One run".to_owned(),
        runs => format!("Medians of {runs} runs"),
    }
}

/// The measurement of `kind` in the scenario of another one.
fn in_same_scenario<'m>(
    measured: &'m [Measured],
    one: &Measured,
    kind: Kind,
) -> Option<&'m Measured> {
    measured.iter().find(|other| other.kind == kind && other.scenario == one.scenario)
}

/// CPU time per packet: a line for each scenario, a column for each peer.
fn summary(measured: &[Measured]) -> String {
    let mut text = "µs of CPU time per packet. In parentheses: the cost relative to the bare reader (for the exporter) or to the \
                    exporter (for the others), and the share of packets lost, if above 0.1 %.\n\n| packets |"
        .to_owned();
    let kinds: Vec<_> = Kind::value_variants()
        .iter()
        .filter(|kind| measured.iter().any(|one| one.kind == **kind))
        .collect();
    for kind in &kinds {
        write!(text, " {kind} |").unwrap();
    }
    writeln!(text, "\n|---|{}", "---|".repeat(kinds.len())).unwrap();
    for first in measured.iter().filter(|one| one.kind == *kinds[0]) {
        write!(text, "| {} |", first.scenario).unwrap();
        for kind in &kinds {
            let one =
                in_same_scenario(measured, first, **kind).expect("every scenario has all peers");
            let unit = match kind {
                Kind::BareReader => None,
                Kind::Exporter => in_same_scenario(measured, one, Kind::BareReader),
                _ => in_same_scenario(measured, one, Kind::Exporter),
            };
            let ratio = unit.map(|unit| format!("{:.1} ×", one.cost() / unit.cost()));
            let lost = one.median(|run| run.lost() as f64 / run.sent as f64);
            let lost = (lost > 1e-3).then(|| format!("{:.1} % lost", 100.0 * lost));
            let notes: Vec<_> = ratio.into_iter().chain(lost).collect();
            let notes =
                if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
            write!(text, " {:.2}{notes} |", one.cost()).unwrap();
        }
        text.push('\n');
    }
    text
}

/// All figures: a line for each scenario and peer.
fn figures(measured: &[Measured]) -> String {
    let mut text =
        "| packets | reader | sent | received | lost | µs/packet: user | system | sum | MiB |\n"
            .to_owned();
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for one in measured {
        let count = |value: fn(&Figures) -> u64| {
            grouped(one.median(|run| value(run) as f64).round() as u64)
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.0} |",
            one.scenario,
            one.kind,
            count(|run| run.sent),
            count(|run| run.received),
            count(Figures::lost),
            one.median(|run| run.user),
            one.median(|run| run.system),
            one.cost(),
            one.median(|run| run.peak as f64) / 1024.0,
        )
        .unwrap();
    }
    text
}

/// Date, processor, kernel, and the versions of the exporter and of these peers.
pub fn machine(kinds: &[Kind]) -> String {
    let output = |program: &str, arguments: &[&str]| {
        let output = run(Command::new(program).args(arguments));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap();
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let packages: Vec<_> = kinds.iter().flat_map(|kind| kind.packages()).collect();
    let versions = packages.iter().map(|package| {
        let version = version(package).expect("installed");
        format!("{package} {version}, ")
    });
    format!(
        "Measured on {} with {} cores ({}), Linux {}; {}nflog_exporter {}.",
        output("date", &["--utc", "+%Y-%m-%d"]),
        std::thread::available_parallelism().unwrap(),
        model.map_or("unknown processor", |(_, model)| model),
        output("uname", &["-r"]).split('-').next().unwrap_or_default(),
        versions.collect::<String>(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Replaces what is between the two markers of a table in a file.
pub fn write(file: &Path, name: &str, table: &str) {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let replaced = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{begin}{table}{end}{after}"))
    });
    let replaced = replaced.unwrap_or_else(|| panic!("{} has no {begin}", file.display()));
    fs::write(file, replaced).unwrap();
}
