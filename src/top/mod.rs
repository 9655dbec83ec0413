//! `top`: a live view of the figures of an exporter, or of recorded packets, in the terminal.

mod client;
mod conditions;
mod draw;
mod error;
mod figures;
#[cfg(test)]
mod fixture;
mod keys;
mod layout;
mod plain;
mod rates;
mod run;
mod screen;
mod source;
mod text;
mod view;

pub use client::{Access, ExporterClient, PASSWORD_VARIABLE, URL_VARIABLE};
pub use draw::Look;
pub use error::ExporterError;
pub use figures::ListKind;
pub use layout::{MIN_HEIGHT, MIN_WIDTH};
pub use plain::frame;
pub use run::run;
pub use screen::Screen;
pub use source::{CountedRecording, FigureRequest, FigureSource};
pub use view::{ReadProgress, Selection, SortOrder, ValueFilter, View};
