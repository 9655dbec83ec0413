//! Capture files as one source, with a progress bar if standard error is a terminal.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    source::{
        ReadOutcome, Record, Source,
        pcap::{Capture, CaptureOptions, PcapError, UnreadCapture},
    },
    system::{descriptors, lock::lock},
};

/// Descriptors that are open in addition to the captures: connections, databases, the runtime's.
const OTHER_FILES: u64 = 1024;

/// Templates of the progress bar; the second is for captures of unknown size.
const BAR: &str = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
const SPINNER: &str = "{spinner} {bytes} {bytes_per_sec} {msg}";

/// Capture files, read one after another.
pub(in crate::commands) struct CaptureFiles {
    unread: std::vec::IntoIter<Result<UnreadCapture, PcapError>>,
    options: CaptureOptions,
    current: Option<(Capture, ProgressBar)>,
    /// Whether at least one file is a capture.
    has_capture: bool,
    pub(in crate::commands) failures: Failures,
}

/// The errors of files that could not be read to their ends. The other files are still read.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Failures {
    /// Name of the command, for messages.
    command: &'static str,
    texts: Arc<Mutex<Vec<String>>>,
}

impl Failures {
    fn add(&self, error: &anyhow::Error) {
        lock(&self.texts).push(format!("{}: {error:#}", self.command));
    }

    /// An error with a line for each of them.
    pub(in crate::commands) fn result(&self) -> anyhow::Result<()> {
        let failures = lock(&self.texts);
        if failures.is_empty() { Ok(()) } else { Err(anyhow!(failures.join("\n"))) }
    }
}

impl CaptureFiles {
    /// Opens all files without reading them. `prefix` is the log prefix of captures without log prefixes,
    /// and `command` is named in messages.
    pub(in crate::commands) fn open(
        command: &'static str,
        files: &[PathBuf],
        prefix: &str,
    ) -> Self {
        // Errors are reported when a file is opened.
        let files_limit = u64::try_from(files.len()).unwrap_or(u64::MAX);
        let _ = descriptors::raise_limit(files_limit.saturating_add(OTHER_FILES));
        let options = CaptureOptions { prefix: prefix.to_owned() };
        let files: Vec<_> = files.iter().map(|path| UnreadCapture::open(path)).collect();
        Self {
            unread: files.into_iter(),
            options,
            current: None,
            has_capture: false,
            failures: Failures { command, texts: Arc::default() },
        }
    }

    fn open_next(&mut self) -> Option<()> {
        let unread = self.unread.next()?;
        match unread.and_then(|unread| Capture::begin(unread, self.options.clone())) {
            Ok(capture) => {
                let bar = progress_bar(&capture);
                self.current = Some((capture, bar));
            }
            Err(error) => self.failures.add(&error.into()),
        }
        Some(())
    }
}

impl Source for CaptureFiles {
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        while self.current.is_some() || self.open_next().is_some() {
            let Some((capture, bar)) = &mut self.current else { continue };
            match capture.fill(patience, take) {
                Ok(ReadOutcome::End) => self.has_capture = true,
                Ok(outcome) => {
                    self.has_capture |= matches!(outcome, ReadOutcome::Batch);
                    bar.set_position(capture.position());
                    return Ok(outcome);
                }
                Err(error) => {
                    let is_no_capture = matches!(
                        error.downcast_ref(),
                        Some(
                            PcapError::NotACapture { .. } | PcapError::LinkTypes { frames: 0, .. }
                        )
                    );
                    self.has_capture |= !is_no_capture;
                    self.failures.add(&error);
                }
            }
            if let Some((_, bar)) = self.current.take() {
                bar.finish_and_clear();
            }
        }
        // The counts of readable files are served or printed.
        if !self.has_capture {
            self.failures.result()?;
        }
        Ok(ReadOutcome::End)
    }

    fn close(&mut self) {
        self.unread = Vec::new().into_iter();
        self.current = None;
    }
}

fn progress_bar(capture: &Capture) -> ProgressBar {
    let bar = capture.size().map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = if capture.size().is_some() { BAR } else { SPINNER };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(capture.name().to_owned())
}
