//! The metrics of the families: packets, bytes, and the use of each budget.

use std::{borrow::Cow, fmt};

use hashbrown::HashMap;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

use crate::{
    event::Names,
    exposition::MetricWriter,
    metrics::{Dimension, FamilySnapshot, MAX_LABELS, SeriesSnapshot},
};

/// The family whose name is not part of its metric names.
const TRAFFIC: &str = "traffic";

pub(super) fn traffic(
    names: &Names,
    writer: &mut MetricWriter<'_>,
    family: &FamilySnapshot,
) -> fmt::Result {
    let sorted = SortedSeries::new(names, family);
    let infix = match &*family.name {
        TRAFFIC => String::new(),
        name => format!("{name}_"),
    };
    let by = family.labels.iter().map(|label| label.name()).collect::<Vec<_>>().join(", ");
    writer.counters(
        &format!("nflog_{infix}packets"),
        &format!("Packets that the firewall logged, by {by}."),
        sorted.samples(&family.labels, |series| series.packets),
    )?;
    writer.counters(
        &format!("nflog_{infix}bytes"),
        &format!(
            "Bytes of the packets that the firewall logged, including the IP header, by {by}."
        ),
        sorted.samples(&family.labels, |series| series.bytes),
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

/// The series of a family, sorted by the texts of their labels, and these texts.
struct SortedSeries {
    /// The different texts of each label, in their order.
    texts: Vec<Vec<LabelText>>,
    series: Vec<RankedSeries>,
}

/// The text of a label; `None` if the series does not have the label.
type LabelText = Option<Cow<'static, str>>;

/// A series with the index of the text of each label: numbers are sorted faster than texts.
struct RankedSeries {
    texts: [u32; MAX_LABELS],
    packets: u64,
    bytes: u64,
}

impl SortedSeries {
    fn new(names: &Names, family: &FamilySnapshot) -> Self {
        let mut series: Vec<_> = family
            .series
            .iter()
            .map(|&SeriesSnapshot { packets, bytes, .. }| RankedSeries {
                texts: [0; MAX_LABELS],
                packets,
                bytes,
            })
            .collect();
        let count = family.labels.len();
        let texts = family.labels.iter().enumerate().map(|(label, dimension)| {
            let values = family.series.iter().map(|series| series.key.values(count)[label]);
            let (texts, ranks) = ranked(values.clone(), |value| dimension.text(value, names));
            for (series, value) in series.iter_mut().zip(values) {
                series.texts[label] = ranks[&value];
            }
            texts
        });
        let texts = texts.collect();
        series.sort_unstable_by_key(|series| series.texts);
        Self { texts, series }
    }

    /// The samples of one number of each series.
    fn samples<'r>(
        &'r self,
        dimensions: &'r [Dimension],
        number: impl Fn(&RankedSeries) -> u64 + 'r,
    ) -> impl Iterator<Item = (SeriesLabels<'r>, u64)> {
        self.series.iter().map(move |series| {
            let labels = SeriesLabels { dimensions, texts: &self.texts, indices: &series.texts };
            (labels, number(series))
        })
    }
}

/// The different texts of these values in their order, and the index of each value's text.
#[expect(clippy::cast_possible_truncation, reason = "a family has far fewer than 2^32 series")]
fn ranked(
    values: impl Iterator<Item = u64>,
    text: impl Fn(u64) -> LabelText,
) -> (Vec<LabelText>, HashMap<u64, u32>) {
    let mut ranks: HashMap<u64, u32> = values.map(|value| (value, 0)).collect();
    let mut sorted: Vec<_> = ranks.keys().map(|&value| (text(value), value)).collect();
    sorted.sort_unstable();
    let mut texts: Vec<LabelText> = Vec::with_capacity(sorted.len());
    for (text, value) in sorted {
        // Two values can have one text: `other`, and a name that is `other`.
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        ranks.insert(value, texts.len() as u32 - 1);
    }
    (texts, ranks)
}

/// The labels of a series that are not absent.
struct SeriesLabels<'a> {
    dimensions: &'a [Dimension],
    texts: &'a [Vec<LabelText>],
    indices: &'a [u32; MAX_LABELS],
}

impl EncodeLabelSet for SeriesLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for ((dimension, texts), &index) in self.dimensions.iter().zip(self.texts).zip(self.indices)
        {
            if let Some(text) = &texts[index as usize] {
                (dimension.name(), text.as_ref()).encode(encoder.encode_label())?;
            }
        }
        Ok(())
    }
}

fn family_label(family: &FamilySnapshot) -> [(&'static str, &str); 1] {
    [("family", &family.name)]
}
