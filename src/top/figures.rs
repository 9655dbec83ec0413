//! The figures of an exporter: the parts of its overview that the view shows.

use serde::Deserialize;

/// Maximum entries of a list, and values of a timeline: several times those of an exporter.
const MAX_VALUES: usize = 1000;

/// Maximum conditions: an exporter has at most three of each of its 18 alerts.
const MAX_CONDITIONS: usize = 100;

/// An overview of an exporter. Unknown fields are ignored, and most of the others can be missing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Figures {
    /// The time of the overview, seconds since 1970-01-01 UTC.
    #[serde(default)]
    pub time: f64,
    /// The time that the counts cover.
    pub window: TimeWindow,
    /// The current rate.
    #[serde(default)]
    pub now: NowRate,
    /// Packets received since the start.
    pub received: u64,
    /// Packets lost since the start.
    #[serde(default)]
    pub lost: u64,
    /// Packets that could not be decoded, since the start.
    #[serde(default)]
    pub undecoded: u64,
    /// The packets that match the filter.
    #[serde(default)]
    pub total: Tallied,
    /// The same packets by slices of time, the newest last.
    pub timeline: Vec<u64>,
    #[serde(default)]
    countries: Vec<ListEntry>,
    #[serde(default)]
    ports: EntryList,
    #[serde(default)]
    prefixes: EntryList,
    #[serde(default)]
    protocols: EntryList,
    #[serde(default)]
    networks: EntryList,
    /// Estimated distinct sources of the last 10 minutes.
    #[serde(default)]
    pub source_addresses: f64,
    /// The state of the mirror; `None` without one.
    #[serde(default)]
    pub mirror: Option<MirrorFigures>,
    /// Unusual conditions, the most urgent first.
    #[serde(default)]
    pub conditions: Vec<UnusualCondition>,
    /// Why the exporter is not healthy or not ready.
    #[serde(default)]
    pub health: Option<String>,
}

/// The time that counts cover, in slices of equal length.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TimeWindow {
    /// Its length, seconds.
    pub seconds: f64,
    /// Number of slices.
    pub slices: f64,
    /// Seconds since the start of the last slice.
    pub running: f64,
    /// Whether the packets are those of a recording, and the window is all of it.
    #[serde(default)]
    pub capture: bool,
    /// The name of the range; `None` if there is only one.
    #[serde(default)]
    pub range: Option<String>,
    /// The time from which on all packets are counted, seconds since 1970-01-01 UTC.
    #[serde(default)]
    pub since: Option<f64>,
}

/// Packets and bytes in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NowRate {
    /// Packets.
    pub packets_per_second: f64,
    /// Bytes.
    pub bytes_per_second: f64,
}

/// Counted packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Tallied {
    /// Packets in the window.
    pub packets: u64,
    /// Packets in the previous window of the same length, if they are known.
    pub before: Option<u64>,
}

/// One value of a list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ListEntry {
    /// The value, as a filter has it.
    pub value: String,
    /// A name or a note beside the value; can be empty.
    #[serde(default)]
    pub name: String,
    /// Packets in the window.
    pub packets: u64,
    /// Packets in the previous window of the same length, if they are known.
    #[serde(default)]
    pub before: Option<u64>,
    /// The packets by slices of time, if they are known.
    #[serde(default)]
    pub timeline: Option<Vec<u64>>,
}

/// Values with the most packets, and a sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EntryList {
    /// The values.
    pub rows: Vec<ListEntry>,
    /// The values without a row.
    pub more: Unlisted,
}

/// The values of a list that have no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Unlisted {
    /// Number of values.
    pub values: u64,
    /// Their packets.
    pub packets: u64,
}

/// The state of a mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MirrorFigures {
    /// Whether the database accepts rows.
    pub up: bool,
    /// Age of the oldest row that is not in the database, seconds.
    pub lag_seconds: f64,
    /// Rows that wait in memory.
    pub queued: u64,
    /// Rows that wait on disk.
    pub spooled: u64,
    /// Rows that were dropped.
    pub dropped: u64,
}

/// A condition of an overview.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UnusualCondition {
    /// `critical`, `warning` or `info`.
    pub severity: String,
    /// Its words, in which `{value}` and `{subject}` stand for these.
    pub text: String,
    /// What it is about.
    pub subject: Option<String>,
    /// The label that the subject is a value of; `None` if it is something else.
    pub dimension: Option<String>,
    /// Its number.
    pub value: f64,
    /// The unit of the number.
    pub unit: String,
    /// Number of further subjects.
    pub more: u64,
}

/// A list of the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ListKind {
    /// Countries
    #[default]
    Countries,
    /// Destination ports
    Ports,
    /// Networks of the sources
    Networks,
    /// Log prefixes
    Prefixes,
    /// Protocols
    Protocols,
}

impl Figures {
    /// Parses an overview. Numbers that no exporter reports, and lengths of lists, are limited, so that calculations with them
    /// are safe and fast.
    ///
    /// # Errors
    /// The text is not an overview.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut figures: Self = serde_json::from_str(text)?;
        let window = &mut figures.window;
        window.seconds = window.seconds.clamp(1.0, 1e10);
        window.slices = window.slices.clamp(1.0, 1e6).floor();
        window.running = window.running.clamp(0.0, window.seconds / window.slices);
        figures.timeline.truncate(MAX_VALUES);
        figures.conditions.truncate(MAX_CONDITIONS);
        let lists = [
            &mut figures.ports,
            &mut figures.prefixes,
            &mut figures.protocols,
            &mut figures.networks,
        ];
        let lists = lists.map(|list| &mut list.rows);
        for list in lists.into_iter().chain([&mut figures.countries]) {
            list.truncate(MAX_VALUES);
            list.iter_mut()
                .flat_map(|entry| &mut entry.timeline)
                .for_each(|it| it.truncate(MAX_VALUES));
        }
        Ok(figures)
    }

    /// The values of a list, and those without a row.
    #[must_use]
    pub fn list(&self, kind: ListKind) -> (&[ListEntry], Unlisted) {
        let list = match kind {
            ListKind::Countries => return (&self.countries, Unlisted::default()),
            ListKind::Ports => &self.ports,
            ListKind::Networks => &self.networks,
            ListKind::Prefixes => &self.prefixes,
            ListKind::Protocols => &self.protocols,
        };
        (&list.rows, list.more)
    }
}

impl ListEntry {
    /// Whether it is the sum of values that were not counted one by one.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        self.value == "other"
    }

    /// Its packets, and those of the previous window.
    #[must_use]
    pub fn tallied(&self) -> Tallied {
        Tallied { packets: self.packets, before: self.before }
    }
}

impl ListKind {
    /// All lists, in their order on the screen.
    pub const ALL: [Self; 5] =
        [Self::Countries, Self::Ports, Self::Networks, Self::Prefixes, Self::Protocols];

    /// Its title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Countries => "Countries",
            Self::Ports => "Ports",
            Self::Networks => "Networks",
            Self::Prefixes => "Prefixes",
            Self::Protocols => "Protocols",
        }
    }

    /// The label of its values, which is also the parameter of a filter.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Countries => "country",
            Self::Ports => "port",
            Self::Networks => "network",
            Self::Prefixes => "prefix",
            Self::Protocols => "proto",
        }
    }

    /// The list with this label.
    #[must_use]
    pub fn with_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// Its position in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: &str =
        r#"{"window":{"seconds":600,"slices":60,"running":4.5},"received":7,"timeline":[1,2]}"#;

    #[test]
    fn missing_fields_have_defaults_and_others_are_ignored() {
        let figures = Figures::parse(SHORTEST).unwrap();
        assert_eq!((figures.received, figures.lost, figures.total.packets), (7, 0, 0));
        assert!(figures.mirror.is_none() && figures.list(ListKind::Ports).0.is_empty());
        let more = SHORTEST.replacen(
            '{',
            r#"{"later":[{"a":1}],"ports":{"rows":[{"value":"22","packets":3,"x":0}]},"#,
            1,
        );
        let figures = Figures::parse(&more).unwrap();
        assert_eq!(figures.list(ListKind::Ports).0[0].packets, 3);
    }

    #[test]
    fn other_documents_are_rejected() {
        for text in [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"received":1}"#,
            &SHORTEST[..60],
            &SHORTEST.replace('7', "-7"),
        ] {
            assert!(Figures::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn impossible_windows_are_limited() {
        for window in ["0,\"slices\":0,\"running\":-1", "1e300,\"slices\":1e300,\"running\":1e300"]
        {
            let text = format!(r#"{{"window":{{"seconds":{window}}},"received":0,"timeline":[]}}"#);
            let TimeWindow { seconds, slices, running, .. } = Figures::parse(&text).unwrap().window;
            assert!(seconds >= 1.0 && slices >= 1.0 && running >= 0.0);
            assert!(running <= seconds / slices && seconds.is_finite());
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let entry = r#"{"value":"1","packets":1}"#;
        let entries = vec![entry; 5_000].join(",");
        let text = SHORTEST
            .replacen(
                '{',
                &format!(r#"{{"countries":[{entries}],"ports":{{"rows":[{entries}]}},"#),
                1,
            )
            .replace("[1,2]", &format!("[{}]", vec!["1"; 5_000].join(",")));
        let figures = Figures::parse(&text).unwrap();
        assert_eq!(figures.list(ListKind::Countries).0.len(), MAX_VALUES);
        assert_eq!(figures.list(ListKind::Ports).0.len(), MAX_VALUES);
        assert_eq!(figures.timeline.len(), MAX_VALUES);
    }

    #[test]
    fn lists_have_positions_and_labels() {
        for (position, kind) in ListKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), position);
            assert_eq!(ListKind::with_label(kind.label()), Some(kind));
        }
        assert_eq!(ListKind::with_label("host"), None);
    }
}
