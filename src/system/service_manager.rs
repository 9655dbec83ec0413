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

/// Interval of watchdog messages if the manager has no watchdog.
const WITHOUT_WATCHDOG: Duration = Duration::from_secs(24 * 3600);

/// The connection to the service manager. Without a service manager, notifications do nothing.
#[derive(Debug, Default)]
pub struct Service {
    socket: Option<UnixDatagram>,
    /// Maximum time between two watchdog messages.
    watchdog: Option<Duration>,
}

impl Service {
    /// Connects to the manager that `NOTIFY_SOCKET` names, with the limits of `WATCHDOG_USEC` and `WATCHDOG_PID`.
    /// An invalid value is logged and ignored.
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
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0);
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// A manager with this socket and watchdog limit.
    #[cfg(test)]
    pub(crate) fn watched(socket: UnixDatagram, watchdog: Duration) -> Self {
        Self { socket: Some(socket), watchdog: Some(watchdog) }
    }

    /// The interval at which to call [`Service::alive`]: half the manager's limit, or a day without a limit.
    #[must_use]
    pub fn watchdog_interval(&self) -> Duration {
        self.watchdog.map_or(WITHOUT_WATCHDOG, |watchdog| watchdog / 2)
    }

    /// Reports that the program is ready, at the start and after a reload.
    pub fn ready(&self) {
        self.notify("READY=1");
    }

    /// Reports that the configuration is being reloaded.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        // Both are positive, and too small to overflow.
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// Reports that the program shuts down.
    pub fn stopping(&self) {
        self.notify("STOPPING=1");
    }

    /// Reports that the program is alive.
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

/// Connects to a path or, after `@`, to an abstract name (unix(7)).
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not block the program.
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn notifications_arrive_at_a_path_and_at_an_abstract_name() {
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
            assert_eq!(received(&manager), "READY=1");
            service.reloading();
            let text = received(&manager);
            let usec = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(usec.parse::<u64>().unwrap() > 0, "{text}");
        }
        assert!(connect("/nowhere/notify").is_err());
    }

    #[test]
    fn without_a_manager_nothing_is_sent() {
        let service = Service::default();
        service.ready();
        assert_eq!(service.watchdog_interval(), WITHOUT_WATCHDOG);
    }
}
