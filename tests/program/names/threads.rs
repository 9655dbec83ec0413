//! The routes of several threads, which share names.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nflog_exporter::{
    geoip::GeoIp,
    metrics::{Dimension, OTHER},
    mirror::{Mirror, Queue, QueueObserver, RowMark},
    networks::Networks,
    pipeline::Route,
};

use super::{label_sets, route_of, take};

/// Counts the batches that move the positions of followed files.
struct Offers(Arc<AtomicUsize>);

impl QueueObserver for Offers {
    fn offered(&self, _: u64) {
        self.0.fetch_add(1, Relaxed);
    }

    fn appending(&self, _: u64, _: RowMark) {}

    fn processed(&self, _: u64) {}
}

const THREADS: u16 = 4;
const ROUNDS: u32 = 250;
const BATCH: u32 = 100;

/// One thread: batches of packets that have a port, a prefix and a device that belong together. Returns the number of
/// evictions that it sees.
fn send_rounds(route: &mut Route, queue: &Queue, seed: u64) -> usize {
    let (mut random, mut evictions) = (seed, 0);
    let mut table = route.names();
    for round in 0..ROUNDS {
        for _ in 0..BATCH {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let port = u16::try_from(random >> 48).unwrap();
            // A third of the packets have one of 50 rules, the others any rule.
            let port = if random >> 40 & 0xff < 85 { port % 50 + 1 } else { port.max(1) };
            // 25 minutes in all: an eviction each minute.
            let time = Duration::from_secs(1_700_000_000 + u64::from(round) * 6);
            take(route, (&format!("rule {port}"), &format!("veth{port}")), port, time);
        }
        route.hand_over();
        evictions += usize::from(!route.names().is(&table));
        table = route.names();
        // The rows keep up, so that no packet is dropped.
        let deadline = Instant::now() + Duration::from_secs(120);
        while queue.status().account.queued > 100_000 {
            assert!(Instant::now() < deadline, "{:?}", queue.status());
            std::thread::yield_now();
        }
    }
    evictions
}

/// Whether a text is `other`, or the name of the packets to a port.
fn is_own(text: Option<&str>, kind: &str, port: &str) -> bool {
    text.is_some_and(|text| text == "other" || text == format!("{kind}{port}"))
}

/// Checks the names in series and in the recent packets.
fn check_names(route: &Route, packets: u32) {
    let sets = label_sets(route, packets as usize);
    let mut series = 0;
    for set in &sets {
        let [Some(port), prefix, device] = &set[..] else { panic!("{set:?}") };
        let (prefix, device) = (prefix.as_deref(), device.as_deref());
        assert!(is_own(prefix, "rule ", port) && is_own(device, "veth", port), "{set:?}");
        series += usize::from(prefix != Some("other"));
    }
    assert!(series > 100, "{sets:?}");
    let table = route.names();
    let observations = route.recent().lock().observations();
    for cell in observations.newest_first().map(|observation| &observation.cell) {
        let prefix = Dimension::Prefix.text(cell.value(Dimension::Prefix), &table);
        let port = cell.value(Dimension::Port);
        assert!(port == OTHER || is_own(prefix.as_deref(), "rule ", &port.to_string()), "{cell:?}");
    }
}

/// While threads that share names evict some, no packet gets the name of another one, in no consumer, and each is counted
/// once.
#[test]
fn threads_evict_no_name_that_another_uses() {
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "[mirror]\nurl = 'sqlite:{0}/packets.db'\nretention = '0s'\n[mirror.spool]\ndirectory = '{0}/spool'\n",
        directory.path().display()
    );
    let config = nflog_exporter::config::parse(&config, "names").unwrap();
    let mut route = route_of(&[Dimension::Port, Dimension::Prefix, Dimension::InInterface], 300);
    let (geoip, networks) = (GeoIp::open(&[]).unwrap(), Networks::none());
    let resolved = config.resolve_mirror().unwrap().unwrap();
    let locations = networks.locations(geoip.city_lookup());
    let mirror = Mirror::start(resolved, &route.current_names(), locations).unwrap();
    route.mirror_to(mirror.queue());
    let mut others: Vec<_> =
        (1..THREADS).map(|_| route.another(geoip.locator(), networks.lookup())).collect();
    let queue = mirror.queue();
    let offers = Arc::<AtomicUsize>::default();
    queue.observe(Offers(Arc::clone(&offers)));
    let evictions: usize = std::thread::scope(|scope| {
        let routes = std::iter::once(&mut route).chain(&mut others);
        let threads = routes.zip(1..).map(|(route, seed)| {
            let queue = &queue;
            scope.spawn(move || send_rounds(route, queue, seed))
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // The positions of followed files move with the batches of the first thread.
    assert_eq!(offers.load(Relaxed), ROUNDS as usize);
    assert!(evictions > usize::from(THREADS), "no name was evicted");
    let packets = u32::from(THREADS) * ROUNDS * BATCH;
    check_names(&route, packets);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(mirror.end(Duration::from_secs(120)));
    let database = rusqlite::Connection::open(directory.path().join("packets.db")).unwrap();
    let count = |condition: &str| -> u32 {
        let query = format!("SELECT count(*) FROM packets WHERE {condition}");
        database.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("true"), packets);
    let own = "(prefix = 'rule ' || destination_port OR prefix = 'other') AND \
               (in_device = 'veth' || destination_port OR in_device = 'other')";
    assert_eq!(count(&format!("NOT ({own})")), 0);
    assert!(count("prefix <> 'other'") > packets / 2);
}
