//! The metrics of the families: packets, bytes, and the use of each budget.

use std::{borrow::Cow, fmt};

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

use crate::{
    event::Names,
    exposition::MetricWriter,
    metrics::{Dimension, FamilySnapshot, MAX_LABELS},
};

/// The family whose name is not part of its metric names.
const TRAFFIC: &str = "traffic";

pub(super) fn traffic(
    names: &Names,
    writer: &mut MetricWriter<'_>,
    family: &FamilySnapshot,
) -> fmt::Result {
    let rows = rows(names, family);
    let infix = match &*family.name {
        TRAFFIC => String::new(),
        name => format!("{name}_"),
    };
    let by = family.labels.iter().map(|label| label.name()).collect::<Vec<_>>().join(", ");
    writer.counters(
        &format!("nflog_{infix}packets"),
        &format!("Packets that the firewall logged, by {by}."),
        rows.iter().map(|row| (row.labels(&family.labels), row.packets)),
    )?;
    writer.counters(
        &format!("nflog_{infix}bytes"),
        &format!(
            "Bytes of the packets that the firewall logged, including the IP header, by {by}."
        ),
        rows.iter().map(|row| (row.labels(&family.labels), row.bytes)),
    )
}

/// The use of the families' budgets.
pub(super) fn budgets(families: &[FamilySnapshot], writer: &mut MetricWriter<'_>) -> fmt::Result {
    writer.gauges(
        "nflog_exporter_series",
        "Label sets currently exposed. Each has a packets and a bytes sample.",
        families.iter().map(|family| (family_label(family), family.series.len())),
    )?;
    writer.gauges(
        "nflog_exporter_series_limit",
        "Maximum number of label sets of the family.",
        families.iter().map(|family| (family_label(family), family.series_limit)),
    )?;
    writer.gauges(
        "nflog_exporter_series_demand",
        "Estimated number of different label sets in the last hour, with or without a series.",
        families.iter().map(|family| (family_label(family), family.demand.round())),
    )?;
    writer.counters(
        "nflog_exporter_folded_packets",
        "Packets counted with the value other for this label because a limit of the family was reached.",
        families.iter().flat_map(|family| {
            family.labels.iter().zip(&family.folded).map(|(folded, &packets)| {
                ([("family", &*family.name), ("label", folded.name())], packets)
            })
        }),
    )?;
    writer.counters(
        "nflog_exporter_retired_packets",
        "Packets of series that are no longer exposed.",
        families.iter().map(|family| (family_label(family), family.retired_packets)),
    )?;
    writer.gauges(
        "nflog_exporter_pending_packets",
        "Packets of new series that are not shown yet. A new series shows 0 until its first scrape.",
        families.iter().map(|family| (family_label(family), family.pending_packets)),
    )?;
    writer.counters(
        "nflog_exporter_replaced_series",
        "Series that were replaced by one with more packets.",
        families.iter().map(|family| (family_label(family), family.replaced_series)),
    )
}

/// Renders the series of a family, sorted by their labels.
fn rows(names: &Names, family: &FamilySnapshot) -> Vec<SeriesText> {
    let mut rows: Vec<SeriesText> = family
        .series
        .iter()
        .map(|series| {
            let mut texts = [const { None }; MAX_LABELS];
            let values = family.labels.iter().zip(series.key.values(family.labels.len()));
            for (text, (dimension, &value)) in texts.iter_mut().zip(values) {
                *text = dimension.text(value, names);
            }
            SeriesText { texts, packets: series.packets, bytes: series.bytes }
        })
        .collect();
    rows.sort_unstable_by(|one, other| one.texts.cmp(&other.texts));
    rows
}

/// One exposed series with rendered labels.
struct SeriesText {
    texts: [Option<Cow<'static, str>>; MAX_LABELS],
    packets: u64,
    bytes: u64,
}

impl SeriesText {
    fn labels<'r>(&'r self, dimensions: &'r [Dimension]) -> SeriesLabels<'r> {
        SeriesLabels { dimensions, texts: &self.texts }
    }
}

/// The labels of a series that are not absent.
struct SeriesLabels<'a> {
    dimensions: &'a [Dimension],
    texts: &'a [Option<Cow<'static, str>>],
}

impl EncodeLabelSet for SeriesLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (dimension, text) in self.dimensions.iter().zip(self.texts) {
            if let Some(text) = text {
                (dimension.name(), text.as_ref()).encode(encoder.encode_label())?;
            }
        }
        Ok(())
    }
}

fn family_label(family: &FamilySnapshot) -> [(&'static str, &str); 1] {
    [("family", &family.name)]
}
