//! The metrics of lines of the kernel log.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::{exposition::MetricWriter, source::log::packet_line::SkipReason};

/// Where lines come from: the values of the label `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `/dev/kmsg`.
    Kmsg,
    /// Followed files.
    File,
    /// The syslog listener.
    Syslog,
    /// Standard input.
    Stdin,
}

impl Input {
    /// All inputs, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Kmsg, Self::File, Self::Syslog, Self::Stdin];

    /// The value of the label `source`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kmsg => "kmsg",
            Self::File => "file",
            Self::Syslog => "syslog",
            Self::Stdin => "stdin",
        }
    }
}

/// Why a sender of syslog messages was rejected: the values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Its address is not in `kernel_log.allow`: one for each datagram or connection.
    NotAllowed,
    /// Too many connections are open.
    TooManyConnections,
    /// The TLS handshake failed, or took too long.
    TlsFailed,
    /// A connection had no message for too long, or only a part of one.
    Idle,
}

impl Rejection {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 4] =
        [Self::NotAllowed, Self::TooManyConnections, Self::TlsFailed, Self::Idle];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::TooManyConnections => "too_many_connections",
            Self::TlsFailed => "tls_failed",
            Self::Idle => "idle",
        }
    }
}

/// Counts of lines. Written by the inputs and the reader, read at every scrape.
#[derive(Debug, Default)]
pub struct LineMeter {
    /// Lines that were read, by [`Input`].
    pub lines: [AtomicU64; Input::ALL.len()],
    /// Lines that are no packet, by [`SkipReason`].
    pub skipped: [AtomicU64; SkipReason::ALL.len()],
    /// Lines that were lost, by [`Input`].
    pub lost: [AtomicU64; Input::ALL.len()],
    /// Lines whose time was replaced by that of their arrival, by [`Input`].
    pub wrong_times: [AtomicU64; Input::ALL.len()],
    /// Datagrams and connections that were rejected, by [`Rejection`].
    pub rejected: [AtomicU64; Rejection::ALL.len()],
    /// Files that are not followed because too many match.
    pub unfollowed_files: AtomicU64,
}

impl LineMeter {
    /// Counts lines that were read.
    pub fn count(&self, input: Input, lines: u64) {
        self.lines[input as usize].fetch_add(lines, Relaxed);
    }

    /// Counts lines that are no packet.
    pub fn skip(&self, reason: SkipReason, lines: u64) {
        self.skipped[reason as usize].fetch_add(lines, Relaxed);
    }

    /// Counts a datagram or connection that was rejected.
    pub fn reject(&self, reason: Rejection) {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts a line whose time is replaced by that of its arrival.
    pub fn reject_time(&self, input: Input) {
        self.wrong_times[input as usize].fetch_add(1, Relaxed);
    }

    /// Counts lines that were lost.
    pub fn lose(&self, input: Input, lines: u64) {
        self.lost[input as usize].fetch_add(lines, Relaxed);
    }
}

/// The collector of the meter; `None` without a source of lines.
#[derive(Clone, Debug, Default)]
pub struct LineMetrics(pub Option<Arc<LineMeter>>);

impl Collector for LineMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(meter) = &self.0 else { return Ok(()) };
        let mut writer = MetricWriter::new(encoder);
        let by_input = |counts: &'_ [AtomicU64; Input::ALL.len()]| {
            Input::ALL
                .map(|input| ([("source", input.name())], counts[input as usize].load(Relaxed)))
        };
        writer.counters(
            "nflog_exporter_kernel_log_lines",
            "Lines read from a source of kernel log lines.",
            by_input(&meter.lines),
        )?;
        writer.counters(
            "nflog_exporter_kernel_log_skipped_lines",
            "Lines that are no packet, by reason.",
            SkipReason::ALL.map(|reason| {
                ([("reason", reason.name())], meter.skipped[reason as usize].load(Relaxed))
            }),
        )?;
        writer.counters(
            "nflog_exporter_kernel_log_lost_lines",
            "Lines lost before they were read: overwritten in the ring buffer of the kernel, dropped by the syslog listener, or left at the end.",
            by_input(&meter.lost),
        )?;
        writer.counters(
            "nflog_exporter_kernel_log_wrong_time_lines",
            "Lines whose time was too far from the time of their arrival, which replaced it.",
            by_input(&meter.wrong_times),
        )?;
        writer.gauge(
            "nflog_exporter_kernel_log_unfollowed_files",
            "Log files that match a pattern and are not followed, because too many files match.",
            Some(meter.unfollowed_files.load(Relaxed)),
        )?;
        writer.counters(
            "nflog_exporter_kernel_log_rejected_senders",
            "Syslog datagrams and connections that were rejected, by reason.",
            Rejection::ALL.map(|reason| {
                ([("reason", reason.name())], meter.rejected[reason as usize].load(Relaxed))
            }),
        )
    }
}
