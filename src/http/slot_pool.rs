//! A bounded pool of slots. If it is full, the slot that has been idle for longest is evicted.
//!
//! The server has one pool for connections, where each slot has size 1, and one for responses in memory,
//! where the size is in bytes. So clients that leave connections or responses idle do not exclude other clients.
//! A busy slot is never evicted: its client waits for the server.

use std::sync::{Arc, Mutex, MutexGuard};

use lru::LruCache;
use tokio_util::sync::CancellationToken;

use crate::system::lock::lock;

/// A pool with a total size.
#[derive(Debug)]
pub(super) struct SlotPool {
    capacity: usize,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    next_id: u64,
    /// Sum of the sizes.
    used: usize,
    /// In the order of their last use.
    by_id: LruCache<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    size: usize,
    is_busy: bool,
    eviction: CancellationToken,
}

/// A slot of a pool; freed when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    pool: Arc<SlotPool>,
    id: u64,
    eviction: CancellationToken,
}

impl SlotPool {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        let slots = Slots { next_id: 0, used: 0, by_id: LruCache::unbounded() };
        Arc::new(Self { capacity, slots: Mutex::new(slots) })
    }

    /// Acquires a slot of a size, and evicts idle slots until there is room. `None` if there is not
    /// enough room because the other slots are busy.
    pub(super) fn acquire(self: &Arc<Self>, size: usize) -> Option<Slot> {
        let mut slots = self.slots();
        slots.make_room(size, self.capacity).then(|| self.add(&mut slots, size))
    }

    /// Acquires a slot as [`SlotPool::acquire`] does. If there is not enough room, exceeds the capacity.
    pub(super) fn acquire_always(self: &Arc<Self>, size: usize) -> Slot {
        let mut slots = self.slots();
        slots.make_room(size, self.capacity);
        self.add(&mut slots, size)
    }

    fn add(self: &Arc<Self>, slots: &mut Slots, size: usize) -> Slot {
        let (id, eviction) = (slots.next_id, CancellationToken::new());
        slots.next_id += 1;
        slots.used += size;
        slots.by_id.put(id, Entry { size, is_busy: false, eviction: eviction.clone() });
        Slot { pool: self.clone(), id, eviction }
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
        let oldest = self.by_id.iter().rev().find(|(_, entry)| !entry.is_busy).map(|(id, _)| *id);
        let Some(evicted) = oldest.and_then(|id| self.remove(id)) else { return false };
        evicted.eviction.cancel();
        true
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.by_id.pop(&id)?;
        self.used -= entry.size;
        Some(entry)
    }
}

impl Slot {
    /// Cancelled when the slot is evicted.
    pub(super) fn eviction(&self) -> &CancellationToken {
        &self.eviction
    }

    /// Protects the slot from eviction. No effect if it was evicted.
    pub(super) fn set_busy(&self) {
        if let Some(entry) = self.pool.slots().by_id.peek_mut(&self.id) {
            entry.is_busy = true;
        }
    }

    /// Ends the protection. Only a valid use makes the slot the most recently used.
    pub(super) fn set_idle(&self, was_valid: bool) {
        let mut slots = self.pool.slots();
        if let Some(entry) = slots.by_id.peek_mut(&self.id) {
            entry.is_busy = false;
        }
        if was_valid {
            slots.by_id.promote(&self.id);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.slots().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evicted<const N: usize>(all: [&Slot; N]) -> [bool; N] {
        all.map(|slot| slot.eviction().is_cancelled())
    }

    fn is_empty(pool: &SlotPool) -> bool {
        let slots = pool.slots();
        slots.by_id.is_empty() && slots.used == 0
    }

    #[test]
    fn the_longest_idle_slot_is_evicted() {
        let pool = SlotPool::new(2);
        let acquire = || pool.acquire(1).unwrap();
        let (first, second) = (acquire(), acquire());
        assert_eq!(evicted([&first, &second]), [false; 2]);
        first.set_busy();
        first.set_idle(true);
        let third = acquire();
        assert_eq!(evicted([&first, &second, &third]), [false, true, false]);
        // An evicted slot neither returns to the pool nor frees another slot.
        second.set_busy();
        second.set_idle(true);
        drop(second);
        let fourth = acquire();
        assert_eq!(evicted([&first, &third, &fourth]), [true, false, false]);
        drop((first, third, fourth));
        assert!(is_empty(&pool));
    }

    #[test]
    fn busy_slots_stay_and_invalid_use_does_not_count() {
        let pool = SlotPool::new(2);
        let acquire = || pool.acquire(1).unwrap();
        let (first, second) = (acquire(), acquire());
        first.set_busy();
        let third = acquire();
        assert_eq!(evicted([&first, &second, &third]), [false, true, false]);
        third.set_busy();
        assert!(pool.acquire(1).is_none(), "both slots are busy");
        third.set_idle(true);
        first.set_idle(false);
        let fourth = acquire();
        assert_eq!(evicted([&first, &third, &fourth]), [true, false, false]);
        third.set_busy();
        drop((first, second, third, fourth));
        assert!(is_empty(&pool));
    }

    #[test]
    fn sizes_add_up_and_one_slot_may_exceed_the_capacity() {
        let pool = SlotPool::new(10);
        let acquire = |size| pool.acquire_always(size);
        let (first, second) = (acquire(4), acquire(6));
        assert_eq!(evicted([&first, &second]), [false; 2]);
        let third = acquire(7);
        assert_eq!(evicted([&first, &second, &third]), [true, true, false]);
        let huge = acquire(1000);
        assert_eq!(evicted([&third, &huge]), [true, false]);
        drop((first, second, third, huge));
        assert!(is_empty(&pool));
    }
}
