//! Command line of the benchmark.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{peer::Kind, traffic::Scenario};

/// Compares the exporter with other readers of NFLOG on the same packets, or measures it alone. Needs root.
#[derive(Parser)]
#[command(name = "peers")]
pub struct Options {
    /// Programs to measure; default all.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub peers: Vec<Kind>,
    /// Packets per second.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub pace: Vec<PaceName>,
    /// Numbers of source addresses.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 100_000])]
    pub sources: Vec<u32>,
    /// Lengths of the IP packets, bytes.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1400])]
    pub lengths: Vec<usize>,
    /// Packets per second of the fixed rate.
    #[arg(long, default_value_t = 100_000)]
    pub rate: u64,
    /// Seconds of each run.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Runs of each scenario and peer; the table has the medians.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Give the sender the first core and the peer the second one. By default the scheduler chooses.
    #[arg(long)]
    pub pin: bool,
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Measurement::Peers)]
    pub measure: Measurement,
    /// Share of one core that the exporter has in the overload, percent.
    #[arg(long, default_value_t = 10)]
    pub quota: u32,
    /// Replace the table between its two markers in this Markdown file.
    #[arg(long)]
    pub write: Option<PathBuf>,
    /// Added by `cargo bench`.
    #[arg(long, hide = true)]
    pub bench: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A process that the benchmark starts.
#[derive(Subcommand)]
pub enum Command {
    /// The bare reader.
    #[command(hide = true)]
    BareReader,
}

/// What the benchmark measures.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// All peers on the same packets.
    Peers,
    /// The exporter with more packets than it can write as rows or count.
    Overload,
    /// How fast the exporter empties filled receive buffers of one and of several groups. Only `--runs` and `--write` apply.
    Drain,
}

/// How fast packets are sent.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PaceName {
    /// At the rate of `--rate`.
    Fixed,
    /// As fast as the sender can.
    Saturation,
}

impl Options {
    /// The peers to measure. The bare reader is always one: the ratios refer to it.
    pub fn peers(&self) -> Vec<Kind> {
        let is_chosen = |kind: &Kind| {
            *kind == Kind::BareReader || self.peers.is_empty() || self.peers.contains(kind)
        };
        Kind::value_variants().iter().copied().filter(is_chosen).collect()
    }

    /// Every combination of pace, sources and length.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let mut scenarios = Vec::new();
        for pace in PaceName::value_variants() {
            if !self.pace.is_empty() && !self.pace.contains(pace) {
                continue;
            }
            let rate = (*pace == PaceName::Fixed).then_some(self.rate);
            for sources in &self.sources {
                for length in &self.lengths {
                    scenarios.push(Scenario { rate, sources: *sources, length: *length });
                }
            }
        }
        scenarios
    }
}
