//! The state of the view: what was received, and what the user chose.

use std::time::Instant;

use jiff::tz::TimeZone;

use super::{
    figures::{Figures, ListEntry, ListKind},
    keys::KeyAction,
    rates::Trend,
    text,
};
use crate::{
    history::Range,
    sort::{sort_by, sort_by_key},
};

/// The order of the entries of all lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SortOrder {
    /// The most packets first
    #[default]
    Packets,
    /// The highest current rate first
    Rate,
    /// The largest growth from the previous period first
    Change,
    /// By value; numbers by size
    Name,
}

/// A value that packets must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFilter {
    /// The list of the value.
    pub kind: ListKind,
    /// The value.
    pub value: String,
    /// Its name on the screen.
    pub name: String,
}

/// The packets and the order to show at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The range of time.
    pub range: Range,
    /// At most one value of each list.
    pub filters: Vec<ValueFilter>,
    /// The list that has the most room.
    pub focus: ListKind,
    /// The order of the lists.
    pub sort: SortOrder,
}

/// How far a recording was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadProgress {
    /// The file, and how far it was read.
    Reading(String),
    /// All files were read.
    Complete,
    /// Files could not be read to their ends.
    Failed(String),
}

/// What the program has to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Draw the screen.
    Draw,
    /// Draw the screen, and fetch the figures of the changed selection.
    Fetch,
    /// Draw all of the screen, also what did not change.
    Repaint,
    /// Suspend the program.
    Suspend,
    /// End the program.
    Quit,
}

/// The view.
#[derive(Clone, Debug)]
pub struct View {
    /// The exporter or the files, for the title.
    pub source: String,
    /// The time zone of the clock.
    pub zone: TimeZone,
    /// The packets and their order.
    pub selection: Selection,
    /// The newest figures.
    pub figures: Option<Figures>,
    /// When the newest figures were received.
    pub received: Option<Instant>,
    /// The query that the newest figures answer.
    answered: String,
    /// Why there are no newer figures.
    pub error: Option<String>,
    /// How far a recording was read; `None` for an exporter.
    pub progress: Option<ReadProgress>,
    /// Whether the figures stay as they are.
    pub is_paused: bool,
    /// Whether the keys are explained.
    pub shows_help: bool,
    /// A short message about the last key.
    pub notice: Option<&'static str>,
    cursors: [Cursor; ListKind::ALL.len()],
}

/// The selected entry of a list.
#[derive(Clone, Debug, Default)]
struct Cursor {
    /// The selected value; `None` for the first one.
    value: Option<String>,
    /// Its last position, for when it is no longer in the list.
    position: usize,
    /// The first visible entry.
    first: usize,
}

impl SortOrder {
    /// All orders.
    pub const ALL: [Self; 4] = [Self::Packets, Self::Rate, Self::Change, Self::Name];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Rate => "rate",
            Self::Change => "change",
            Self::Name => "name",
        }
    }
}

impl Selection {
    /// The parameters of a request for the overview.
    #[must_use]
    pub fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for filter in &self.filters {
            query.append_pair(filter.kind.label(), &filter.value);
        }
        if self.range != Range::default() {
            query.append_pair("range", self.range.name());
        }
        query.finish()
    }

    /// The filter on the values of a list.
    #[must_use]
    pub fn filter(&self, kind: ListKind) -> Option<&ValueFilter> {
        self.filters.iter().find(|filter| filter.kind == kind)
    }
}

impl View {
    /// A view without figures.
    #[must_use]
    pub fn new(source: String, selection: Selection, zone: TimeZone) -> Self {
        Self {
            source,
            zone,
            selection,
            figures: None,
            received: None,
            answered: String::new(),
            error: None,
            progress: None,
            is_paused: false,
            shows_help: false,
            notice: None,
            cursors: Default::default(),
        }
    }

    /// Whether the figures are those of the current filter and range.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.figures.is_none() || self.answered == self.selection.query()
    }

    /// Shows new figures of the current filter and range, or why there are none.
    pub fn update(&mut self, answer: Result<Figures, String>, now: Instant) {
        match answer {
            Ok(figures) => {
                (self.figures, self.received, self.error) = (Some(figures), Some(now), None);
                self.answered = self.selection.query();
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// The entries of a list in their order; that of folded values is last.
    #[must_use]
    pub fn entries(&self, kind: ListKind) -> Vec<&ListEntry> {
        let Some(figures) = &self.figures else { return Vec::new() };
        let mut entries: Vec<_> = figures.list(kind).0.iter().collect();
        let window = &figures.window;
        // Stable: the exporter's order, by packets, decides between equal entries.
        match self.selection.sort {
            SortOrder::Packets => {
                sort_by_key(&mut entries, |entry| std::cmp::Reverse(entry.packets));
            }
            SortOrder::Rate => {
                sort_by(&mut entries, |a, b| {
                    window.recent_rate(b).total_cmp(&window.recent_rate(a))
                });
            }
            SortOrder::Change => {
                let growth = |entry: &ListEntry| match window.trend(entry.tallied()) {
                    Trend::Unknown => -1.0,
                    Trend::New => f64::INFINITY,
                    Trend::Times(ratio) => ratio,
                };
                sort_by(&mut entries, |a, b| growth(b).total_cmp(&growth(a)));
            }
            SortOrder::Name => {
                sort_by(&mut entries, |a, b| name_key(&a.value).cmp(&name_key(&b.value)));
            }
        }
        sort_by_key(&mut entries, |entry| entry.is_folded());
        entries
    }

    /// The position of the selected entry of a list.
    #[must_use]
    pub fn selected(&self, kind: ListKind) -> usize {
        let cursor = &self.cursors[kind.index()];
        let Some(value) = &cursor.value else { return 0 };
        let entries = self.entries(kind);
        let position = entries.iter().position(|entry| entry.value == *value);
        position.unwrap_or(cursor.position.min(entries.len().saturating_sub(1)))
    }

    /// The first visible entry of a list that shows this many, so that the selected one is visible.
    pub fn first_visible(&mut self, kind: ListKind, visible: usize) -> usize {
        let selected = self.selected(kind);
        let entries = self.entries(kind).len();
        let cursor = &mut self.cursors[kind.index()];
        let lowest = (selected + 1).saturating_sub(visible);
        let end = entries.saturating_sub(visible);
        cursor.first = cursor.first.clamp(lowest, selected.max(lowest)).min(end.max(lowest));
        cursor.first
    }

    /// Does what a key means.
    pub fn act(&mut self, action: KeyAction, page: usize) -> Effect {
        self.notice = None;
        if self.shows_help {
            return self.act_in_help(action);
        }
        match action {
            KeyAction::Quit => return Effect::Quit,
            KeyAction::Suspend => return Effect::Suspend,
            KeyAction::Repaint => return Effect::Repaint,
            KeyAction::Help => self.shows_help = true,
            KeyAction::Up => self.step(1, true),
            KeyAction::Down => self.step(1, false),
            KeyAction::PageUp => self.step(page.max(1), true),
            KeyAction::PageDown => self.step(page.max(1), false),
            KeyAction::First => self.cursors[self.selection.focus.index()] = Cursor::default(),
            KeyAction::Last => self.step(usize::MAX, false),
            KeyAction::NextList => self.focus_on(1),
            KeyAction::PreviousList => self.focus_on(ListKind::ALL.len() - 1),
            KeyAction::NextSort => self.sort_by(1),
            KeyAction::PreviousSort => self.sort_by(SortOrder::ALL.len() - 1),
            KeyAction::Pause => return self.pause(),
            KeyAction::ToggleFilter => return self.toggle_filter(),
            KeyAction::RemoveFilter => return self.remove_filters(1),
            KeyAction::ClearFilters => return self.remove_filters(usize::MAX),
            KeyAction::Range(range) => return self.choose_range(range),
        }
        Effect::Draw
    }

    fn act_in_help(&mut self, action: KeyAction) -> Effect {
        match action {
            KeyAction::Suspend => Effect::Suspend,
            KeyAction::Repaint => Effect::Repaint,
            // Also q: it leaves the page of help as it leaves a pager.
            _ => {
                self.shows_help = false;
                Effect::Draw
            }
        }
    }

    fn step(&mut self, by: usize, is_up: bool) {
        let kind = self.selection.focus;
        let selected = self.selected(kind);
        let entries = self.entries(kind);
        let last = entries.len().saturating_sub(1);
        let position =
            if is_up { selected.saturating_sub(by) } else { selected.saturating_add(by).min(last) };
        let value = entries.get(position).map(|entry| entry.value.clone());
        let cursor = &mut self.cursors[kind.index()];
        // The first entry stays selected when another one becomes the first.
        cursor.value = value.filter(|_| position > 0);
        cursor.position = position;
    }

    fn focus_on(&mut self, by: usize) {
        let position = (self.selection.focus.index() + by) % ListKind::ALL.len();
        self.selection.focus = ListKind::ALL[position];
    }

    fn sort_by(&mut self, by: usize) {
        let position = SortOrder::ALL.iter().position(|order| *order == self.selection.sort);
        self.selection.sort = SortOrder::ALL[(position.unwrap_or(0) + by) % SortOrder::ALL.len()];
    }

    fn pause(&mut self) -> Effect {
        self.is_paused = !self.is_paused;
        if self.is_paused { Effect::Draw } else { Effect::Fetch }
    }

    fn toggle_filter(&mut self) -> Effect {
        let kind = self.selection.focus;
        let selected = self.selected(kind);
        let Some(entry) = self.entries(kind).get(selected).copied().cloned() else {
            return Effect::None;
        };
        let is_set = self.selection.filter(kind).is_some_and(|filter| filter.value == entry.value);
        self.selection.filters.retain(|filter| filter.kind != kind);
        if !is_set {
            let name = text::name(kind, &entry);
            self.selection.filters.push(ValueFilter { kind, value: entry.value, name });
        }
        Effect::Fetch
    }

    /// Removes the last filters.
    fn remove_filters(&mut self, number: usize) -> Effect {
        let filters = &mut self.selection.filters;
        if filters.is_empty() {
            return Effect::Draw;
        }
        filters.truncate(filters.len().saturating_sub(number));
        Effect::Fetch
    }

    fn choose_range(&mut self, range: Range) -> Effect {
        let window = self.figures.as_ref().map(|figures| &figures.window);
        if window.is_some_and(|window| window.capture) {
            self.notice = Some("a recording is shown as a whole: it has no ranges of time");
            return Effect::Draw;
        }
        if window.is_some_and(|window| window.range.is_none()) {
            self.notice = Some("this exporter keeps no history: it has only the last 10 minutes");
            return Effect::Draw;
        }
        self.selection.range = range;
        Effect::Fetch
    }
}

/// The order of values: numbers by size, before other texts.
fn name_key(value: &str) -> (u64, &str) {
    (value.parse().unwrap_or(u64::MAX), value)
}

#[cfg(test)]
mod tests;
