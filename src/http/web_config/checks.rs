//! The line of passwords that wait for their check: one is checked at a time, for each takes a
//! processor, and nobody takes the whole line.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Most passwords in the line, with the one under check.
const MAX_WAITING: usize = 32;

/// Most of them from one origin.
const MAX_OF_ONE: usize = 2;

/// As long as a scraper has time for an answer, and something over for its scrape.
const PATIENCE: Duration = Duration::from_secs(5);

/// The checks under way, whatever the configuration.
#[derive(Clone, Debug)]
pub(super) struct Checks {
    running: Arc<Semaphore>,
    waiting: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// How long one waits.
    patience: Duration,
}

impl Default for Checks {
    fn default() -> Self {
        Self::new(PATIENCE)
    }
}

/// The right to check a password now.
#[derive(Debug)]
pub(super) struct Turn {
    _running: OwnedSemaphorePermit,
    _place: Place,
}

/// A place in the line; free when dropped.
#[derive(Debug)]
struct Place {
    waiting: Arc<Mutex<HashMap<IpAddr, usize>>>,
    origin: IpAddr,
}

impl Checks {
    pub(super) fn new(patience: Duration) -> Self {
        Self { running: Arc::new(Semaphore::new(1)), waiting: Arc::default(), patience }
    }

    /// Waits for the turn of a password that came from this address; `None` when the line is too
    /// long, for it or for all.
    pub(super) async fn turn(&self, peer: IpAddr) -> Option<Turn> {
        let place = self.join(origin(peer))?;
        // Nobody closes the semaphore.
        let running =
            timeout(self.patience, self.running.clone().acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _running: running, _place: place })
    }

    fn join(&self, origin: IpAddr) -> Option<Place> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = waiting.get(&origin).copied().unwrap_or_default();
        if own >= MAX_OF_ONE || waiting.values().sum::<usize>() >= MAX_WAITING {
            return None;
        }
        waiting.insert(origin, own + 1);
        Some(Place { waiting: self.waiting.clone(), origin })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = waiting.get_mut(&self.origin) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.origin);
            }
        }
    }
}

/// What one host has for itself: an IPv4 address, or 64 bits of an IPv6 address (RFC 4291, 2.5.4).
fn origin(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_whole_line() {
        let checks = Checks::default();
        let join = |address: &str| checks.join(origin(address.parse().unwrap()));
        let mut places = Vec::new();
        for (address, is_let_in) in [
            ("192.0.2.1", true),
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("::ffff:192.0.2.2", true),
            ("192.0.2.2", true),
            ("192.0.2.2", false),
            ("2001:db8::1", true),
            ("2001:db8::2", true),
            ("2001:db8::3", false),
            ("2001:db8:0:1::3", true),
        ] {
            let place = join(address);
            assert_eq!(place.is_some(), is_let_in, "{address}");
            places.extend(place);
        }
        drop(places);
        assert!(checks.waiting.lock().unwrap().is_empty());
        let full: Vec<_> = (0..100).filter_map(|last| join(&format!("192.0.2.{last}"))).collect();
        assert_eq!(full.len(), MAX_WAITING);
    }

    #[tokio::test]
    async fn a_turn_is_not_waited_for_for_ever() {
        let checks = Checks::new(Duration::from_millis(1));
        let [first, second] = ["192.0.2.1", "192.0.2.2"].map(|it| it.parse().unwrap());
        let turn = checks.turn(first).await.unwrap();
        assert!(checks.turn(second).await.is_none());
        drop(turn);
        assert!(checks.turn(second).await.is_some());
        assert!(checks.waiting.lock().unwrap().is_empty());
    }
}
