//! Captures and logs as one source, with a progress bar if standard error is a terminal.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    sort::sort,
    source::{
        ReadOutcome, Record, Source,
        kernel_log::{LineMeter, LogFileError},
        log::line_time::Zone,
        pcap::{CaptureOptions, PcapError},
        recording::{Recording, RecordingOptions, UnreadRecording},
    },
    system::{descriptors, lock::lock},
};

/// Descriptors that are open in addition to the captures: connections, databases, the runtime's.
const OTHER_FILES: u64 = 1024;

/// Templates of the progress bar; the second is for captures of unknown size.
const BAR: &str = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
const SPINNER: &str = "{spinner} {bytes} {bytes_per_sec} {msg}";

/// Captures and logs, read one after another; logs in the order of their first times.
pub(in crate::commands) struct Recordings {
    unread: std::vec::IntoIter<Result<UnreadRecording, PcapError>>,
    options: RecordingOptions,
    current: Option<(Recording, ProgressBar)>,
    is_sorted: bool,
    /// Whether at least one file has packets.
    has_packets: bool,
    /// The bar of the current file, without a place on the terminal; `None` for bars on standard error.
    hidden_bar: Option<HiddenBar>,
    pub(in crate::commands) failures: Failures,
}

/// How far the current file was read, for a view that has the terminal for itself.
#[derive(Clone, Debug, Default)]
pub(in crate::commands) struct HiddenBar(Arc<Mutex<Option<ProgressBar>>>);

impl HiddenBar {
    /// The name of the current file, and the part of it that was read, if its size is known.
    pub(in crate::commands) fn text(&self) -> String {
        let bar = lock(&self.0);
        let Some(bar) = &*bar else { return String::new() };
        match bar.length().filter(|length| *length > 0) {
            Some(length) => format!("{} {} %", bar.message(), bar.position() * 100 / length),
            None => bar.message(),
        }
    }
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

impl Recordings {
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
        let options = RecordingOptions {
            capture: CaptureOptions { prefix: prefix.to_owned() },
            zone: Zone::system(),
            meter: Arc::default(),
        };
        let files: Vec<_> = files.iter().map(|path| UnreadRecording::open(path)).collect();
        Self {
            unread: files.into_iter(),
            options,
            current: None,
            is_sorted: false,
            has_packets: false,
            hidden_bar: None,
            failures: Failures { command, texts: Arc::default() },
        }
    }

    /// Shows no progress on standard error, but in the returned value.
    pub(in crate::commands) fn hide_progress(&mut self) -> HiddenBar {
        self.hidden_bar.insert(HiddenBar::default()).clone()
    }

    /// The counts of lines.
    pub(in crate::commands) fn meter(&self) -> Arc<LineMeter> {
        Arc::clone(&self.options.meter)
    }

    /// Sorts the logs by their first times. Captures and pipes keep their places. Files are parsed here, so this is no
    /// part of opening them.
    fn sort(&mut self) {
        let mut files: Vec<_> = std::mem::take(&mut self.unread).map(Some).collect();
        let mut logs = Vec::new();
        for (place, file) in files.iter_mut().enumerate() {
            let Some(Ok(unread)) = file else { continue };
            if let Some(time) = unread.first_time(&self.options.zone) {
                logs.push((time, place));
            }
        }
        let places: Vec<_> = logs.iter().map(|(_, place)| *place).collect();
        sort(&mut logs);
        let sorted: Vec<_> = logs.into_iter().map(|(_, place)| files[place].take()).collect();
        for (place, file) in places.into_iter().zip(sorted) {
            files[place] = file;
        }
        self.unread = files.into_iter().flatten().collect::<Vec<_>>().into_iter();
    }

    fn open_next(&mut self) -> Option<()> {
        if !std::mem::replace(&mut self.is_sorted, true) {
            self.sort();
        }
        let unread = self.unread.next()?;
        match unread.and_then(|unread| Recording::begin(unread, self.options.clone())) {
            Ok(recording) => {
                let bar = progress_bar(&recording, self.hidden_bar.as_ref());
                self.current = Some((recording, bar));
            }
            Err(error) => self.failures.add(&error.into()),
        }
        Some(())
    }
}

impl Source for Recordings {
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        while self.current.is_some() || self.open_next().is_some() {
            let Some((recording, bar)) = &mut self.current else { continue };
            match recording.fill(patience, take) {
                Ok(ReadOutcome::End) => self.has_packets = true,
                Ok(outcome) => {
                    self.has_packets |= matches!(outcome, ReadOutcome::Batch);
                    bar.set_position(recording.position());
                    return Ok(outcome);
                }
                Err(error) => {
                    let is_without_packets = matches!(
                        error.downcast_ref(),
                        Some(
                            PcapError::NotACapture { .. } | PcapError::LinkTypes { frames: 0, .. }
                        )
                    ) || matches!(
                        error.downcast_ref(),
                        Some(
                            LogFileError::NoPackets { .. } | LogFileError::Read { packets: 0, .. }
                        )
                    );
                    self.has_packets |= !is_without_packets;
                    self.failures.add(&error);
                }
            }
            if let Some((_, bar)) = self.current.take() {
                bar.finish_and_clear();
            }
        }
        // The counts of readable files are served or printed.
        if !self.has_packets {
            self.failures.result()?;
        }
        Ok(ReadOutcome::End)
    }

    fn close(&mut self) {
        self.unread = Vec::new().into_iter();
        self.current = None;
    }
}

fn progress_bar(recording: &Recording, hidden: Option<&HiddenBar>) -> ProgressBar {
    let target = match hidden {
        Some(_) => ProgressDrawTarget::hidden(),
        None => ProgressDrawTarget::stderr(),
    };
    let bar = ProgressBar::with_draw_target(recording.size(), target);
    let template = if recording.size().is_some() { BAR } else { SPINNER };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let bar = bar.with_message(recording.name().to_owned());
    if let Some(hidden) = hidden {
        *lock(&hidden.0) = Some(bar.clone());
    }
    bar
}
