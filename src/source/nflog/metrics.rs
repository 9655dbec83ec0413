//! Metrics of the NFLOG groups: losses between the kernel and this program.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::GroupMeter;
use crate::exposition::MetricWriter;

/// Exports the meters of the groups.
#[derive(Clone, Debug)]
pub struct GroupMetrics(pub Vec<Arc<GroupMeter>>);

impl GroupMetrics {
    fn samples(
        &self,
        figure: impl Fn(&GroupMeter) -> &AtomicU64,
    ) -> impl Iterator<Item = ([(&'static str, u16); 1], u64)> {
        self.0.iter().map(move |meter| ([("group", meter.group)], figure(meter).load(Relaxed)))
    }
}

impl Collector for GroupMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        writer.counters(
            "nflog_exporter_lost_packets",
            "Packets the kernel logged that never arrived here: gaps in the group's sequence.",
            self.samples(|meter| &meter.lost_packets),
        )?;
        writer.counters(
            "nflog_exporter_socket_drops",
            "Datagrams the kernel dropped at the group's netlink socket.",
            self.samples(|meter| &meter.socket_drops),
        )?;
        writer.counters(
            "nflog_exporter_malformed_messages",
            "Netlink messages of the group that could not be read.",
            self.samples(|meter| &meter.malformed_messages),
        )?;
        writer.counters(
            "nflog_exporter_truncated_datagrams",
            "Datagrams of the group that were longer than any should be; what they held is lost.",
            self.samples(|meter| &meter.truncated_datagrams),
        )?;
        writer.gauges(
            "nflog_exporter_receive_buffer_bytes",
            "Receive buffer the kernel granted the group's netlink socket.",
            self.samples(|meter| &meter.receive_buffer_bytes),
        )
    }
}
