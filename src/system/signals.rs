//! The signals that the program handles: SIGHUP, SIGUSR1, SIGTERM and SIGINT.

use std::{future::Future, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals from its creation on.
#[derive(Debug)]
pub struct Signals {
    requests: RequestSignals,
    terminate: Signal,
    interrupt: Signal,
}

/// The signals that request something of the running program.
#[derive(Debug)]
pub struct RequestSignals {
    /// SIGHUP: reload the configuration, and open the files of outputs again.
    pub hangups: Signal,
    /// SIGUSR1: open the files of outputs again.
    pub reopenings: Signal,
}

impl RequestSignals {
    /// Starts to receive the signals before the runtime is started, because their default action ends the process. Those
    /// that arrive until then are received on the runtime.
    ///
    /// # Errors
    /// A handler cannot be installed.
    pub fn before_runtime() -> io::Result<Self> {
        // The library needs one; its handlers stay when it ends.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _entered = runtime.enter();
        Self::new()
    }

    fn new() -> io::Result<Self> {
        Ok(Self {
            hangups: signal(SignalKind::hangup())?,
            reopenings: signal(SignalKind::user_defined1())?,
        })
    }
}

impl Signals {
    /// Starts to receive the signals, which then do not end the process. Needs a runtime.
    ///
    /// # Errors
    /// A handler cannot be installed.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            requests: RequestSignals::new()?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The signals SIGHUP and SIGUSR1, and a future that completes on SIGTERM or SIGINT.
    pub fn split(self) -> (RequestSignals, impl Future<Output = ()>) {
        let Self { requests, mut terminate, mut interrupt } = self;
        let termination = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        (requests, termination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_arrive() {
        let raise = |signal| rustix::process::kill_process(rustix::process::getpid(), signal);
        let (mut requests, termination) = Signals::new().unwrap().split();
        let (_requests, interruption) = Signals::new().unwrap().split();
        raise(rustix::process::Signal::HUP).unwrap();
        assert_eq!(requests.hangups.recv().await, Some(()));
        raise(rustix::process::Signal::USR1).unwrap();
        assert_eq!(requests.reopenings.recv().await, Some(()));
        raise(rustix::process::Signal::TERM).unwrap();
        termination.await;
        interruption.await;
        let (_, interruption) = Signals::new().unwrap().split();
        raise(rustix::process::Signal::INT).unwrap();
        interruption.await;
    }
}
