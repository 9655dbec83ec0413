//! Notifications to the service manager: ready, reloading, stopping, and the watchdog: `sd_notify(3)`.
//!
//! The socket is connected before privileges are dropped.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Interval of watchdog messages when the manager does not ask for them.
const UNWATCHED: Duration = Duration::from_secs(24 * 3600);

/// The service manager; without one, notifications do nothing.
#[derive(Debug, Default)]
pub struct Service {
    socket: Option<UnixDatagram>,
    /// The manager's limit between two watchdog messages.
    watchdog: Option<Duration>,
}

impl Service {
    /// The manager that `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` name. An invalid value is logged
    /// and ignored.
    #[must_use]
    pub fn from_environment() -> Self {
        let Ok(name) = env::var("NOTIFY_SOCKET") else { return Self::default() };
        let socket = match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(socket = name, %error, "cannot notify the service manager");
                None
            }
        };
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0);
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// A manager with this socket and watchdog limit.
    #[cfg(test)]
    pub(crate) fn watched(socket: UnixDatagram, watchdog: Duration) -> Self {
        Self { socket: Some(socket), watchdog: Some(watchdog) }
    }

    /// The interval at which to call [`Service::alive`]: half the manager's limit, or a day without one.
    #[must_use]
    pub fn watchdog_interval(&self) -> Duration {
        self.watchdog.map_or(UNWATCHED, |watchdog| watchdog / 2)
    }

    /// The program is ready; also after a reload.
    pub fn ready(&self) {
        self.notify("READY=1");
    }

    /// The configuration is being loaded again.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        // Both are positive and far from their ends.
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The program ends in good order.
    pub fn stopping(&self) {
        self.notify("STOPPING=1");
    }

    /// The program is alive.
    pub fn alive(&self) {
        self.notify("WATCHDOG=1");
    }

    fn notify(&self, text: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(text.as_bytes()) {
            tracing::warn!(%error, "cannot notify the service manager");
        }
    }
}

/// A path, or behind `@` a name in the kernel's own list.
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_hears_it_at_a_path_and_at_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("nflog-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (manager, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}")),
        ] {
            let service = Service { socket: Some(connect(&name).unwrap()), watchdog: None };
            service.ready();
            assert_eq!(heard(&manager), "READY=1");
            service.reloading();
            let text = heard(&manager);
            let usec = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(usec.parse::<u64>().unwrap() > 0, "{text}");
        }
        assert!(connect("/nowhere/notify").is_err());
    }

    #[test]
    fn without_a_manager_nothing_is_sent() {
        let service = Service::default();
        service.ready();
        assert_eq!(service.watchdog_interval(), UNWATCHED);
    }
}
