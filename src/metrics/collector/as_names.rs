//! `nflog_asn_info`: names of the autonomous systems that have a series, to join on the label `asn`.

use std::fmt;

use compact_str::CompactString;

use crate::exposition::MetricWriter;

pub(super) fn asn_info(
    names: &[(u32, CompactString)],
    writer: &mut MetricWriter<'_>,
) -> fmt::Result {
    writer.gauges(
        "nflog_asn_info",
        "Name of each autonomous system that has a series, to join on asn. Always 1.",
        names.iter().map(|(number, name)| (([("asn", *number)], [("name", name.as_str())]), 1_u64)),
    )
}
