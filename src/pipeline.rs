//! The route of a packet, joined: source, decoder, place, event, and everything that takes events.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    event::{
        CurrentNames, Event, HardwareAddress, Interner, NameId, Named, Names, UsedNames, remote_end,
    },
    geoip::{Country, Locator, Place},
    metrics::Aggregate,
    mirror::Queue,
    packet::{self, Headers},
    recent::{SharedRecent, WindowMode},
    source::{ReadOutcome, Record, Source},
};

/// How long the reader waits for packets before it looks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// A full table of names is looked through at most once in so long: it takes some milliseconds.
const EVICTION_INTERVAL: Duration = Duration::from_secs(60);

/// The aggregate as the reader and the scrapes share it.
///
/// One lock: the reader takes it once a batch, a scrape for as long as it takes to copy the
/// series. A plain mutex, because both hold it for microseconds and neither awaits under it.
#[derive(Clone, Debug)]
pub struct SharedAggregate(Arc<Mutex<Aggregate>>);

impl SharedAggregate {
    /// Shares an aggregate.
    #[must_use]
    pub fn new(aggregate: Aggregate) -> Self {
        Self(Arc::new(Mutex::new(aggregate)))
    }

    /// Takes the lock.
    pub fn lock(&self) -> MutexGuard<'_, Aggregate> {
        // A thread that panicked under the lock ends the program through the reader's result; until
        // then a scrape may still read what was counted.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time by which the aggregate ages: one clock for the reader and the scrapes.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Time passes by itself, since this moment.
    Running(Instant),
    /// Time is what the packets of a capture say; behind the last one it passes by itself.
    Packets(Arc<PacketClock>),
}

/// The time of a capture.
#[derive(Debug, Default)]
pub struct PacketClock {
    /// Microseconds since 1970 of the latest packet.
    latest: AtomicU64,
    ended: OnceLock<Instant>,
}

impl Clock {
    /// A clock for packets that come as they happen.
    #[must_use]
    pub fn running() -> Self {
        Self::Running(Instant::now())
    }

    /// A clock for a capture.
    #[must_use]
    pub fn packets() -> Self {
        Self::Packets(Arc::default())
    }

    /// The time since the clock's beginning. Never goes back.
    #[must_use]
    pub fn now(&self) -> Duration {
        match self {
            Self::Running(start) => start.elapsed(),
            Self::Packets(capture) => {
                let latest = Duration::from_micros(capture.latest.load(Ordering::Relaxed));
                latest + capture.ended.get().map(Instant::elapsed).unwrap_or_default()
            }
        }
    }

    /// No packet comes any more.
    fn end(&self) {
        if let Self::Packets(capture) = self {
            capture.ended.get_or_init(Instant::now);
        }
    }

    fn see(&self, packet: u64) {
        if let Self::Packets(capture) = self {
            capture.latest.fetch_max(packet, Ordering::Relaxed);
        }
    }
}

/// The route of one reading thread, from a record to the aggregate.
#[derive(Debug)]
pub struct Route {
    interner: Interner,
    locator: Locator,
    aggregate: SharedAggregate,
    mirror: Option<Queue>,
    recent: SharedRecent,
    clock: Clock,
    /// Whether a family or the mirror shows names of devices: what nobody sees takes no place in the table.
    shows_devices: bool,
    /// When names may next be evicted.
    next_eviction: Duration,
    batch: Vec<Event>,
    /// Time of the running batch, for packets that carry none.
    arrival: Option<u64>,
}

impl Route {
    /// Joins the parts.
    #[must_use]
    pub fn new(locator: Locator, aggregate: SharedAggregate, clock: Clock) -> Self {
        let recent = SharedRecent::new(match clock {
            Clock::Running(_) => WindowMode::Live,
            Clock::Packets(_) => WindowMode::Capture,
        });
        let shows_devices = aggregate.lock().has_devices();
        Self {
            interner: Interner::new(Names::default()),
            locator,
            aggregate,
            mirror: None,
            recent,
            clock,
            shows_devices,
            next_eviction: Duration::ZERO,
            batch: Vec::new(),
            arrival: None,
        }
    }

    /// Offers every batch to a mirror too.
    pub fn mirror_to(&mut self, mirror: Queue) {
        self.mirror = Some(mirror);
        self.shows_devices = true;
    }

    /// Turns a record into an event of the running batch.
    pub fn take(&mut self, record: &Record<'_>) {
        let headers = match record.issue {
            None => packet::decode(record.payload, record.ether_type, record.wire_length),
            Some(issue) => Headers::unread(issue, record.wire_length),
        };
        let place = match headers.addresses {
            Some(addresses) => self.locator.locate(remote_end(addresses, record.direction)),
            None => Place { country: Country::Unknown, asn: 0 },
        };
        let time = record.time.unwrap_or_else(|| *self.arrival.get_or_insert_with(wall_clock));
        self.clock.see(time);
        let in_device = self.device(Named::InDevice, record.in_device.as_bytes());
        let out_device = self.device(Named::OutDevice, record.out_device.as_bytes());
        self.batch.push(Event {
            time,
            group: record.group,
            prefix: self.interner.intern(Named::Prefix, record.prefix),
            in_device,
            out_device,
            hook: record.hook,
            direction: record.direction,
            mark: record.mark,
            uid: record.uid,
            hardware_address: HardwareAddress::new(record.hardware_address),
            captured_length: u32::try_from(record.payload.len()).unwrap_or(u32::MAX),
            headers,
            place,
        });
    }

    #[inline]
    fn device(&mut self, named: Named, name: &[u8]) -> NameId {
        match self.shows_devices {
            true => self.interner.intern(named, name),
            false if name.is_empty() => NameId::EMPTY,
            false => NameId::OTHER,
        }
    }

    /// Hands the batch to everything that takes events: one lock each.
    pub fn hand_over(&mut self) {
        let mut aggregate = self.aggregate.lock();
        aggregate.record(&self.batch, self.clock.now());
        if let Some(mirror) = &self.mirror {
            // Under the same lock, so that every scrape finds as many packets there as here.
            mirror.offer(&self.batch);
        }
        // A reload may have changed the families.
        self.shows_devices = self.mirror.is_some() || aggregate.has_devices();
        drop(aggregate);
        if !self.batch.is_empty() {
            self.recent.lock().push(&self.batch, self.clock.now());
        }
        self.batch.clear();
        self.arrival = None;
        self.locator.refresh();
        if self.interner.is_full() && self.clock.now() >= self.next_eviction {
            self.evict_names();
        }
    }

    /// Evicts the names that nothing refers to. The batch is empty, and only this thread adds names to what is
    /// asked here: between the question and the new table, none of them comes to refer to another name.
    #[cold]
    fn evict_names(&mut self) {
        self.next_eviction = self.clock.now() + EVICTION_INTERVAL;
        let mut used = UsedNames::default();
        self.aggregate.lock().mark_names(&mut used);
        if let Some(mirror) = &self.mirror {
            mirror.mark_names(&mut used);
        }
        // The last, as it keeps only some of those that nothing else refers to.
        self.recent.lock().keep_names(&mut used);
        let evicted = self.interner.evict_unused(&used);
        tracing::debug!(evicted, "evicted unused prefixes and device names: the table was full");
    }

    /// The time by which this route's aggregate ages.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Where this route ends.
    #[must_use]
    pub fn aggregate(&self) -> SharedAggregate {
        self.aggregate.clone()
    }

    /// The mirror that takes every batch.
    #[must_use]
    pub fn mirror(&self) -> Option<Queue> {
        self.mirror.clone()
    }

    /// The latest minutes of what comes along this route.
    #[must_use]
    pub fn recent(&self) -> SharedRecent {
        self.recent.clone()
    }

    /// The names that this route has interned by now.
    #[must_use]
    pub fn names(&self) -> Names {
        self.interner.names()
    }

    /// The names that this route interns, also later.
    #[must_use]
    pub fn current_names(&self) -> CurrentNames {
        self.interner.current_names()
    }
}

/// Reads a source to its end, or until told to `stop`; then what the kernel still holds is read too.
///
/// # Errors
/// Those of the source.
pub fn read(source: &mut dyn Source, route: &mut Route, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut closed = false;
    loop {
        let filled = source.fill(PATIENCE, &mut |record| route.take(record));
        // Also with an empty batch: the aggregate's slow clock goes on. And before an error is
        // passed on: what came first counts.
        route.hand_over();
        if filled? == ReadOutcome::End {
            route.clock.end();
            return Ok(());
        }
        if !closed && stop.load(Ordering::Relaxed) {
            source.close();
            closed = true;
        }
    }
}

/// Microseconds since 1970; 0 for a clock set before.
fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
