//! The exporter beside other readers of NFLOG, on the same packets in a real kernel: a bare reader that only counts, uacctd,
//! and ulogd2. Prints a table with the packets lost, CPU time per packet and memory.
//!
//! `cargo bench --bench peers -- --help`, as root, with Debian's `ulogd2-mysql`, `pmacct` and `mariadb-server`.
//! docs/performance.md has its tables.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a failure here fails the benchmark"
)]

mod bare_reader;
mod cores;
mod cpu_quota;
mod drain;
mod interrupt;
mod measure;
mod messages;
mod options;
mod overload;
mod peer;
mod process_group;
mod sender;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod traffic;

use std::time::Duration;

use clap::Parser as _;
use options::{Command, Measurement, Options};
use peer::{Kind, Servers};
use table::Measured;

fn main() {
    let options = Options::parse();
    if let Some(Command::BareReader) = options.command {
        bare_reader::run();
        return;
    }
    interrupt::handle();
    if options.pin {
        cores::pin();
    }
    let (name, table) = match options.measure {
        Measurement::Peers => ("peers", peers(&options)),
        Measurement::Overload => ("overload", overload::run(&options)),
        Measurement::Drain => ("drain", drain::run(&options)),
    };
    println!("\n{table}");
    if let Some(file) = &options.write {
        table::write(file, name, &table);
    }
}

/// Measures all peers in all scenarios; the peers alternate.
fn peers(options: &Options) -> String {
    options.peers().into_iter().for_each(Kind::require);
    let servers = Servers::default();
    let time = Duration::from_secs(options.seconds);
    let mut measured: Vec<Measured> = Vec::new();
    for scenario in options.scenarios() {
        let first = measured.len();
        let peers = options.peers().into_iter();
        measured.extend(peers.map(|kind| Measured { scenario, kind, runs: Vec::new() }));
        for _ in 0..options.runs {
            for one in &mut measured[first..] {
                let figures = measure::run(one.kind, scenario, time, &servers);
                println!(
                    "{scenario}: {}: {} of {} in {:.1} s, {:.2} + {:.2} µs/packet, {} MiB",
                    one.kind,
                    figures.received,
                    figures.sent,
                    figures.seconds,
                    figures.user,
                    figures.system,
                    figures.peak / 1024
                );
                one.runs.push(figures);
            }
        }
    }
    table::peers(&measured, options)
}
