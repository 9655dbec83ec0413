//! The metrics of NFLOG groups: packets lost between the kernel and this program.

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

/// The collector of the groups' meters.
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
            "Packets logged by the kernel but not received, counted by gaps in the sequence numbers of the group.",
            self.samples(|meter| &meter.lost_packets),
        )?;
        writer.counters(
            "nflog_exporter_socket_drops",
            "Datagrams dropped by the kernel at the netlink socket of the group.",
            self.samples(|meter| &meter.socket_drops),
        )?;
        writer.counters(
            "nflog_exporter_malformed_messages",
            "Netlink messages of the group that could not be parsed.",
            self.samples(|meter| &meter.malformed_messages),
        )?;
        writer.counters(
            "nflog_exporter_truncated_datagrams",
            "Datagrams of the group that were longer than the read buffer. The rest of each was lost.",
            self.samples(|meter| &meter.truncated_datagrams),
        )?;
        writer.gauges(
            "nflog_exporter_receive_buffer_bytes",
            "Size of the receive buffer of the netlink socket of the group.",
            self.samples(|meter| &meter.receive_buffer_bytes),
        )
    }
}
