//! A bounded pool of slots. If it is full, the slot that has been idle for longest is evicted.
//!
//! The server has one pool for connections, where each slot has size 1, and one for responses in memory,
//! where the size is in bytes. Clients that open connections, or request responses, and leave them idle
//! keep no other client out. A busy slot is never evicted: its client waits for the server.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::Notify;

use crate::system::lock::lock;

/// A pool with a total size.
#[derive(Debug)]
pub(super) struct SlotPool {
    capacity: usize,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// Counts the uses of slots, and gives slots their ids.
    clock: u64,
    /// Sum of the sizes.
    used: usize,
    by_id: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    size: usize,
    /// The clock at its last use.
    last_use: u64,
    is_busy: bool,
    /// Notified when the slot is evicted.
    holders: Vec<Arc<Notify>>,
}

/// A slot of a pool; freed when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    pool: Arc<SlotPool>,
    id: u64,
}

/// A registration for the notification that a slot is evicted; ends when dropped.
#[derive(Debug)]
pub(super) struct Holder {
    slot: Arc<Slot>,
    eviction: Arc<Notify>,
}

impl SlotPool {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, slots: Mutex::default() })
    }

    /// Acquires a slot of a size, and evicts idle slots until there is room. `None` if there is not
    /// enough room because the other slots are busy.
    pub(super) fn acquire(self: &Arc<Self>, size: usize) -> Option<Slot> {
        let mut slots = self.slots();
        slots.make_room(size, self.capacity).then(|| self.add(&mut slots, size))
    }

    /// Acquires a slot as [`SlotPool::acquire`] does, but also if there is not enough room.
    pub(super) fn acquire_always(self: &Arc<Self>, size: usize) -> Slot {
        let mut slots = self.slots();
        slots.make_room(size, self.capacity);
        self.add(&mut slots, size)
    }

    fn add(self: &Arc<Self>, slots: &mut Slots, size: usize) -> Slot {
        slots.used += size;
        let id = slots.tick();
        let entry = Entry { size, last_use: id, is_busy: false, holders: Vec::new() };
        slots.by_id.insert(id, entry);
        Slot { pool: self.clone(), id }
    }

    /// Evicts the slot that has been idle for longest.
    pub(super) fn evict_one(&self) {
        self.slots().evict_one();
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        lock(&self.slots)
    }
}

impl Slots {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn make_room(&mut self, size: usize, capacity: usize) -> bool {
        while self.used.saturating_add(size) > capacity {
            if !self.evict_one() {
                return false;
            }
        }
        true
    }

    /// Evicts the slot that has been idle for longest; `false` if none is idle.
    fn evict_one(&mut self) -> bool {
        let idle = self.by_id.iter().filter(|(_, entry)| !entry.is_busy);
        let oldest = idle.min_by_key(|(_, entry)| entry.last_use).map(|(id, _)| *id);
        let Some(evicted) = oldest.and_then(|id| self.remove(id)) else { return false };
        evicted.holders.iter().for_each(|holder| holder.notify_one());
        true
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.by_id.remove(&id)?;
        self.used -= entry.size;
        Some(entry)
    }
}

impl Slot {
    /// Notifies `eviction` when the slot is evicted, at once if it was.
    pub(super) fn hold(self: &Arc<Self>, eviction: Arc<Notify>) -> Holder {
        match self.pool.slots().by_id.get_mut(&self.id) {
            Some(entry) => entry.holders.push(eviction.clone()),
            None => eviction.notify_one(),
        }
        Holder { slot: self.clone(), eviction }
    }

    /// Protects the slot from eviction. No effect if it was evicted.
    pub(super) fn set_busy(&self) {
        if let Some(entry) = self.pool.slots().by_id.get_mut(&self.id) {
            entry.is_busy = true;
        }
    }

    /// Ends the protection. A slot whose use was valid counts as just used; otherwise its last use stays
    /// the earlier one.
    pub(super) fn set_idle(&self, was_valid: bool) {
        let mut slots = self.pool.slots();
        let now = slots.tick();
        if let Some(entry) = slots.by_id.get_mut(&self.id) {
            entry.is_busy = false;
            if was_valid {
                entry.last_use = now;
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.slots().remove(self.id);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(entry) = self.slot.pool.slots().by_id.get_mut(&self.slot.id) {
            entry.holders.retain(|holder| !Arc::ptr_eq(holder, &self.eviction));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::task::{Context, Waker};

    use super::*;

    /// A slot with one holder.
    struct Held {
        slot: Arc<Slot>,
        holder: Holder,
    }

    fn held(slot: Slot) -> Held {
        let slot = Arc::new(slot);
        Held { holder: slot.hold(Arc::default()), slot }
    }

    fn is_evicted(holder: &Holder) -> bool {
        let notified = std::pin::pin!(holder.eviction.notified());
        notified.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn evicted<const N: usize>(all: [&Held; N]) -> [bool; N] {
        all.map(|held| is_evicted(&held.holder))
    }

    fn is_empty(pool: &SlotPool) -> bool {
        let slots = pool.slots();
        slots.by_id.is_empty() && slots.used == 0
    }

    #[test]
    fn the_longest_idle_slot_is_evicted() {
        let pool = SlotPool::new(2);
        let acquire = || held(pool.acquire(1).unwrap());
        let (first, second) = (acquire(), acquire());
        assert_eq!(evicted([&first, &second]), [false; 2]);
        first.slot.set_busy();
        first.slot.set_idle(true);
        let third = acquire();
        assert_eq!(evicted([&first, &second, &third]), [false, true, false]);
        // An evicted slot neither returns to the pool nor frees another slot.
        second.slot.set_busy();
        second.slot.set_idle(true);
        drop(second);
        let fourth = acquire();
        assert_eq!(evicted([&first, &third, &fourth]), [true, false, false]);
        drop((first, third, fourth));
        assert!(is_empty(&pool));
    }

    #[test]
    fn busy_slots_stay_and_invalid_use_does_not_count() {
        let pool = SlotPool::new(2);
        let acquire = || held(pool.acquire(1).unwrap());
        let (first, second) = (acquire(), acquire());
        first.slot.set_busy();
        let third = acquire();
        assert_eq!(evicted([&first, &second, &third]), [false, true, false]);
        third.slot.set_busy();
        assert!(pool.acquire(1).is_none(), "both slots are busy");
        third.slot.set_idle(true);
        first.slot.set_idle(false);
        let fourth = acquire();
        assert_eq!(evicted([&first, &third, &fourth]), [true, false, false]);
        third.slot.set_busy();
        drop((first, second, third, fourth));
        assert!(is_empty(&pool));
    }

    #[test]
    fn sizes_add_up_and_one_slot_may_exceed_the_capacity() {
        let pool = SlotPool::new(10);
        let acquire = |size| held(pool.acquire_always(size));
        let (first, second) = (acquire(4), acquire(6));
        assert_eq!(evicted([&first, &second]), [false; 2]);
        let third = acquire(7);
        assert_eq!(evicted([&first, &second, &third]), [true, true, false]);
        let huge = acquire(1000);
        assert_eq!(evicted([&third, &huge]), [true, false]);
        drop((first, second, third, huge));
        assert!(is_empty(&pool));
    }

    #[test]
    fn all_holders_of_a_slot_are_notified_until_they_are_dropped() {
        let pool = SlotPool::new(1);
        let slot = Arc::new(pool.acquire(1).unwrap());
        let [one, two, dropped] = [0; 3].map(|_| slot.hold(Arc::default()));
        let eviction = dropped.eviction.clone();
        drop(dropped);
        let _next = pool.acquire(1).unwrap();
        assert!(is_evicted(&one) && is_evicted(&two));
        assert_eq!(Arc::strong_count(&eviction), 1);
        assert!(is_evicted(&slot.hold(Arc::default())), "a later holder is notified at once");
    }
}
