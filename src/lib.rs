//! Counts the packets a Linux firewall logs, by country, port, protocol and prefix, for Prometheus.
//!
//! This library is the interior of the program `nflog_exporter`. Its interface may change in any release; only the
//! program's own interface (flags, configuration, metrics, schema) is stable.
//!
//! # What is public
//!
//! - [`cli`] and [`commands`] are all that the program's `main` uses, with [`system::logging`] for its last lines.
//! - The other modules are public for the integration tests, benches and fuzz targets. Start with [`pipeline`], which
//!   reads packets, and [`daemon`], which serves their counts.
//!
//! # The route of a packet
//!
//! ```text
//!  kernel ── NFLOG group ─▶ source::nflog ─┐
//!  capture file ──────────▶ source::pcap ──┴─ Record   borrowed
//!                                               │
//!                                        packet::decode ──▶ Headers
//!                                        geoip::Locator ──▶ Place
//!                                               │
//!                                         event::Event     plain, Copy, fixed size
//!                                               │  a batch
//!                      ┌────────────────────────┼──────────────┐
//!             metrics::Aggregate          recent::Recent   mirror::Queue
//!                      │ snapshot                │             │ rows
//!              exposition ─▶ http           web ─▶ http   spooler ─▶ spool ─▶ delivery ─▶ database
//! ```
//!
//! [`pipeline`] has the upper part, which runs on one thread. [`daemon`] runs all parts, which [`commands`] opens
//! according to the command line.
//! `ARCHITECTURE.md` has the code map and the decisions.
//!
//! # Invariants
//!
//! 1. **The read loop never awaits and never blocks on an output.** One thread owns the sockets and
//!    takes two locks per batch, one after the other.
//! 2. **No bytes from the network can cause a panic, an unbounded allocation or an endless loop.**
//! 3. **Every packet is counted exactly once, and every lost packet is counted too.** At every scrape,
//!    for every family: sum of its series + retired + pending = packets received.
//! 4. **Every map, queue, ring and file has a limit, and a counter shows when it is reached.**
//! 5. **Text from a packet, a rule or a database becomes a label or a row only if it is escaped and
//!    within a limit.**
//! 6. **A broken database, `GeoIP` file, configuration or client never breaks a scrape,** and a
//!    scrape never breaks those.
//! 7. **A counter never decreases while its series exists.**
//! 8. **After start, the process has no privileges.**

pub mod cli;
pub mod commands;
pub mod conditions;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod event;
pub mod exposition;
pub mod firewall;
pub mod geoip;
pub mod history;
pub mod http;
pub mod metrics;
pub mod migrate;
pub mod mirror;
mod netlink;
pub mod networks;
pub mod output;
pub mod packet;
pub mod pipeline;
pub mod recent;
pub mod report;
mod settings;
mod sort;
pub mod source;
pub mod system;
pub mod top;
mod web;
