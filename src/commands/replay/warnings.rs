//! Warnings about a replay whose metrics omit more than half of the packets.

use crate::{
    metrics::{Dimension, FamilySnapshot, Snapshot},
    packet::DecodeIssue,
};

/// Warns if most packets could not be decoded, or if most ports have no series of their own.
pub(super) fn log_warnings(snapshot: &Snapshot) {
    for warning in warnings(snapshot) {
        tracing::warn!("{warning}");
    }
}

fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let received: u64 = snapshot.received.iter().map(|(_, packets)| packets).sum();
    let unread = unread(snapshot, received);
    let folded = snapshot.families.iter().filter_map(|family| folded_ports(family, received));
    unread.into_iter().chain(folded).collect()
}

fn unread(snapshot: &Snapshot, received: u64) -> Option<String> {
    let unread: u64 = snapshot.undecoded.iter().sum();
    if !is_most(unread, received) {
        return None;
    }
    let reasons = DecodeIssue::ALL.into_iter().zip(snapshot.undecoded);
    let reasons: Vec<String> = reasons
        .filter(|(_, packets)| *packets > 0)
        .map(|(issue, packets)| format!("{} {packets}", issue.name()))
        .collect();
    Some(format!(
        "{unread} of {received} frames could not be read as IP packets: {}; capture IP traffic, \
         unencrypted and with at least 128 bytes of each frame (`tcpdump -s 128`)",
        reasons.join(", ")
    ))
}

fn folded_ports(family: &FamilySnapshot, received: u64) -> Option<String> {
    let port = family.labels.iter().position(|label| *label == Dimension::Port)?;
    let folded = *family.folded.get(port)?;
    if !is_most(folded, received) {
        return None;
    }
    let (limit, needed) = (family.series_limit, family.needed_series());
    let raise = if needed > limit {
        let demand = family.demand.round();
        format!("max_series from {limit} to {needed} for the {demand} label sets of the last hour")
    } else {
        format!("max_series (now {limit}) or max_new_series_per_hour")
    };
    Some(format!(
        "{folded} of {received} packets are counted under port=other in the family {name}: raise \
         {raise}, in its section [[family]] of the configuration file",
        name = family.name,
    ))
}

fn is_most(part: u64, whole: u64) -> bool {
    part > whole / 2
}
