//! A report on the packets of a period: counts them in bounded memory, and writes the figures for a terminal, as
//! Markdown, HTML or JSON.

mod model;
mod render;
mod row_event;
mod summary;
mod tally;
mod utc;

pub use model::Report;
pub use render::{Format, Style};
pub(crate) use render::{numbers, sparkline};
pub use tally::{SharedTally, Tally};
pub use utc::parse_moment;

use crate::{event::Interner, mirror::row::Row};

impl Tally {
    /// Counts a row of a database. The interner must be the same for all rows.
    pub fn add_row(&mut self, row: &Row, interner: &mut Interner) {
        self.add(&row_event::event(row, interner), row.weight);
    }
}
