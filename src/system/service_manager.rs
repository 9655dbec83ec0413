//! What a service manager is told: ready, reloading, ending, and that the program is alive:
//! `sd_notify(3)`.
//!
//! The socket is connected before rights are given up, and only written to afterwards.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Time between signs of life that nobody waits for.
const UNWATCHED: Duration = Duration::from_secs(24 * 3600);

/// Where to tell it; says nothing when nobody asked.
#[derive(Debug, Default)]
pub struct Service {
    socket: Option<UnixDatagram>,
    /// How often a sign of life is wanted at least.
    watchdog: Option<Duration>,
}

impl Service {
    /// What the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` ask for. One that cannot
    /// be followed is told in the log, and nothing else is lost.
    #[must_use]
    pub fn from_environment() -> Self {
        let Ok(name) = env::var("NOTIFY_SOCKET") else { return Self::default() };
        let socket = match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(socket = name, %error, "cannot tell the service manager anything");
                None
            }
        };
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0);
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// One whose manager reads the socket's other end and waits for a sign of life this long.
    #[cfg(test)]
    pub(crate) fn watched(socket: UnixDatagram, watchdog: Duration) -> Self {
        Self { socket: Some(socket), watchdog: Some(watchdog) }
    }

    /// How often to call [`Service::alive`]: twice in the time that the manager waits, and hardly ever
    /// where none does.
    #[must_use]
    pub fn beat(&self) -> Duration {
        self.watchdog.map_or(UNWATCHED, |watchdog| watchdog / 2)
    }

    /// Everything stands; also after a reload.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is being loaded again.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        // Both are positive and far from their ends.
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The program ends in good order.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, text: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(text.as_bytes()) {
            tracing::warn!(%error, "cannot tell the service manager anything");
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
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
    fn without_a_manager_nothing_is_said() {
        let service = Service::default();
        service.ready();
        assert_eq!(service.beat(), UNWATCHED);
    }
}
