//! `top`: a live view of an exporter or of recorded packets in the terminal.

use std::{
    env,
    io::{self, IsTerminal as _},
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread::{self, JoinHandle},
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use jiff::tz::TimeZone;
use ratatui::crossterm::terminal;

use super::{
    UsageError, check,
    hide_password::hide_top_password,
    print,
    replay::recordings::{Failures, HiddenBar, Recordings},
    runtime::block_on,
    sandbox::confine_reader,
    terminal_style::{is_utf8, shows_colours},
};
use crate::{
    cli::{ColorChoice, Top, VERSION},
    config::Flags,
    geoip::GeoIp,
    metrics::{Aggregate, SharedAggregate},
    networks::Networks,
    pipeline::{self, Clock, Route},
    system::{Health, lock::lock, logging},
    top::{
        self, Access, CountedRecording, ExporterClient, FigureRequest, FigureSource, Look,
        ReadProgress, Screen, Selection, URL_VARIABLE, View,
    },
    web::{LiveData, LiveResource, PageInfo, PageSources},
};

/// The address of an exporter with the default configuration.
const DEFAULT_URL: &str = "http://127.0.0.1:10239";

/// The size of a frame without a terminal.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// The keys cannot be read.
const NO_TERMINAL: &str = "top: cannot use the terminal; use --once to print one frame";

/// What to show.
enum Shown {
    /// The exporter at a URL, which may have a password.
    Exporter(String),
    /// Captures and log files.
    Files(Vec<PathBuf>),
}

/// Shows the live view, or prints one frame.
///
/// # Errors
/// Without a terminal or figures, or if a file cannot be read.
pub(super) fn top(arguments: &Top, flags: &Flags) -> anyhow::Result<()> {
    if !arguments.once && !io::stdout().is_terminal() {
        let text = "top: standard output is not a terminal; use --once to print one frame";
        return Err(UsageError(text).into());
    }
    let filters = &arguments.filter;
    if (1..filters.len()).any(|at| filters[..at].iter().any(|it| it.kind == filters[at].kind)) {
        return Err(
            UsageError("top: --filter has two values of one label; give each label once").into()
        );
    }
    match shown(arguments)? {
        Shown::Exporter(url) => {
            if !arguments.sources.is_empty() {
                hide_top_password(&url)?;
            }
            of_exporter(arguments, &url)
        }
        Shown::Files(files) => of_files(arguments, flags, &files),
    }
}

/// What the arguments or the environment name. A URL has a scheme.
fn shown(arguments: &Top) -> anyhow::Result<Shown> {
    let text =
        |path: &PathBuf| path.to_str().filter(|text| text.contains("://")).map(str::to_owned);
    let urls: Vec<_> = arguments.sources.iter().filter_map(text).collect();
    match (&*arguments.sources, &*urls) {
        ([], _) => {
            Ok(Shown::Exporter(env::var(URL_VARIABLE).unwrap_or_else(|_| DEFAULT_URL.into())))
        }
        ([_], [url]) => Ok(Shown::Exporter(url.clone())),
        (files, []) => Ok(Shown::Files(files.to_vec())),
        _ => Err(UsageError("top: expected one URL, or files, and not both").into()),
    }
}

fn of_exporter(arguments: &Top, url: &str) -> anyhow::Result<()> {
    let access = Access {
        ca_file: arguments.ca_file.as_deref(),
        is_insecure: arguments.insecure,
        password_file: arguments.password_file.as_deref(),
    };
    let client = ExporterClient::new(url, access)?;
    let view = view(arguments, client.name());
    let source = FigureSource::Exporter(Box::new(client));
    if arguments.once {
        return block_on(|_| once(arguments, view, source));
    }
    live(arguments, view, source, Screen::open().context(NO_TERMINAL)?)
}

/// Counts the packets of files on a thread of its own, and shows the counts.
fn of_files(arguments: &Top, flags: &Flags, files: &[PathBuf]) -> anyhow::Result<()> {
    let config = check::load(flags)?;
    let geoip = GeoIp::open_configured(&config.geoip)?;
    let networks = Networks::open(&config.networks, &config.list)?;
    let mut recordings = Recordings::open("top", files, &arguments.prefix);
    let view = view(arguments, title(files));
    let screen = if arguments.once {
        let _level = logging::start(config.log.level, config.log.format);
        None
    } else {
        Some(Screen::open().context(NO_TERMINAL)?)
    };
    let bar = screen.as_ref().map(|_| recordings.hide_progress());
    // Files can come from anyone, and root often reads them.
    confine_reader(&config, None, screen.is_some())?;
    let clock = Clock::packets();
    let aggregate = SharedAggregate::new(Aggregate::new(&[], &[], 0, clock.now()));
    let mut route = Route::new(geoip.locator(), aggregate, clock);
    route.look_up(networks.lookup());
    let info = PageInfo {
        telemetry_path: String::new(),
        version: VERSION,
        sources: PageSources { groups: false, lines: false },
    };
    let data = LiveData::new(&route, Vec::new(), geoip, &networks, Health::new(), info);
    let failures = recordings.failures.clone();
    let reader = Reader::start(recordings, route, bar)?;
    let source = FigureSource::Recording(CountedRecording {
        progress: reader.progress(failures.clone()),
        overview: Box::new(move |query| {
            data.render(LiveResource::Overview, query, None).map_err(|error| error.to_string())
        }),
    });
    if let Some(screen) = screen {
        return live(arguments, view, source, screen);
    }
    reader.wait()?;
    block_on(|_| once(arguments, view, source))?;
    failures.result()
}

/// The thread that reads the files.
struct Reader {
    thread: JoinHandle<()>,
    /// The result, when it is known.
    result: Arc<Mutex<Option<Result<(), String>>>>,
    bar: Option<HiddenBar>,
}

impl Reader {
    fn start(
        mut files: Recordings,
        mut route: Route,
        bar: Option<HiddenBar>,
    ) -> anyhow::Result<Self> {
        let result = Arc::new(Mutex::new(None));
        let known = Arc::clone(&result);
        let read = move || {
            let read = pipeline::read(&mut files, &mut route, &AtomicBool::new(false));
            *lock(&known) = Some(read.map_err(|error| format!("{error:#}")));
        };
        let thread = thread::Builder::new().name("reader".into()).spawn(read);
        let thread = thread.context("cannot start the thread that reads the files")?;
        Ok(Self { thread, result, bar })
    }

    /// Waits for the end of the files.
    fn wait(self) -> anyhow::Result<()> {
        self.thread.join().map_err(|_| anyhow!("the thread that reads the files panicked"))?;
        match &*lock(&self.result) {
            Some(Err(error)) => Err(anyhow!(error.clone())),
            _ => Ok(()),
        }
    }

    /// How far the files were read, also after this is dropped.
    fn progress(&self, failures: Failures) -> Box<dyn Fn() -> ReadProgress + Send> {
        let (result, bar) = (Arc::clone(&self.result), self.bar.clone());
        Box::new(move || match &*lock(&result) {
            None => ReadProgress::Reading(bar.as_ref().map(HiddenBar::text).unwrap_or_default()),
            Some(Err(error)) => ReadProgress::Failed(error.clone()),
            Some(Ok(())) => match failures.result() {
                Ok(()) => ReadProgress::Complete,
                Err(error) => ReadProgress::Failed(error.to_string()),
            },
        })
    }
}

/// The files in the title.
fn title(files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| match file.to_str() {
        Some("-") => "stdin".to_owned(),
        _ => file.display().to_string(),
    };
    match files {
        [] => String::new(),
        [file] => name(file),
        [first, others @ ..] => format!("{} and {} more", name(first), others.len()),
    }
}

fn view(arguments: &Top, source: String) -> View {
    let selection = Selection {
        range: arguments.range,
        filters: arguments.filter.clone(),
        focus: arguments.list,
        sort: arguments.sort,
    };
    View::new(source, selection, TimeZone::try_system().unwrap_or(TimeZone::UTC))
}

/// Prints one frame.
async fn once(arguments: &Top, mut view: View, mut source: FigureSource) -> anyhow::Result<()> {
    let answer = source.fetch(&FigureRequest::of(&view, 0)).await;
    let figures = answer.figures.map_err(|error| anyhow!("top: {error}"))?;
    view.update(Ok(figures), Instant::now());
    view.progress = answer.progress;
    let (width, height) = if io::stdout().is_terminal() {
        terminal::size().unwrap_or(DEFAULT_SIZE)
    } else {
        DEFAULT_SIZE
    };
    let size = (arguments.width.unwrap_or(width), arguments.height.unwrap_or(height));
    print(&top::frame(&mut view, size, is_utf8()))
}

/// Shows the live view until the user or a signal ends it.
fn live(arguments: &Top, view: View, source: FigureSource, screen: Screen) -> anyhow::Result<()> {
    let has_colour = match arguments.color {
        ColorChoice::Auto => shows_colours(),
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    };
    let look = Look { has_colour, has_unicode: is_utf8() };
    block_on(|signals| async move {
        top::run(view, look, source, screen, signals).await.context("top: cannot use the terminal")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn shown_by(words: &[&str]) -> Result<String, String> {
        let line = ["nflog_exporter", "top"].iter().chain(words);
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let Command::Top(arguments) = cli.chosen() else { panic!("not top") };
        match shown(&arguments).map_err(|error| error.to_string())? {
            Shown::Exporter(url) => Ok(url),
            Shown::Files(files) => Ok(title(&files)),
        }
    }

    #[test]
    fn a_url_has_a_scheme() {
        assert_eq!(shown_by(&[]).unwrap(), DEFAULT_URL);
        assert_eq!(shown_by(&["https://host/path"]).unwrap(), "https://host/path");
        assert_eq!(shown_by(&["-"]).unwrap(), "stdin");
        assert_eq!(shown_by(&["a.pcap", "b", "c"]).unwrap(), "a.pcap and 2 more");
        for words in [&["http://a", "http://b"][..], &["a.pcap", "http://b"]] {
            assert!(shown_by(words).unwrap_err().contains("one URL, or files"));
        }
    }

    #[test]
    fn options_are_checked() {
        for words in [
            &["--width", "80"][..],
            &["--once", "--width", "39"],
            &["--once", "--height", "1001"],
            &["--filter", "host=a"],
            &["--filter", "country"],
            &["--range", "1d"],
            &["--insecure", "--ca-file", "x"],
        ] {
            assert!(shown_by(words).is_err(), "{words:?}");
        }
        assert!(shown_by(&["--once", "--filter", "prefix=a=b", "--range", "24h"]).is_ok());
    }
}
