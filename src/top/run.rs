//! The loop of the live view: keys, figures, signals and drawing.

use std::{
    io,
    time::{Duration, Instant},
};

use ratatui::crossterm::event::Event;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    time::sleep_until,
};

use super::{
    draw::{Look, draw},
    keys,
    screen::{self, Screen},
    source::{Answer, FigureRequest, FigureSource},
    view::{Effect, View},
};
use crate::system::signals::Signals;

/// Minimum time between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// Time between two drawings of old figures, which show their age.
const AGE: Duration = Duration::from_secs(1);

/// Shows the view until the user or a signal ends it.
///
/// # Errors
/// The terminal cannot be used.
pub async fn run(
    view: View,
    look: Look,
    source: FigureSource,
    mut screen: Screen,
    signals: Signals,
) -> io::Result<()> {
    let (mut hangups, termination) = {
        let (requests, termination) = signals.split();
        (requests.hangups, termination)
    };
    tokio::pin!(termination);
    let mut job_control = JobControl::new()?;
    let mut keys = screen::events()?;
    let mut live = Live::new(view, look, source);
    loop {
        if Screen::has_panicked() {
            return Err(io::Error::other("a thread panicked"));
        }
        if live.is_due() {
            live.draw(&mut screen)?;
        }
        let next = live.next_drawing();
        let effect = tokio::select! {
            event = keys.recv() => match event {
                Some(event) => live.handle(&event?),
                None if Screen::has_panicked() => continue,
                None => return Ok(()),
            },
            Some(answer) = live.answers.recv() => live.receive(answer),
            () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => Effect::Draw,
            effect = job_control.next() => effect,
            () = Screen::panicked() => continue,
            () = &mut termination => return Ok(()),
            _ = hangups.recv() => return Ok(()),
        };
        match effect {
            Effect::None => {}
            Effect::Draw => live.is_changed = true,
            Effect::Fetch => live.fetch(),
            Effect::Repaint => {
                screen.resume()?;
                live.is_changed = true;
            }
            Effect::Suspend => {
                screen.suspend()?;
                live.is_changed = true;
            }
            Effect::Quit => return Ok(()),
        }
    }
}

/// The signals that stop and continue the process.
struct JobControl {
    stop: Signal,
    resume: Signal,
}

impl JobControl {
    fn new() -> io::Result<Self> {
        let of = |number| signal(SignalKind::from_raw(number));
        Ok(Self { stop: of(libc::SIGTSTP)?, resume: of(libc::SIGCONT)? })
    }

    async fn next(&mut self) -> Effect {
        tokio::select! {
            _ = self.stop.recv() => Effect::Suspend,
            // The shell may have changed the mode of the terminal.
            _ = self.resume.recv() => Effect::Repaint,
        }
    }
}

/// The view, its drawing and its requests.
struct Live {
    view: View,
    look: Look,
    requests: watch::Sender<FigureRequest>,
    answers: mpsc::Receiver<Answer>,
    /// Entries on a page of the focused list.
    page: usize,
    /// Whether the screen is not that of the view.
    is_changed: bool,
    drawn: Option<Instant>,
}

impl Live {
    fn new(view: View, look: Look, source: FigureSource) -> Self {
        let (requests, changes) = watch::channel(FigureRequest::of(&view, 0));
        let (sender, answers) = mpsc::channel(1);
        tokio::spawn(source.run(changes, sender));
        Self { view, look, requests, answers, page: 1, is_changed: true, drawn: None }
    }

    fn handle(&mut self, event: &Event) -> Effect {
        match keys::action(event) {
            Some(action) => self.view.act(action, self.page),
            None if matches!(event, Event::Resize(..)) => Effect::Draw,
            None => Effect::None,
        }
    }

    /// Requests the figures of the current selection.
    fn fetch(&mut self) {
        self.is_changed = true;
        self.requests.send_modify(|request| {
            *request = FigureRequest::of(&self.view, request.number + 1);
        });
    }

    fn receive(&mut self, answer: Answer) -> Effect {
        // An answer to a previous request would show other packets than the filter says.
        if answer.number != self.requests.borrow().number {
            return Effect::None;
        }
        self.view.update(answer.figures, Instant::now());
        self.view.progress = answer.progress;
        Effect::Draw
    }

    fn is_due(&self) -> bool {
        self.is_changed && self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME)
    }

    /// When the view has to be drawn without an event.
    fn next_drawing(&self) -> Option<Instant> {
        let drawn = self.drawn?;
        if self.is_changed {
            return Some(drawn + FRAME);
        }
        self.view.error.is_some().then(|| drawn + AGE)
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let now = Instant::now();
        screen.terminal.draw(|frame| {
            let area = frame.area();
            self.page = draw(&mut self.view, self.look, now, area, frame.buffer_mut());
        })?;
        (self.is_changed, self.drawn) = (false, Some(now));
        Ok(())
    }
}

impl FigureRequest {
    /// The request for the selection of a view.
    #[must_use]
    pub fn of(view: &View, number: u64) -> Self {
        Self {
            number,
            query: view.selection.query(),
            range: view.selection.range,
            is_paused: view.is_paused,
        }
    }
}
