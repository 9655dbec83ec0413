//! The signals that the program handles: SIGHUP, SIGTERM and SIGINT.

use std::{future::Future, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals from its creation on.
#[derive(Debug)]
pub struct Signals {
    hangups: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to receive the signals, which then do not end the process. Needs a runtime.
    ///
    /// # Errors
    /// A handler cannot be installed.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangups: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The hang-ups, and a future that completes on SIGTERM or SIGINT.
    pub fn split(self) -> (Signal, impl Future<Output = ()>) {
        let Self { hangups, mut terminate, mut interrupt } = self;
        let termination = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        (hangups, termination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_arrive() {
        let raise = |signal| rustix::process::kill_process(rustix::process::getpid(), signal);
        let (mut hangups, termination) = Signals::new().unwrap().split();
        let (_hangups, interruption) = Signals::new().unwrap().split();
        raise(rustix::process::Signal::HUP).unwrap();
        assert_eq!(hangups.recv().await, Some(()));
        raise(rustix::process::Signal::TERM).unwrap();
        termination.await;
        interruption.await;
        let (_, interruption) = Signals::new().unwrap().split();
        raise(rustix::process::Signal::INT).unwrap();
        interruption.await;
    }
}
