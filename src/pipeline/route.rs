//! The route of one reading thread: each record becomes an event, and each batch goes to every consumer.

use std::{
    net::IpAddr,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Clock, EventSink};
use crate::{
    event::{CurrentNames, Event, HardwareAddress, Interner, NameField, NameId, Names, UsedNames},
    geoip::{Country, Locator, Place},
    metrics::{Aggregate, SharedAggregate},
    mirror::Queue,
    networks::{NameIndex, NetworkLookup, Networks, PacketNetworks},
    output::{Outputs, PacketMessages},
    packet,
    recent::{SharedRecent, WindowMode},
    source::Record,
    system::clock::unix_micros,
};

/// Number of packets from which on a batch waits for the lock of the aggregate: some datagrams.
const MAX_DEFERRED: usize = 1024;

/// Minimum time between two searches of a full name table for unused names. A search takes some milliseconds.
const EVICTION_INTERVAL: Duration = Duration::from_secs(60);

/// The route of one reading thread, from records to the aggregate, the recent packets, the mirror and the outputs.
#[derive(Debug)]
pub struct Route {
    interner: Interner,
    locator: Locator,
    /// Empty memory for the remote ends of a batch, each with the index of its event.
    remotes: Vec<(usize, IpAddr)>,
    networks: NetworkLookup,
    /// Empty memory for the networks of a batch.
    found: Vec<PacketNetworks>,
    /// The ids of the names of networks and lists, by their index; `None` until the first packet that has one.
    network_ids: Vec<Option<NameId>>,
    /// Evictions of names before these ids.
    network_evictions: u64,
    aggregate: SharedAggregate,
    mirror: Option<Queue>,
    outputs: Option<Outputs>,
    /// Messages of the batch and of the deferred events before it; empty if no output needs them.
    messages: PacketMessages,
    /// Takes every event instead of the other consumers.
    sink: Option<Box<dyn EventSink>>,
    recent: SharedRecent,
    clock: Clock,
    /// Whether a family or the mirror shows device names. If not, they are not interned.
    shows_devices: bool,
    /// Earliest time of the next eviction of names, milliseconds of the clock. Shared by all routes.
    next_eviction: Arc<AtomicU64>,
    batch: Vec<Event>,
    /// Events of earlier datagrams whose addresses were looked up, and which are handed over with the batch.
    deferred: Vec<Event>,
    /// Time of the current batch, for packets without a timestamp.
    arrival: Option<u64>,
}

impl Route {
    /// Creates a route with these parts and no mirror.
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
            remotes: Vec::new(),
            networks: Networks::none().lookup(),
            found: Vec::new(),
            network_ids: Vec::new(),
            network_evictions: 0,
            aggregate,
            mirror: None,
            outputs: None,
            messages: PacketMessages::default(),
            sink: None,
            recent,
            clock,
            shows_devices,
            next_eviction: Arc::default(),
            batch: Vec::new(),
            deferred: Vec::new(),
            arrival: None,
        }
    }

    /// Creates the route of another thread to the same consumers, with the same names.
    #[must_use]
    pub fn another(&self, locator: Locator, networks: NetworkLookup) -> Self {
        let mut route = Self::new(locator, self.aggregate(), self.clock());
        route.interner = self.interner.sharing();
        route.recent = self.recent();
        route.next_eviction = Arc::clone(&self.next_eviction);
        if let Some(mirror) = &self.mirror {
            // The observer follows the batches of the first thread, which reads the log files.
            route.mirror_to(mirror.unobserved());
        }
        if let Some(outputs) = &self.outputs {
            route.output_to(outputs.clone());
        }
        route.look_up(networks);
        route
    }

    /// Also offers every batch to a mirror.
    pub fn mirror_to(&mut self, mirror: Queue) {
        self.mirror = Some(mirror);
        self.shows_devices = true;
    }

    /// Also offers every batch to outputs.
    pub fn output_to(&mut self, outputs: Outputs) {
        self.outputs = Some(outputs);
        self.shows_devices = true;
    }

    /// Whether an output needs the messages of packets: then each record is passed to [`Self::take_with_message`].
    #[must_use]
    pub fn keeps_messages(&self) -> bool {
        self.outputs.as_ref().is_some_and(Outputs::keep_messages)
    }

    /// As [`Self::take`], and keeps the record's message for the outputs.
    pub fn take_with_message(&mut self, record: &Record<'_>) {
        self.take(record);
        self.messages.push(record.message);
    }

    /// Passes every batch to this consumer, and to no other. Its names are never evicted.
    pub fn divert_to(&mut self, sink: Box<dyn EventSink>) {
        self.sink = Some(sink);
        self.shows_devices = false;
    }

    /// The id that packets of this host have.
    pub fn host_id(&mut self, host: &str) -> NameId {
        self.interner.intern(NameField::Host, host.as_bytes())
    }

    /// Also looks up the addresses of every packet in networks and lists.
    pub fn look_up(&mut self, networks: NetworkLookup) {
        self.network_ids = vec![None; networks.names().len()];
        self.networks = networks;
    }

    /// Adds a record to the current batch as an event, whose addresses are looked up when the batch is handed over. Of a
    /// capture, hands over the batch before a packet of another second.
    pub fn take(&mut self, record: &Record<'_>) {
        let headers = record.headers.unwrap_or_else(|| {
            packet::decode(record.payload, record.ether_type, record.wire_length)
        });
        let time = record.time.unwrap_or_else(|| *self.arrival.get_or_insert_with(unix_micros));
        if !self.batch.is_empty() && self.clock.begins_second(time) && self.sink.is_none() {
            // A batch of a slow capture can span hours, and counts at the time of its latest packet.
            self.hand_over();
        }
        self.clock.observe(time);
        let in_device = self.device(NameField::InDevice, record.in_device.as_bytes());
        let out_device = self.device(NameField::OutDevice, record.out_device.as_bytes());
        self.batch.push(Event {
            time,
            group: record.group,
            host: self.interner.intern(NameField::Host, record.host),
            prefix: self.interner.intern(NameField::Prefix, record.prefix),
            in_device,
            out_device,
            hook: record.hook,
            direction: record.direction,
            mark: record.mark,
            uid: record.uid,
            connection: record.connection,
            hardware_address: HardwareAddress::new(record.hardware_address),
            captured_length: match record.headers {
                // Lines have no bytes of the packet: the kernel had all of its headers.
                Some(headers) => headers.length,
                None => u32::try_from(record.payload.len()).unwrap_or(u32::MAX),
            },
            headers,
            place: Place { country: Country::Unknown, asn: 0 },
            source_network: NameId::EMPTY,
            destination_network: NameId::EMPTY,
            list: NameId::EMPTY,
        });
    }

    /// Looks up the addresses of the batch: all of them in one stage after the other, so that the processor waits for
    /// the memory of many packets at a time.
    fn look_up_addresses(&mut self) {
        // They may be replaced while this thread waited for the batch.
        self.locator.refresh();
        if self.networks.refresh() || self.interner.evictions() != self.network_evictions {
            self.network_evictions = self.interner.evictions();
            self.network_ids = vec![None; self.networks.names().len()];
        }
        let remotes = self.batch.iter().map(Event::remote);
        self.remotes.clear();
        self.remotes.extend(remotes.enumerate().filter_map(|(index, it)| Some((index, it?))));
        let addresses = self.remotes.iter().map(|(_, remote)| *remote);
        self.locator.locate_all(addresses, |number, place| {
            self.batch[self.remotes[number].0].place = place;
        });
        if self.networks.is_empty() {
            return;
        }
        let ends = self.batch.iter().map(|event| Some((event.headers.addresses?, event.remote()?)));
        let mut found = std::mem::take(&mut self.found);
        self.networks.packets(ends, &mut found);
        for (index, found) in found.iter().enumerate() {
            let source_network = self.network(found.source);
            let destination_network = self.network(found.destination);
            let list = self.network(found.list);
            let event = &mut self.batch[index];
            (event.source_network, event.destination_network) =
                (source_network, destination_network);
            event.list = list;
            if let Some(country) = found.country {
                event.place.country = Country::Known(country);
            }
        }
        self.found = found;
    }

    #[inline]
    fn device(&mut self, named: NameField, name: &[u8]) -> NameId {
        match self.shows_devices {
            true => self.interner.intern(named, name),
            false if name.is_empty() => NameId::EMPTY,
            false => NameId::OTHER,
        }
    }

    /// The id of the name of a network or a list.
    #[inline]
    fn network(&mut self, index: Option<NameIndex>) -> NameId {
        let Some(NameIndex(index)) = index else { return NameId::EMPTY };
        let index = usize::from(index);
        let Some(id) = self.network_ids.get_mut(index) else { return NameId::OTHER };
        let names = self.networks.names();
        *id.get_or_insert_with(|| self.interner.intern(NameField::Network, names[index].as_bytes()))
    }

    /// Passes the batch to every consumer, with one lock each.
    pub fn hand_over(&mut self) {
        self.look_up_addresses();
        if let Some(sink) = &mut self.sink {
            sink.take(&self.batch);
        } else {
            let aggregate = self.aggregate.clone();
            self.record(aggregate.lock_soon());
        }
        self.end_batch();
    }

    /// As [`Self::hand_over`], but keeps a small batch if another thread has the lock of the aggregate. Returns whether it
    /// was handed over. To wait for a lock that is held for microseconds costs more than to read another datagram first.
    pub fn try_hand_over(&mut self) -> bool {
        let aggregate = self.aggregate.clone();
        if self.sink.is_some() || self.deferred.len() + self.batch.len() >= MAX_DEFERRED {
            self.hand_over();
            return true;
        }
        self.look_up_addresses();
        let Some(aggregate) = aggregate.try_lock() else {
            self.deferred.append(&mut self.batch);
            self.arrival = None;
            return false;
        };
        self.record(aggregate);
        self.end_batch();
        true
    }

    /// Passes the batch and what was deferred before it to the aggregate, the mirror and the recent packets.
    fn record(&mut self, mut aggregate: MutexGuard<'_, Aggregate>) {
        let batch = if self.deferred.is_empty() {
            &mut self.batch
        } else {
            self.deferred.append(&mut self.batch);
            &mut self.deferred
        };
        aggregate.record(batch, self.clock.now());
        // Under the same lock, so that a scrape sees the same number of packets in both.
        if let Some(mirror) = &self.mirror {
            mirror.offer(batch);
        }
        if let Some(outputs) = &self.outputs {
            outputs.offer(batch, &self.messages);
        }
        // A reload may have changed the families.
        self.shows_devices =
            self.mirror.is_some() || self.outputs.is_some() || aggregate.has_devices();
        drop(aggregate);
        if !batch.is_empty() {
            self.recent.lock_soon().push(batch, self.clock.now());
        }
    }

    /// Empties the batch, and evicts names if their table is full.
    fn end_batch(&mut self) {
        self.batch.clear();
        self.deferred.clear();
        self.messages.clear();
        self.interner.close_batch();
        self.arrival = None;
        if self.sink.is_none() && self.interner.is_full() {
            self.evict_names();
        }
    }

    /// Evicts the names that nothing refers to, unless a route did so within the interval. No batch of any route is open
    /// meanwhile, and only routes add names to the consumers, so none of them can refer to another name before the new
    /// table is in use.
    #[cold]
    fn evict_names(&mut self) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        let due = self.next_eviction.load(Relaxed);
        let next = millis(now + EVICTION_INTERVAL);
        let is_due = millis(now) >= due;
        if !is_due || self.next_eviction.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return;
        }
        let used = || {
            let mut used = UsedNames::default();
            self.aggregate.lock().mark_names(&mut used);
            if let Some(mirror) = &self.mirror {
                mirror.mark_names(&mut used);
            }
            if let Some(outputs) = &self.outputs {
                outputs.mark_names(&mut used);
            }
            // Last, because it keeps only some of the names that nothing else refers to.
            self.recent.lock().keep_names(&mut used);
            used
        };
        let evicted = self.interner.evict_unused(used);
        tracing::debug!(evicted, "evicted unused prefixes and device names: the table was full");
    }

    /// Marks the end of a capture.
    pub(super) fn end_clock(&self) {
        self.clock.end();
    }

    /// The clock of this route's aggregate.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The aggregate that counts this route's packets.
    #[must_use]
    pub fn aggregate(&self) -> SharedAggregate {
        self.aggregate.clone()
    }

    /// The mirror's queue, if there is one.
    #[must_use]
    pub fn mirror(&self) -> Option<Queue> {
        self.mirror.clone()
    }

    /// The outputs, if there are any.
    #[must_use]
    pub fn outputs(&self) -> Option<Outputs> {
        self.outputs.clone()
    }

    /// The recent packets of this route.
    #[must_use]
    pub fn recent(&self) -> SharedRecent {
        self.recent.clone()
    }

    /// The current table of names. Does not follow later evictions.
    #[must_use]
    pub fn names(&self) -> Names {
        self.interner.names()
    }

    /// The table of names, also after evictions.
    #[must_use]
    pub fn current_names(&self) -> CurrentNames {
        self.interner.current_names()
    }
}
