//! The terminal: raw mode, the alternate screen, events of keys, and their end.

use std::{
    io::{self, IsTerminal as _, Stdout},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::sys::signal::{Signal, raise};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use tokio::sync::{Notify, mpsc};

/// Events that wait until they are handled.
const EVENTS: usize = 64;

/// Whether a thread panicked, so that its message is on the screen.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// Notified when a thread has panicked.
static PANIC: Notify = Notify::const_new();

/// Whether the terminal is taken over. Leaving the alternate screen twice would move the cursor back over a message.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal, which is restored when this is dropped and when a thread panics.
pub struct Screen {
    /// Draws what changed.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes over the terminal.
    ///
    /// # Errors
    /// There is no terminal for keys, or its mode cannot be changed.
    pub fn open() -> io::Result<Self> {
        read_keys_from_terminal()?;
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            restore();
            HAS_PANICKED.store(true, Ordering::Relaxed);
            previous(information);
            PANIC.notify_one();
        }));
        enter()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        terminal.map(|terminal| Self { terminal }).inspect_err(|_| restore())
    }

    /// Stops the process with a restored terminal, as Ctrl-Z does in other programs. Returns when it continues.
    ///
    /// # Errors
    /// The mode of the terminal cannot be changed.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        // The sandbox can forbid it; then the view continues.
        let _ = raise(Signal::SIGSTOP);
        self.resume()
    }

    /// Takes over the terminal again, after another program used it.
    ///
    /// # Errors
    /// The mode of the terminal cannot be changed.
    pub fn resume(&mut self) -> io::Result<()> {
        // The shell has set another mode, which is the one to restore from now on.
        let _ = disable_raw_mode();
        enter()?;
        // Clears the screen. `Terminal::clear` would ask the terminal for its cursor, and the thread of keys would read the
        // response.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Whether a thread panicked.
    #[must_use]
    pub fn has_panicked() -> bool {
        HAS_PANICKED.load(Ordering::Relaxed)
    }

    /// Returns when a thread panics.
    pub async fn panicked() {
        PANIC.notified().await;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// The events of the terminal, read by a thread that ends with the process.
///
/// # Errors
/// The thread cannot be started.
pub fn events() -> io::Result<mpsc::Receiver<io::Result<Event>>> {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let read = move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            if sender.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".into()).spawn(read)?;
    Ok(receiver)
}

/// Makes the terminal the standard input if that is a file or a pipe, which other descriptors read. A process that has
/// dropped its privileges could not open the terminal.
fn read_keys_from_terminal() -> io::Result<()> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    let terminal = std::fs::File::options().read(true).write(true).open("/dev/tty")?;
    Ok(rustix::stdio::dup2_stdin(terminal)?)
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    IS_ENTERED.store(true, Ordering::Relaxed);
    execute!(io::stdout(), EnterAlternateScreen, Hide).inspect_err(|_| restore())
}

/// Restores the mode and the content of the terminal, if they are not restored.
fn restore() {
    if !IS_ENTERED.swap(false, Ordering::Relaxed) {
        return;
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests;
