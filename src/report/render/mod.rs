//! The formats of a report.

mod html;
mod map;
mod markdown;
pub(crate) mod numbers;
mod sections;
pub(crate) mod sparkline;
mod terminal;

use clap::ValueEnum;

use super::Report;

/// A format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Plain text of 80 columns
    #[default]
    Terminal,
    /// Markdown with tables
    Markdown,
    /// One HTML file, with the map
    Html,
    /// JSON, for other programs
    Json,
}

/// What the reader of plain text can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Bold and coloured text.
    pub colour: bool,
    /// Characters other than ASCII.
    pub unicode: bool,
}

impl Report {
    /// The report in a format; `style` applies to plain text.
    #[must_use]
    pub fn render(&self, format: Format, style: Style) -> String {
        match format {
            Format::Terminal => terminal::render(self, style),
            Format::Markdown => markdown::render(self),
            Format::Html => html::render(self),
            // Every value is a number, a text or a list of them, so serializing does not fail.
            Format::Json => serde_json::to_string_pretty(self).unwrap_or_default() + "\n",
        }
    }
}
