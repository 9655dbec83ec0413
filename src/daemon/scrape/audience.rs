//! Which clients' requests count as scrapes, and which snapshot each Prometheus server has received.

use std::{
    fmt,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::{
    exposition::MetricWriter,
    http::Client,
    system::{clock::unix_seconds, lock::lock},
};

/// How long a server is remembered after its last scrape: the longest usual interval, and a few scrapes that
/// failed.
const REMEMBERED: Duration = Duration::from_secs(300);

/// How long new series wait for a server whose interval is not known yet.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// New series wait for a server for this many of its intervals.
const INTERVALS: u32 = 3;

/// Maximum servers that are remembered. A pair for high availability, and some that federate or test; a client
/// that pretends to be many servers must not take memory.
const MAX_SERVERS: usize = 8;

/// The clients that fetch the metrics.
///
/// A new series shows 0 until every Prometheus server was delivered that 0, so that `increase()` counts its first
/// packets in each of them; a retiring series stays until each was delivered its last value. While a Prometheus
/// server scrapes, other clients have no effect. Otherwise every fetch counts.
#[derive(Debug, Default)]
pub(super) struct Audience(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    servers: Vec<Server>,
    /// Seconds since 1970.
    last_scrape: Option<f64>,
}

/// A Prometheus server.
#[derive(Debug)]
struct Server {
    id: u64,
    last: Instant,
    /// The times between its last three scrapes, the latest first. Two, because one short gap, such as a scrape by
    /// hand, says nothing about the interval.
    gaps: [Option<Duration>; 2],
    /// The newest snapshot that was delivered to it.
    generation: u64,
}

impl Server {
    /// How long after its last scrape series wait for its next one.
    fn patience(&self) -> Duration {
        let interval = self.gaps.into_iter().flatten().max();
        interval.map_or(FIRST_WAIT, |interval| (interval * INTERVALS).min(REMEMBERED))
    }
}

impl Audience {
    /// Time of the last scrape by a Prometheus server, seconds since 1970-01-01 UTC.
    pub(super) fn last_scrape(&self) -> Option<f64> {
        self.lock().last_scrape
    }

    /// Records that a snapshot was delivered. Returns the newest snapshot that every server that is waited for has
    /// seen; `None` if this client has no effect.
    pub(super) fn delivered(&self, client: Client, generation: u64, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        state.servers.retain(|server| now.duration_since(server.last) <= REMEMBERED);
        match client {
            Client::Other => return state.servers.is_empty().then_some(generation),
            Client::Prometheus(id) => state.scraped(id, generation, now),
        }
        let waited_for = state
            .servers
            .iter()
            .filter(|server| now.duration_since(server.last) <= server.patience());
        // A server that is not remembered, because the set is full, may be the only one that still scrapes.
        waited_for.map(|server| server.generation).min().or(Some(generation))
    }

    /// Whether a Prometheus scrapes.
    pub(super) fn has_prometheus(&self) -> bool {
        let now = Instant::now();
        self.lock().servers.iter().any(|server| now.duration_since(server.last) <= REMEMBERED)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    fn scraped(&mut self, id: u64, generation: u64, now: Instant) {
        self.last_scrape = Some(unix_seconds());
        if let Some(server) = self.servers.iter_mut().find(|server| server.id == id) {
            server.gaps = [Some(now.duration_since(server.last)), server.gaps[0]];
            server.last = now;
            server.generation = server.generation.max(generation);
        } else if self.servers.len() < MAX_SERVERS {
            // No server is evicted for a new one, so that a client that imitates servers cannot evict real ones.
            self.servers.push(Server { id, last: now, gaps: [None; 2], generation });
        }
    }
}

/// Metric of the last scrape by a Prometheus server.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastScrape(pub(super) Option<f64>);

impl Collector for LastScrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        MetricWriter::new(encoder).gauge(
            "nflog_exporter_last_scrape_timestamp_seconds",
            "Time of the last scrape by a Prometheus server, as a Unix timestamp.",
            self.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Client = Client::Prometheus(1);
    const SLOW: Client = Client::Prometheus(2);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn other_clients_have_no_effect_where_a_prometheus_scrapes() {
        let (audience, start) = (Audience::default(), Instant::now());
        assert_eq!(audience.delivered(Client::Other, 1, start), Some(1));
        assert_eq!(audience.delivered(FAST, 2, start), Some(2));
        assert_eq!(audience.delivered(Client::Other, 3, start + REMEMBERED), None);
        assert_eq!(audience.delivered(Client::Other, 4, start + REMEMBERED + seconds(1)), Some(4));
        assert!(audience.last_scrape().is_some());
    }

    #[test]
    fn the_slower_of_two_servers_is_waited_for() {
        let (audience, start) = (Audience::default(), Instant::now());
        assert_eq!(audience.delivered(SLOW, 1, start), Some(1));
        for second in 1..15 {
            assert_eq!(audience.delivered(FAST, 1 + second, start + seconds(second)), Some(1));
        }
        assert_eq!(audience.delivered(SLOW, 16, start + seconds(15)), Some(15));
        assert_eq!(audience.delivered(FAST, 17, start + seconds(16)), Some(16));
    }

    #[test]
    fn a_server_that_stops_is_waited_for_three_intervals() {
        let (audience, start) = (Audience::default(), Instant::now());
        audience.delivered(SLOW, 1, start);
        audience.delivered(SLOW, 2, start + seconds(10));
        audience.delivered(FAST, 3, start + seconds(11));
        assert_eq!(audience.delivered(FAST, 4, start + seconds(40)), Some(2));
        assert_eq!(audience.delivered(FAST, 5, start + seconds(41)), Some(5));
    }

    #[test]
    fn a_server_that_came_once_is_waited_for_a_minute() {
        let (audience, start) = (Audience::default(), Instant::now());
        audience.delivered(SLOW, 1, start);
        assert_eq!(audience.delivered(FAST, 2, start + FIRST_WAIT), Some(1));
        assert_eq!(audience.delivered(FAST, 3, start + FIRST_WAIT + seconds(1)), Some(3));
    }

    #[test]
    fn one_short_gap_does_not_end_the_wait() {
        let (audience, start) = (Audience::default(), Instant::now());
        for (generation, second) in [(1, 0), (2, 15), (3, 16)] {
            audience.delivered(SLOW, generation, start + seconds(second));
        }
        assert_eq!(audience.delivered(FAST, 4, start + seconds(40)), Some(3));
    }

    #[test]
    fn a_server_beyond_a_full_set_of_silent_ones_is_served() {
        let (audience, start) = (Audience::default(), Instant::now());
        for id in 10..20 {
            audience.delivered(Client::Prometheus(id), 1, start);
        }
        let later = start + FIRST_WAIT + seconds(1);
        assert_eq!(audience.delivered(FAST, 2, later), Some(2));
    }

    #[test]
    fn pretended_servers_do_not_displace_real_ones() {
        let (audience, start) = (Audience::default(), Instant::now());
        audience.delivered(SLOW, 1, start);
        for id in 10..1_000 {
            assert_eq!(audience.delivered(Client::Prometheus(id), 2, start + seconds(1)), Some(1));
        }
        assert_eq!(audience.lock().servers.len(), MAX_SERVERS);
    }
}
