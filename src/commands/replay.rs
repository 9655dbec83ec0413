//! `replay`: the same route, from capture files.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    Signals, announce, block_on, bound, listen, print, replay_summary::warn_of_gaps,
    sandbox::confine,
};
use crate::{
    cli::Replay,
    config::{Config, Flags},
    daemon::{self, Parts, Reloader, ScrapePage},
    exposition::Format,
    geoip::GeoIp,
    http::WebConfigWatcher,
    metrics::{Aggregate, SharedAggregate},
    pipeline::{self, Clock, Route},
    source::{
        ReadOutcome, Record, Source,
        pcap::{Capture, CaptureOptions, PcapError, UnreadCapture},
    },
    system::{lock::lock, logging, service_manager::Service},
};

/// A replay is the same at every run: nobody outside chooses its keys at leisure, and estimates of
/// distinct sources should not differ between two runs over the same file.
const SEED: u64 = 0;

/// Files that are open beside the captures: connections, databases, the runtime's.
const OTHER_FILES: u64 = 1024;

/// Counts the packets of the files; prints the metrics, or serves them until told to stop.
pub(super) fn replay(replay: &Replay, flags: Flags, config: Config) -> anyhow::Result<()> {
    let level = logging::start(config.log.level, config.log.format);
    let geoip = GeoIp::open(&config.geoip.databases)?;
    make_room(replay.files.len());
    let files = Files::open(&replay.files, &replay.prefix);
    let (guard, listeners) = if replay.serve {
        (WebConfigWatcher::open(&config.web.config_file)?, listen(&config.web)?)
    } else {
        (WebConfigWatcher::default(), Vec::new())
    };
    // Nobody knows who made the captures, and often it is root who looks at them.
    let confined = confine(&flags, &config, &guard, None)?;
    let clock = Clock::packets();
    let aggregate = Aggregate::new(&config.family, &[], SEED, clock.now());
    let route = Route::new(geoip.locator(), SharedAggregate::new(aggregate), clock);
    let serve = replay.serve;
    let failures = files.failures.clone();
    let reloader = Reloader::new(flags, config.clone(), Some(level));
    block_on(|signals| async move {
        if !serve {
            return report(files, route, geoip, &reloader, signals).await;
        }
        confined.tell();
        announce(&config, &guard, &bound(&listeners)?);
        let parts = Parts {
            config,
            source: Box::new(files),
            meters: Vec::new(),
            // A capture is not this host's log: its packets have no rows.
            mirror: None,
            route,
            geoip,
            listeners,
            guard,
            reloader,
            confinement: Some(confined.confinement),
            service: Service::from_environment(),
            logging: Box::new(()),
        };
        daemon::run(parts, signals.split()).await?;
        failures.result()
    })
}

/// Counts to the end, or until told to stop, and prints what was counted. Where no file is a capture,
/// there is nothing to print.
async fn report(
    mut files: Files,
    mut route: Route,
    geoip: GeoIp,
    reloader: &Reloader,
    signals: Signals,
) -> anyhow::Result<()> {
    let (aggregate, clock) = (route.aggregate(), route.clock());
    aggregate.lock().show_at_once();
    let page = ScrapePage::new(&route, Vec::new(), geoip, reloader.status());
    let failures = files.failures.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let mut reading =
        tokio::task::spawn_blocking(move || pipeline::read(&mut files, &mut route, &stopping));
    let (_, termination) = signals.split();
    let read = tokio::select! {
        read = &mut reading => read,
        () = termination => {
            stop.store(true, Ordering::Relaxed);
            reading.await
        }
    };
    read.context("the reader panicked")??;
    // What could be read is reported, also when another file could not.
    print(&page.text(Format::Plain).body)?;
    let snapshot = aggregate.lock().snapshot(clock.now());
    warn_of_gaps(&snapshot);
    failures.result()
}

/// Sees to it that so many files can be open at a time, as far as this process may.
fn make_room(files: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(files).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let granted = limit.maximum.map_or(wanted, |most| wanted.min(most));
    if limit.current.is_some_and(|current| current < granted) {
        let limit = Rlimit { current: Some(granted), ..limit };
        // The first file that cannot be opened tells.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// How a progress bar looks; the second one is for what has no end in sight.
const BAR: &str = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
const SPINNER: &str = "{spinner} {bytes} {bytes_per_sec} {msg}";

/// Capture files, one after the other, under a progress bar where standard error is a terminal.
struct Files {
    waiting: std::vec::IntoIter<Result<UnreadCapture, PcapError>>,
    options: CaptureOptions,
    current: Option<(Capture, ProgressBar)>,
    /// Whether any of them is a capture.
    has_begun: bool,
    failures: Failures,
}

/// The files that could not be read to their ends, with the reasons; the others are read all the same.
#[derive(Clone, Debug, Default)]
struct Failures(Arc<Mutex<Vec<String>>>);

impl Failures {
    fn add(&self, error: &anyhow::Error) {
        lock(&self.0).push(format!("replay: {error:#}"));
    }

    /// An error with a line for each.
    fn result(&self) -> anyhow::Result<()> {
        let failures = lock(&self.0);
        if failures.is_empty() { Ok(()) } else { Err(anyhow!(failures.join("\n"))) }
    }
}

impl Files {
    /// Opens them all, and looks at none.
    fn open(files: &[PathBuf], prefix: &str) -> Self {
        let options = CaptureOptions { prefix: prefix.to_owned() };
        let files: Vec<_> = files.iter().map(|path| UnreadCapture::open(path)).collect();
        Self {
            waiting: files.into_iter(),
            options,
            current: None,
            has_begun: false,
            failures: Failures::default(),
        }
    }

    fn open_next(&mut self) -> Option<()> {
        let unread = self.waiting.next()?;
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

impl Source for Files {
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        while self.current.is_some() || self.open_next().is_some() {
            let Some((capture, bar)) = &mut self.current else { continue };
            match capture.fill(patience, take) {
                Ok(ReadOutcome::End) => self.has_begun = true,
                Ok(fill) => {
                    self.has_begun |= matches!(fill, ReadOutcome::Batch);
                    bar.set_position(capture.position());
                    return Ok(fill);
                }
                Err(error) => {
                    let not_begun = matches!(
                        error.downcast_ref(),
                        Some(
                            PcapError::NotACapture { .. } | PcapError::LinkTypes { frames: 0, .. }
                        )
                    );
                    self.has_begun |= !not_begun;
                    self.failures.add(&error);
                }
            }
            if let Some((_, bar)) = self.current.take() {
                bar.finish_and_clear();
            }
        }
        // What was read stays, and is served or printed.
        if !self.has_begun {
            self.failures.result()?;
        }
        Ok(ReadOutcome::End)
    }

    fn close(&mut self) {
        self.waiting = Vec::new().into_iter();
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
