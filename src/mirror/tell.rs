//! How often the log says the same thing.

use std::time::{Duration, Instant};

/// Something that is said at once and then once a minute, however often it happens.
#[derive(Debug, Default)]
pub(super) struct Seldom(Option<Instant>);

impl Seldom {
    const INTERVAL: Duration = Duration::from_secs(60);

    /// Whether it is time to say it.
    pub(super) fn worth_a_line(&mut self) -> bool {
        let worth = self.0.is_none_or(|last| last.elapsed() >= Self::INTERVAL);
        if worth {
            self.0 = Some(Instant::now());
        }
        worth
    }
}

/// A trouble that comes and goes: told when it begins, changes or goes on, but seldom, and when it ends.
#[derive(Debug)]
pub(super) struct Trouble {
    what: &'static str,
    told: Option<String>,
    seldom: Seldom,
}

impl Trouble {
    /// Nothing is wrong with `what` yet.
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, told: None, seldom: Seldom::default() }
    }

    /// Tells how it stands; `mended` is said when there is no trouble any more.
    pub(super) fn tell(&mut self, trouble: Option<&str>, mended: &str) {
        match trouble {
            Some(trouble) => {
                let first = self.told.is_none();
                if self.seldom.worth_a_line() || first {
                    tracing::warn!("{}: {trouble}", self.what);
                    self.told = Some(trouble.to_owned());
                }
            }
            None if self.told.take().is_some() => tracing::info!("{mended}"),
            None => {}
        }
    }
}
