//! The metrics of the families: traffic, and how each family keeps its budgets.

use std::{borrow::Cow, fmt};

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

use crate::{
    event::Names,
    exposition::MetricWriter,
    metrics::{Dimension, FamilySnapshot, MAX_LABELS},
};

/// The family whose metric names carry no infix.
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
        &format!("Packets the firewall logged, by {by}."),
        rows.iter().map(|row| (row.labels(&family.labels), row.packets)),
    )?;
    writer.counters(
        &format!("nflog_{infix}bytes"),
        &format!("Bytes of the packets the firewall logged, from the IP header on, by {by}."),
        rows.iter().map(|row| (row.labels(&family.labels), row.bytes)),
    )
}

/// How the families keep to their budgets.
pub(super) fn budgets(families: &[FamilySnapshot], writer: &mut MetricWriter<'_>) -> fmt::Result {
    writer.gauges(
        "nflog_exporter_series",
        "Label sets exposed now; each gives a packets and a bytes sample.",
        families.iter().map(|family| (family_label(family), family.series.len())),
    )?;
    writer.gauges(
        "nflog_exporter_series_limit",
        "Most label sets the family may expose.",
        families.iter().map(|family| (family_label(family), family.series_limit)),
    )?;
    writer.counters(
        "nflog_exporter_folded_packets",
        "Packets counted with this label as other, because the family was out of budget.",
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
        "Packets of new series, held back until their zero was scraped.",
        families.iter().map(|family| (family_label(family), family.pending_packets)),
    )?;
    writer.counters(
        "nflog_exporter_replaced_series",
        "Series that gave their place to a heavier one.",
        families.iter().map(|family| (family_label(family), family.replaced_series)),
    )
}

/// The series of a family as text, sorted by their labels.
fn rows(names: &Names, family: &FamilySnapshot) -> Vec<Row> {
    let mut rows: Vec<Row> = family
        .series
        .iter()
        .map(|series| {
            let mut texts = [const { None }; MAX_LABELS];
            let values = family.labels.iter().zip(series.key.values(family.labels.len()));
            for (text, (dimension, &value)) in texts.iter_mut().zip(values) {
                *text = dimension.text(value, names);
            }
            Row { texts, packets: series.packets, bytes: series.bytes }
        })
        .collect();
    rows.sort_unstable_by(|one, other| one.texts.cmp(&other.texts));
    rows
}

/// One exposed series with its labels as text.
struct Row {
    texts: [Option<Cow<'static, str>>; MAX_LABELS],
    packets: u64,
    bytes: u64,
}

impl Row {
    fn labels<'r>(&'r self, dimensions: &'r [Dimension]) -> RowLabels<'r> {
        RowLabels { dimensions, texts: &self.texts }
    }
}

/// The labels that a row has, of those of its family.
struct RowLabels<'a> {
    dimensions: &'a [Dimension],
    texts: &'a [Option<Cow<'static, str>>],
}

impl EncodeLabelSet for RowLabels<'_> {
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
